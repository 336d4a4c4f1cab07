import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { lockDirectory, startByPs } from './disk-lock.ts'
import { DirectoryInUseError } from './disk.ts'

const moduleUrl = JSON.stringify(new URL('./disk-lock.js', import.meta.url))

function tempDir(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'etcd-ts-lock-'))
  context.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Runs a module in another process and returns once it has printed a line. */
async function runOther(context: TestContext, script: string, folder: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  context.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

const holdTheFolder = `
  import { lockDirectory } from ${moduleUrl}
  lockDirectory(process.argv[1])
  console.log('held')
  setInterval(() => {}, 1e6)`

void test('a folder held by another process is refused, and taken once that was killed', async (context) => {
  const folder = tempDir(context)
  const child = await runOther(context, holdTheFolder, folder)
  assert.throws(() => lockDirectory(folder), new DirectoryInUseError(folder, `process ${child.pid}`))
  assert.equal(readdirSync(folder).length, 1, 'the refused one left no mark')

  child.kill('SIGSTOP')
  assert.throws(() => lockDirectory(folder), DirectoryInUseError, 'a stopped process still holds it')

  child.kill('SIGKILL')
  await once(child, 'exit')
  const lock = lockDirectory(folder)
  assert.equal(readdirSync(folder).length, 1, 'the mark of the dead was removed')
  lock.release()
  lock.release()
  assert.deepEqual(readdirSync(folder), [])
})

void test('a folder that this process holds is refused until it is released', (context) => {
  const folder = tempDir(context)
  const lock = lockDirectory(folder)
  assert.throws(() => lockDirectory(folder), new DirectoryInUseError(folder, 'this process'))
  lock.release()
  lockDirectory(folder).release()
})

void test('marks of earlier runs of the machine, of reused process ids and of no known form are removed', (context) => {
  const folder = tempDir(context)
  const lock = lockDirectory(folder)
  const [own = ''] = readdirSync(folder)
  lock.release()
  const [, , start = '', boot = '', namespace = ''] = own.split('-')
  writeFileSync(join(folder, `.lock-${process.pid}-${start}-otherboot-${namespace}`), '')
  writeFileSync(join(folder, `.lock-${process.pid}-1-${boot}-${namespace}`), '')
  writeFileSync(join(folder, '.lock-what'), '')
  lockDirectory(folder)
  assert.deepEqual(readdirSync(folder), [own])
})

void test('a holder in another pid namespace counts as long as it touches its mark', async (context) => {
  const folder = tempDir(context)
  const lock = lockDirectory(folder)
  const [own = ''] = readdirSync(folder)
  lock.release()
  const foreign = join(folder, own.replace(/-[^-]*$/, '-1').replace(/lock-\d+/, 'lock-999999'))
  writeFileSync(foreign, '')
  const touchIt = `
    import { utimesSync } from 'node:fs'
    setInterval(() => utimesSync(process.argv[1], new Date(), new Date()), 20)
    console.log('touching')`
  const child = await runOther(context, touchIt, foreign)
  assert.throws(() => lockDirectory(folder), new DirectoryInUseError(folder, 'process 999999'))

  child.kill('SIGKILL')
  await once(child, 'exit')
  utimesSync(foreign, 1e9, 1e9)
  lockDirectory(folder).release()
  assert.equal(existsSync(foreign), false)
})

void test(
  'without /proc, ps tells when a process started',
  { skip: startByPs(process.pid) === 'unknown' },
  async () => {
    assert.match(startByPs(process.pid) ?? '', /20\d\d/)
    assert.equal(startByPs(process.pid), startByPs(process.pid))
    const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' })
    await once(child, 'exit')
    assert.equal(startByPs(child.pid ?? 0), undefined)
  },
)
