import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { pbkdf2 } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SyncThread } from './disk-sync-thread.ts'
import { SystemDisk } from './disk-system.ts'
import { errorCode } from './disk.ts'

const runFile = promisify(execFile)
const moduleUrl = JSON.stringify(new URL('./disk-system.js', import.meta.url))

function tempDir(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'etcd-ts-disk-'))
  context.after(() => rmSync(path, { recursive: true }))
  return path
}

void test('a datasync of a file and of a folder resolves', async (context) => {
  const folder = tempDir(context)
  const disk = new SystemDisk()
  const file = disk.open(join(folder, 'file'), 'create')
  file.writeAt(Uint8Array.of(1, 2, 3), 0)
  await Promise.all([file.datasync(), file.datasync(), disk.syncDirectory(folder)])
  file.close()
})

void test('a file closed during its datasync is closed after it', async (context) => {
  const disk = new SystemDisk()
  const file = disk.open(join(tempDir(context), 'file'), 'create')
  const synced = file.datasync()
  file.close()
  file.close()
  await synced
  await assert.rejects(file.datasync(), (error) => errorCode(error) === 'EBADF')
  assert.throws(
    () => file.size(),
    (error) => errorCode(error) === 'EBADF',
  )
})

void test('a sync that fails rejects with the code of the system', async () => {
  const syncs = new SyncThread()
  await assert.rejects(syncs.datasync(0x7fff_0000), (error) => errorCode(error) === 'EBADF')
  await assert.rejects(syncs.sync(0x7fff_0000), (error) => errorCode(error) === 'EBADF')
})

void test('a sync does not wait behind the work of the libuv pool', async (context) => {
  const disk = new SystemDisk()
  const file = disk.open(join(tempDir(context), 'file'), 'create')
  await file.datasync()
  let hashesDone = 0
  const hashes = Array.from({ length: 8 }, async () => {
    await promisify(pbkdf2)('password', 'salt', 1_500_000, 32, 'sha256')
    hashesDone++
  })
  file.writeAt(Uint8Array.of(1), 0)
  await file.datasync()
  assert.equal(hashesDone, 0)
  file.close()
  await Promise.all(hashes)
})

void test('the process ends while the sync thread is idle, and not while a sync is under way', async (context) => {
  const script = `
    import { SystemDisk } from ${moduleUrl}
    const file = new SystemDisk().open(process.argv[1], 'create')
    file.writeAt(new Uint8Array(100_000), 0)
    await file.datasync()
    file.writeAt(new Uint8Array(100_000), 0)
    file.datasync().then(() => console.log('synced twice'))`
  const arguments_ = ['--input-type=module', '-e', script, join(tempDir(context), 'file')]
  const { stdout } = await runFile(process.execPath, arguments_, { timeout: 20_000 })
  assert.equal(stdout, 'synced twice\n')
})

void test('the pieces of a write follow each other', (context) => {
  const path = join(tempDir(context), 'file')
  const file = new SystemDisk().open(path, 'create')
  file.writeManyAt([Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)], 2)
  file.close()
  assert.deepEqual([...readFileSync(path)], [0, 0, 1, 2, 3])
})

void test('a file written since the machine started cannot have lost what was not synced', (context) => {
  const disk = new SystemDisk()
  const path = join(tempDir(context), 'file')
  disk.writeFile(path, Uint8Array.of(1))
  assert.equal(disk.mayHaveLostPower(path), false)
  utimesSync(path, 1e9, 1e9)
  assert.equal(disk.mayHaveLostPower(path), true)
})

void test('the worker is found beside the module, as a bundle must keep it', () => {
  assert.match(
    readFileSync(fileURLToPath(new URL('./disk-sync-worker.js', import.meta.url)), 'utf8'),
    /fdatasyncSync/,
  )
})
