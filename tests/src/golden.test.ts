import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, suite, test } from 'node:test'
import {
  findProgram,
  makeTempDir,
  ourCtlCommand,
  ourServer,
  reservePortBlock,
  sharedFolder,
  skipWithout,
} from '@etcd-ts/testkit'
import { type Pair, expectedDifferences, families, notYet } from './golden-differences.ts'
import { inCi } from './settings.ts'

// Recorded calls of real etcdctl and etcd, repeated with our programs in the place of one or both of them.
// ETCD_TS_GOLDEN: `all` runs every pair and family outside of CI too; a list of families runs those, with every pair.

const wanted = process.env['ETCD_TS_GOLDEN'] ?? (inCi ? 'all' : '')
const chosen = wanted === '' ? ['compaction', 'txn'] : wanted === 'all' ? families : wanted.split(',')
const shared = sharedFolder()
const python = findProgram('python3')
const real = { etcd: findProgram('etcd'), etcdctl: findProgram('etcdctl') }

const ours = { etcd: quote(ourServer().command), etcdctl: quote(ourCtlCommand()) }
const pairs: Record<Pair, { etcd: string | undefined; etcdctl: string | undefined }> = {
  'our etcdctl, our etcd': ours,
  'our etcdctl, real etcd': { ...ours, etcd: real.etcd },
  'real etcdctl, our etcd': { ...ours, etcdctl: real.etcdctl },
}

function quote(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
}

/** Runs one of the recording's own tools; it ends with 1 when it found differences. */
function runPython(words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(python ?? '', words, { maxBuffer: 256 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error !== null && error.code !== 1) reject(new Error(`${stdout}${stderr}`, { cause: error }))
      else resolve(stdout + stderr)
    })
  })
}

/** Copies what is to be run, and what was recorded of it, to folders that the tools can be pointed at. */
function selectCases(t: TestContext, golden: string): { cases: string; recorded: string; count: number } {
  const folder = makeTempDir(t, 'golden')
  const cases = join(folder, 'cases')
  const recorded = join(folder, 'recorded')
  const isRun = (id: string): boolean =>
    !notYet.some((group) => group.cases.some((prefix) => id.startsWith(`${prefix}-`)))
  const copyLines = (
    from: string,
    to: string,
    idOf: (line: { id: string; case: string }) => string,
  ): number => {
    const lines = readFileSync(from, 'utf8').split('\n').filter((line) => line !== '' && isRun(idOf(JSON.parse(line)))) // prettier-ignore
    writeFileSync(to, lines.map((line) => `${line}\n`).join(''))
    return lines.length
  }
  mkdirSync(cases)
  mkdirSync(recorded)
  let count = 0
  for (const family of chosen) {
    const name = `${family}.jsonl`
    copyLines(join(golden, 'cases', name), join(cases, name), (line) => line.id)
    count += copyLines(join(golden, name), join(recorded, name), (line) => line.case)
  }
  return { cases, recorded, count }
}

// The recorder waits for servers most of the time, so all pairs run side by side.
void suite('recorded answers', { concurrency: 3 }, () => {
  for (const [pair, programs] of Object.entries(pairs) as [Pair, (typeof pairs)[Pair]][]) {
    const missing =
      skipWithout(shared, 'the folder of recorded calls (ETCD_TS_SHARED)') ??
      skipWithout(python, 'python3') ??
      skipWithout(programs.etcd, 'real etcd') ??
      skipWithout(programs.etcdctl, 'real etcdctl') ??
      (wanted === '' && pair !== 'our etcdctl, our etcd' ? 'run with ETCD_TS_GOLDEN=all' : undefined)

    void test(
      `${pair}: the recorded answers of ${chosen.join(', ')}`,
      { skip: missing ?? false, timeout: 900_000 },
      async (t) => {
        const golden = join(shared ?? '', 'golden')
        const { cases, recorded, count } = selectCases(t, golden)
        const out = makeTempDir(t, 'golden-ours')
        const base = await reservePortBlock(t)
        const { etcd, etcdctl } = programs as { etcd: string; etcdctl: string }
        const target = { cases, out, 'port-base': String(base), etcd, etcdctl }
        const flags = Object.entries(target).map(([flag, value]) => `--${flag}=${value}`)
        const log = await runPython([join(golden, 'record.py'), ...flags])
        const comparison = await runPython([join(golden, 'compare.py'), recorded, out, '--show', '100000'])

        const differing = new Map<string, string>()
        for (const part of comparison.split(/^--- /m).slice(1)) {
          const step = /^(\S+ step \d+)/.exec(part)?.[1]
          if (step !== undefined) differing.set(step, part)
        }
        const excused = (step: string): boolean =>
          expectedDifferences.some(
            (difference) =>
              (difference.pairs ?? [pair]).includes(pair) &&
              difference.steps.some((name) => step === name || step.startsWith(`${name} step `)),
          )
        const unexpected = [...differing].filter(([step]) => !excused(step))
        t.diagnostic(
          `${pair}: ${count - differing.size} of ${count} agree, ${differing.size - unexpected.length} differ as expected`,
        )
        assert.equal(unexpected.length, 0, `${log}\n${unexpected.map(([, text]) => text).join('\n')}`)
      },
    )
  }
})
