import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from './seeded-random.ts'

void test('one seed gives one sequence, on every machine', () => {
  const random = new SeededRandom(42)
  const first = [
    random.uint32(),
    random.below(100),
    random.between(5, 7),
    random.chance(0.5),
    [...random.bytes(3)],
  ]
  assert.deepEqual(first, [271658881, 47, 7, false, [133, 242, 59]])
})

void test('different seeds give different sequences', () => {
  const outputs = new Set(Array.from({ length: 1000 }, (_, seed) => new SeededRandom(seed).uint32()))
  assert.ok(outputs.size > 995)
})

void test('below covers its range evenly', () => {
  const random = new SeededRandom(1)
  const counts = new Array<number>(10).fill(0)
  for (let i = 0; i < 10_000; i++) counts[random.below(10)]! += 1
  for (const count of counts) assert.ok(count > 850 && count < 1150, String(counts))
})

void test('weighted follows the weights and never takes a weight of 0', () => {
  const random = new SeededRandom(2)
  const counts = { a: 0, b: 0, never: 0 }
  for (let i = 0; i < 4000; i++) {
    counts[
      random.weighted([
        [3, 'a'],
        [1, 'b'],
        [0, 'never'],
      ] as const)
    ] += 1
  }
  assert.equal(counts.never, 0)
  assert.ok(counts.a > 2.5 * counts.b && counts.a < 3.5 * counts.b)
})

void test('a fork does not follow its parent', () => {
  const parent = new SeededRandom(3)
  const child = parent.fork()
  assert.notDeepEqual(Array.from({ length: 4 }, () => parent.uint32()), Array.from({ length: 4 }, () => child.uint32())) // prettier-ignore
})
