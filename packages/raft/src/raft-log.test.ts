import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entriesSize } from './entry-size.ts'
import { InvariantError } from './invariant.ts'
import { MemoryStorage } from './memory-storage.ts'
import { type Entry, EntryType, NO_LIMIT } from './messages.ts'
import { RaftLog, TERM_UNKNOWN } from './raft-log.ts'

const entries = (from: number, ...terms: number[]): Entry[] => {
  return terms.map((term, at) => {
    return { type: EntryType.EntryNormal, term, index: from + at, data: new Uint8Array(10) }
  })
}

/** Entries 1 to `stable` are in storage, up to `last` unstable, all of term 1. */
const logWith = (stable: number, last: number, applyingSizeMax = NO_LIMIT): RaftLog => {
  const storage = new MemoryStorage()
  storage.append(entries(1, ...new Array<number>(stable).fill(1)))
  const log = new RaftLog(storage, {}, applyingSizeMax)
  log.append(entries(stable + 1, ...new Array<number>(last - stable).fill(1)))
  return log
}

const indexes = (list: readonly Entry[]): number[] => list.map(({ index }) => index)

for (const { name, prev, prevTerm, terms, commit, wanted, last, committed } of [
  {
    name: 'with another term before it is refused',
    prev: 3,
    prevTerm: 2,
    terms: [2],
    commit: 4,
    wanted: undefined,
    last: 6,
    committed: 2,
  },
  {
    name: 'after the end is refused',
    prev: 7,
    prevTerm: 1,
    terms: [1],
    commit: 8,
    wanted: undefined,
    last: 6,
    committed: 2,
  },
  {
    name: 'of known entries changes nothing but the commit index',
    prev: 2,
    prevTerm: 1,
    terms: [1, 1],
    commit: 9,
    wanted: 4,
    last: 6,
    committed: 4,
  },
  {
    name: 'of another term replaces what follows',
    prev: 3,
    prevTerm: 1,
    terms: [1, 2],
    commit: 3,
    wanted: 5,
    last: 5,
    committed: 3,
  },
  {
    name: 'goes on where the log ends',
    prev: 6,
    prevTerm: 1,
    terms: [2, 2],
    commit: 99,
    wanted: 8,
    last: 8,
    committed: 8,
  },
  {
    name: 'without entries moves the commit index up to the entry before it',
    prev: 4,
    prevTerm: 1,
    terms: [],
    commit: 6,
    wanted: 4,
    last: 6,
    committed: 4,
  },
]) {
  void test(`an append ${name}`, () => {
    const log = logWith(3, 6)
    log.commitTo(2)
    assert.equal(log.maybeAppend(prev, prevTerm, entries(prev + 1, ...terms), commit), wanted)
    assert.deepEqual([log.lastIndex, log.committed], [last, committed])
  })
}

void test('a leader that contradicts what is committed is not believed', () => {
  const log = logWith(3, 6)
  log.commitTo(5)
  assert.throws(() => log.maybeAppend(3, 1, entries(4, 2), 5), /entry 4 conflict with committed entry/)
})

void test('a commit index never falls, and never passes the end', () => {
  const log = logWith(3, 6)
  log.commitTo(4)
  log.commitTo(2)
  assert.equal(log.committed, 4)
  assert.throws(() => log.commitTo(7), InvariantError)
})

void test('terms are known from the snapshot on to the end', () => {
  const storage = new MemoryStorage()
  storage.append(entries(1, 1, 1, 2, 2))
  storage.compact(2)
  const log = new RaftLog(storage, {})
  log.append(entries(5, 3))
  assert.deepEqual(
    [0, 1, 2, 3, 5, 6].map((index) => log.term(index)),
    [TERM_UNKNOWN, TERM_UNKNOWN, 1, 2, 3, TERM_UNKNOWN],
  )
})

for (const { index, term, wanted } of [
  { index: 9, term: 9, wanted: { index: 9, term: 0 } },
  { index: 7, term: 5, wanted: { index: 7, term: 5 } },
  { index: 7, term: 4, wanted: { index: 5, term: 3 } },
  { index: 7, term: 2, wanted: { index: 2, term: 2 } },
  { index: 7, term: 1, wanted: { index: 0, term: 0 } },
  { index: 0, term: 1, wanted: { index: 0, term: 0 } },
]) {
  void test(`a log that has term ${term} at ${index} can agree up to ${wanted.index}`, () => {
    const storage = new MemoryStorage()
    storage.append(entries(1, 2, 2, 3, 3, 3, 5, 5, 5))
    assert.deepEqual(new RaftLog(storage, {}).findConflictByTerm(index, term), wanted)
  })
}

void test('entries are read across the end of storage, as far as the size goes', () => {
  const log = logWith(3, 6)
  const size = entriesSize(entries(1, 1))
  for (const { sizeMax, wanted } of [
    { sizeMax: 0, wanted: [2] },
    { sizeMax: 2 * size - 1, wanted: [2] },
    { sizeMax: 2 * size, wanted: [2, 3] },
    { sizeMax: 3 * size - 1, wanted: [2, 3] },
    { sizeMax: 3 * size, wanted: [2, 3, 4] },
    { sizeMax: NO_LIMIT, wanted: [2, 3, 4, 5, 6] },
  ]) {
    assert.deepEqual(indexes(log.entries(2, sizeMax)), wanted, `up to ${sizeMax} bytes`)
  }
  assert.deepEqual(indexes(log.entries(5, size)), [5])
  assert.deepEqual(log.entries(7, NO_LIMIT), [])
  assert.throws(() => log.slice(4, 8, NO_LIMIT), InvariantError)
})

void test('only what is on disk is applied, unless that may wait', () => {
  const log = logWith(3, 6)
  log.commitTo(5)
  assert.deepEqual(indexes(log.nextCommitted(false)), [1, 2, 3])
  assert.deepEqual(indexes(log.nextCommitted(true)), [1, 2, 3, 4, 5])
})

void test('what is handed over to be applied is bounded until it is acknowledged', () => {
  const size = entriesSize(entries(1, 1))
  const log = logWith(6, 6, 2 * size)
  log.commitTo(6)
  const first = log.nextCommitted(false)
  assert.deepEqual(indexes(first), [1, 2])
  log.acceptApplying(2, entriesSize(first), false)
  assert.equal(log.hasNextCommitted(false), false)
  assert.deepEqual(log.nextCommitted(false), [])
  log.appliedTo(1, size)
  assert.deepEqual(indexes(log.nextCommitted(false)), [3])
  assert.throws(() => log.appliedTo(0, 0), InvariantError)
  assert.throws(() => log.appliedTo(7, 0), InvariantError)
})

void test('a change of members is found wherever it is among what is not applied', () => {
  const log = logWith(3, 6, 1)
  log.append([{ type: EntryType.EntryConfChange, term: 1, index: 7, data: undefined }])
  log.commitTo(6)
  assert.equal(log.hasUnappliedConfChange(), false)
  log.commitTo(7)
  assert.equal(log.hasUnappliedConfChange(), true)
  log.appliedTo(7, 0)
  assert.equal(log.hasUnappliedConfChange(), false)
})
