import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { type Backend, importBbolt } from '@etcd-ts/backend'
import { type Clock, type Timer, systemClock } from '@etcd-ts/platform'
import { CompactionStopped } from './compaction.ts'
import type { LeaseIndex } from './lease-index.ts'
import { DamagedRowsError } from './restore.ts'
import type { MvccStore } from './store.ts'
import {
  TestStore,
  allKeys,
  bytes,
  deleteRequest,
  dump,
  putRequest,
  rangeRequest,
  refused,
  revisions,
} from './store-fixture.ts'

/** Exports a backend and imports it beside another one. @returns the path */
async function carry(from: Backend, to: TestStore): Promise<string> {
  const file = await from.exportBbolt()
  const chunks: Uint8Array[] = []
  for await (const chunk of file.chunks()) chunks.push(chunk)
  const source = join(dirname(to.path), 'received')
  writeFileSync(source, Buffer.concat(chunks))
  const target = join(dirname(to.path), '5.snap.db')
  await importBbolt({ source, target })
  return target
}

const valueOf = (store: MvccStore, key: string, revision = 0n): string | undefined => {
  const [kv] = store.range(rangeRequest(key, '', { revision })).kvs
  return kv === undefined ? undefined : Buffer.from(kv).toString('latin1')
}

const pairsOf = (store: MvccStore): string[] =>
  store.range(allKeys).kvs.map((kv) => Buffer.from(kv).toString('latin1'))

/** A clock on which nothing that asks for a pause goes on until it is told. */
class HeldClock implements Clock {
  readonly #waiting: (() => void)[] = []
  isHeld = false

  wallMs(): number {
    return systemClock.wallMs()
  }

  monotonicMs(): number {
    return systemClock.monotonicMs()
  }

  setTimer(delayMs: number, run: () => void): Timer {
    return systemClock.setTimer(delayMs, run)
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<boolean> {
    return systemClock.sleep(delayMs, signal)
  }

  soon(run: () => void): void {
    if (this.isHeld) this.#waiting.push(run)
    else systemClock.soon(run)
  }

  release(): void {
    for (const run of this.#waiting.splice(0)) systemClock.soon(run)
  }
}

/** A store with `count` keys of its own, beside one that has gone further. */
async function twoStores(
  context: Parameters<typeof TestStore.open>[0],
  count: number,
  options: Parameters<typeof TestStore.open>[1] = {},
): Promise<{ old: TestStore; next: TestStore }> {
  const old = await TestStore.open(context, options)
  const next = await TestStore.open(context)
  for (const { store } of [old, next]) {
    for (let i = 0; i < count; i++) store.put(putRequest(`k${i}`, 'first'))
  }
  for (let i = 0; i < count; i += 2) next.store.put(putRequest(`k${i}`, 'second'))
  next.store.deleteRange(deleteRequest('k1'))
  return { old, next }
}

void describe('rows that replace all others', () => {
  void test('the old ones are read until the new ones are there, all at once', async (context) => {
    const { old, next } = await twoStores(context, 5000)
    const path = await carry(next.backend, old)
    const { store } = old
    const before = store.revision
    let swaps = 0
    const installed = store.install(path, () => {
      swaps++
      assert.equal(store.revision, next.store.revision)
      assert.deepEqual(pairsOf(store), pairsOf(next.store))
      assert.deepEqual(dump(old.backend), dump(next.backend))
    })
    let readsBefore = 0
    while (swaps === 0) {
      assert.equal(store.revision, before)
      assert.match(valueOf(store, 'k0') ?? '', /first/)
      assert.match(valueOf(store, 'k1') ?? '', /first/)
      readsBefore++
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(readsBefore > 2, `${readsBefore} reads`)
    await installed
    assert.equal(swaps, 1)
    assert.match(valueOf(store, 'k0', 3n) ?? '', /first/)
    assert.equal(valueOf(store, 'k1'), undefined)
    assert.deepEqual(await store.hashKv(0n), await next.store.hashKv(0n))
    // Both go on alike, and so does what is found after a restart.
    for (const each of [store, next.store]) {
      each.put(putRequest('k1', 'again'))
      each.deleteRange(deleteRequest('k2', 'k3'))
    }
    assert.deepEqual(await store.hashKv(0n), await next.store.hashKv(0n))
    await old.reopen()
    assert.deepEqual(await old.store.hashKv(0n), await next.store.hashKv(0n))
    assert.equal(old.store.keyCount, next.store.keyCount)
  })

  void test('a compaction of the old rows ends, one of the new rows goes on, and who waited is told', async (context) => {
    const { old, next } = await twoStores(context, 3000, {
      compactionBatchRows: 500,
      compactionPauseMs: 60_000,
    })
    const { store } = old
    const waiting = store.compact(1000n) // stands still after its first batch
    const nextDone = next.store.compact(2000n)
    const path = await carry(next.backend, old) // scheduled there, not finished
    await nextDone
    await store.install(path, () => assert.equal(store.compactedRevision, 2000))
    assert.throws(() => store.compact(2000n), refused('compacted'))
    let isDone = false
    const settled = waiting.then(
      () => (isDone = true),
      (error: unknown) => error,
    )
    await systemClock.sleep(0)
    assert.equal(isDone, false)
    await store.close()
    assert.ok((await settled) instanceof CompactionStopped)
    await old.backend.close()
    const again = await TestStore.openAt(context, old.path)
    while (again.backend.get('meta', bytes('finishedCompactRev')) === undefined) await systemClock.sleep(1)
    assert.deepEqual(revisions(again.backend), revisions(next.backend))
    assert.deepEqual(await again.store.hashKv(0n), await next.store.hashKv(0n))
  })

  void test('who waited for a compaction is told when the new rows have been compacted', async (context) => {
    const { old, next } = await twoStores(context, 3000, { compactionBatchRows: 500 })
    const nextDone = next.store.compact(2000n)
    const path = await carry(next.backend, old)
    await nextDone
    const waiting = old.store.compact(1000n)
    await old.store.install(path)
    await waiting
    assert.deepEqual(revisions(old.backend), revisions(next.backend))
    assert.deepEqual(old.store.compactionHashes(), []) // it was interrupted
  })

  void test('a hash that is being taken is taken of the new rows', async (context) => {
    const clock = new HeldClock()
    const { old, next } = await twoStores(context, 5000, { clock })
    const path = await carry(next.backend, old)
    clock.isHeld = true
    const hashing = old.store.hashKv(0n)
    const compacted = old.store.hashKv(100n)
    await systemClock.sleep(1) // the first slice is done
    clock.isHeld = false
    await old.store.install(path)
    clock.release()
    assert.deepEqual(await hashing, await next.store.hashKv(0n))
    assert.deepEqual(await compacted, await next.store.hashKv(100n))
  })

  void test('keys are attached to the leases that are there after the change', async (context) => {
    const calls: string[] = []
    const known = new Set([1n])
    const leases: LeaseIndex = {
      has: (id) => known.has(id),
      attach: (id, key) => void calls.push(`attach ${id} ${Buffer.from(key).toString()}`),
      detach: (id, key) => void calls.push(`detach ${id} ${Buffer.from(key).toString()}`),
    }
    const old = await TestStore.open(context, { leases })
    const next = await TestStore.open(context, {
      leases: { ...leases, has: () => true, attach: () => undefined },
    })
    old.store.put(putRequest('a', '', { lease: 1n }))
    next.store.put(putRequest('b', '', { lease: 2n }))
    next.store.put(putRequest('c', '', { lease: 3n }))
    calls.length = 0
    await old.store.install(await carry(next.backend, old), () => {
      calls.push('swapped')
      known.clear()
      known.add(2n)
    })
    assert.deepEqual(calls, ['swapped', 'attach 2 b'])
    old.store.deleteRange(deleteRequest('b'))
    assert.equal(calls.at(-1), 'detach 2 b')
  })

  void test('rows that are none of a store replace nothing, and leave nothing behind', async (context) => {
    const { old, next } = await twoStores(context, 10)
    const before = dump(old.backend)
    next.backend.put('key', bytes('no revision'), bytes(''))
    const path = await carry(next.backend, old)
    await assert.rejects(old.store.install(path, assert.fail), DamagedRowsError)
    assert.deepEqual(dump(old.backend), before)
    old.store.put(putRequest('goes', 'on'))
    next.backend.delete('key', bytes('no revision'))
    await carry(next.backend, old)
    await old.store.install(path)
    assert.deepEqual(await old.store.hashKv(0n), await next.store.hashKv(0n))
    await assert.rejects(old.store.install(path)) // it has been moved
  })

  void test('a store that closes meanwhile keeps the old rows', async (context) => {
    const { old, next } = await twoStores(context, 5000)
    const path = await carry(next.backend, old)
    const expected = dump(old.backend)
    const refusedInstall = assert.rejects(old.store.install(path, assert.fail), refused('stopped'))
    await old.store.close()
    await refusedInstall
    await old.backend.close()
    const again = await TestStore.openAt(context, old.path)
    assert.deepEqual(dump(again.backend), expected)
    await again.store.install(path)
    assert.deepEqual(await again.store.hashKv(0n), await next.store.hashKv(0n))
  })
})

void describe('hashes of compactions', () => {
  void test('the latest ten are remembered, each for the history before it', async (context) => {
    const { store } = await TestStore.open(context)
    const expected: { revision: number; compactRevision: number }[] = []
    let previous = -1
    for (let i = 0; i < 12; i++) {
      store.put(putRequest(`k${i % 3}`, String(i)))
      const { revision } = store
      const hash = await store.hashKv(0n)
      await store.compact(BigInt(revision))
      if (i === 0) assert.deepEqual(store.compactionHashes(), [hash])
      expected.push({ revision, compactRevision: previous })
      previous = revision
    }
    const hashes = store.compactionHashes()
    assert.deepEqual(
      hashes.map(({ revision, compactRevision }) => ({ revision, compactRevision })),
      expected.slice(-10),
    )
    for (const hash of hashes) assert.deepEqual(await store.hashKv(BigInt(hash.revision)), hash)
  })

  void test('what a compaction did is told', async (context) => {
    const done: number[][] = []
    const { store } = await TestStore.open(context, {
      onCompacted: ({ revision, removedRows, indexPauseMs, tookMs }) => {
        assert.ok(indexPauseMs >= 0 && tookMs >= indexPauseMs)
        done.push([revision, removedRows])
      },
    })
    for (let i = 0; i < 10; i++) store.put(putRequest('k', String(i)))
    store.deleteRange(deleteRequest('k'))
    store.put(putRequest('l'))
    assert.equal(store.keyCount, 1)
    await store.compact(6n)
    await store.compact(13n)
    assert.deepEqual(done, [
      [6, 4],
      [13, 7],
    ])
  })
})
