/** A value that the configuration refuses; `message` is etcd's text, without the flag's name around it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** The text of anything that was thrown. */
export function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
