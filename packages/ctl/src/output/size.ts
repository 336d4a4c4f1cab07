const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']

/** A number of bytes with a decimal unit: `20 kB`, `1.6 MB`. */
export function humanSize(bytes: number): string {
  if (bytes < 10) return `${bytes} B`
  const power = Math.min(Math.floor(Math.log10(bytes) / 3 + 1e-12), UNITS.length - 1)
  const value = Math.floor((bytes / 1000 ** power) * 10 + 0.5) / 10
  return `${value < 10 ? value.toFixed(1) : roundHalfEven(value)} ${UNITS[power]}`
}

/** The nearest whole number; of two that are as near, the even one. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const isUp = value - floor === 0.5 ? floor % 2 === 1 : value - floor > 0.5
  return isUp ? floor + 1 : floor
}
