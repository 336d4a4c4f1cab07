import { decodeTimeout } from './grpc-timeout.ts'
import type { HpackDecoder } from './hpack/decoder.ts'
import { type HeaderField, isPseudo, Kind } from './hpack/header-field.ts'
import { isBinaryName, MetadataList } from './metadata.ts'
import type { MethodEntry, MethodTable } from './method-table.ts'
import { Code } from './status.ts'

/** An answer that the transport gives by itself. */
export interface Refusal {
  readonly httpStatus: number
  readonly code: number
  readonly message: string
}

/** What the header block of a request means. Heads of equal blocks are shared, so they are never changed. */
export interface RequestHead {
  /** Violates HTTP/2 itself: a stream error. */
  readonly malformed: boolean
  readonly refusal: Refusal | undefined
  readonly entry: MethodEntry | undefined
  readonly path: string
  readonly metadata: MetadataList
  /** `grpc-timeout` in milliseconds, or -1. */
  readonly timeoutMs: number
  /** `grpc-encoding`, or empty. */
  readonly encoding: string
  /** `content-length`, or -1. */
  readonly contentLength: number
}

/** Blocks up to this size are remembered... */
const REMEMBERED_BYTES_MAX = 512
/** ...so many of them; a power of two. A client repeats a handful. */
const REMEMBERED_COUNT = 16

class RememberedBlock {
  readonly bytes: Buffer
  readonly epoch: number
  readonly head: RequestHead

  constructor(bytes: Buffer, epoch: number, head: RequestHead) {
    this.bytes = bytes
    this.epoch = epoch
    this.head = head
  }

  equals(buffer: Buffer, start: number, end: number): boolean {
    const { bytes } = this
    if (bytes.length !== end - start) return false
    for (let i = 0, at = start; at < end; i++, at++) if (bytes[i] !== buffer[at]) return false
    return true
  }
}

/**
 * Reads the heads of requests. Clients send the same bytes again and again; while the dynamic table is unchanged
 * these mean the same, so their head is looked up, not decoded.
 */
export class RequestHeadReader {
  readonly #decoder: HpackDecoder
  readonly #methods: MethodTable
  readonly #headerListBytesMax: number
  #remembered: (RememberedBlock | undefined)[] | undefined

  constructor(decoder: HpackDecoder, methods: MethodTable, headerListBytesMax: number) {
    this.#decoder = decoder
    this.#methods = methods
    this.#headerListBytesMax = headerListBytesMax
  }

  /** @throws HpackError when the block cannot be decoded */
  read(buffer: Buffer, start: number, end: number): RequestHead {
    const { table } = this.#decoder
    if (end - start > REMEMBERED_BYTES_MAX) return this.#decode(buffer, start, end)
    const slot = hash(buffer, start, end) & (REMEMBERED_COUNT - 1)
    const known = this.#remembered?.[slot]
    const { epoch } = table
    if (known !== undefined && known.epoch === epoch && known.equals(buffer, start, end)) return known.head
    const head = this.#decode(buffer, start, end)
    // A block that changed the table would not mean the same a second time.
    if (table.epoch === epoch) {
      this.#remembered ??= new Array<RememberedBlock | undefined>(REMEMBERED_COUNT).fill(undefined)
      this.#remembered[slot] = new RememberedBlock(Buffer.from(buffer.subarray(start, end)), epoch, head)
    }
    return head
  }

  #decode(buffer: Buffer, start: number, end: number): RequestHead {
    const decoder = this.#decoder
    decoder.decode(buffer, start, end)
    if (decoder.overflowed)
      return refused({
        httpStatus: 200,
        code: Code.ResourceExhausted,
        message: `request header list larger than max (${decoder.listBytes} vs. ${this.#headerListBytesMax})`,
      })
    return readHead(decoder.fields, decoder.count, this.#methods)
  }
}

/** FNV-1a. */
function hash(buffer: Buffer, start: number, end: number): number {
  let value = 0x811c9dc5
  for (let at = start; at < end; at++) value = Math.imul(value ^ buffer[at]!, 0x01000193)
  return value ^ (value >>> 15)
}

const blankHead: RequestHead = {
  malformed: false,
  refusal: undefined,
  entry: undefined,
  path: '',
  metadata: new MetadataList(),
  timeoutMs: -1,
  encoding: '',
  contentLength: -1,
}

const malformedHead: RequestHead = { ...blankHead, malformed: true }

function refused(refusal: Refusal): RequestHead {
  return { ...blankHead, refusal }
}

/** Checks in grpc-go's order, after those of RFC 9113, 8.2 and 8.3. */
function readHead(fields: readonly HeaderField[], count: number, methods: MethodTable): RequestHead {
  let method: string | undefined
  let path: string | undefined
  let scheme: string | undefined
  let authority: string | undefined
  let contentType: string | undefined
  let hostCount = 0
  let timeout: string | undefined
  let encoding = ''
  let contentLength = -1
  let badBinary: string | undefined
  let regular = false
  for (let i = 0; i < count; i++) {
    const field = fields[i]!
    const { kind, value } = field
    if (!field.valid) return malformedHead
    if (!isPseudo(kind)) regular = true
    else if (regular) return malformedHead
    switch (kind) {
      case Kind.Method:
        if (method !== undefined) return malformedHead
        method = value
        break
      case Kind.Path:
        if (path !== undefined) return malformedHead
        path = value
        break
      case Kind.Scheme:
        if (scheme !== undefined) return malformedHead
        scheme = value
        break
      case Kind.Authority:
        if (authority !== undefined) return malformedHead
        authority = value
        break
      case Kind.Status:
      case Kind.UnknownPseudo:
      case Kind.Connection:
      case Kind.ConnectionSpecific:
        return malformedHead
      case Kind.Te:
        if (value !== 'trailers') return malformedHead
        break
      case Kind.Host:
        hostCount++
        break
      case Kind.ContentType:
        contentType = value
        break
      case Kind.ContentLength: {
        const length = parseContentLength(value)
        if (length < 0 || (contentLength >= 0 && contentLength !== length)) return malformedHead
        contentLength = length
        break
      }
      case Kind.GrpcTimeout:
        timeout = value
        break
      case Kind.GrpcEncoding:
        encoding = value
        break
      default:
        if (badBinary === undefined && isBinaryName(field.name)) badBinary = binaryFault(field)
    }
  }
  if (method === undefined || !path || !scheme) return malformedHead
  const metadata = MetadataList.ofBlock(fields, count)
  const refusal = refusalOf({ method, contentType, hostCount, badBinary })
  if (refusal !== undefined) return refused(refusal)
  const timeoutMs = timeout === undefined ? -1 : decodeTimeout(timeout)
  if (typeof timeoutMs === 'string')
    return refused({ httpStatus: 400, code: Code.Internal, message: `malformed grpc-timeout: ${timeoutMs}` })
  if (method !== 'POST')
    return refused({
      httpStatus: 405,
      code: Code.Internal,
      message: `Received a HEADERS frame with :method ${JSON.stringify(method)} which should be POST`,
    })
  const entry = methods.entries.get(path)
  const head = { ...blankHead, entry, path, metadata, timeoutMs, encoding, contentLength }
  if (entry === undefined) return { ...head, refusal: unimplemented(methods.explainMissing(path)) }
  if (encoding !== '' && encoding !== 'identity' && encoding !== 'gzip')
    return {
      ...head,
      refusal: unimplemented(`grpc: Decompressor is not installed for grpc-encoding "${encoding}"`),
    }
  return head
}

function unimplemented(message: string): Refusal {
  return { httpStatus: 200, code: Code.Unimplemented, message }
}

function refusalOf(head: {
  method: string
  contentType: string | undefined
  hostCount: number
  badBinary: string | undefined
}): Refusal | undefined {
  if (head.hostCount > 1)
    return {
      httpStatus: 400,
      code: Code.Internal,
      message: `num values of :authority: 1, num values of host: ${head.hostCount}, both must only have 1 value as per HTTP/2 spec`,
    }
  if (!isGrpcContentType(head.contentType))
    return {
      httpStatus: 415,
      code: Code.InvalidArgument,
      message: `invalid gRPC request content-type ${JSON.stringify(head.contentType ?? '')}`,
    }
  if (head.badBinary !== undefined) return { httpStatus: 400, code: Code.Internal, message: head.badBinary }
  return undefined
}

/** `application/grpc`, alone or followed by `+format` or `;parameters`. */
export function isGrpcContentType(value: string | undefined): boolean {
  if (value === undefined || !value.toLowerCase().startsWith('application/grpc')) return false
  const next = value.charAt('application/grpc'.length)
  return next === '' || next === '+' || next === ';'
}

function parseContentLength(value: string): number {
  return /^\d{1,15}$/.test(value) ? Number(value) : -1
}

function binaryFault(field: HeaderField): string | undefined {
  const { name, value } = field
  for (const part of value.split(',')) {
    const bad = /[^A-Za-z0-9+/]/.exec(part.replace(/={1,2}$/, ''))
    if (bad !== null || part.replace(/=+$/, '').length % 4 === 1)
      return `malformed binary metadata ${JSON.stringify(value)} in header ${JSON.stringify(name)}: illegal base64 data at input byte ${bad?.index ?? part.length}`
  }
  return undefined
}
