import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { type Fault, FaultInjector } from './fault-injector.ts'
import type { Scope } from './scope.ts'
import { makeTempDir } from './temp-dir.ts'

/** Runs a small program with faults and returns what it printed. */
async function run(
  scope: Scope,
  faults: readonly Fault[],
  program: string,
): Promise<{ output: string; journal: string[] }> {
  const injector = new FaultInjector(scope)
  for (const fault of faults) injector.inject(fault)
  const folder = makeTempDir(scope, 'program')
  writeFileSync(join(folder, 'main.mjs'), program)
  const child = spawn(process.execPath, ['--import', pathToFileURL(injector.preloadPath).href, 'main.mjs'], {
    cwd: folder,
    env: { ...process.env, TESTKIT_FAULTS: injector.folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await once(child, 'close')
  return { output: output.trim(), journal: injector.journal().map((line) => line.replaceAll(/\S*\//g, '')) }
}

const SYNC = `
import { openSync, fdatasyncSync } from 'node:fs'
const sync = (name) => { try { fdatasyncSync(openSync(name, 'w')); return 'ok' } catch (e) { return e.code } }
console.log(['log.wal', 'other', 'log.wal', 'log.wal'].map(sync).join(' '))`

void test('an error meets the calls on matching paths only, and as often as asked', async (t) => {
  const fault = { calls: ['fdatasync'], path: '\\.wal$', error: 'EIO', times: 2 } as const
  const { output, journal } = await run(t, [fault], SYNC)
  assert.equal(output, 'EIO ok EIO ok')
  assert.deepEqual(journal, ['fdatasync log.wal EIO', 'fdatasync log.wal EIO'])
})

void test('the promise and callback forms fail too', async (t) => {
  const program = `
import fs, { promises, write } from 'node:fs'
import { open } from 'node:fs/promises'
const outcome = (promise) => promise.then(() => 'ok', (e) => e.code)
const handle = await open('a', 'w')
const results = [await outcome(handle.write('x')), await outcome(handle.datasync()), await outcome(promises.writeFile('b', 'x'))]
results.push(await new Promise((resolve) => write(handle.fd, 'x', (error) => resolve(error?.code ?? 'ok'))))
console.log(results.join(' '))
await handle.close()`
  const { output } = await run(t, [{ calls: ['write'], error: 'ENOSPC' }], program)
  assert.equal(output, 'ENOSPC ok ENOSPC ENOSPC')
})

void test('worker threads are covered', async (t) => {
  const program = `
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { fdatasyncSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
if (isMainThread) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: openSync('log.wal', 'w') })
  worker.on('message', (text) => console.log(text))
} else {
  try { fdatasyncSync(workerData); parentPort.postMessage('ok') } catch (e) { parentPort.postMessage(e.code) }
}`
  const { output } = await run(t, [{ calls: ['fdatasync'], error: 'EIO', path: 'wal' }], program)
  assert.equal(output, 'EIO')
})

void test('a delay holds the call up and lets it succeed', async (t) => {
  const { output, journal } = await run(t, [{ calls: ['fdatasync'], delayMs: 20, times: 1 }], SYNC)
  assert.equal(output, 'ok ok ok ok')
  assert.deepEqual(journal, ['fdatasync log.wal passed'])
})

void test('a fault without an error lets calls pass before the next one', async (t) => {
  const faults = [
    { calls: ['fdatasync'], times: 2 },
    { calls: ['fdatasync'], error: 'EIO', times: 1 },
  ] as const
  const { output } = await run(t, faults, SYNC)
  assert.equal(output, 'ok ok EIO ok')
})

for (const { crash, left } of [
  { crash: 'before', left: 'first ' },
  { crash: 'halfway', left: 'first seco' },
  { crash: 'after', left: 'first second, ' },
] as const) {
  void test(`a crash ${crash} a write leaves "${left}"`, async (t) => {
    const folder = makeTempDir(t, 'written')
    const path = join(folder, 'file')
    const program = `
import { openSync, writeSync } from 'node:fs'
const fd = openSync(${JSON.stringify(path)}, 'w')
let at = 0
for (const text of ['first ', 'second, ', 'third']) at += writeSync(fd, Buffer.from('..' + text), 2, text.length, at)`
    const faults = [
      { calls: ['write'], times: 1 },
      { calls: ['write'], crash, times: 1 },
    ] as const
    await run(t, faults, program)
    assert.equal(readFileSync(path, 'utf8'), left)
  })
}
