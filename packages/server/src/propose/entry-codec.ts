/**
 * Log entries of v3 requests: `InternalRaftRequest` with one request and a header that holds the request id.
 *
 *     put        22 <len> PutRequest | a2 06 <len> 08 <request id>
 *
 * Written and read by hand because it happens for every write; everything else about the message
 * comes from its codec.
 */
import { type Codec, etcdserverpb, sizeOfVarint, writeVarint } from '@etcd-ts/api'
import type { RequestIds } from './request-id.ts'

/** Requests that this server proposes, by their field number in `InternalRaftRequest`. */
export const ProposalField = {
  put: 4,
  deleteRange: 5,
  txn: 6,
  compaction: 7,
  alarm: 10,
} as const

const HEADER_TAG_0 = 0xa2 // field 100, length-delimited
const HEADER_TAG_1 = 0x06
const PUT_TAG = 0x22

/** An id's varint, from its halves; seven bits at a time cross the halves' border at bit 48. */
function writeRequestId(out: Uint8Array, at: number, prefix: number, suffix: number): number {
  if (prefix === 0) return writeVarint(out, at, suffix)
  let low = suffix
  for (let i = 0; i < 6; i++) {
    out[at++] = (low % 128) | 128
    low = Math.floor(low / 128)
  }
  // 42 bits are out; six are left of the suffix, sixteen of the prefix.
  return writeVarint(out, at, low + prefix * 64)
}

/** The bytes of an entry that proposes `request`, whose field number is below the header's. */
export function encodeProposal<Message, Init>(
  ids: RequestIds,
  requestId: number,
  field: number,
  codec: Codec<Message, Init>,
  request: Init,
): Uint8Array {
  const size = codec.encodedSize(request)
  const idSize = ids.prefix === 0 ? sizeOfVarint(requestId) : 6 + sizeOfVarint(ids.prefix * 64)
  const out = Buffer.allocUnsafe(1 + sizeOfVarint(size) + size + 2 + 1 + 1 + idSize)
  out[0] = (field << 3) | 2
  let at = writeVarint(out, 1, size)
  at = codec.write(request, out, at)
  out[at++] = HEADER_TAG_0
  out[at++] = HEADER_TAG_1
  out[at++] = 1 + idSize
  out[at++] = 0x08
  writeRequestId(out, at, ids.prefix, requestId)
  return out
}

/** A put entry as `encodeProposal` writes it, or undefined when `bytes` is anything else. */
export interface PutEntry {
  readonly put: etcdserverpb.PutRequest
  /** The id's counter when this member issued it, else -1. */
  readonly requestId: number
}

/** Reads the entries that nearly all writes are; what it declines goes to `InternalRaftRequest.decode`. */
export function decodePutEntry(bytes: Uint8Array, ids: RequestIds): PutEntry | undefined {
  if (bytes[0] !== PUT_TAG) return undefined
  let at = 1
  let length = 0
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++]
    if (byte === undefined || scale > 2 ** 28) return undefined
    length += (byte & 127) * scale
    if (byte < 128) break
  }
  const end = at + length
  const idAt = end + 4
  if (bytes[end] !== HEADER_TAG_0 || bytes[end + 1] !== HEADER_TAG_1 || bytes[end + 3] !== 0x08)
    return undefined
  if ((bytes[end + 2] ?? 0) !== bytes.length - end - 3) return undefined
  let suffix = 0
  let scale = 1
  let position = idAt
  for (; position < idAt + 6; position++) {
    const byte = bytes[position]
    if (byte === undefined || byte < 128) return undefined
    suffix += (byte & 127) * scale
    scale *= 128
  }
  let high = 0
  for (scale = 1; position < bytes.length; position++) {
    high += ((bytes[position] as number) & 127) * scale
    scale *= 128
  }
  suffix += (high % 64) * 2 ** 42
  const put = etcdserverpb.PutRequest.decode(bytes, at, end)
  return { put, requestId: Math.floor(high / 64) === ids.prefix ? suffix : -1 }
}
