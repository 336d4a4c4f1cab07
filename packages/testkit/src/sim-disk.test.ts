import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { DirectoryInUseError, type Disk, SystemDisk, errorCode } from '@etcd-ts/platform'
import { SeededRandom } from './seeded-random.ts'
import { SimClock } from './sim-clock.ts'
import { SimCrashError, SimDisk } from './sim-disk.ts'
import { makeTempDir } from './temp-dir.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const textOf = (disk: Disk, path: string): string => Buffer.from(disk.readFile(path)).toString()
const hasCode = (code: string) => (error: unknown) => errorCode(error) === code

/** What every disk does. */
function diskSuite(name: string, open: (context: TestContext) => { disk: Disk; folder: string }): void {
  void test(`${name}: reads what was written, at any place`, (context) => {
    const { disk, folder } = open(context)
    const file = disk.open(join(folder, 'file'), 'create')
    file.writeAt(bytes('hello'), 3)
    file.writeManyAt([bytes('H'), bytes(''), bytes('E')], 3)
    assert.equal(file.size(), 8)
    const out = new Uint8Array(10)
    assert.equal(file.readAt(out, 2), 6)
    assert.equal(Buffer.from(out).toString('latin1'), '\0HEllo\0\0\0\0')
    file.truncate(4)
    file.truncate(6)
    assert.equal(textOf(disk, join(folder, 'file')), '\0\0\0H\0\0')
    file.close()
    file.close()
    assert.throws(() => file.size(), hasCode('EBADF'))
  })

  void test(`${name}: each mode of opening does what it says`, (context) => {
    const { disk, folder } = open(context)
    const path = join(folder, 'file')
    for (const mode of ['read', 'write'] as const)
      assert.throws(() => disk.open(path, mode), hasCode('ENOENT'))
    disk.open(path, 'create').writeAt(bytes('abc'), 0)
    assert.throws(() => disk.open(path, 'create'), hasCode('EEXIST'))
    assert.equal(disk.open(path, 'read').size(), 3)
    assert.equal(disk.open(path, 'write').size(), 3)
    assert.equal(disk.open(path, 'replace').size(), 0)
    disk.writeFile(path, bytes('xyz'))
    assert.equal(textOf(disk, path), 'xyz')
  })

  void test(`${name}: names are listed in order, moved and removed`, (context) => {
    const { disk, folder } = open(context)
    disk.makeDirectory(join(folder, 'a/b/c'), 0o700)
    disk.makeDirectory(join(folder, 'a/b/c'))
    disk.writeFile(join(folder, 'a/z'), bytes('z'), 0o640)
    disk.writeFile(join(folder, 'a/y'), bytes('y'))
    assert.deepEqual(disk.list(join(folder, 'a')), ['b', 'y', 'z'])
    assert.deepEqual(disk.stat(join(folder, 'a/z')), { kind: 'file', sizeBytes: 1, permissions: 0o640 })
    assert.equal(disk.stat(join(folder, 'a'))?.kind, 'directory')
    assert.equal(disk.stat(join(folder, 'a'))?.permissions, 0o700)
    assert.equal(disk.stat(join(folder, 'none')), undefined)
    disk.chmod(join(folder, 'a/z'), 0o600)
    assert.equal(disk.stat(join(folder, 'a/z'))?.permissions, 0o600)
    disk.rename(join(folder, 'a/z'), join(folder, 'a/y'))
    disk.rename(join(folder, 'a/y'), join(folder, 'a/b/c/x'))
    disk.rename(join(folder, 'a/b'), join(folder, 'd'))
    assert.equal(textOf(disk, join(folder, 'd/c/x')), 'z')
    assert.throws(() => disk.removeDirectory(join(folder, 'd/c')), hasCode('ENOTEMPTY'))
    assert.throws(() => disk.unlink(join(folder, 'd/c/none')), hasCode('ENOENT'))
    disk.writeFile(join(folder, 'd/large'), new Uint8Array(3_000_000))
    disk.unlink(join(folder, 'd/large'))
    assert.equal(disk.exists(join(folder, 'd/large')), false)
    disk.unlink(join(folder, 'd/c/x'))
    disk.removeDirectory(join(folder, 'd/c'))
    assert.equal(disk.exists(join(folder, 'd/c')), false)
    assert.throws(() => disk.list(join(folder, 'd/c')), hasCode('ENOENT'))
  })

  void test(`${name}: syncs of files and folders end`, async (context) => {
    const { disk, folder } = open(context)
    const file = disk.open(join(folder, 'file'), 'create')
    file.writeAt(bytes('abc'), 0)
    file.datasyncNow()
    disk.syncDirectoryNow(folder)
    await Promise.all([file.datasync(), disk.syncDirectory(folder)])
    await assert.rejects(disk.syncDirectory(join(folder, 'none')), hasCode('ENOENT'))
    assert.equal(disk.mayHaveLostPower(join(folder, 'file')), false)
  })

  void test(`${name}: a folder is locked once`, (context) => {
    const { disk, folder } = open(context)
    const lock = disk.lockDirectory(folder)
    assert.throws(() => disk.lockDirectory(folder), DirectoryInUseError)
    lock.release()
    lock.release()
    disk.lockDirectory(folder).release()
  })
}

diskSuite('the machine', (context) => ({ disk: new SystemDisk(), folder: makeTempDir(context) }))
diskSuite('the simulation', () => {
  const disk = new SimDisk()
  disk.makeDirectory('/data')
  return { disk, folder: '/data' }
})

/** The disk after each of many losses of power in the state that `prepare` leaves. */
async function afterCrashes(prepare: (disk: SimDisk) => void | Promise<void>): Promise<SimDisk[]> {
  const found: SimDisk[] = []
  for (let seed = 0; seed < 200; seed++) {
    const disk = new SimDisk()
    disk.makeDirectory('/data')
    disk.syncDirectoryNow('/')
    await prepare(disk)
    found.push(disk.crash(new SeededRandom(seed)))
  }
  return found
}

void test('what was synced survives every loss of power', async () => {
  const disks = await afterCrashes(async (disk) => {
    const file = disk.open('/data/file', 'create')
    file.writeAt(new Uint8Array(3000).fill(1), 0)
    await file.datasync()
    await disk.syncDirectory('/data')
    file.writeAt(new Uint8Array(3000).fill(2), 3000)
  })
  for (const disk of disks) {
    assert.equal(disk.mayHaveLostPower('/data/file'), true)
    const content = disk.readFile('/data/file')
    assert.ok(content.length >= 3000 && content.length <= 6000)
    assert.deepEqual(content.subarray(0, 3000), new Uint8Array(3000).fill(1))
  }
})

void test('sectors that were not synced are new, old or cut, in any mixture', async () => {
  const disks = await afterCrashes((disk) => {
    const file = disk.open('/data/file', 'create')
    file.writeAt(new Uint8Array(2048).fill(1), 0)
    file.datasyncNow()
    disk.syncDirectoryNow('/data')
    file.writeAt(new Uint8Array(2048).fill(2), 0)
  })
  const patterns = new Set<string>()
  let cuts = 0
  for (const disk of disks) {
    const content = disk.readFile('/data/file')
    assert.equal(content.length, 2048)
    let pattern = ''
    for (let sector = 0; sector < 4; sector++) {
      const first = content[sector * 512]!
      const last = content[sector * 512 + 511]!
      if (first === last) pattern += first
      else {
        assert.deepEqual([first, last], [2, 1], 'a cut sector begins new and ends old')
        cuts++
      }
    }
    patterns.add(pattern)
  }
  for (const pattern of ['1111', '2222', '2111', '1222', '2122', '1121'])
    assert.ok(patterns.has(pattern), pattern)
  assert.ok(cuts > 10)
})

void test('what is written while a sync is under way is not covered by it', async () => {
  let oldSeen = false
  const disks = await afterCrashes(async (disk) => {
    const file = disk.open('/data/file', 'create')
    file.writeAt(bytes('a'), 0)
    disk.syncDirectoryNow('/data')
    const synced = file.datasync()
    file.writeAt(bytes('b'), 0)
    await synced
  })
  for (const disk of disks) {
    const text = textOf(disk, '/data/file')
    assert.ok(text === 'a' || text === 'b', text)
    oldSeen ||= text === 'a'
  }
  assert.ok(oldSeen)
})

void test('a name is lost or kept, and a move is never half done', async () => {
  const outcomes = new Set<string>()
  const disks = await afterCrashes((disk) => {
    disk.writeFile('/data/old', bytes('x'))
    disk.open('/data/old', 'write').datasyncNow()
    disk.syncDirectoryNow('/data')
    disk.rename('/data/old', '/data/new')
    disk.writeFile('/data/more', bytes('y'))
  })
  for (const disk of disks) outcomes.add(disk.list('/data').join())
  assert.deepEqual([...outcomes].sort(), ['more,new', 'more,old', 'new', 'old'])
})

void test('the end of a process loses nothing and ends what it had open', () => {
  const disk = new SimDisk()
  disk.makeDirectory('/data')
  disk.lockDirectory('/data')
  const file = disk.open('/data/file', 'create')
  file.writeAt(bytes('abc'), 0)
  const next = disk.kill()
  assert.throws(() => file.writeAt(bytes('x'), 0), SimCrashError)
  assert.throws(() => disk.exists('/data'), SimCrashError)
  assert.equal(textOf(next, '/data/file'), 'abc')
  assert.equal(next.mayHaveLostPower('/data/file'), false)
  next.lockDirectory('/data').release()
})

void test('the process ends with the call it was told to end with', async () => {
  const disk = new SimDisk()
  disk.makeDirectory('/data')
  disk.crashAtCall(3)
  const file = disk.open('/data/file', 'create')
  assert.throws(() => file.writeAt(bytes('abc'), 0), SimCrashError)
  await assert.rejects(file.datasync(), SimCrashError)
  assert.equal(textOf(disk.kill(), '/data/file'), 'abc')
})

void test('calls fail, last and lie as told', async () => {
  const clock = new SimClock()
  const disk = new SimDisk({ clock })
  const file = disk.open('/file', 'create')
  disk.injectFaults(({ operation }) => (operation === 'write' ? { code: 'EIO', doneBytes: 2 } : undefined))
  assert.throws(() => file.writeAt(bytes('abc'), 0), hasCode('EIO'))
  assert.equal(textOf(disk, '/file'), 'ab')

  disk.injectFaults(({ operation }) => (operation === 'datasync' ? { latencyMs: 50 } : undefined))
  let synced = false
  const end = file.datasync().then(() => (synced = true))
  await clock.advance(49)
  assert.equal(synced, false)
  await clock.advance(1)
  await end

  disk.injectFaults(() => ({ lies: true }))
  file.writeAt(bytes('xy'), 0)
  await file.datasync()
  disk.injectFaults(undefined)
  disk.syncDirectoryNow('/')
  const found = new Set<string>()
  for (let seed = 0, next = disk; seed < 30; seed++) {
    next = next.crash(new SeededRandom(seed))
    found.add(textOf(next, '/file'))
  }
  assert.ok([...found].every((text) => text === 'ab' || text === 'xy' || text === 'xb'))
})

void test('a full disk takes what fits and says ENOSPC', () => {
  const disk = new SimDisk({ capacityBytes: 10 })
  disk.writeFile('/a', bytes('12345'))
  assert.throws(() => disk.writeFile('/b', bytes('1234567')), hasCode('ENOSPC'))
  assert.equal(textOf(disk, '/b'), '12345')
  disk.open('/b', 'write').writeAt(bytes('abcde'), 0)
  disk.unlink('/a')
  disk.writeFile('/b', bytes('1234567'))
  assert.equal(disk.usedBytes, 7)
})

void test('damage at rest is not undone by a loss of power', () => {
  const disk = new SimDisk()
  disk.writeFile('/file', bytes('abc'))
  disk.damage('/file', 1, (byte) => byte ^ 1)
  assert.equal(textOf(disk, '/file'), 'acc')
})

void test('the same seed and calls give the same disk', async () => {
  const run = async (): Promise<string> =>
    (await afterCrashes((disk) => disk.writeFile('/data/file', new Uint8Array(5000).fill(3))))
      .map((disk) =>
        disk.exists('/data/file') ? Buffer.from(disk.readFile('/data/file')).toString('hex') : '-',
      )
      .join()
  assert.equal(await run(), await run())
})
