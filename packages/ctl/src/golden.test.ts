/**
 * Recorded calls of real etcdctl that fail before a member is asked: wrong flags, arguments, files, variables.
 * Those that need members are replayed by `scripts/replay-golden.mjs`.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { find } from './cli/command.ts'
import { root } from './commands/root.ts'
import { run } from './main.ts'
import { MemoryIo } from './memory-io.ts'

const FAMILIES = ['kv', 'txn', 'compaction', 'endpoint', 'alarm', 'member', 'lease', 'move-leader', 'tls']

interface Step {
  readonly case: string
  readonly step: number
  readonly cmd?: readonly string[]
  readonly env: Record<string, string>
  readonly stdin: string | null
  readonly stdout: string
  readonly stderr: string
  readonly exit: number | null
  readonly abridged?: readonly string[]
}

/** Flags of releases after the recorded one. */
const NEWER = new Set(['kv-27-count-only'])
const LOG_LINE = /^(\{"level":|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [A-Z] \| )/
/** Said after a call has been made, or by the reference as it crashes. */
const NEEDS_MEMBER =
  /"level":|not supported as output format|only for `--write-out|no leader endpoint|^panic|Failed to/m

function withoutLog(text: string): string {
  const lines = text.split('\n').filter((line) => !LOG_LINE.test(line))
  return lines.join('\n')
}

async function isOurs(args: readonly string[], { stderr }: Step): Promise<boolean> {
  if (stderr.includes('unknown command')) return true
  const found = await find(root, args).catch(() => undefined)
  return found?.path.at(-1)?.run !== undefined
}

async function offlineSteps(family: string): Promise<Step[]> {
  const lines = readFileSync(`${folder}/${family}.jsonl`, 'utf8').trim().split('\n')
  const steps = lines.map((line) => JSON.parse(line) as Step)
  const kept: Step[] = []
  for (const step of steps) {
    const [program, ...args] = step.cmd ?? []
    if (program !== 'etcdctl' || !step.exit || NEEDS_MEMBER.test(step.stderr) || NEWER.has(step.case))
      continue
    if (await isOurs(args, step)) kept.push(step)
  }
  return kept
}

const shared = process.env['ETCD_TS_SHARED'] ?? fileURLToPath(new URL('../../../../shared', import.meta.url))
const folder = `${shared}/golden`

for (const family of FAMILIES) {
  void test(`recorded failures: ${family}`, async (t) => {
    if (!existsSync(folder)) {
      assert.notEqual(process.env['CI'], 'true', `no recordings in ${folder}`)
      t.skip(`no recordings in ${folder}`)
      return
    }
    for (const step of await offlineSteps(family)) {
      const name = `${step.case} step ${step.step}: ${step.cmd!.join(' ')}`
      await t.test(name, async () => {
        const io = new MemoryIo(step.env, step.stdin ?? '')
        const exit = await run(step.cmd!.slice(1), io)
        assert.equal(exit, step.exit)
        if (!step.abridged?.includes('stderr')) assert.equal(withoutLog(io.stderr), withoutLog(step.stderr))
        if (!step.abridged?.includes('stdout')) assert.equal(io.stdout, step.stdout)
      })
    }
  })
}
