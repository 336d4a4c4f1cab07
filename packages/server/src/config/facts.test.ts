import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { variableOf } from './environment.ts'
import { parseBool, parseDuration } from './go-values.ts'
import { flagTable, ignoredFlags, ownFlags } from './flag-table.ts'
import type { FlagRow } from './flag-types.ts'
import { parseServerArguments, type ServerArguments } from './server-arguments.ts'

// What was recorded of etcd itself is not part of the repository.
const root = resolve(fileURLToPath(import.meta.url), '../../../../..')
const shared = resolve(process.env['ETCD_TS_SHARED'] ?? join(root, '../shared'))
const skip =
  existsSync(shared) || process.env['CI'] === 'true' ? false : `no facts in ${shared}: set ETCD_TS_SHARED`

interface FlagFacts {
  readonly name: string
  readonly type: string
  readonly default: string
  readonly default_by_version?: Readonly<Record<string, string>>
  readonly env: string
  readonly yaml: string
  readonly in: Readonly<Record<string, string>>
}

function load<Shape>(path: string): Shape {
  return JSON.parse(readFileSync(join(shared, path), 'utf8')) as Shape
}

/** The flags of 3.5, or of the first version after it that has them. */
function isHere(flag: FlagFacts): boolean {
  return ['3.5', '3.6', '3.7'].some((version) => version in flag.in)
}

const kindsOf: readonly (readonly [RegExp, readonly FlagRow['kind'][]])[] = [
  [/^URL list/, ['urls', 'origins']],
  [/^string list/, ['strings', 'set']],
  [/^string/, ['string', 'choice', 'set']],
  [/^list NAME=BOOL/, ['gates']],
  [/^uint64/, ['uint64']],
  [/^uint32/, ['uint32']],
  [/^uint/, ['uint']],
  [/^int64/, ['int64']],
  [/^int/, ['int']],
  [/^bool/, ['bool']],
  [/^duration/, ['duration']],
]

/** A default as the facts write it, with their remarks taken off. */
function plainDefault(flag: FlagFacts): string {
  const text = flag.default_by_version?.['3.5'] ?? flag.default
  return flag.name === 'log-rotation-config-json' ? text : text.replace(/ \(.*\)$/, '').replace('""', '')
}

void describe('the table of flags against the recorded facts', { skip }, () => {
  const facts =
    skip === false
      ? load<{ flags: readonly FlagFacts[]; parsing: { ignored_flags: { names: string[] } } }>(
          'facts/etcd-flags.json',
        )
      : undefined
  const rows = new Map<string, FlagRow>(flagTable.map((row) => [row.name, row]))

  void test('it has the flags of 3.5 and later, and few others', () => {
    const names = facts?.flags.filter((flag) => isHere(flag)).map((flag) => flag.name)
    assert.deepEqual([...rows.keys()].sort(), [...(names ?? []), ...ownFlags].sort())
  })

  void test("the flags that are ignored are etcd's", () => {
    assert.deepEqual([...ignoredFlags].sort(), [...(facts?.parsing.ignored_flags.names ?? [])].sort())
  })

  for (const flag of facts?.flags.filter((each) => isHere(each)) ?? []) {
    void test(`--${flag.name}`, () => {
      const row = rows.get(flag.name)
      assert.ok(row)
      assert.ok(
        kindsOf.find(([type]) => type.test(flag.type))?.[1].includes(row.kind),
        `${row.kind} for ${flag.type}`,
      )
      assert.equal(variableOf(flag.name), flag.env)
      if (!flag.yaml.startsWith('(none')) {
        const path = flag.yaml.replace(/ \(.*\)$/, '').split(': ')
        assert.deepEqual(row.yaml ?? [row.name], path)
      } else {
        assert.equal(row.yaml, null)
      }
      const expected = plainDefault(flag)
      if (flag.name === 'initial-cluster' || flag.name === 'experimental-warning-unary-request-duration')
        return // in words
      if (row.kind === 'duration') assert.equal(parseDuration(row.default), parseDuration(expected))
      else if (row.kind === 'bool')
        assert.equal(parseBool(row.default), parseBool(expected.replace(/.*\(3\.3\), /, '')))
      else assert.equal(row.default, expected)
    })
  }
})

interface Recorded {
  readonly case: string
  readonly step: number
  readonly cmd?: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly stdout: string
  readonly stderr: string
  readonly exit: number | null
  readonly abridged?: readonly string[]
  readonly server_setup?: { readonly members: number }
}

/** Cases that end only once a server has been started. */
const needServer = new Set(['etcd-09-initial-cluster'])

void describe('recorded calls of etcd 3.5.9 that end without a server', { skip }, () => {
  const path = join(shared, 'golden/3.5.9/etcd.jsonl')
  const lines = skip === false ? readFileSync(path, 'utf8').trimEnd().split('\n') : []
  for (const recorded of lines.map((line) => JSON.parse(line) as Recorded)) {
    const { cmd = [], exit } = recorded
    if (exit === null || needServer.has(recorded.case)) continue
    void test(`${recorded.case} ${recorded.step}: ${cmd.join(' ')}`, () => {
      const result = parseServerArguments(cmd.slice(1), recorded.env, (name) => readFileSync(name, 'utf8'))
      assert.ok(result.kind === 'exit')
      assert.equal(result.code, exit)
      assert.deepEqual(
        outline(result.stdout, recorded, 'stdout'),
        outline(recorded.stdout, recorded, 'stdout'),
      )
      assert.equal(errorOf(result), recordedError(recorded.stderr))
    })
  }
})

/** Text without what differs by right: versions, and the prose of help texts. */
function outline(text: string, recorded: Recorded, stream: string): readonly string[] {
  const lines = text
    .split('\n')
    .map((line) => line.replace(/^(etcd Version|Git SHA|Go Version|Go OS\/Arch): .*/, '$1').trim())
  if (recorded.abridged?.includes(stream) !== true) return lines
  return lines
    .map((line) =>
      line.replace(/ {2,}\S.*$/, (prose) => (line.startsWith('-') || line.startsWith('start') ? '' : prose)),
    )
    .filter((line) => line !== '')
}

function errorOf(result: Extract<ServerArguments, { kind: 'exit' }>): string {
  const noted = result.notes.at(-1)?.fields['error']
  return typeof noted === 'string' ? noted : (result.stderr.split('\n')[0] ?? '')
}

function recordedError(stderr: string): string {
  const [first = ''] = stderr.split('\n')
  const errors = [...stderr.matchAll(/"error":"((?:[^"\\]|\\.)*)"/g)].map(
    ([, text]) => JSON.parse(`"${text}"`) as string,
  )
  if (first.startsWith('panic: ')) return first.slice('panic: '.length)
  return errors.at(-1) ?? (first.startsWith('{') ? '' : first)
}
