/** Numbers, truth values and durations in Go's spelling, with the error texts that etcdctl's users see. */
import { quoteText } from './quote.ts'

const DIGITS: Readonly<Record<number, RegExp>> = {
  2: /^[01]+$/,
  8: /^[0-7]+$/,
  10: /^[0-9]+$/,
  16: /^[0-9a-f]+$/i,
}
const PREFIX: Readonly<Record<number, string>> = { 2: '0b', 8: '0o', 10: '', 16: '0x' }

export interface IntegerOptions {
  /** 0: by the prefix (0x, 0o, 0b, 0), with `_` allowed between digits. */
  readonly base: 0 | 10 | 16
  readonly signed: boolean
}

/** A 64-bit integer. @throws Error with the text of Go's `strconv` */
export function parseInteger(text: string, { base, signed }: IntegerOptions): bigint {
  const name = signed ? 'ParseInt' : 'ParseUint'
  const sign = signed ? /^[+-]/.exec(text)?.[0] : undefined
  const magnitude = unsigned(sign === undefined ? text : text.slice(1), base)
  if (magnitude === undefined) throw numberError(name, text, 'invalid syntax')
  const value = sign === '-' ? -magnitude : magnitude
  const inRange = signed ? BigInt.asIntN(64, value) === value : BigInt.asUintN(64, value) === value
  if (!inRange) throw numberError(name, text, 'value out of range')
  return value
}

function unsigned(text: string, base: 0 | 10 | 16): bigint | undefined {
  if (base !== 0) return DIGITS[base]!.test(text) ? BigInt(PREFIX[base]! + text) : undefined
  const match = /^(0[xX]|0[oO]|0[bB]|0(?=[0-9_]))?(.*)$/s.exec(text)!
  const prefix = (match[1] ?? '').toLowerCase()
  const radix = prefix === '' ? 10 : prefix === '0x' ? 16 : prefix === '0b' ? 2 : 8
  let digits = match[2]!
  if (digits.includes('_')) {
    // Underscores stand between digits, or between the prefix and the first digit.
    if (/__|_$/.test(digits) || (prefix === '' && digits.startsWith('_'))) return undefined
    digits = digits.replaceAll('_', '')
  }
  return DIGITS[radix]!.test(digits) ? BigInt(PREFIX[radix]! + digits) : undefined
}

function numberError(name: string, text: string, why: string): Error {
  return new Error(`strconv.${name}: parsing ${quoteText(text)}: ${why}`)
}

const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True'])
const FALSE = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False'])

/** A truth value. @throws Error with the text of Go's `strconv` */
export function parseBool(text: string): boolean {
  if (TRUE.has(text)) return true
  if (FALSE.has(text)) return false
  throw numberError('ParseBool', text, 'invalid syntax')
}

const UNITS = new Map<string, bigint>([
  ['ns', 1n],
  ['us', 1_000n],
  ['µs', 1_000n],
  ['μs', 1_000n],
  ['ms', 1_000_000n],
  ['s', 1_000_000_000n],
  ['m', 60_000_000_000n],
  ['h', 3_600_000_000_000n],
])
const LIMIT = 1n << 63n

/** A duration such as `1h15m30.5s`, in nanoseconds. @throws Error with the text of Go's `time` */
export function parseDuration(text: string): bigint {
  const wrong = new Error(`time: invalid duration ${quoteText(text)}`)
  let rest = text.replace(/^[+-]/, '')
  if (rest === '') throw wrong
  if (rest === '0') return 0n
  let total = 0n
  while (rest !== '') {
    const match = /^([0-9]*)(?:(\.)([0-9]*))?/.exec(rest)!
    const whole = match[1]!
    const fraction = match[3] ?? ''
    if (whole === '' && fraction === '') throw wrong
    rest = rest.slice(match[0].length)
    const unit = /^[^.0-9]*/.exec(rest)![0]
    if (unit === '') throw new Error(`time: missing unit in duration ${quoteText(text)}`)
    const scale = UNITS.get(unit)
    if (scale === undefined) {
      throw new Error(`time: unknown unit ${quoteText(unit)} in duration ${quoteText(text)}`)
    }
    rest = rest.slice(unit.length)
    total += BigInt(whole === '' ? 0 : whole) * scale
    if (fraction !== '') total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length)
    if (total > LIMIT) throw wrong
  }
  const value = text.startsWith('-') ? -total : total
  if (value === LIMIT) throw wrong
  return value
}

/** Nanoseconds as Go prints a duration: `1h0m0s`, `1.5s`, `250ms`, `2.575729ms`, `0s`. */
export function formatDuration(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : ''
  const value = nanoseconds < 0n ? -nanoseconds : nanoseconds
  if (value === 0n) return '0s'
  if (value < 1_000n) return `${sign}${value}ns`
  if (value < 1_000_000n) return `${sign}${decimal(value, 3)}µs`
  if (value < 1_000_000_000n) return `${sign}${decimal(value, 6)}ms`
  const minutes = value / 60_000_000_000n
  const seconds = `${decimal(value % 60_000_000_000n, 9)}s`
  if (minutes === 0n) return sign + seconds
  if (minutes < 60n) return `${sign}${minutes}m${seconds}`
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`
}

/** `value` with the point `places` digits from the right, without zeros at the end. */
function decimal(value: bigint, places: number): string {
  const digits = value.toString().padStart(places + 1, '0')
  const fraction = digits.slice(-places).replace(/0+$/, '')
  return digits.slice(0, -places) + (fraction === '' ? '' : `.${fraction}`)
}

/** A duration in milliseconds, for timers. */
export function milliseconds(nanoseconds: bigint): number {
  return Number(nanoseconds) / 1e6
}
