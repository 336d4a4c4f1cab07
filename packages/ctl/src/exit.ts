/** Exit codes of etcdctl. */
export const ExitCode = {
  Success: 0,
  Error: 1,
  BadConnection: 2,
  InvalidInput: 3,
  BadFeature: 4,
  Interrupted: 5,
  Io: 6,
  BadArguments: 128,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** Ends the program: `Error: TEXT` on stderr (nothing when the text is empty) and the exit code. */
export class ExitError extends Error {
  override readonly name = 'ExitError'
  readonly code: number

  constructor(code: number, text: string, options?: ErrorOptions) {
    super(text, options)
    this.code = code
  }
}

/** The arguments of a command are wrong. */
export function badArguments(text: string): ExitError {
  return new ExitError(ExitCode.BadArguments, text)
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
