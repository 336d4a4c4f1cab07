/** Global flags from environment variables. */
import type { FlagSet, FlagSpec } from './cli/flags.ts'
import { ExitCode, ExitError } from './exit.ts'
import type { Io } from './io.ts'
import { quoteText } from './cli/quote.ts'

const PREFIX = 'ETCDCTL_'
/** Read before any flag: chooses the API. */
const API_VARIABLE = 'ETCDCTL_API'

/** The variable of a flag. */
export function variableOf(flag: FlagSpec): string {
  return PREFIX + flag.name.toUpperCase().replaceAll('-', '_')
}

export interface EnvironmentOptions {
  /** Variables that the command reads itself. */
  readonly known?: readonly string[]
}

/**
 * Sets the flags that have a variable. A value that a flag cannot have is ignored, an unknown variable gets
 * a warning.
 *
 * @throws ExitError when a flag is on the command line, too
 */
export function applyEnvironment(
  flags: FlagSet,
  globals: readonly FlagSpec[],
  io: Io,
  { known = [] }: EnvironmentOptions = {},
): void {
  const byVariable = new Map(globals.map((flag) => [variableOf(flag), flag]))
  for (const [name, value] of Object.entries(io.env)) {
    if (!name.startsWith(PREFIX) || name === API_VARIABLE || known.includes(name)) continue
    const flag = byVariable.get(name)
    if (flag && flags.changed(flag.name)) {
      const text = `conflicting environment variable ${quoteText(name)} is shadowed by corresponding command-line flag`
      logLine(io, 'fatal', `${text} (either unset environment variable or disable flag)`)
      throw new ExitError(ExitCode.Error, '')
    }
    if (!flag || value === undefined || value === '') {
      logLine(io, 'warn', `unrecognized environment variable ${name}=${value ?? ''}`)
    }
  }
  for (const [name, flag] of byVariable) {
    const value = io.env[name]
    if (value === undefined || value === '') continue
    try {
      flags.set(flag.name, value)
    } catch {
      // a value that cannot be read leaves the default, as it always has in etcdctl
    }
  }
}

/** A line of the program's log, in the JSON of zap. */
export function logLine(io: Io, level: 'warn' | 'fatal', text: string, fields: object = {}): void {
  const caller = 'etcdctl'
  io.err(`${JSON.stringify({ level, ts: new Date().toISOString(), caller, msg: text, ...fields })}\n`)
}
