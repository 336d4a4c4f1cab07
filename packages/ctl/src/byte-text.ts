/**
 * Bytes as text and back. Keys and values are bytes, but a shell hands them over as text and people read
 * them as text. A byte that is not part of valid UTF-8 is kept as a lone surrogate U+DC00 + byte (0xDC80 to
 * 0xDCFF), which no UTF-8 decodes to, so that decoding and encoding again gives the same bytes.
 */

const ESCAPE = 0xdc00
const LONE_SURROGATE = /\p{Surrogate}/u

/** The bytes that `text` stands for. */
export function bytesOf(text: string): Uint8Array {
  if (!LONE_SURROGATE.test(text)) return Buffer.from(text, 'utf8')
  const parts: Uint8Array[] = []
  for (const part of text.split(/([\udc80-\udcff])/)) {
    const first = part.charCodeAt(0)
    const escaped = part.length === 1 && first >= 0xdc80 && first <= 0xdcff
    parts.push(escaped ? Buffer.of(first - ESCAPE) : Buffer.from(part, 'utf8'))
  }
  return Buffer.concat(parts)
}

/** The text that stands for `bytes`; `bytesOf` gives them back. */
export function textOf(bytes: Uint8Array): string {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = view.toString('utf8')
  if (!text.includes('\ufffd')) return text
  return Array.from(runesOf(bytes), (rune) => {
    return rune.valid ? String.fromCodePoint(rune.code) : String.fromCharCode(ESCAPE + rune.code)
  }).join('')
}

/** A code point, or one byte (`valid` false) that begins no valid UTF-8 sequence. */
export interface Rune {
  readonly code: number
  readonly valid: boolean
}

/** Splits bytes into code points; every byte that does not belong to one comes alone. */
export function* runesOf(bytes: Uint8Array): Generator<Rune> {
  for (let at = 0; at < bytes.length;) {
    const size = sequenceLength(bytes, at)
    if (size === 0) {
      yield { code: bytes[at]!, valid: false }
      at++
      continue
    }
    let code = size === 1 ? bytes[at]! : bytes[at]! & (0x7f >> size)
    for (let i = 1; i < size; i++) code = (code << 6) | (bytes[at + i]! & 0x3f)
    yield { code, valid: true }
    at += size
  }
}

/** Length of the well-formed sequence at `at` (Unicode standard, table 3-7), 0 when there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!
  if (first < 0x80) return 1
  const size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
  if (first < 0xc2 || first > 0xf4) return 0
  const second = bytes[at + 1] ?? 0
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < low || second > high) return 0
  for (let i = 2; i < size; i++) {
    if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0
  }
  return size
}

/**
 * The arguments as the shell gave them. Node decodes them as UTF-8 and loses other bytes; where the system
 * shows the raw command line (Linux), arguments that lost something are read again from there.
 */
export async function rawArguments(args: readonly string[]): Promise<string[]> {
  if (!args.some((arg) => arg.includes('\ufffd'))) return [...args]
  const { readFile } = await import('node:fs/promises')
  let line: Buffer
  try {
    line = await readFile('/proc/self/cmdline')
  } catch {
    return [...args] // no such file on this system: the decoded arguments are all there is
  }
  const raw = textOf(line).split('\0').slice(0, -1)
  return raw.slice(raw.length - args.length)
}
