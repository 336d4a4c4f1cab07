/** Text and bytes, for log lines and descriptions: the language without a platform has no codec for it. */

const REPLACEMENT = 0xfffd

/**
 * Bytes as a quoted string in Go's manner: printable characters as they are, the rest escaped, bytes that are
 * not UTF-8 as `\xNN`.
 */
export function quoteBytes(bytes: Uint8Array): string {
  let text = '"'
  let at = 0
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at)
    text += length === 0 ? `\\x${hexDigits(bytes[at]!, 2)}` : quotePoint(codePoint(bytes, at, length))
    at += Math.max(length, 1)
  }
  return `${text}"`
}

const escapes = new Map([
  [0x07, '\\a'],
  [0x08, '\\b'],
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0b, '\\v'],
  [0x0c, '\\f'],
  [0x0d, '\\r'],
  [0x22, '\\"'],
  [0x5c, '\\\\'],
])

function quotePoint(point: number): string {
  const escape = escapes.get(point)
  if (escape !== undefined) return escape
  const character = String.fromCodePoint(point)
  if (point === 0x20 || (point !== REPLACEMENT && /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)))
    return character
  if (point === REPLACEMENT) return character
  if (point < 0x80) return `\\x${hexDigits(point, 2)}`
  return point < 0x1_0000 ? `\\u${hexDigits(point, 4)}` : `\\U${hexDigits(point, 8)}`
}

function hexDigits(value: number, length: number): string {
  return value.toString(16).padStart(length, '0')
}

/** Length of the well-formed UTF-8 sequence at `at`; 0 if there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!
  if (first < 0x80) return 1
  const length =
    first >= 0xc2 && first < 0xe0
      ? 2
      : first >= 0xe0 && first < 0xf0
        ? 3
        : first >= 0xf0 && first < 0xf5
          ? 4
          : 0
  if (length === 0 || at + length > bytes.length) return 0
  for (let i = 1; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0
  const point = codePoint(bytes, at, length)
  const isOverlong = (length === 3 && point < 0x800) || (length === 4 && point < 0x1_0000)
  const isSurrogate = point >= 0xd800 && point < 0xe000
  return isOverlong || isSurrogate || point > 0x10_ffff ? 0 : length
}

function codePoint(bytes: Uint8Array, at: number, length: number): number {
  if (length === 1) return bytes[at]!
  let point = bytes[at]! & (0xff >> (length + 1))
  for (let i = 1; i < length; i++) point = (point << 6) | (bytes[at + i]! & 0x3f)
  return point
}
