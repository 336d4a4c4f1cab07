import assert from 'node:assert/strict'
import test from 'node:test'
import { type raftpb, snappb } from '@etcd-ts/api'
import { errorCode } from '@etcd-ts/platform'
import { SeededRandom, SimDisk } from '@etcd-ts/testkit'
import { snap34, snapMinimal } from '../testdata/etcd-files.ts'
import { WalError } from '../wal-error.ts'
import { SnapshotStore } from './snapshot-store.ts'

const DIR = '/snap'
const anything = (): boolean => true

function diskWith(files: Record<string, Uint8Array> = {}): SimDisk {
  const disk = new SimDisk()
  disk.makeDirectory(DIR)
  disk.syncDirectoryNow('/')
  for (const [name, content] of Object.entries(files)) disk.writeFile(`${DIR}/${name}`, content)
  return disk
}

const snapshotOf = (index: number, term: number): raftpb.Snapshot => ({
  data: new TextEncoder().encode(`{"index":${index}}`),
  metadata: {
    index,
    term,
    confState: {
      voters: [1n, 2n ** 63n],
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    },
  },
})

for (const { name, file, content, index, term } of [
  {
    name: 'of a 3.4.23 member',
    file: '0000000000000002-0000000000000015.snap',
    content: snap34,
    index: 21,
    term: 2,
  },
  {
    name: 'that 3.4.23 and 3.5.9 accept',
    file: '0000000000000001-0000000000000001.snap',
    content: snapMinimal,
    index: 1,
    term: 1,
  },
]) {
  void test(`a file ${name} is read, and written again byte for byte under the same name`, async () => {
    const disk = diskWith({ [file]: content })
    const snapshot = new SnapshotStore(disk, DIR).loadNewest(anything)
    assert.ok(snapshot !== undefined)
    assert.equal(snapshot.metadata.index, index)
    assert.equal(snapshot.metadata.term, term)
    assert.equal(snapshot.metadata.confState.voters.length, 1)
    assert.equal(typeof JSON.parse(Buffer.from(snapshot.data ?? []).toString()), 'object')

    const other = diskWith()
    await new SnapshotStore(other, DIR).save(snapshot)
    assert.deepEqual(other.list(DIR), [file])
    assert.ok(Buffer.from(content).equals(other.readFile(`${DIR}/${file}`)))
  })
}

void test('the newest snapshot that is wanted is loaded', async () => {
  const disk = diskWith({ db: Uint8Array.of(1), '0000000000000009.snap.db': Uint8Array.of(1) })
  const store = new SnapshotStore(disk, DIR)
  assert.equal(store.loadNewest(anything), undefined)
  for (const [index, term] of [
    [9, 1],
    [20, 2],
    [12, 2],
    [300, 10],
  ] as const)
    await store.save(snapshotOf(index, term))
  assert.deepEqual(store.loadNewest(anything), snapshotOf(300, 10))
  assert.deepEqual(
    store.loadNewest(({ index }) => index < 20),
    snapshotOf(12, 2),
  )
  assert.equal(
    store.loadNewest(({ index, term }) => index === 12 && term === 1),
    undefined,
  )
})

for (const { name, content, reason } of [
  { name: 'empty', content: new Uint8Array(0), reason: /empty snapshot/ },
  { name: 'without data', content: snappb.Snapshot.encode({ crc: 5 }), reason: /empty snapshot/ },
  {
    name: 'without a CRC',
    content: snappb.Snapshot.encode({ crc: 0, data: Uint8Array.of(1) }),
    reason: /empty snapshot/,
  },
  {
    name: 'with a wrong CRC',
    content: snappb.Snapshot.encode({ crc: 7, data: Uint8Array.of(1) }),
    reason: /crc mismatch/,
  },
  { name: 'cut short', content: snap34.subarray(0, 5000), reason: /truncated/ },
  { name: 'with another name', content: snapMinimal, reason: /of index 1, term 1/ },
]) {
  void test(`a file ${name} is renamed, and the one before it is loaded`, async () => {
    const disk = diskWith()
    const store = new SnapshotStore(disk, DIR)
    await store.save(snapshotOf(9, 2))
    const bad = '0000000000000002-000000000000000a.snap'
    disk.writeFile(`${DIR}/${bad}`, content)
    const broken: string[] = []
    const snapshot = store.loadNewest(anything, (path, why) => {
      broken.push(path)
      assert.match(why, reason)
    })
    assert.equal(snapshot?.metadata.index, 9)
    assert.deepEqual(broken, [`${DIR}/${bad}`])
    assert.deepEqual(disk.list(DIR), ['0000000000000002-0000000000000009.snap', `${bad}.broken`])
    assert.equal(store.loadNewest(anything, () => assert.fail('renamed twice'))?.metadata.index, 9)
  })
}

void test('a snapshot with any bit flipped is not loaded', async () => {
  const random = new SeededRandom(9)
  const name = '0000000000000002-0000000000000015.snap'
  for (let n = 0; n < 300; n++) {
    const disk = diskWith({ [name]: snap34 })
    disk.damage(`${DIR}/${name}`, random.below(snap34.length), (byte) => byte ^ (1 << random.below(8)))
    assert.equal(new SnapshotStore(disk, DIR).loadNewest(anything), undefined)
  }
})

void test('a disk that cannot read does not make a snapshot a bad one', () => {
  const disk = diskWith({ '0000000000000001-0000000000000001.snap': snapMinimal })
  disk.injectFaults(({ operation, path }) =>
    operation === 'read' && path.endsWith('.snap') ? { code: 'EIO' } : undefined,
  )
  assert.throws(
    () => new SnapshotStore(disk, DIR).loadNewest(anything),
    (error) => errorCode(error) === 'EIO',
  )
  disk.injectFaults(undefined)
  assert.equal(disk.list(DIR).length, 1)
})

void test('D-29: a snapshot that was saved survives a loss of power at any later call, one that was not is not there or whole', async () => {
  for (let call = 1; call <= 12; call++) {
    for (let seed = 0; seed < 20; seed++) {
      const disk = diskWith()
      disk.crashAtCall(disk.calls + call)
      const store = new SnapshotStore(disk, DIR)
      let saved = 0
      try {
        for (const index of [5, 6]) {
          await store.save(snapshotOf(index, 1))
          saved = index
        }
      } catch (error) {
        assert.ok(error instanceof WalError && error.reason === 'failed')
      }
      const next = disk.crash(new SeededRandom(seed))
      const after = new SnapshotStore(next, DIR)
      after.removeTemporaries()
      const found = after.loadNewest(anything, (path) => assert.fail(`${path} is broken`))
      assert.ok((found?.metadata.index ?? 0) >= saved)
      if (found !== undefined) assert.deepEqual(found, snapshotOf(found.metadata.index, 1))
      assert.ok(next.list(DIR).every((name) => name.endsWith('.snap')))
    }
  }
})

void test('a full disk leaves no snapshot of that name', async () => {
  const disk = new SimDisk({ capacityBytes: 1000 })
  disk.makeDirectory(DIR)
  const store = new SnapshotStore(disk, DIR)
  await store.save(snapshotOf(1, 1))
  await assert.rejects(
    store.save({ ...snapshotOf(2, 1), data: new Uint8Array(2000) }),
    (error) => error instanceof WalError && errorCode(error.cause) === 'ENOSPC',
  )
  store.removeTemporaries()
  assert.deepEqual(disk.list(DIR), ['0000000000000001-0000000000000001.snap'])
})

void test('only the newest files of each kind are kept', async () => {
  const disk = diskWith({ db: Uint8Array.of(1) })
  const store = new SnapshotStore(disk, DIR)
  for (let index = 1; index <= 7; index++) {
    await store.save(snapshotOf(index, index < 4 ? 1 : 2))
    disk.writeFile(`${DIR}/000000000000000${index}.snap.db`, Uint8Array.of(1))
  }
  const purged = await store.purge({ keep: 5 })
  assert.deepEqual(purged, [
    '0000000000000001-0000000000000001.snap',
    '0000000000000001-0000000000000002.snap',
    '0000000000000001.snap.db',
    '0000000000000002.snap.db',
  ])
  assert.equal(disk.list(DIR).length, 11)
  assert.deepEqual(await store.purge({ keep: 5 }), [])
})
