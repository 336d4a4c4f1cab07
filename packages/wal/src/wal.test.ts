import assert from 'node:assert/strict'
import test from 'node:test'
import { raftpb } from '@etcd-ts/api'
import { SimDisk } from '@etcd-ts/testkit'
import type { Entry } from './frame.ts'
import { Wal } from './wal.ts'
import { WalError, type WalErrorReason } from './wal-error.ts'

const DIR = '/data/member/wal'
const START = { index: 0, term: 0 }
const metadata = Uint8Array.of(8, 1, 16, 2)
const voters: raftpb.ConfStateInit = { voters: [1n, 2n, 3n] }

const entry = (index: number, term = 1, size = 20): Entry => ({
  type: raftpb.EntryType.EntryNormal,
  term,
  index,
  data: new Uint8Array(size).fill(index + term),
})
const entries = (first: number, last: number, term = 1, size = 20): Entry[] =>
  Array.from({ length: last - first + 1 }, (_, i) => entry(first + i, term, size))
const indexesOf = (found: readonly Entry[]): string =>
  found.map(({ index, term }) => `${index}/${term}`).join(' ')
const isWalError = (reason: WalErrorReason, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof WalError, String(error))
  assert.equal(error.reason, reason)
  assert.match(error.message, text)
  return true
}

void test('what was appended is read again, in order and with its data', async () => {
  const disk = new SimDisk()
  assert.equal(Wal.exists(disk, DIR), false)
  const wal = Wal.create(disk, DIR, { metadata })
  assert.equal(Wal.exists(disk, DIR), true)
  assert.deepEqual(disk.list('/data/member'), ['wal'])
  assert.deepEqual(disk.list(DIR), ['0000000000000000-0000000000000000.wal'])
  const big = entry(3, 1, 3_000_000)
  const empty = { type: raftpb.EntryType.EntryConfChange, term: 2, index: 4, data: undefined }
  wal.append({ term: 1, vote: 2n ** 63n, commit: 0 }, entries(1, 2))
  wal.append(undefined, [big])
  await wal.sync()
  wal.append({ term: 2, vote: 0n, commit: 3 }, [empty])
  await wal.close()

  const opened = Wal.open(disk, DIR, START)
  assert.deepEqual(opened.metadata, metadata)
  assert.deepEqual(opened.hardState, { term: 2, vote: 0n, commit: 3 })
  assert.deepEqual(opened.entries, [...entries(1, 2), big, empty])
  assert.equal(opened.wal.appendedIndex, 4)
  assert.equal(opened.wal.durableIndex, 4)
})

void test('a new log opens without a hard state or entries', () => {
  const disk = new SimDisk()
  Wal.create(disk, DIR, { metadata })
  const { hardState, entries: found, wal } = Wal.open(disk, DIR, START)
  assert.equal(hardState, undefined)
  assert.deepEqual(found, [])
  assert.equal(wal.appendedIndex, 0)
  assert.deepEqual(Wal.snapshotsIn(disk, DIR), [START])
})

void test('an entry replaces what follows from its index on', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  wal.append({ term: 1, vote: 1n, commit: 0 }, entries(1, 5))
  await wal.sync()
  assert.equal(wal.durableIndex, 5)
  wal.append({ term: 2, vote: 0n, commit: 0 }, entries(3, 4, 2))
  assert.equal(wal.durableIndex, 2)
  assert.equal(wal.appendedIndex, 4)
  wal.append(undefined, entries(5, 5, 2))
  await wal.close()
  assert.equal(indexesOf(Wal.open(disk, DIR, START).entries), '1/1 2/1 3/2 4/2 5/2')
})

void test('a commit index is written once its entries are durable, and before the sync resolves', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  wal.append({ term: 1, vote: 1n, commit: 0 }, entries(1, 3))
  await wal.sync()
  wal.append({ term: 1, vote: 1n, commit: 5 }, entries(4, 6))
  const before = disk.kill()
  assert.equal(Wal.open(before, DIR, START).hardState?.commit, 3)
  const again = Wal.open(before, DIR, START).wal
  again.append({ term: 1, vote: 1n, commit: 6 }, entries(7, 7))
  await again.sync()
  assert.equal(Wal.open(before.kill(), DIR, START).hardState?.commit, 6)
})

void test('a hard state that is on the disk already is not written again', async () => {
  const wal = Wal.create(new SimDisk(), DIR, { metadata })
  wal.append({ term: 1, vote: 1n, commit: 0 }, [])
  const { bytesWritten } = wal
  wal.append({ term: 1, vote: 1n, commit: 0 }, [])
  wal.append(undefined, [])
  assert.equal(wal.bytesWritten, bytesWritten)
  await wal.close()
})

void test('segments are cut at their size, and each begins with the CRC, the metadata and the hard state', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata, segmentBytes: 2000 })
  for (let index = 1; index <= 40; index += 2) {
    wal.append({ term: 1, vote: 1n, commit: index - 1 }, entries(index, index + 1, 1, 200))
    await wal.sync()
  }
  await wal.close()
  const names = disk.list(DIR)
  assert.deepEqual(names.slice(0, 3), [
    '0000000000000000-0000000000000000.wal',
    '0000000000000001-0000000000000009.wal',
    '0000000000000002-0000000000000011.wal',
  ])
  for (const name of names.slice(0, -1)) {
    const { sizeBytes } = disk.stat(`${DIR}/${name}`)!
    assert.ok(sizeBytes >= 2000 && sizeBytes < 2500, `${name} ends with its last record, at ${sizeBytes}`)
  }
  const opened = Wal.open(disk, DIR, START)
  assert.equal(opened.entries.length, 40)
  assert.equal(opened.hardState?.commit, 38)
})

void test('reading begins with the last segment that may hold what follows the snapshot', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata, segmentBytes: 1000 })
  for (let index = 1; index <= 30; index++) {
    wal.append({ term: 1, vote: 1n, commit: index - 1 }, [entry(index, 1, 200)])
    await wal.sync()
  }
  wal.append(undefined, [], { index: 20, term: 1, confState: voters })
  await wal.close()
  assert.deepEqual(Wal.snapshotsIn(disk, DIR), [START, { index: 20, term: 1 }])
  assert.equal(Wal.open(disk, DIR, { index: 20, term: 1 }).entries[0]?.index, 21)

  assert.throws(
    () => Wal.open(disk, DIR, { index: 20, term: 2 }),
    isWalError('conflict', /index 20 is of term 1, not 2/),
  )
  assert.throws(
    () => Wal.open(disk, DIR, { index: 19, term: 1 }),
    isWalError('missing', /snapshot not found.*index 19/),
  )

  const names = disk.list(DIR)
  disk.unlink(`${DIR}/${names[3]}`)
  assert.throws(() => Wal.open(disk, DIR, START), isWalError('conflict', /a segment is missing/))
  assert.equal(Wal.open(disk, DIR, { index: 20, term: 1 }).entries[0]?.index, 21)
  disk.unlink(`${DIR}/${names[0]}`)
  assert.throws(() => Wal.open(disk, DIR, START), isWalError('missing', /reaches back to index 0/))
})

void test('a released segment is purged, the oldest first, while there are more than are kept', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata, segmentBytes: 1000 })
  for (let index = 1; index <= 40; index++) wal.append(undefined, [entry(index, 1, 200)])
  await wal.sync()
  const names = disk.list(DIR)
  assert.deepEqual(await wal.purge({ keep: 5 }), [], 'nothing was released')
  wal.releaseTo(24)
  const released = names.filter(
    (_, i) => Number.parseInt(names[i + 1]?.slice(17, 33) ?? 'f'.repeat(16), 16) <= 24,
  )
  assert.deepEqual(await wal.purge({ keep: names.length - 1 }), names.slice(0, 1))
  assert.ok(released.length > 2)
  assert.deepEqual(await wal.purge({ keep: 1 }), released.slice(1))
  wal.releaseTo(40)
  await wal.purge({ keep: 5 })
  assert.deepEqual(disk.list(DIR), names.slice(-5))
  await wal.close()
})

void test('a snapshot received ahead of the log is durable, with its commit index, when append returns', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata, segmentBytes: 500 })
  wal.append({ term: 1, vote: 1n, commit: 0 }, entries(1, 9, 1, 100))
  const received = { index: 100, term: 3, confState: voters }
  wal.append({ term: 3, vote: 0n, commit: 100 }, entries(101, 103, 3), received)
  assert.equal(wal.durableIndex, 100)
  assert.equal(wal.appendedIndex, 103)
  await wal.sync()
  await wal.close()
  assert.deepEqual(Wal.snapshotsIn(disk, DIR), [START, { index: 100, term: 3 }])
  const opened = Wal.open(disk, DIR, { index: 100, term: 3 })
  assert.equal(indexesOf(opened.entries), '101/3 102/3 103/3')
  assert.equal(opened.hardState?.commit, 100)
  assert.throws(
    () => Wal.open(disk, DIR, START),
    isWalError('missing', /slice bounds out of range: entry 101 follows entry 9/),
  )
})

void test('a snapshot point counts only once its index is committed', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  wal.append({ term: 1, vote: 1n, commit: 2 }, entries(1, 4))
  await wal.sync()
  wal.append(undefined, [], { index: 4, term: 1, confState: voters })
  await wal.sync()
  assert.deepEqual(Wal.snapshotsIn(disk, DIR), [START])
  wal.append({ term: 1, vote: 1n, commit: 4 }, [])
  assert.deepEqual(Wal.snapshotsIn(disk, DIR), [START, { index: 4, term: 1 }])
  await wal.close()
})

for (const { name, misuse, text } of [
  {
    name: 'entries behind a gap',
    misuse: (wal: Wal) => wal.append(undefined, entries(3, 4)),
    text: /entry 3 .* entry 1/,
  },
  {
    name: 'entries out of order',
    misuse: (wal: Wal) => wal.append(undefined, [entry(2), entry(4)]),
    text: /entry 4 .* entry 2/,
  },
  {
    name: 'an entry of a type that does not exist',
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as the codec lets through what it does not know
    misuse: (wal: Wal) => wal.append(undefined, [{ ...entry(2), type: -1 as raftpb.EntryType }]),
    text: /type -1/,
  },
  {
    name: 'a snapshot point without a conf state',
    misuse: (wal: Wal) => wal.append(undefined, [], { index: 1, term: 1 }),
    text: /conf state/,
  },
]) {
  void test(`${name}: refused, and nothing is written`, async () => {
    const disk = new SimDisk()
    const wal = Wal.create(disk, DIR, { metadata })
    wal.append(undefined, [entry(1)])
    assert.throws(() => misuse(wal), isWalError('misuse', text))
    wal.append(undefined, [entry(2)])
    await wal.close()
    assert.throws(() => wal.append(undefined, [entry(3)]), isWalError('misuse', /closed/))
    assert.equal(indexesOf(Wal.open(disk, DIR, START).entries), '1/1 2/1')
  })
}

/** The number of datasync calls so far. */
function countSyncs(disk: SimDisk): () => number {
  let count = 0
  disk.injectFaults(({ operation }) => {
    if (operation === 'datasync') count++
    return undefined
  })
  return () => count
}

void test('those who wait during a sync share the next one, and a sync of nothing new does nothing', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  const syncs = countSyncs(disk)
  wal.append(undefined, [entry(1)])
  const first = wal.sync()
  assert.equal(wal.sync(), first)
  wal.append(undefined, [entry(2)])
  const second = wal.sync()
  wal.append(undefined, [entry(3)])
  assert.equal(wal.sync(), second)
  await first
  assert.equal(wal.durableIndex, 1)
  await second
  assert.equal(wal.durableIndex, 3)
  await wal.sync()
  assert.equal(syncs(), 2)
})

void test('D-24: a sync that fails is fatal, for those who wait and for everything afterwards', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  let failures = 1
  disk.injectFaults(({ operation }) =>
    operation === 'datasync' && failures-- > 0 ? { code: 'EIO' } : undefined,
  )
  wal.append(undefined, [entry(1)])
  const first = wal.sync()
  wal.append(undefined, [entry(2)])
  const second = wal.sync()
  const isFatal = isWalError('failed', /cannot sync/)
  await assert.rejects(first, isFatal)
  await assert.rejects(second, isFatal)
  const { bytesWritten } = wal
  assert.throws(() => wal.append(undefined, [entry(3)]), isFatal)
  await assert.rejects(wal.sync(), isFatal)
  assert.equal(wal.bytesWritten, bytesWritten)
  assert.equal(wal.durableIndex, 0)
  await wal.close()
})

for (const { operation, times } of [
  { operation: 'write', times: 5 },
  { operation: 'open', times: 3 },
  { operation: 'truncate', times: 1 },
  { operation: 'rename', times: 3 },
  { operation: 'syncDirectory', times: 3 },
  { operation: 'datasync', times: 5 },
] as const) {
  void test(`an error of ${operation} while segments are cut is fatal and loses nothing that was durable`, async () => {
    for (let at = 1; at <= times; at++) {
      const disk = new SimDisk()
      await Wal.create(disk, DIR, { metadata, segmentBytes: 2000 }).close()
      // The first segment is longer than this one wants it: it must be cut off.
      const { wal } = Wal.open(disk, DIR, START, { segmentBytes: 600 })
      let left = at
      disk.injectFaults((call) =>
        call.operation === operation && --left === 0 ? { code: 'EIO' } : undefined,
      )
      let durable = 0
      await assert.rejects(
        async () => {
          for (let index = 1; index < 100; index++) {
            wal.append({ term: 1, vote: 1n, commit: durable }, [entry(index, 1, 90)])
            await wal.sync()
            durable = index
          }
        },
        isWalError('failed', /cannot/),
      )
      await wal.close()
      assert.ok(Wal.open(disk.kill(), DIR, START).entries.length >= durable)
    }
  })
}

void test('D-25: a full disk stops the log; with room again it opens and goes on', async () => {
  const disk = new SimDisk({ capacityBytes: 700_000 })
  const wal = Wal.create(disk, DIR, { metadata })
  disk.writeFile('/other', new Uint8Array(200_000))
  let durable = 0
  await assert.rejects(
    async () => {
      for (let index = 1; ; index++) {
        wal.append({ term: 1, vote: 1n, commit: durable }, [entry(index, 1, 1000)])
        await wal.sync()
        durable = index
      }
    },
    isWalError('failed', /cannot write/),
  )
  assert.throws(() => wal.append(undefined, [entry(1)]), isWalError('failed', /cannot write/))
  await wal.close()

  const full = Wal.open(disk.kill(), DIR, START)
  assert.ok(full.entries.length >= durable, 'a full disk can still be read, and repaired')
  await full.wal.close()
  const next = disk.kill()
  next.unlink('/other')
  const { wal: again, entries: found } = Wal.open(next, DIR, START)
  again.append(undefined, [entry(found.length + 1)])
  await again.sync()
  await again.close()
  assert.equal(Wal.open(next, DIR, START).entries.length, found.length + 1)
})

void test('an unfinished log of an earlier start is made anew', async () => {
  for (let call = 1; ; call++) {
    const disk = new SimDisk()
    disk.crashAtCall(call)
    let isDone = false
    try {
      Wal.create(disk, DIR, { metadata })
      isDone = true
    } catch (error) {
      assert.ok(error instanceof WalError && error.reason === 'failed')
    }
    const next = disk.kill()
    if (!Wal.exists(next, DIR)) Wal.create(next, DIR, { metadata })
    assert.deepEqual(next.list('/data/member'), ['wal'])
    assert.equal(Wal.open(next, DIR, START).entries.length, 0)
    if (isDone) break
  }
})

void test('a second log is not made over the first', () => {
  const disk = new SimDisk()
  Wal.create(disk, DIR, { metadata })
  assert.throws(() => Wal.create(disk, DIR, { metadata }), isWalError('conflict', /holds a log already/))
})

void test('segments of two members are not read as one', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata, segmentBytes: 1000 })
  wal.append(undefined, entries(1, 10, 1, 200))
  await wal.close()
  const other = Wal.create(disk, '/other/wal', { metadata: Uint8Array.of(9, 9), segmentBytes: 1000 })
  other.append(undefined, entries(1, 10, 1, 200))
  await other.close()
  const [, second = ''] = disk.list(DIR)
  assert.equal(disk.list('/other/wal')[1], second)
  disk.writeFile(`${DIR}/${second}`, disk.readFile(`/other/wal/${second}`))
  assert.throws(() => Wal.open(disk, DIR, START), isWalError('damaged', new RegExp(`${second}: offset 0`)))
})

void test('what followed an entry that was replaced is gone, for a reader that starts behind it as well', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  wal.append({ term: 1, vote: 1n, commit: 3 }, entries(1, 6))
  wal.append({ term: 2, vote: 0n, commit: 3 }, [entry(4, 2)])
  await wal.sync()
  wal.append({ term: 2, vote: 0n, commit: 4 }, [], { index: 4, term: 2, confState: voters })
  await wal.close()
  const { entries: found, wal: again } = Wal.open(disk, DIR, { index: 4, term: 2 })
  assert.deepEqual(found, [])
  assert.equal(again.appendedIndex, 4)
})

void test('a snapshot received in place of other entries drops the log', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  wal.append({ term: 1, vote: 1n, commit: 2 }, entries(1, 6))
  await wal.sync()
  wal.append({ term: 3, vote: 0n, commit: 4 }, [], { index: 4, term: 3, confState: voters })
  await wal.sync()
  assert.deepEqual(Wal.open(disk, DIR, { index: 4, term: 3 }).entries, [])
  wal.append(undefined, entries(5, 5, 3))
  await wal.close()
  assert.equal(indexesOf(Wal.open(disk, DIR, { index: 4, term: 3 }).entries), '5/3')
  assert.throws(() => Wal.open(disk, DIR, START), isWalError('missing', /entry 5 follows entry 3/))
})

void test('a received snapshot that a crash made the log forget is not one to start from', async () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata, segmentBytes: 600 })
  wal.append({ term: 1, vote: 1n, commit: 2 }, entries(1, 2))
  await wal.sync()
  // As if the machine had lost power before the commit index that follows it was written.
  wal.append(undefined, [], { index: 8, term: 1, confState: voters })
  await wal.sync()
  assert.deepEqual(Wal.snapshotsIn(disk, DIR), [START])
  const again = Wal.open(disk.kill(), DIR, START, { segmentBytes: 600 })
  assert.equal(again.wal.appendedIndex, 2)
  for (let index = 3; index <= 12; index++) {
    again.wal.append({ term: 1, vote: 1n, commit: index - 1 }, [entry(index, 1, 100)])
    await again.wal.sync()
  }
  await again.wal.close()
  const next = disk.kill()
  assert.deepEqual(Wal.snapshotsIn(next, DIR), [START])
  assert.equal(Wal.open(next, DIR, START).entries.length, 12)
})
