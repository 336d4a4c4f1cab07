import { encodeGrpcMessage } from './grpc-message.ts'
import { fieldBytesMax, writeIndexedField, writePlainField } from './hpack/encoder.ts'
import { STATIC_COUNT } from './hpack/static-table.ts'
import { encodeBinary } from './metadata.ts'
import { Code, type Status } from './status.ts'

/** A header field to be sent. */
export type Pair = readonly [name: string, value: string]

const CONTENT_TYPE: Pair = ['content-type', 'application/grpc']
const STATUS_OK: Pair = ['grpc-status', '0']
/** `:status: 200` of the static table. */
const HTTP_OK = 0x88

function block(write: (out: Buffer) => number): Uint8Array {
  const out = Buffer.alloc(256)
  return Uint8Array.prototype.slice.call(out, 0, write(out))
}

function indexed(index: number): number {
  return 0x80 | (STATIC_COUNT + index)
}

// The peer's dynamic table holds what these blocks put there, and nothing else: first the content type, then the
// good status. Blocks of each stage, by what the table holds when they are sent.
const okHeaders = [
  block((out) => ((out[0] = HTTP_OK), writeIndexedField(out, 1, ...CONTENT_TYPE))),
  Uint8Array.of(HTTP_OK, indexed(1)),
  Uint8Array.of(HTTP_OK, indexed(2)),
] as const
const plainHeaders = block((out) => ((out[0] = HTTP_OK), writePlainField(out, 1, ...CONTENT_TYPE)))
const newOkTrailers = block((out) => writeIndexedField(out, 0, ...STATUS_OK))
const indexedOkTrailers = Uint8Array.of(indexed(1))

/** Trailers of a call that went well, in a form that holds whatever has been sent before. */
export const plainOkTrailers = block((out) => writePlainField(out, 0, ...STATUS_OK))

/**
 * The header blocks of one connection's answers. Nearly all are one of two, which the peer's table shrinks to two bytes and
 * one; they must be sent in the order in which they are taken.
 */
export class ResponseBlocks {
  #held: 0 | 1 | 2 = 0
  #usesTable = true

  /** The peer keeps no table for us, or none that is sure to hold our two entries. */
  disableTable(): void {
    this.#usesTable = false
  }

  /** Headers of an answer without metadata. */
  takeHeaders(): Uint8Array {
    if (!this.#usesTable) return plainHeaders
    const headers = okHeaders[this.#held]
    if (this.#held === 0) this.#held = 1
    return headers
  }

  /** Trailers of a call that went well, without metadata. */
  takeOkTrailers(): Uint8Array {
    if (!this.#usesTable || this.#held === 0) return plainOkTrailers
    if (this.#held === 2) return indexedOkTrailers
    this.#held = 2
    return newOkTrailers
  }
}

/** A block that neither reads nor changes a table. */
export function plainBlock(pairs: readonly Pair[]): Uint8Array {
  let size = 0
  for (const [name, value] of pairs) size += fieldBytesMax(name, value)
  const out = Buffer.allocUnsafe(size)
  let at = 0
  for (const [name, value] of pairs) at = writePlainField(out, at, name, value)
  return out.subarray(0, at)
}

/** The header fields that begin every answer. */
export function headerPairs(httpStatus: number): Pair[] {
  return [[':status', String(httpStatus)], CONTENT_TYPE]
}

/** The header fields that end every answer. */
export function statusPairs(status: Status): Pair[] {
  const pairs: Pair[] = [['grpc-status', String(status.code)]]
  if (status.message !== '') pairs.push(['grpc-message', encodeGrpcMessage(status.message)])
  if (status.details !== undefined && status.code !== Code.Ok)
    pairs.push(['grpc-status-details-bin', encodeBinary(status.details)])
  return pairs
}
