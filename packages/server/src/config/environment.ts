import { noLongerSupported } from './command-line.ts'
import { ConfigError } from './errors.ts'
import { flagTable, ignoredFlags } from './flag-table.ts'
import { flagRow, type FlagValues } from './flag-values.ts'
import { quote } from './go-values.ts'
import { note, REDACTED, type Note } from './notes.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export type EnvironmentResult = {
  readonly notes: readonly Note[]
  /** Why the process must end, if it must: `conflict` ends it at once, `refused` like any bad value. */
  readonly failure?: { readonly kind: 'conflict' | 'refused'; readonly error: string }
}

/** Variables that images and hosts set for their own purposes, and that a flag's name would otherwise claim. */
const notForFlags = new Set(['version'])
/** Read before all others, since it decides whether they count. */
export const CONFIG_FILE_VARIABLE = 'ETCD_CONFIG_FILE'

const claimedNames = [...flagTable.map((row) => row.name), ...ignoredFlags]
  .filter((name) => !notForFlags.has(name))
  .sort()

export function variableOf(flagName: string): string {
  return `ETCD_${flagName.toUpperCase().replaceAll('-', '_')}`
}

/**
 * Takes from the environment what the command line left open.
 *
 * @param given names of the flags on the command line; their variables must not exist at all, not even empty
 */
export function applyEnvironment(
  values: FlagValues,
  given: ReadonlySet<string>,
  env: Environment,
): EnvironmentResult {
  const notes: Note[] = []
  const used = new Set<string>()
  let refused: string | undefined
  for (const name of claimedNames) {
    const variable = variableOf(name)
    const text = env[variable]
    if (given.has(name) || text === undefined || text === '') continue
    used.add(variable)
    const row = flagRow(name)
    try {
      if (row === undefined) notes.push(noLongerSupported(name))
      else values.setText(row, text)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      refused = `invalid value ${quote(text)} for ${variable}: ${error.message}`
      continue
    }
    const shown = row?.secret === true ? REDACTED : text
    notes.push(
      note('info', 'recognized and used environment variable', {
        'variable-name': variable,
        'variable-value': shown,
      }),
    )
  }
  const shadowed = new Set([...given].map((name) => variableOf(name)))
  for (const [variable, text] of Object.entries(env)) {
    if (used.has(variable) || text === undefined) continue
    if (shadowed.has(variable)) return { notes, failure: { kind: 'conflict', error: variable } }
    if (variable.startsWith('ETCD_')) {
      notes.push(
        note('warn', 'unrecognized environment variable', {
          'environment-variable': shownAs(variable, text),
        }),
      )
    }
  }
  return refused === undefined ? { notes } : { notes, failure: { kind: 'refused', error: refused } }
}

/** A variable that is not ours may hold anything, such as the root password that some images take. */
function shownAs(variable: string, text: string): string {
  return `${variable}=${/PASS|SECRET|CREDENTIAL|TOKEN|KEY|USER/.test(variable) ? REDACTED : text}`
}
