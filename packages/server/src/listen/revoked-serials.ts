/**
 * The serial numbers in a certificate revocation list (RFC 5280 section 5.1), in DER or PEM:
 *
 *     CertificateList ::= SEQUENCE { tbsCertList, signatureAlgorithm, signature }
 *     tbsCertList     ::= SEQUENCE { version INTEGER?, signature SEQUENCE, issuer SEQUENCE, thisUpdate Time,
 *                                    nextUpdate Time?, revokedCertificates SEQUENCE OF SEQUENCE { serial INTEGER, ... }?,
 *                                    [0] extensions? }
 *
 * The administrator vouches for the file: signature and dates are not looked at, as etcd does not.
 */

const INTEGER = 0x02
const SEQUENCE = 0x30
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18

/** One value of DER: `bytes[start, end)` behind its tag and length. */
interface Value {
  readonly tag: number
  readonly start: number
  readonly end: number
}

/**
 * Reads a list.
 *
 * @returns serial numbers as `serialText` writes them
 * @throws Error when it is not one
 */
export function revokedSerials(file: Uint8Array): ReadonlySet<string> {
  const bytes = derOf(file)
  const [list] = valuesIn(bytes, { tag: 0, start: 0, end: bytes.length })
  const [fields] = valuesIn(bytes, expect(list, SEQUENCE))
  const values = valuesIn(bytes, expect(fields, SEQUENCE))
  const serials = new Set<string>()
  const isTime = (value: Value | undefined): boolean =>
    value?.tag === UTC_TIME || value?.tag === GENERALIZED_TIME
  let at = values.findIndex(isTime)
  if (at < 0) throw new Error('not a certificate revocation list')
  while (isTime(values[at])) at++
  const revoked = values[at]
  if (revoked === undefined || revoked.tag !== SEQUENCE) return serials
  for (const entry of valuesIn(bytes, revoked)) {
    const serial = expect(valuesIn(bytes, expect(entry, SEQUENCE))[0], INTEGER)
    serials.add(serialText(Buffer.from(bytes.subarray(serial.start, serial.end)).toString('hex')))
  }
  return serials
}

/** A serial number in the one form in which they are compared: lower-case hexadecimal without leading zeros. */
export function serialText(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '')
}

function derOf(file: Uint8Array): Uint8Array {
  const text = Buffer.from(file).toString('latin1')
  const [, base64] = /-----BEGIN X509 CRL-----([\sA-Za-z0-9+/=]+)-----END X509 CRL-----/.exec(text) ?? []
  return base64 === undefined ? file : Buffer.from(base64, 'base64')
}

function expect(value: Value | undefined, tag: number): Value {
  if (value?.tag !== tag) throw new Error('not a certificate revocation list')
  return value
}

function valuesIn(bytes: Uint8Array, { start, end }: Value): Value[] {
  const values: Value[] = []
  let at = start
  while (at < end) {
    const tag = bytes[at++] ?? 0
    let length = bytes[at++] ?? 0
    if (length > 0x80) {
      let count = length & 0x7f
      if (count > 4) throw new Error('not a certificate revocation list')
      for (length = 0; count > 0; count--) length = length * 256 + (bytes[at++] ?? 0)
    } else if (length === 0x80) throw new Error('not a certificate revocation list')
    if (at + length > end) throw new Error('not a certificate revocation list')
    values.push({ tag, start: at, end: at + length })
    at += length
  }
  return values
}
