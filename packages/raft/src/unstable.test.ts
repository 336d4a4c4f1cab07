import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvariantError } from './invariant.ts'
import { type Entry, EntryType, emptySnapshot } from './messages.ts'
import { Unstable } from './unstable.ts'

const entries = (from: number, ...terms: number[]): Entry[] => {
  return terms.map((term, at) => ({ type: EntryType.EntryNormal, term, index: from + at, data: undefined }))
}

const unstableWith = (offset: number, ...terms: number[]): { unstable: Unstable; log: string[] } => {
  const log: string[] = []
  const unstable = new Unstable(offset, { info: (text) => void log.push(text) })
  if (terms.length > 0) unstable.truncateAndAppend(entries(offset, ...terms))
  return { unstable, log }
}

const describe = ({ offset, offsetInProgress, entries }: Unstable): string => {
  return `${offset}..${offsetInProgress}: ${entries.map(({ index, term }) => `${index}/${term}`).join(' ')}`
}

for (const { name, append, wanted, logged } of [
  { name: 'goes on at the end', append: entries(8, 3), wanted: '5..8: 5/1 6/1 7/2 8/3', logged: [] },
  {
    name: 'replaces the tail, which has to be written again',
    append: entries(6, 3, 3),
    wanted: '5..6: 5/1 6/3 7/3',
    logged: ['truncate the unstable entries before index 6'],
  },
  {
    name: 'replaces everything from the offset on',
    append: entries(5, 3),
    wanted: '5..5: 5/3',
    logged: ['replace the unstable entries from index 5'],
  },
  {
    name: 'replaces what is stable already',
    append: entries(3, 3, 3),
    wanted: '3..3: 3/3 4/3',
    logged: ['replace the unstable entries from index 3'],
  },
]) {
  void test(`an append ${name}`, () => {
    const { unstable, log } = unstableWith(5, 1, 1, 2)
    unstable.acceptInProgress()
    unstable.truncateAndAppend(append)
    assert.equal(describe(unstable), wanted)
    assert.deepEqual(log, logged)
  })
}

void test('an append must not leave a gap', () => {
  const { unstable } = unstableWith(5, 1)
  assert.throws(() => unstable.truncateAndAppend(entries(7, 1)), InvariantError)
})

void test('what was handed over is not handed over again, but stays until it is acknowledged', () => {
  const { unstable } = unstableWith(5, 1, 1)
  assert.equal(unstable.nextEntries().length, 2)
  unstable.acceptInProgress()
  assert.equal(unstable.hasNextEntries, false)
  unstable.truncateAndAppend(entries(7, 2))
  assert.deepEqual(unstable.nextEntries(), entries(7, 2))
  unstable.stableTo(6, 1)
  assert.equal(describe(unstable), '7..7: 7/2')
})

for (const { name, index, term, logged } of [
  {
    name: 'replaced meanwhile',
    index: 6,
    term: 9,
    logged: 'entry at (index,term)=(6,9) mismatched with entry at (6,1) in unstable log; ignoring',
  },
  {
    name: 'stable already',
    index: 3,
    term: 1,
    logged: 'entry at index 3 missing from unstable log; ignoring',
  },
  { name: 'never there', index: 9, term: 1, logged: 'entry at index 9 missing from unstable log; ignoring' },
]) {
  void test(`an acknowledgement of an entry that was ${name} does not count`, () => {
    const { unstable, log } = unstableWith(5, 1, 1)
    unstable.stableTo(index, term)
    assert.equal(describe(unstable), '5..5: 5/1 6/1')
    assert.deepEqual(log, [logged])
  })
}

void test('a snapshot replaces the entries and knows its own term', () => {
  const { unstable, log } = unstableWith(5, 1, 1)
  const snapshot = emptySnapshot()
  Object.assign(snapshot.metadata, { index: 9, term: 4 })
  unstable.restore(snapshot)
  assert.equal(describe(unstable), '10..10: ')
  assert.equal(unstable.lastIndex, 9)
  assert.deepEqual([unstable.term(9), unstable.term(8)], [4, undefined])
  unstable.stableTo(9, 4)
  assert.deepEqual(log, ['entry at index 9 matched unstable snapshot; ignoring'])
  assert.equal(unstable.nextSnapshot, snapshot)
  unstable.acceptInProgress()
  assert.equal(unstable.nextSnapshot, undefined)
  unstable.snapshotStableTo(8)
  assert.equal(unstable.snapshot, snapshot)
  unstable.snapshotStableTo(9)
  assert.equal(unstable.snapshot, undefined)
})
