// oxlint-disable-next-line no-restricted-imports -- test code: it reads the case files
import { type Dirent, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Case, parseCases } from './case-file.ts'
import { ConfChangeCases } from './confchange-cases.ts'
import { InteractionCases } from './interaction-cases.ts'
import { runQuorumCase } from './quorum-cases.ts'

/** All case files in and below `folder`, in order. */
export function caseFilesIn(folder: string): string[] {
  const byName = (a: Dirent, b: Dirent): number => (a.name < b.name ? -1 : 1)
  return readdirSync(folder, { withFileTypes: true })
    .sort(byName)
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.name.startsWith('.')) return []
      if (entry.isDirectory()) return caseFilesIn(path)
      return entry.name.endsWith('.txt') ? [path] : []
    })
}

/** A case that did not print what it should. */
export interface CaseFailure {
  readonly line: number
  readonly command: string
  readonly expected: string
  readonly actual: string
}

export interface CaseFileResult {
  readonly count: number
  readonly failures: readonly CaseFailure[]
}

export function runCaseFile(path: string): CaseFileResult {
  const cases = parseCases(readFileSync(path, 'utf8'))
  return { count: cases.length, failures: runCases(cases) }
}

/** Runs the cases of one file in order. Stops at one that breaks down: what follows depends on it. */
export function runCases(cases: readonly Case[]): CaseFailure[] {
  const runCase = runnerFor(cases)
  const failures: CaseFailure[] = []
  for (const one of cases) {
    const { line, command, expected } = one
    try {
      const output = runCase(one)
      const actual = output === '' || output.endsWith('\n') ? output : `${output}\n`
      if (actual !== expected) failures.push({ line, command, expected, actual })
    } catch (error) {
      const actual = error instanceof Error ? (error.stack ?? error.message) : String(error)
      failures.push({ line, command, expected, actual: `${actual}\n` })
      break
    }
  }
  return failures
}

/** The commands of a file say which of the three kinds it is; each file has a state of its own. */
function runnerFor(cases: readonly Case[]): (one: Case) => string {
  const commands = new Set(cases.map(({ command }) => command))
  if (commands.has('committed') || commands.has('vote')) return runQuorumCase
  const runner =
    commands.has('simple') || commands.has('enter-joint') || commands.has('leave-joint')
      ? new ConfChangeCases()
      : new InteractionCases()
  return (one) => runner.run(one)
}

export function describeFailure({ line, command, expected, actual }: CaseFailure): string {
  return `line ${line}: ${command}\nexpected:\n${expected}got:\n${actual}`
}
