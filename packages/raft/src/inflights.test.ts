import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Inflights } from './inflights.ts'
import { InvariantError } from './invariant.ts'
import { SimRandom } from './simulation/sim-random.ts'

void test('appends under way are bounded by their number', () => {
  const inflights = new Inflights(3, Infinity)
  for (const index of [1, 2, 3]) inflights.add(index, 10)
  assert.equal(inflights.isFull, true)
  assert.throws(() => inflights.add(4, 10), InvariantError)
  inflights.freeUpTo(2)
  assert.deepEqual([inflights.count, inflights.bytes, inflights.isFull], [1, 10, false])
})

void test('the append that crosses the bound on bytes is the last one let in', () => {
  const inflights = new Inflights(100, 25)
  inflights.add(1, 20)
  assert.equal(inflights.isFull, false)
  inflights.add(2, 20)
  assert.equal(inflights.isFull, true)
  inflights.freeUpTo(1)
  assert.equal(inflights.isFull, false)
})

void test('a ring is the same as a list', () => {
  const random = new SimRandom(7)
  const countMax = 13
  const inflights = new Inflights(countMax, Infinity)
  let list: { index: number; bytes: number }[] = []
  let index = 0
  for (let i = 0; i < 5_000; i++) {
    if (list.length < countMax && random.chance(60)) {
      index += random.between(1, 3)
      const bytes = random.below(100)
      list.push({ index, bytes })
      inflights.add(index, bytes)
    } else {
      const upTo = index - random.below(20)
      list = list.filter((one) => one.index > upTo)
      inflights.freeUpTo(upTo)
    }
    assert.equal(inflights.count, list.length)
    assert.equal(
      inflights.bytes,
      list.reduce((sum, { bytes }) => sum + bytes, 0),
    )
  }
})

void test('a copy goes its own way', () => {
  const inflights = new Inflights(2, Infinity)
  inflights.add(1, 1)
  const copy = inflights.copy()
  inflights.freeUpTo(1)
  assert.deepEqual([inflights.count, copy.count], [0, 1])
})
