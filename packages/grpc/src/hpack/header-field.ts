/**
 * Names that mean something to this package; every other name is `Other`. A field carries its kind so that reading
 * a request's head compares small integers, not strings.
 */
export const Kind = {
  Other: 0,
  Authority: 1,
  Method: 2,
  Path: 3,
  Scheme: 4,
  Status: 5,
  UnknownPseudo: 6,
  ContentType: 7,
  ContentLength: 8,
  Te: 9,
  GrpcTimeout: 10,
  GrpcEncoding: 11,
  GrpcStatus: 12,
  GrpcMessage: 13,
  GrpcStatusDetails: 14,
  Host: 15,
  Connection: 16,
  /** Other fields that belong to one HTTP/1 connection and must not appear (RFC 9113, 8.2.2). */
  ConnectionSpecific: 17,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

const kinds = new Map<string, Kind>([
  [':authority', Kind.Authority],
  [':method', Kind.Method],
  [':path', Kind.Path],
  [':scheme', Kind.Scheme],
  [':status', Kind.Status],
  ['content-type', Kind.ContentType],
  ['content-length', Kind.ContentLength],
  ['te', Kind.Te],
  ['grpc-timeout', Kind.GrpcTimeout],
  ['grpc-encoding', Kind.GrpcEncoding],
  ['grpc-status', Kind.GrpcStatus],
  ['grpc-message', Kind.GrpcMessage],
  ['grpc-status-details-bin', Kind.GrpcStatusDetails],
  ['host', Kind.Host],
  ['connection', Kind.Connection],
  ['keep-alive', Kind.ConnectionSpecific],
  ['proxy-connection', Kind.ConnectionSpecific],
  ['transfer-encoding', Kind.ConnectionSpecific],
  ['upgrade', Kind.ConnectionSpecific],
])

/** What RFC 7541, 4.1, adds to the lengths of name and value for the size of an entry. */
export const FIELD_OVERHEAD_BYTES = 32

/** One header field, checked once when it is made; entries of the tables are shared by all blocks that name them. */
export class HeaderField {
  readonly name: string
  /** One character a byte. */
  readonly value: string
  readonly size: number
  readonly kind: Kind
  /** False when name or value has characters that RFC 9113, 8.2.1, forbids. */
  readonly valid: boolean

  constructor(name: string, value: string) {
    this.name = name
    this.value = value
    this.size = name.length + value.length + FIELD_OVERHEAD_BYTES
    const pseudo = name.charCodeAt(0) === 0x3a
    this.kind = kinds.get(name) ?? (pseudo ? Kind.UnknownPseudo : Kind.Other)
    this.valid = isValidName(name, pseudo ? 1 : 0) && isValidValue(value)
  }
}

export function isPseudo(kind: Kind): boolean {
  return kind >= Kind.Authority && kind <= Kind.UnknownPseudo
}

/** Token characters (RFC 9110, 5.6.2) but upper case. */
const nameCharacters = new Uint8Array(256)
for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
  nameCharacters[character.charCodeAt(0)] = 1

function isValidName(name: string, from: number): boolean {
  if (name.length === from) return false
  for (let i = from; i < name.length; i++) if (nameCharacters[name.charCodeAt(i)] !== 1) return false
  return true
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

function isValidValue(value: string): boolean {
  if (value.length === 0) return true
  if (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1))) return false
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code === 0 || code === 0x0a || code === 0x0d) return false
  }
  return true
}
