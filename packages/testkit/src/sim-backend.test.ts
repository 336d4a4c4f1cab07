import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Backend, BackendError, type BufferedBackendOptions } from '@etcd-ts/backend'
import { backendSuite } from '@etcd-ts/backend/suite'
import { type SimBackendFault, SimBackendFile, simImporter } from './sim-backend.ts'
import { SeededRandom } from './seeded-random.ts'
import { SimClock } from './sim-clock.ts'
import { SimCrashError, SimDisk } from './sim-disk.ts'

backendSuite('simulated backend', () => {
  const file = new SimBackendFile()
  const disk = new SimDisk()
  disk.makeDirectory('/data')
  let imports = 0
  return {
    open: (options) => file.open(options, disk),
    async import(content) {
      const target = `/data/${imports++}.snap.db`
      disk.writeFile('/data/received', content)
      await simImporter(disk)({ source: '/data/received', target })
      return target
    },
    remove: () => undefined,
  }
})

const bytes = (text: string): Uint8Array => Buffer.from(text)
const options: BufferedBackendOptions = { clock: new SimClock(), onWriteFailed: () => undefined }
const keysOf = (backend: Backend): string =>
  backend
    .range('key')
    .map(([key]) => Buffer.from(key).toString())
    .join(' ')

/** Puts two rows into a file that has one. @returns how the commit ended, and the file */
async function commitTwo(prepare: (file: SimBackendFile) => void): Promise<[unknown, SimBackendFile]> {
  const file = new SimBackendFile()
  const backend = file.open(options)
  backend.put('key', bytes('old'), bytes('1'))
  await backend.commit()
  prepare(file)
  backend.put('key', bytes('new 1'), bytes('2'))
  backend.put('key', bytes('new 2'), bytes('2'))
  backend.delete('key', bytes('old'))
  const outcome = await backend.commit().then(
    () => 'done',
    (error: unknown) => (error as Error).cause,
  )
  return [outcome, file]
}

function foundAfter(file: SimBackendFile, seed: number): string {
  return keysOf(file.end(new SeededRandom(seed)).open(options))
}

void test('a commit that was under way when the process ended is there as a whole or not at all', async () => {
  const found = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const [outcome, file] = await commitTwo((f) => f.crashAtCall(f.calls + 1))
    assert.ok(outcome instanceof SimCrashError)
    found.add(foundAfter(file, seed))
  }
  assert.deepEqual(found, new Set(['old', 'new 1 new 2']))
})

void test('so is one whose latency the end of the process cut off', async () => {
  const found = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const clock = new SimClock()
    const file = new SimBackendFile({ clock })
    const backend = file.open(options)
    file.injectFaults(() => ({ latencyMs: 5 }))
    backend.put('key', bytes('new'), bytes('1'))
    const lost = assert.rejects(backend.commit(), BackendError)
    await clock.advance(4)
    found.add(foundAfter(file, seed))
    await clock.advance(2)
    await lost
  }
  assert.deepEqual(found, new Set(['', 'new']))
})

void test('a commit that was acknowledged survives', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const [outcome, file] = await commitTwo(() => undefined)
    assert.equal(outcome, 'done')
    assert.equal(file.durableRows('key').length, 2)
    assert.equal(foundAfter(file, seed), 'new 1 new 2')
  }
})

for (const { name, fault, found } of [
  { name: 'that lies is lost', fault: { lies: true }, found: ['old'] },
  { name: 'that tears is there by half', fault: { tears: true }, found: ['new 1 new 2', 'new 1 old'] },
] satisfies { name: string; fault: SimBackendFault; found: string[] }[]) {
  void test(`an acknowledged commit ${name}`, async () => {
    const seen = new Set<string>()
    for (let seed = 0; seed < 20; seed++) {
      const [outcome, file] = await commitTwo((f) => f.injectFaults(() => fault))
      assert.equal(outcome, 'done')
      seen.add(foundAfter(file, seed))
    }
    assert.deepEqual([...seen].sort(), found)
  })
}

void test('a commit that fails changes nothing', async () => {
  const [cause, file] = await commitTwo((f) => f.injectFaults(() => ({ code: 'EIO' })))
  assert.ok(cause instanceof Error && !(cause instanceof BackendError))
  assert.equal(foundAfter(file, 1), 'old')
})

/** A file of one row, whose replacement by another is about to begin. */
async function aboutToInstall(): Promise<{ file: SimBackendFile; disk: SimDisk; backend: Backend }> {
  const disk = new SimDisk()
  disk.makeDirectory('/data')
  const other = new SimBackendFile().open(options)
  other.put('key', bytes('new'), bytes('1'))
  const chunks: Uint8Array[] = []
  for await (const chunk of (await other.exportBbolt()).chunks()) chunks.push(chunk)
  disk.writeFile('/data/received', Buffer.concat(chunks))
  await simImporter(disk)({ source: '/data/received', target: '/data/5.snap.db' })
  const file = new SimBackendFile()
  const backend = file.open(options, disk)
  backend.put('key', bytes('old'), bytes('1'))
  await backend.commit()
  return { file, disk, backend }
}

void test('an installation that was cut off is done, or can be done again', async () => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const { file, disk, backend } = await aboutToInstall()
    file.crashAtCall(file.calls + 1)
    await assert.rejects(backend.install('/data/5.snap.db'), SimCrashError)
    const machine = disk.kill()
    const found = file.end(new SeededRandom(seed)).open(options, machine)
    seen.add(keysOf(found))
    assert.ok(machine.exists('/data/5.snap.db'))
    await found.install('/data/5.snap.db')
    assert.equal(keysOf(found), 'new')
    assert.ok(!machine.exists('/data/5.snap.db'))
  }
  assert.deepEqual([...seen].sort(), ['new', 'old'])
})

void test('an installation that fails changes nothing', async () => {
  const { file, disk, backend } = await aboutToInstall()
  file.injectFaults(() => ({ code: 'EIO' }))
  await assert.rejects(backend.install('/data/5.snap.db'), /EIO/)
  file.injectFaults(undefined)
  assert.equal(keysOf(backend), 'old')
  backend.put('key', bytes('older'), bytes('1'))
  await backend.commit()
  assert.equal(keysOf(file.end(new SeededRandom(1)).open(options, disk)), 'old older')
})

void test('the dead neither read nor write', async () => {
  const file = new SimBackendFile()
  const backend = file.open(options)
  const next = file.end(new SeededRandom(1))
  assert.throws(() => backend.range('key'), SimCrashError)
  backend.put('key', bytes('a'), bytes(''))
  await assert.rejects(backend.commit(), BackendError)
  assert.throws(() => file.open(options), SimCrashError)
  assert.equal(keysOf(next.open(options)), '')
})
