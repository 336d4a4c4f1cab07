import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countWithin, entriesSize, entrySize, payloadsSize, varintSize } from './entry-size.ts'
import { type Entry, EntryType } from './messages.ts'

const entry = (term: number, index: number, length?: number): Entry => ({
  type: EntryType.EntryNormal,
  term,
  index,
  data: length === undefined ? undefined : new Uint8Array(length),
})

void test('a varint takes a byte for each seven bits', () => {
  for (const bits of [1, 7, 8, 14, 15, 21, 22, 28, 29, 35, 36, 42, 43, 49, 50, 53]) {
    assert.equal(varintSize(2 ** bits - 1), Math.ceil(bits / 7), `2^${bits} - 1`)
  }
  assert.equal(varintSize(0), 1)
})

for (const { name, entry: one, size } of [
  { name: 'an entry without data has its three scalars', entry: entry(1, 1), size: 6 },
  { name: 'no data and empty data are different things', entry: entry(1, 1, 0), size: 8 },
  { name: 'data brings its length and itself', entry: entry(200, 70_000, 300), size: 2 + 3 + 4 + 3 + 300 },
]) {
  void test(name, () => assert.equal(entrySize(one), size))
}

void test('sizes of several entries add up', () => {
  const entries = [entry(1, 1, 10), entry(1, 2), entry(1, 3, 5)]
  assert.equal(entriesSize(entries), 18 + 6 + 13)
  assert.equal(payloadsSize(entries), 15)
})

void test('a size limit cuts before the entry that crosses it, but never before the first', () => {
  const entries = [entry(1, 1, 10), entry(1, 2, 10), entry(1, 3, 10)]
  for (const [limit, count] of [
    [0, 1],
    [18, 1],
    [35, 1],
    [36, 2],
    [53, 2],
    [54, 3],
    [Infinity, 3],
  ] as const) {
    assert.equal(countWithin(entries, 0, 3, limit), count, `limit ${limit}`)
  }
  assert.equal(countWithin(entries, 1, 2, Infinity), 1)
  assert.equal(countWithin(entries, 2, 2, Infinity), 0)
})
