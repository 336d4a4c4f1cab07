/**
 * Values as Go programs read and write them: etcd's flags, variables and error texts follow these rules.
 */
import { ConfigError } from './errors.ts'

const TRUE_WORDS = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])
const FALSE_WORDS = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False'])

/** @returns the truth value of `text`, or undefined when it is none of Go's twelve spellings */
export function parseBool(text: string): boolean | undefined {
  return TRUE_WORDS.has(text) ? true : FALSE_WORDS.has(text) ? false : undefined
}

/** What is wrong with the text of a number: not one at all, or one that the type cannot hold. */
export type NumberFault = 'syntax' | 'range'

const UNSIGNED_INTEGER =
  /^(?:0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)$/

/**
 * Reads an integer with Go's prefixes (`0x`, `0o`, `0b`, a leading zero for octal) and underscores.
 *
 * @param bits width of the type, sign included
 */
export function parseInteger(text: string, type: { signed: boolean; bits: number }): bigint | NumberFault {
  const negative = type.signed && text.startsWith('-')
  const digits = type.signed && (negative || text.startsWith('+')) ? text.slice(1) : text
  if (!UNSIGNED_INTEGER.test(digits)) return 'syntax'
  const plain = digits.replaceAll('_', '')
  const magnitude = BigInt(/^0[0-7]/.test(plain) ? `0o${plain.slice(1)}` : plain)
  const value = negative ? -magnitude : magnitude
  const highest = (1n << BigInt(type.signed ? type.bits - 1 : type.bits)) - 1n
  const lowest = type.signed ? -highest - 1n : 0n
  return value > highest || value < lowest ? 'range' : value
}

const UNIT_NS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n, // U+00B5, the micro sign
  μs: 1_000n, // U+03BC, the Greek letter
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}
const DURATION_NS_MAX = (1n << 63n) - 1n
const DURATION_PART = /(\d*)(?:\.(\d*))?([^\d.]*)/y

/**
 * Reads a duration such as `1h15m30.918s`, `-5ms` or `0`.
 *
 * @returns nanoseconds
 * @throws ConfigError with the text of Go's `time.ParseDuration`
 */
export function parseDuration(text: string): bigint {
  const invalid = new ConfigError(`time: invalid duration ${quote(text)}`)
  const negative = text.startsWith('-')
  const body = negative || text.startsWith('+') ? text.slice(1) : text
  if (body === '0') return 0n
  if (body === '') throw invalid
  let total = 0n
  for (let at = 0; at < body.length; at = DURATION_PART.lastIndex) {
    DURATION_PART.lastIndex = at
    const [, whole = '', fraction = '', unit = ''] = DURATION_PART.exec(body) ?? []
    if (whole === '' && fraction === '') throw invalid
    if (unit === '') throw new ConfigError(`time: missing unit in duration ${quote(text)}`)
    const unitNs = Object.hasOwn(UNIT_NS, unit) ? UNIT_NS[unit] : undefined
    if (unitNs === undefined) {
      throw new ConfigError(`time: unknown unit ${quote(unit)} in duration ${quote(text)}`)
    }
    total += BigInt(whole || '0') * unitNs
    if (fraction !== '') total += (BigInt(fraction) * unitNs) / 10n ** BigInt(fraction.length)
    if (total > DURATION_NS_MAX) throw invalid
  }
  return negative ? -total : total
}

/** Writes a duration as Go prints it: `100ms`, `1m0s`, `2h0m0s`, `1.5s`. */
export function formatDuration(ms: number): string {
  const ns = BigInt(Math.round(ms * 1e6))
  if (ns === 0n) return '0s'
  const sign = ns < 0n ? '-' : ''
  const size = ns < 0n ? -ns : ns
  if (size < 1_000n) return `${sign}${size}ns`
  if (size < 1_000_000n) return `${sign}${decimal(size, 3)}µs`
  if (size < 1_000_000_000n) return `${sign}${decimal(size, 6)}ms`
  const minutes = size / 60_000_000_000n
  const seconds = `${decimal(size % 60_000_000_000n, 9)}s`
  if (minutes === 0n) return sign + seconds
  if (minutes < 60n) return `${sign}${minutes}m${seconds}`
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`
}

/** `value / 10^places` without trailing zeros. */
function decimal(value: bigint, places: number): string {
  const digits = value.toString().padStart(places + 1, '0')
  const fraction = digits.slice(-places).replace(/0+$/, '')
  return digits.slice(0, -places) + (fraction === '' ? '' : `.${fraction}`)
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
}

/** `text` in double quotes with the escapes of Go's `%q`. */
export function quote(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this escapes
  const escaped = text.replace(/[\x00-\x1f"\\\x7f-\xa0\u2028\u2029\ufeff]/g, (character) => {
    const short = SHORT_ESCAPES[character]
    if (short !== undefined) return short
    const code = character.charCodeAt(0)
    return code < 0x80
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`
  })
  return `"${escaped}"`
}
