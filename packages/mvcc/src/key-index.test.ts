import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '@etcd-ts/testkit'
import { KeyIndex } from './key-index.ts'
import { TOMBSTONE_BIT } from './revision-history.ts'
import { bytes } from './store-fixture.ts'

interface Revision {
  readonly main: number
  readonly sub: number
  readonly deleted: boolean
}

/** What the index knows, as plain lists. */
class NaiveIndex {
  readonly keys = new Map<string, Revision[]>()

  add(key: string, revision: Revision): void {
    const revisions = this.keys.get(key)
    if (revisions === undefined) this.keys.set(key, [revision])
    else revisions.push(revision)
  }

  newestAt(key: string, atMain: number): Revision | undefined {
    return this.keys.get(key)?.findLast(({ main }) => main <= atMain)
  }

  liveAt(from: string, to: string, atMain: number): [string, Revision][] {
    const found: [string, Revision][] = []
    for (const key of [...this.keys.keys()].sort()) {
      if (key < from || (to !== '\0' && key >= to)) continue
      const newest = this.newestAt(key, atMain)
      if (newest !== undefined && !newest.deleted) found.push([key, newest])
    }
    return found
  }

  compact(atMain: number): void {
    for (const [key, revisions] of this.keys) {
      const newest = this.newestAt(key, atMain)
      const kept = revisions.filter(
        (revision) =>
          revision.main > atMain || (revision === newest && (!revision.deleted || revision.main === atMain)),
      )
      if (kept.length === 0) this.keys.delete(key)
      else this.keys.set(key, kept)
    }
  }
}

/** Puts, deletes and compacts the same in both, and compares them over and over. */
class Pair {
  readonly index = new KeyIndex(new SeededRandom(3).bytes(8))
  readonly naive = new NaiveIndex()
  readonly #random: SeededRandom
  main = 1
  compacted = -1

  constructor(random: SeededRandom) {
    this.#random = random
  }

  put(key: string): void {
    this.main++
    const id = this.index.find(bytes(key)) || this.index.add(bytes(key))
    const isLive = this.index.table.isLive(id)
    const created = isLive ? this.index.createdOf(id) : this.main
    this.index.put(id, this.main, 0, created, isLive ? this.index.versionOf(id) + 1 : 1)
    this.naive.add(key, { main: this.main, sub: 0, deleted: false })
  }

  /** Deletes those of `keys` that exist, as one revision. */
  delete(keys: readonly string[]): void {
    this.main++
    let sub = 0
    for (const key of keys) {
      const id = this.index.find(bytes(key))
      const newest = this.naive.newestAt(key, Infinity)
      assert.equal(id !== 0 && this.index.table.isLive(id), newest !== undefined && !newest.deleted)
      if (newest === undefined || newest.deleted) continue
      this.index.tombstone(id, this.main, sub)
      this.naive.add(key, { main: this.main, sub: sub++, deleted: true })
    }
  }

  compact(atMain: number): void {
    this.compacted = atMain
    for (const [key, revisions] of this.naive.keys) {
      const id = this.index.find(bytes(key))
      const newest = this.naive.newestAt(key, atMain)
      for (const revision of revisions) {
        const survives =
          revision.main > atMain || (revision === newest && (!revision.deleted || revision.main === atMain))
        assert.equal(this.index.survives(id, revision.main, revision.sub, atMain), survives)
      }
    }
    for (let id = 1; id !== 0;) id = this.index.compact(id, 1 + this.#random.below(500), atMain)
    for (let place = this.index.tidy(0, 2); place !== 0;) place = this.index.tidy(place, 2)
    this.naive.compact(atMain)
  }

  check(from: string, to: string, atMain: number, limit: number): void {
    const expected = this.naive.liveAt(from, to, atMain)
    const { index } = this
    assert.equal(index.collect(bytes(from), bytes(to), atMain, limit), expected.length)
    const found = index.ids.map((id, i) => [
      Buffer.from(index.keyOf(id)).toString('latin1'),
      index.mains[i],
      index.subs[i],
    ])
    assert.deepEqual(
      found,
      expected.slice(0, limit).map(([key, { main, sub }]) => [key, main, sub]),
    )
  }

  checkAll(): void {
    this.check('', '\0', Infinity, Infinity)
    for (const key of this.naive.keys.keys()) assert.notEqual(this.index.find(bytes(key)), 0)
    this.checkKey([...this.naive.keys.keys()][this.#random.below(this.naive.keys.size || 1)] ?? 'none')
  }

  checkKey(key: string): void {
    const id = this.index.find(bytes(key))
    const revisions = this.naive.keys.get(key) ?? []
    assert.equal(id !== 0, revisions.length > 0)
    if (id === 0) return
    for (const main of new Set(
      revisions.flatMap((revision) => [revision.main - 1, revision.main, revision.main + 1]),
    )) {
      const expected = this.naive.newestAt(key, main)
      assert.equal(this.index.findAt(id, main), expected !== undefined)
      if (expected === undefined) continue
      const sub = expected.deleted ? expected.sub + TOMBSTONE_BIT : expected.sub
      assert.deepEqual([this.index.main, this.index.sub], [expected.main, sub])
    }
  }
}

for (const { name, keyOf } of [
  { name: 'numbered keys', keyOf: (i: number): string => `/registry/pods/${String(i).padStart(7, '0')}` },
  { name: 'short keys, many of them prefixes of others', keyOf: (i: number): string => i.toString(3) },
  {
    name: 'keys with zero bytes',
    keyOf: (i: number): string =>
      String.fromCharCode(...Buffer.from(i.toString(2), 'latin1').map((digit) => digit - 48)),
  },
  {
    name: 'long keys that differ early or late',
    keyOf: (i: number): string => `${i % 7}${'x'.repeat(600)}${i}`,
  },
]) {
  void test(`the index agrees with plain lists: ${name}`, () => {
    const random = new SeededRandom(11)
    const pair = new Pair(random)
    const keys = Array.from({ length: 3000 }, (_, i) => keyOf(i))
    for (let round = 0; round < 40; round++) {
      const base = random.below(keys.length)
      for (let i = 0; i < 300; i++)
        pair.put(random.chance(0.3) ? random.pick(keys) : keys[(base + i) % keys.length]!)
      const few = keys.filter(() => random.chance(0.002))
      pair.delete(few)
      if (round % 4 === 3) pair.delete(keys.slice(base, base + 700))
      for (let i = 0; i < 6; i++) {
        const [a, b] = [random.pick(keys), random.chance(0.2) ? '\0' : random.pick(keys)]
        const atMain = random.chance(0.5) ? Infinity : random.between(Math.max(1, pair.compacted), pair.main)
        pair.check(a, b, atMain, random.chance(0.3) ? Infinity : random.below(50))
        pair.checkKey(random.pick(keys))
      }
      if (round % 5 === 4) {
        pair.compact(random.between(Math.max(1, pair.compacted + 1), pair.main))
        pair.checkAll()
      }
    }
    pair.delete(keys)
    pair.compact(pair.main)
    pair.checkAll()
    pair.main++
    pair.compact(pair.main)
    assert.equal(pair.naive.keys.size, 0)
    pair.checkAll()
    pair.put(keys[0]!)
    pair.checkAll()
  })
}

void test('enough keys for several pages of leaves, added up, down and at random', () => {
  const random = new SeededRandom(5)
  for (const order of ['up', 'down', 'at random'] as const) {
    const index = new KeyIndex(random.bytes(8))
    const numbers = Array.from({ length: 60_000 }, (_, i) => i)
    if (order === 'down') numbers.reverse()
    if (order === 'at random') {
      for (let i = numbers.length - 1; i > 0; i--) {
        const j = random.below(i + 1)
        ;[numbers[i], numbers[j]] = [numbers[j]!, numbers[i]!]
      }
    }
    const key = (i: number): Uint8Array => bytes(`key ${String(i).padStart(6, '0')}`)
    numbers.forEach((i, at) => index.put(index.add(key(i)), at + 2, 0, at + 2, 1))
    assert.equal(index.collect(bytes(''), bytes('\0'), Infinity, 0), 60_000)
    for (let i = 0; i < 300; i++) {
      const from = random.below(60_000)
      const to = from + random.below(60_000 - from)
      assert.equal(index.collect(key(from), key(to), Infinity, 3), to - from)
      assert.deepEqual(
        index.ids.map((id) => Buffer.from(index.keyOf(id)).toString()),
        [from, from + 1, from + 2].filter((n) => n < to).map((n) => Buffer.from(key(n)).toString()),
      )
    }
    // All but every hundredth goes, and the rest is found as before.
    let main = 100_000
    for (let i = 0; i < 60_000; i++) if (i % 100 > 0) index.tombstone(index.find(key(i)), ++main, 0)
    for (let id = 1; id !== 0;) id = index.compact(id, 10_000, main + 1)
    for (let place = index.tidy(0, 5); place !== 0;) place = index.tidy(place, 5)
    assert.equal(index.collect(bytes(''), bytes('\0'), Infinity, Infinity), 600)
    assert.deepEqual(
      index.ids.map((id) => Buffer.from(index.keyOf(id)).toString()),
      Array.from({ length: 600 }, (_, i) => Buffer.from(key(i * 100)).toString()),
    )
  }
})

void test('memory of removed keys is given back or used again', () => {
  const index = new KeyIndex(new SeededRandom(1).bytes(8))
  let main = 1
  let most = 0
  for (let round = 0; round < 12; round++) {
    const keys = Array.from({ length: 5000 }, (_, i) =>
      bytes(`${round}/${i}/${'k'.repeat(100 + round * 10)}`),
    )
    for (const key of keys) index.put(index.add(key), ++main, 0, main, 1)
    for (const key of keys) index.tombstone(index.find(key), ++main, 0)
    for (let id = 1; id !== 0;) id = index.compact(id, 1000, main + 1)
    if (round === 3) most = index.byteLength
  }
  assert.ok(index.byteLength <= most * 1.5, `${index.byteLength} after ${most}`)
})

void test('a key with very many revisions is searched in few steps', () => {
  const index = new KeyIndex(new SeededRandom(1).bytes(8))
  const id = index.add(bytes('hot'))
  for (let main = 2; main <= 100_000; main++) index.put(id, main, main % 3, 2, main - 1)
  for (const at of [2, 3, 1024, 1025, 5000, 99_999, 100_000, 1e9]) {
    assert.ok(index.findAt(id, at))
    assert.equal(index.main, Math.min(at, 100_000))
    assert.equal(index.sub, index.main % 3)
  }
  assert.ok(!index.findAt(id, 1))
  const before = index.byteLength
  index.compact(1, 10, 99_990)
  assert.ok(!index.findAt(id, 99_989))
  for (let at = 99_990; at <= 100_000; at++) assert.ok(index.findAt(id, at) && index.main === at)
  // The freed blocks serve other keys.
  const other = index.add(bytes('other'))
  for (let main = 100_001; main <= 180_000; main++) index.put(other, main, 0, 100_001, main - 100_000)
  assert.ok(index.byteLength <= before, `${index.byteLength} after ${before}`)
})

void test('a key that one revision deletes and writes again', () => {
  const index = new KeyIndex(new SeededRandom(1).bytes(8))
  const id = index.add(bytes('a'))
  index.put(id, 2, 0, 2, 1)
  index.tombstone(id, 3, 0)
  index.put(id, 3, 1, 3, 1)
  const liveAt = (main: number): string | undefined =>
    index.findLiveAt(id, main) ? `${index.main}/${index.sub}` : undefined
  assert.deepEqual([1, 2, 3].map(liveAt), [undefined, '2/0', '3/1'])
  assert.ok(index.survives(id, 3, 1, 3) && !index.survives(id, 3, 0, 3) && !index.survives(id, 2, 0, 3))
  assert.ok(!index.isVisible(id, 3, 1, 3), 'as HashKV of etcd sees it')
  assert.ok(index.isVisible(id, 3, 1, 4))
  index.compact(1, 10, 3)
  assert.deepEqual([2, 3].map(liveAt), [undefined, '3/1'])
})
