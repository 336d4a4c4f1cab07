/** Whether everything must be there and be run at full length. */
export const inCi = process.env['CI'] === 'true'

/** A whole number from the environment, else one of two defaults. */
export function count(name: string, defaults: { readonly ci: number; readonly local: number }): number {
  const text = process.env[name]
  if (text === undefined || text === '') return inCi ? defaults.ci : defaults.local
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new Error(`${name}=${text} is not a whole number`)
  return value
}
