const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/** The protocol allows so many digits. */
const DIGITS_MAX = 8

/**
 * Reads a `grpc-timeout`.
 * @returns milliseconds, or grpc-go's words for what is wrong with it
 */
export function decodeTimeout(value: string): number | string {
  if (value.length < 2) return `transport: timeout string is too short: ${JSON.stringify(value)}`
  if (value.length > DIGITS_MAX + 1) return `transport: timeout string is too long: ${JSON.stringify(value)}`
  const unit = unitMs[value.slice(-1)]
  if (unit === undefined) return `transport: timeout unit is not recognized: ${JSON.stringify(value)}`
  const digits = value.slice(0, -1)
  if (!/^\d+$/.test(digits)) return `strconv.ParseUint: parsing ${JSON.stringify(digits)}: invalid syntax`
  return Number(digits) * unit
}

/** Writes a `grpc-timeout` that is not shorter than `timeoutMs` by more than its unit. */
export function encodeTimeout(timeoutMs: number): string {
  if (timeoutMs <= 0) return '0n'
  const limit = 10 ** DIGITS_MAX
  const micros = Math.ceil(timeoutMs * 1000)
  if (micros < limit) return `${micros}u`
  if (timeoutMs < limit) return `${Math.ceil(timeoutMs)}m`
  if (timeoutMs / 1000 < limit) return `${Math.ceil(timeoutMs / 1000)}S`
  return `${Math.min(limit - 1, Math.ceil(timeoutMs / 3_600_000))}H`
}
