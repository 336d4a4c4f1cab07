import type { IncomingMessage } from 'node:http'
import { JsonError, decodeBase64 } from '@etcd-ts/api'
import { Code, MetadataList } from '@etcd-ts/grpc'

/** Headers that HTTP itself defines; a service sees them with this prefix. Host is not among them: see below. */
const PERMANENT_PREFIX = 'grpcgateway-'
const PERMANENT_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-charset',
  'accept-language',
  'accept-ranges',
  'authorization',
  'cache-control',
  'content-type',
  'cookie',
  'date',
  'expect',
  'from',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-schedule-tag-match',
  'if-unmodified-since',
  'max-forwards',
  'origin',
  'pragma',
  'referer',
  'user-agent',
  'via',
  'warning',
])

/** Headers that are metadata for the service carry this prefix, in both directions. */
export const METADATA_PREFIX = 'Grpc-Metadata-'
const METADATA_PREFIX_LOWER = METADATA_PREFIX.toLowerCase()
/** Trailing metadata in a response. */
export const TRAILER_PREFIX = 'Grpc-Trailer-'

/** Names that belong to gRPC: a client cannot send them as metadata. */
const RESERVED: ReadonlySet<string> = new Set([
  'content-type',
  'user-agent',
  'grpc-message-type',
  'grpc-encoding',
  'grpc-message',
  'grpc-status',
  'grpc-timeout',
  'te',
])

const METADATA_NAME = /^[0-9a-z\-_.]+$/
const METADATA_VALUE = /^[\x20-\x7e]*$/

/** `foo-bar` as HTTP writes it, `Foo-Bar`. */
export function canonicalHeader(name: string): string {
  return name.toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())
}

/** A header that no call can be made with; what a gRPC client would say to it. */
export class RefusedHeaderError extends Error {
  override readonly name = 'RefusedHeaderError'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * What a request's headers tell its service.
 *
 * @throws RefusedHeaderError
 */
export function metadataOf(request: IncomingMessage): MetadataList {
  const metadata = new MetadataList()
  const pairs = request.rawHeaders
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const header = pairs[i]!.toLowerCase()
    const value = pairs[i + 1]!
    if (header === 'authorization') add(metadata, header, value)
    if (PERMANENT_HEADERS.has(header)) add(metadata, PERMANENT_PREFIX + header, value)
    else if (header.startsWith(METADATA_PREFIX_LOWER)) {
      const name = header.slice(METADATA_PREFIX_LOWER.length)
      if (name.endsWith('-bin')) addBinary(metadata, name, value)
      else add(metadata, name, value)
    }
  }
  const forwardedHost = request.headers['x-forwarded-host'] ?? request.headers.host
  if (typeof forwardedHost === 'string' && forwardedHost !== '')
    add(metadata, 'x-forwarded-host', forwardedHost)
  const address = request.socket.remoteAddress
  if (address !== undefined) {
    const forwardedFor = request.headers['x-forwarded-for']
    const before = typeof forwardedFor === 'string' && forwardedFor !== '' ? `${forwardedFor}, ` : ''
    add(metadata, 'x-forwarded-for', before + address)
  }
  return metadata
}

function add(metadata: MetadataList, name: string, value: string): void {
  if (RESERVED.has(name)) return
  const quoted = JSON.stringify(name)
  if (!METADATA_NAME.test(name)) {
    throw new RefusedHeaderError(
      Code.Internal,
      `header key ${quoted} contains illegal characters not in [0-9a-z-_.]`,
    )
  }
  if (!METADATA_VALUE.test(value)) {
    throw new RefusedHeaderError(
      Code.Internal,
      `header key ${quoted} contains value with non-printable ASCII characters`,
    )
  }
  metadata.add(name, value)
}

function addBinary(metadata: MetadataList, name: string, value: string): void {
  let bytes: Uint8Array
  try {
    // gRPC's base64 needs no padding; a single digit too many is not a matter of padding.
    bytes = decodeBase64(value.length % 4 < 2 ? value : value.padEnd(Math.ceil(value.length / 4) * 4, '='))
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const header = canonicalHeader(METADATA_PREFIX + name)
    throw new RefusedHeaderError(Code.InvalidArgument, `invalid binary header ${header}: ${error.message}`)
  }
  metadata.add(name, bytes)
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/**
 * Milliseconds that a request's Grpc-Timeout header gives its call, undefined for any time.
 *
 * @throws RefusedHeaderError
 */
export function timeoutOf(request: IncomingMessage): number | undefined {
  const text = request.headers['grpc-timeout']
  if (typeof text !== 'string' || text === '') return undefined
  const unit = UNIT_MS[text.slice(-1)]
  const count = text.slice(0, -1)
  if (unit === undefined || !/^[+-]?\d+$/.test(count)) {
    throw new RefusedHeaderError(Code.InvalidArgument, `invalid grpc-timeout: ${text}`)
  }
  // Unlike in gRPC, 0 means none.
  return Number(count) === 0 ? undefined : Number(count) * unit
}
