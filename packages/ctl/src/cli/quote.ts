/** Quoted strings in Go's spelling: what `%q` prints and what it reads. */
import { bytesOf, runesOf, textOf } from '../byte-text.ts'

const SHORT = new Map([
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
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u

/** `bytes` between double quotes; what is not printable UTF-8 is escaped. */
export function quote(bytes: Uint8Array): string {
  let text = '"'
  for (const { code, valid } of runesOf(bytes)) text += valid ? quotedRune(code) : `\\x${hex(code, 2)}`
  return text + '"'
}

/** The same for text. */
export function quoteText(text: string): string {
  return quote(bytesOf(text))
}

function quotedRune(code: number): string {
  const short = SHORT.get(code)
  if (short !== undefined) return short
  const rune = String.fromCodePoint(code)
  if (PRINTABLE.test(rune)) return rune
  if (code < 0x80) return `\\x${hex(code, 2)}`
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}

const ESCAPES = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([abfnrtv\\"]))/y
const SIMPLE: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  '\\': 92,
  '"': 34,
}

/**
 * The value of the quoted string that `text` begins with: double quotes with escapes, or back quotes without.
 *
 * @returns the value and where the text goes on, or undefined when it does not begin with a valid one
 */
export function unquotePrefix(text: string): { readonly value: string; readonly end: number } | undefined {
  if (text[0] === '`') {
    const end = text.indexOf('`', 1)
    return end < 0 ? undefined : { value: text.slice(1, end), end: end + 1 }
  }
  if (text[0] !== '"') return undefined
  const parts: Uint8Array[] = []
  for (let at = 1; at < text.length;) {
    if (text[at] === '"') return { value: textOf(Buffer.concat(parts)), end: at + 1 }
    if (text[at] === '\n') return undefined
    if (text[at] !== '\\') {
      const rune = String.fromCodePoint(text.codePointAt(at)!)
      parts.push(bytesOf(rune))
      at += rune.length
      continue
    }
    ESCAPES.lastIndex = at
    const match = ESCAPES.exec(text)
    const bytes = match && escapedBytes(match)
    if (!match || !bytes) return undefined
    parts.push(bytes)
    at += match[0].length
  }
  return undefined
}

function escapedBytes(match: RegExpExecArray): Uint8Array | undefined {
  const [, byte, short, long, octal, simple] = match
  if (simple !== undefined) return Buffer.of(SIMPLE[simple]!)
  if (byte !== undefined) return Buffer.of(parseInt(byte, 16))
  if (octal !== undefined) {
    const value = parseInt(octal, 8)
    return value > 255 ? undefined : Buffer.of(value)
  }
  const code = parseInt((short ?? long)!, 16)
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined
  return Buffer.from(String.fromCodePoint(code), 'utf8')
}
