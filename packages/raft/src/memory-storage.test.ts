import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvariantError } from './invariant.ts'
import { MemoryStorage, StorageError } from './memory-storage.ts'
import { type Entry, EntryType, NO_LIMIT, type Snapshot, emptyConfState } from './messages.ts'
import { SimRandom } from './simulation/sim-random.ts'

const entries = (from: number, count: number, term: number): Entry[] => {
  return Array.from({ length: count }, (_, at) => {
    return { type: EntryType.EntryNormal, term, index: from + at, data: undefined }
  })
}

const snapshotAt = (index: number, term: number): Snapshot => {
  return { data: undefined, metadata: { index, term, confState: { ...emptyConfState(), voters: [1n] } } }
}

const storageWith = (count: number): MemoryStorage => {
  const storage = new MemoryStorage()
  storage.append(entries(1, count, 1))
  return storage
}

const hasReason = (reason: StorageError['reason']) => (error: unknown) => {
  return error instanceof StorageError && error.reason === reason
}

void test('an empty log ends before index 1, with term 0', () => {
  const storage = new MemoryStorage()
  assert.deepEqual([storage.firstIndex(), storage.lastIndex(), storage.term(0)], [1, 0, 0])
})

void test('an append replaces what is there from its first index on', () => {
  const storage = storageWith(5)
  storage.append(entries(3, 2, 2))
  assert.equal(storage.lastIndex(), 4)
  assert.deepEqual(
    storage.entries(1, 5, NO_LIMIT).map(({ term }) => term),
    [1, 1, 2, 2],
  )
  assert.throws(() => storage.append(entries(6, 1, 2)), InvariantError)
})

void test('an append skips what is compacted', () => {
  const storage = storageWith(5)
  storage.compact(4)
  storage.append(entries(3, 4, 2))
  assert.deepEqual([storage.firstIndex(), storage.lastIndex(), storage.term(5)], [5, 6, 2])
  storage.append(entries(1, 2, 2))
  assert.equal(storage.lastIndex(), 6)
})

void test('a compacted entry is gone, but the term of the last one is not', () => {
  const storage = storageWith(10)
  storage.compact(6)
  assert.deepEqual([storage.firstIndex(), storage.term(6)], [7, 1])
  assert.throws(() => storage.term(5), hasReason('compacted'))
  assert.throws(() => storage.term(11), hasReason('unavailable'))
  assert.throws(() => storage.entries(6, 8, NO_LIMIT), hasReason('compacted'))
  assert.throws(() => storage.entries(7, 12, NO_LIMIT), InvariantError)
  assert.throws(() => storage.compact(6), hasReason('compacted'))
  assert.throws(() => storage.compact(11), InvariantError)
})

void test('a snapshot that is installed replaces the log', () => {
  const storage = storageWith(10)
  storage.applySnapshot(snapshotAt(20, 3))
  assert.deepEqual([storage.firstIndex(), storage.lastIndex(), storage.term(20)], [21, 20, 3])
  assert.deepEqual(storage.initialState().confState.voters, [1n])
  assert.throws(() => storage.applySnapshot(snapshotAt(20, 3)), hasReason('snapshotOutOfDate'))
})

void test('a snapshot that is made keeps the log', () => {
  const storage = storageWith(10)
  const state = { ...emptyConfState(), voters: [1n, 2n] }
  const made = storage.createSnapshot(7, state, Uint8Array.of(1))
  assert.deepEqual(made.metadata, { index: 7, term: 1, confState: state })
  assert.equal(storage.firstIndex(), 1)
  assert.equal(storage.createSnapshot(8, undefined, undefined).metadata.confState, state)
  assert.throws(() => storage.createSnapshot(8, state, undefined), hasReason('snapshotOutOfDate'))
  assert.throws(() => storage.createSnapshot(11, state, undefined), InvariantError)
})

void test('however it is appended to and compacted, the log is a list with its beginning cut off', () => {
  const random = new SimRandom(11)
  const storage = new MemoryStorage()
  let list: Entry[] = []
  let first = 1
  for (let i = 0; i < 5_000; i++) {
    const last = first + list.length - 1
    if (random.chance(60) || list.length < 2) {
      const from = random.between(Math.max(first, last - 3), last + 1)
      const added = entries(from, random.between(1, 5), i)
      list = [...list.slice(0, from - first), ...added]
      storage.append(added)
    } else {
      const index = random.between(first, last - 1)
      list = list.slice(index + 1 - first)
      first = index + 1
      storage.compact(index)
    }
    assert.deepEqual([storage.firstIndex(), storage.lastIndex()], [first, first + list.length - 1])
    assert.deepEqual(storage.entries(first, first + list.length, NO_LIMIT), list)
  }
})
