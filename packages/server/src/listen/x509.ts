/**
 * Writes X.509 certificates (RFC 5280 section 4.1) in DER, as PEM:
 *
 *     Certificate    ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature BIT STRING }
 *     tbsCertificate ::= SEQUENCE { [0] version, serial INTEGER, signature, issuer Name,
 *                                   validity SEQUENCE { Time, Time }, subject Name, subjectPublicKeyInfo, [3] extensions }
 *
 * Keys and signatures are the runtime's: ECDSA over P-256 with SHA-256.
 */
import { type KeyObject, createPublicKey, sign } from 'node:crypto'
import { isIP } from 'node:net'

export interface CertificateOptions {
  readonly subject: Name
  /** Who signs. */
  readonly issuer: Name
  readonly issuerKey: KeyObject
  /** Whose certificate it is: its private or public key, of P-256. */
  readonly key: KeyObject
  /** Positive, at most 20 bytes, big-endian. */
  readonly serial: Uint8Array
  /** Milliseconds since the Unix epoch. */
  readonly validFromMs: number
  readonly validToMs: number
  /** Host names and IP addresses. */
  readonly hosts: readonly string[]
  readonly isAuthority: boolean
}

export interface Name {
  readonly organization?: string
  readonly commonName?: string
}

const BOOLEAN = 0x01
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_ID = 0x06
const UTF8_STRING = 0x0c
const GENERALIZED_TIME = 0x18
const SEQUENCE = 0x30
const SET = 0x31
const DNS_NAME = 0x82
const IP_ADDRESS = 0x87

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const ORGANIZATION = '2.5.4.10'
const COMMON_NAME = '2.5.4.3'
const KEY_USAGE = '2.5.29.15'
const SUBJECT_ALT_NAME = '2.5.29.17'
const BASIC_CONSTRAINTS = '2.5.29.19'
const EXTENDED_KEY_USAGE = '2.5.29.37'
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** Makes and signs a certificate. */
export function certificatePem(options: CertificateOptions): string {
  const algorithm = der(SEQUENCE, objectId(ECDSA_WITH_SHA256))
  const fields = der(
    SEQUENCE,
    der(0xa0, der(INTEGER, Buffer.from([2]))),
    integer(options.serial),
    algorithm,
    name(options.issuer),
    der(SEQUENCE, time(options.validFromMs), time(options.validToMs)),
    name(options.subject),
    createPublicKey(options.key).export({ type: 'spki', format: 'der' }),
    der(0xa3, der(SEQUENCE, ...extensions(options))),
  )
  const signature = sign('sha256', fields, options.issuerKey)
  return pem('CERTIFICATE', der(SEQUENCE, fields, algorithm, bitString(signature)))
}

export function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}

function extensions({ hosts, isAuthority }: CertificateOptions): readonly Buffer[] {
  // Bits from the top: digitalSignature, keyEncipherment; keyCertSign, cRLSign.
  const usage = Buffer.from(isAuthority ? [1, 0x06] : [5, 0xa0])
  const constraints = isAuthority ? [der(BOOLEAN, Buffer.from([0xff]))] : []
  return [
    extension(KEY_USAGE, true, der(BIT_STRING, usage)),
    extension(BASIC_CONSTRAINTS, true, der(SEQUENCE, ...constraints)),
    ...(isAuthority
      ? []
      : [extension(EXTENDED_KEY_USAGE, false, der(SEQUENCE, objectId(SERVER_AUTH), objectId(CLIENT_AUTH)))]),
    ...(hosts.length === 0 ? [] : [extension(SUBJECT_ALT_NAME, false, der(SEQUENCE, ...hosts.map(altName)))]),
  ]
}

function extension(id: string, isCritical: boolean, value: Buffer): Buffer {
  const critical = isCritical ? [der(BOOLEAN, Buffer.from([0xff]))] : []
  return der(SEQUENCE, objectId(id), ...critical, der(OCTET_STRING, value))
}

function altName(host: string): Buffer {
  if (isIP(host) === 0) return der(DNS_NAME, Buffer.from(host, 'latin1'))
  return der(IP_ADDRESS, isIP(host) === 4 ? Buffer.from(host.split('.').map(Number)) : ipv6(host))
}

function ipv6(address: string): Buffer {
  // The URL parser knows the one way to write an address without `::` and embedded IPv4 addresses.
  const text = new URL(`http://[${address.replace(/%.*/, '')}]`).hostname.slice(1, -1)
  const [head = '', tail] = text.split('::')
  const words = (part: string | undefined): string[] =>
    part === undefined || part === '' ? [] : part.split(':')
  const zeros = Array.from({ length: 8 - words(head).length - words(tail).length }, () => '0')
  const out = Buffer.alloc(16)
  for (const [i, word] of [...words(head), ...zeros, ...words(tail)].entries())
    out.writeUInt16BE(Number.parseInt(word, 16), 2 * i)
  return out
}

function name({ organization, commonName }: Name): Buffer {
  const attribute = (id: string, text: string | undefined): Buffer[] =>
    text === undefined ? [] : [der(SET, der(SEQUENCE, objectId(id), der(UTF8_STRING, Buffer.from(text))))]
  return der(SEQUENCE, ...attribute(ORGANIZATION, organization), ...attribute(COMMON_NAME, commonName))
}

function time(wallMs: number): Buffer {
  // oxlint-disable-next-line no-restricted-globals -- the calendar of a time that the clock gave, not the clock
  const text = new Date(wallMs).toISOString().replace(/\.\d+|[-:T]/g, '')
  return der(GENERALIZED_TIME, Buffer.from(text, 'latin1'))
}

function integer(bytes: Uint8Array): Buffer {
  return der(INTEGER, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : Buffer.from(bytes))
}

export function bitString(bytes: Buffer): Buffer {
  return der(BIT_STRING, Buffer.alloc(1), bytes)
}

export function objectId(id: string): Buffer {
  const [first = 0, second = 0, ...rest] = id.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((part) => {
    const out = [part % 128]
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128))
      out.unshift((left % 128) + 128)
    return out
  })
  return der(OBJECT_ID, Buffer.from(bytes))
}

/** A tag, the length of the parts, and the parts. */
export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const length: number[] = []
  for (let left = body.length; left > 0; left >>>= 8) length.unshift(left & 0xff)
  const head = body.length < 0x80 ? [tag, body.length] : [tag, 0x80 + length.length, ...length]
  return Buffer.concat([Buffer.from(head), body])
}
