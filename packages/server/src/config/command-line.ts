import { ConfigError, textOf } from './errors.ts'
import { ignoredFlags } from './flag-table.ts'
import { flagRow, FlagValues } from './flag-values.ts'
import { quote } from './go-values.ts'
import { note, REDACTED, type Note } from './notes.ts'

const ignored = new Set(ignoredFlags)

export type CommandLine =
  | {
      readonly kind: 'parsed'
      readonly values: FlagValues
      /** Names given, ignored ones included. */
      readonly given: ReadonlySet<string>
      /** Arguments after the flags. */
      readonly rest: readonly string[]
      readonly notes: readonly Note[]
    }
  | { readonly kind: 'help' }
  | { readonly kind: 'refused'; readonly error: string }

/**
 * Reads flags by the rules of Go's `flag` package: one dash or two, `-flag=value` or `-flag value`, booleans only
 * with `=`; reading ends at the first argument that is not a flag, or after `--`.
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const values = new FlagValues()
  const given = new Set<string>()
  const notes: Note[] = []
  let at = 0
  while (at < args.length) {
    const argument = args[at] ?? ''
    if (!argument.startsWith('-') || argument === '-') break
    at++
    if (argument === '--') break
    const { name, value } = split(argument)
    if (name === '' || name.startsWith('-') || name.startsWith('=')) {
      return { kind: 'refused', error: `bad flag syntax: ${argument}` }
    }
    const row = flagRow(name)
    if (row === undefined) {
      if (name === 'help' || name === 'h') return { kind: 'help' }
      if (!ignored.has(name)) return { kind: 'refused', error: `flag provided but not defined: -${name}` }
      notes.push(noLongerSupported(name))
    } else if (row.kind === 'bool') {
      try {
        values.setText(row, value ?? 'true')
      } catch (error) {
        return {
          kind: 'refused',
          error: `invalid boolean value ${quote(value ?? '')} for -${name}: ${textOf(error)}`,
        }
      }
    } else {
      if (value === undefined && at === args.length) {
        return { kind: 'refused', error: `flag needs an argument: -${name}` }
      }
      const text = value ?? args[at++] ?? ''
      try {
        values.setText(row, text)
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        return { kind: 'refused', error: `invalid value ${quote(text)} for flag -${name}: ${error.message}` }
      }
    }
    given.add(name)
  }
  return { kind: 'parsed', values, given, rest: args.slice(at), notes }
}

export function noLongerSupported(name: string): Note {
  return note('warn', 'flag is no longer supported, ignoring it', { flag: name })
}

/** `args` as they may be logged. */
export function withoutSecrets(args: readonly string[]): readonly string[] {
  return args.map((argument, index) => {
    const { name, value } = split(argument)
    if (value !== undefined && flagRow(name)?.secret === true)
      return `${argument.slice(0, -value.length)}${REDACTED}`
    const before = args[index - 1] ?? ''
    const isValue =
      before.startsWith('-') && !before.includes('=') && flagRow(split(before).name)?.secret === true
    return isValue ? REDACTED : argument
  })
}

function split(argument: string): { name: string; value: string | undefined } {
  const bare = argument.slice(argument.startsWith('--') ? 2 : 1)
  const equals = bare.indexOf('=', 1)
  return equals < 0
    ? { name: bare, value: undefined }
    : { name: bare.slice(0, equals), value: bare.slice(equals + 1) }
}
