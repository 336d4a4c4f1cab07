import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { etcdserverpb, mvccpb } from '@etcd-ts/api'
import { crc32c, systemClock } from '@etcd-ts/platform'
import { type Scope, SeededRandom } from '@etcd-ts/testkit'
import { checkTxn } from './checks.ts'
import type { LeaseIndex } from './lease-index.ts'
import { DamagedRowsError } from './restore.ts'
import type { Change } from './results.ts'
import { revisionKey } from './revision-key.ts'
import { MvccStore } from './store.ts'
import {
  TestStore,
  allKeys,
  bytes,
  deleteOp,
  deleteRequest,
  dump,
  putOp,
  putRequest,
  rangeOp,
  rangeRequest,
  refused,
  revisions,
  txnOp,
  txnRequest,
} from './store-fixture.ts'

const text = (part: Uint8Array): string => Buffer.from(part).toString('latin1')
const pairs = (kvs: readonly Uint8Array[]): string[] =>
  kvs.map((kv) => {
    const { key, value, modRevision } = mvccpb.KeyValue.decode(kv)
    return `${text(key)}=${text(value)}@${modRevision}`
  })

/** The history of the worked examples of etcd's HashKV. */
async function workedExample(scope: Scope): Promise<TestStore> {
  const opened = await TestStore.open(scope)
  const { store } = opened
  store.put(putRequest('a', '1'))
  store.put(putRequest('b', '1'))
  store.deleteRange(deleteRequest('a'))
  store.put(putRequest('b', '2'))
  store.put(putRequest('c', '3'))
  const compacted = store.compact(4n)
  store.put(putRequest('d', '4'))
  store.deleteRange(deleteRequest('d'))
  store.put(putRequest('d', '5'))
  store.deleteRange(deleteRequest('b'))
  store.put(putRequest('b', '7'))
  await compacted
  return opened
}

void describe('HashKV', () => {
  void test('the worked examples, before and after opening again', async (context) => {
    const opened = await workedExample(context)
    const check = async (): Promise<void> => {
      for (const { revision, hash } of [
        { revision: 0, hash: 4_286_759_638 },
        { revision: 11, hash: 4_286_759_638 },
        { revision: 5, hash: 3_987_575_667 },
        { revision: 8, hash: 1_717_623_761 },
        { revision: 9, hash: 36_410_357 },
      ]) {
        const expected = { hash, revision: revision || 11, compactRevision: 4 }
        assert.deepEqual(await opened.store.hashKv(BigInt(revision)), expected)
      }
    }
    await check()
    // The compaction remembers what it hashed: the history before it, with the compaction revision of then.
    assert.deepEqual(await opened.store.hashKv(4n), { hash: 3_105_699_308, revision: 4, compactRevision: -1 })
    await opened.reopen()
    await check()
    assert.equal((await opened.store.hashKv(4n)).compactRevision, 4)
  })

  void test('revisions that have no hash', async (context) => {
    const { store } = await workedExample(context)
    await assert.rejects(store.hashKv(3n), refused('compacted'))
    await assert.rejects(store.hashKv(12n), refused('futureRevision'))
    // A negative one is neither, and covers no row: the CRC of the bucket's name.
    assert.equal((await store.hashKv(-5n)).hash, crc32c(bytes('key')))
  })

  void test('the ten newest compactions are remembered', async (context) => {
    const { store } = await TestStore.open(context)
    for (let i = 0; i < 14; i++) store.put(putRequest('a', String(i)))
    for (let revision = 2; revision <= 14; revision++) await store.compact(BigInt(revision))
    for (let revision = 2; revision <= 14; revision++) {
      if (revision < 5) await assert.rejects(store.hashKv(BigInt(revision)), refused('compacted'))
      else
        assert.equal(
          (await store.hashKv(BigInt(revision))).compactRevision,
          revision === 2 ? -1 : revision - 1,
        )
    }
  })

  void test('writes go on while a long history is hashed', async (context) => {
    const { store } = await TestStore.open(context)
    for (let i = 0; i < 10_000; i++) store.put(putRequest(`key ${i}`, 'v'))
    const before = await store.hashKv(0n)
    const hashing = store.hashKv(0n)
    let written = 0
    const write = setInterval(() => {
      store.put(putRequest('other', String(written++)))
    }, 0)
    const again = await hashing
    clearInterval(write)
    assert.equal(again.hash, before.hash)
    assert.equal(again.revision, 10_001)
  })

  void test('a compaction that is asked for meanwhile does not change the hash', async (context) => {
    const { store } = await TestStore.open(context)
    for (let i = 0; i < 6000; i++) store.put(putRequest(`key ${i % 1000}`, String(i)))
    const alone = await store.hashKv(3000n)
    const hashing = store.hashKv(3000n)
    await systemClock.sleep(0)
    const compacted = store.compact(5000n)
    assert.deepEqual(await hashing, alone)
    await compacted
    await assert.rejects(store.hashKv(3000n), refused('compacted'))
  })
})

void test('the hash of the whole backend leaves out what tells of the log', async (context) => {
  const { store, backend } = await TestStore.open(context)
  store.put(putRequest('a', '1'))
  const before = await store.hash()
  backend.put('meta', bytes('consistent_index'), bytes('12345678'))
  backend.put('meta', bytes('term'), bytes('12345678'))
  assert.equal(await store.hash(), before)
  backend.put('meta', bytes('confState'), bytes('{}'))
  assert.notEqual(await store.hash(), before)
})

void describe('txn shapes (D-06)', () => {
  const put = (key: string): etcdserverpb.RequestOp => putOp(putRequest(key, 'v'))
  const puts = (count: number, from = 0): etcdserverpb.RequestOp[] =>
    Array.from({ length: count }, (_, i) => put(`k${from + i}`))
  const nested = (
    success: etcdserverpb.RequestOp[],
    failure: etcdserverpb.RequestOp[] = [],
  ): etcdserverpb.RequestOp => txnOp(txnRequest(success, failure))
  for (const { name, txn, reason } of [
    { name: '128 operations', txn: txnRequest(puts(128)), reason: undefined },
    { name: '129 operations', txn: txnRequest(puts(129)), reason: 'tooManyOps' },
    { name: '129 in the other branch', txn: txnRequest([], puts(129)), reason: 'tooManyOps' },
    { name: '127 and one nested', txn: txnRequest([...puts(126), nested([put('x')])]), reason: undefined },
    {
      name: '127 and two nested',
      txn: txnRequest([...puts(126), nested([put('x'), put('y')])]),
      reason: 'tooManyOps',
    },
    { name: 'one key put twice', txn: txnRequest([put('a'), put('a')]), reason: 'duplicateKey' },
    {
      name: 'one key put in parent and child',
      txn: txnRequest([put('a'), nested([put('a')])]),
      reason: 'duplicateKey',
    },
    {
      name: 'one key put in both branches of a child',
      txn: txnRequest([nested([put('a')], [put('a')])]),
      reason: undefined,
    },
    {
      name: 'the same in two children',
      txn: txnRequest([nested([put('a')]), nested([], [put('a')])]),
      reason: 'duplicateKey',
    },
    {
      name: 'one key in both branches of the txn',
      txn: txnRequest([put('a')], [put('a')]),
      reason: undefined,
    },
    {
      name: 'put in a deleted range',
      txn: txnRequest([deleteOp(deleteRequest('a', 'c')), put('b')]),
      reason: 'duplicateKey',
    },
    {
      name: 'put of a deleted key',
      txn: txnRequest([put('b'), deleteOp(deleteRequest('b'))]),
      reason: 'duplicateKey',
    },
    {
      name: 'put beside a deleted range',
      txn: txnRequest([deleteOp(deleteRequest('a', 'c')), put('c')]),
      reason: undefined,
    },
    {
      name: 'put in a range deleted to the open end',
      txn: txnRequest([deleteOp(deleteRequest('a', '\0')), put('b')]),
      reason: undefined,
    },
    {
      name: 'put in a range deleted by a child',
      txn: txnRequest([put('b'), nested([deleteOp(deleteRequest('a', 'c'))])]),
      reason: 'duplicateKey',
    },
    {
      name: 'child puts what the parent deletes',
      txn: txnRequest([nested([put('b')]), deleteOp(deleteRequest('a', 'c'))]),
      reason: 'duplicateKey',
    },
    {
      name: 'deletions that overlap',
      txn: txnRequest([deleteOp(deleteRequest('a', 'c')), deleteOp(deleteRequest('b'))]),
      reason: undefined,
    },
    { name: 'empty key', txn: txnRequest([put('')]), reason: 'emptyKey' },
    {
      name: 'empty key in a compare',
      txn: txnRequest([], [], [etcdserverpb.Compare.create({})]),
      reason: 'emptyKey',
    },
    { name: 'empty operation', txn: txnRequest([{ request: undefined }]), reason: 'keyNotFound' },
    {
      name: 'value and ignore_value',
      txn: txnRequest([putOp(putRequest('a', 'v', { ignoreValue: true }))]),
      reason: 'valueProvided',
    },
    {
      name: 'lease and ignore_lease',
      txn: txnRequest([putOp(putRequest('a', '', { ignoreLease: true, lease: 1n }))]),
      reason: 'leaseProvided',
    },
    {
      name: 'unknown sort order',
      txn: txnRequest([rangeOp({ ...rangeRequest('a'), sortOrder: 3 as 0 })]),
      reason: 'invalidSortOption',
    },
    {
      name: 'unknown sort target',
      txn: txnRequest([rangeOp({ ...rangeRequest('a'), sortTarget: 5 as 0 })]),
      reason: 'invalidSortOption',
    },
    { name: 'shape before overlap', txn: txnRequest([put('a'), put('a'), put('')]), reason: 'emptyKey' },
  ] as const) {
    void test(`${name}: ${reason ?? 'accepted'}`, () => {
      const check = (): void => checkTxn(txn, 128)
      if (reason === undefined) check()
      else assert.throws(check, refused(reason))
    })
  }
})

void describe('txns that fail change nothing (D-07)', () => {
  const puts = [1, 2, 3, 4].map((i) => putOp(putRequest(`k${i}`, 'new')))
  const unknownLease = putOp(putRequest('k5', 'new', { lease: 99n }))
  const missing = putOp(putRequest('k9', '', { ignoreValue: true }))
  const deletes = [1, 2, 3, 4].map((i) => deleteOp(deleteRequest(`d${i}`)))
  for (const { name, txn, reason } of [
    {
      name: 'the last of five puts has an unknown lease',
      txn: txnRequest([...puts, unknownLease]),
      reason: 'leaseNotFound',
    },
    {
      name: 'so has one that is nested',
      txn: txnRequest([...puts, txnOp(txnRequest([unknownLease]))]),
      reason: 'leaseNotFound',
    },
    {
      name: 'with deletions before',
      txn: txnRequest([...deletes, ...puts, unknownLease]),
      reason: 'leaseNotFound',
    },
    { name: 'a value to keep is not there', txn: txnRequest([...puts, missing]), reason: 'keyNotFound' },
    {
      name: 'a key to be kept is put by the same txn',
      txn: txnRequest([putOp(putRequest('k9', 'v')), txnOp(txnRequest([missing]))]),
      reason: 'keyNotFound',
    },
    {
      name: 'a value to keep has just been deleted',
      txn: txnRequest([
        ...puts,
        deleteOp(deleteRequest('d', '\0')),
        putOp(putRequest('d1', '', { ignoreValue: true })),
      ]),
      reason: 'keyNotFound',
    },
    {
      name: 'a nested range in the future',
      txn: txnRequest([...puts, txnOp(txnRequest([rangeOp(rangeRequest('a', '', { revision: 99n }))]))]),
      reason: 'futureRevision',
    },
    {
      name: 'a nested range that is compacted',
      txn: txnRequest([...puts, txnOp(txnRequest([rangeOp(rangeRequest('a', '', { revision: 1n }))]))]),
      reason: 'compacted',
    },
    {
      name: 'a range with a negative revision, after a compaction',
      txn: txnRequest([...puts, txnOp(txnRequest([rangeOp(rangeRequest('a', '', { revision: -1n }))]))]),
      reason: 'compacted',
    },
  ] as const) {
    void test(name, async (context) => {
      const opened = await TestStore.open(context)
      for (let i = 1; i <= 4; i++) opened.store.put(putRequest(`d${i}`, 'old'))
      await opened.store.compact(2n)
      const changes: Change[] = []
      opened.store.setChangeListener((_, made) => changes.push(...made))
      const before = dump(opened.backend)
      const { revision } = opened.store
      assert.throws(() => opened.store.txn(txn), refused(reason))
      assert.deepEqual([opened.store.revision, changes.length], [revision, 0])
      assert.deepEqual(dump(opened.backend), before)
      assert.deepEqual(pairs(opened.store.range(allKeys).kvs), [
        'd1=old@2',
        'd2=old@3',
        'd3=old@4',
        'd4=old@5',
      ])
    })
  }
})

void describe('a txn that writes and reads at a revision that it cannot read (D-08)', () => {
  for (const { name, revision, reason } of [
    { name: 'compacted', revision: 2n, reason: 'compacted' },
    { name: 'future', revision: 99n, reason: 'futureRevision' },
  ] as const) {
    void test(`${name}: refused before it is proposed; in the log it applies on every member alike`, async (context) => {
      const { store } = await TestStore.open(context)
      for (let i = 0; i < 5; i++) store.put(putRequest('a', String(i)))
      await store.compact(4n)
      const txn = txnRequest([
        putOp(putRequest('b', 'v')),
        rangeOp(rangeRequest('a', '', { revision })),
        putOp(putRequest('c', 'v')),
      ])
      assert.throws(() => store.checkTxnRevisions(txn), refused(reason))
      assert.equal(store.revision, 6)
      assert.throws(() => store.txn(txn), refused(reason))
      assert.equal(store.revision, 7)
      assert.deepEqual(pairs(store.range(allKeys).kvs), ['a=4@6', 'b=v@7', 'c=v@7'])
      // Read-only, it never gets into the log and may fail as a whole.
      assert.throws(
        () => store.txn(txnRequest([rangeOp(rangeRequest('a', '', { revision }))])),
        refused(reason),
      )
    })
  }

  void test('the branch that is not taken does not matter, nor a txn that fails before', async (context) => {
    const { store } = await TestStore.open(context)
    const range = rangeOp(rangeRequest('a', '', { revision: 99n }))
    const never = etcdserverpb.Compare.create({ key: bytes('x'), target: 2, result: 1 })
    store.checkTxnRevisions(txnRequest([range], [putOp(putRequest('a'))], [never]))
    store.checkTxnRevisions(txnRequest([range, putOp(putRequest('a', '', { lease: 5n }))]))
  })
})

void describe('leases', () => {
  class Leases implements LeaseIndex {
    readonly known = new Set([1n, 2n])
    readonly calls: string[] = []
    has(leaseId: bigint): boolean {
      return this.known.has(leaseId)
    }
    attach(leaseId: bigint, key: Uint8Array): void {
      this.calls.push(`attach ${leaseId} ${text(key)}`)
    }
    detach(leaseId: bigint, key: Uint8Array): void {
      this.calls.push(`detach ${leaseId} ${text(key)}`)
    }
    take(): string[] {
      return this.calls.splice(0)
    }
  }

  void test('the lessor is told in the order in which things happen', async (context) => {
    const leases = new Leases()
    const { store } = await TestStore.open(context, { leases })
    store.put(putRequest('a', '1', { lease: 1n }))
    assert.deepEqual(leases.take(), ['attach 1 a'])
    store.put(putRequest('a', '2', { lease: 2n }))
    assert.deepEqual(leases.take(), ['detach 1 a', 'attach 2 a'])
    store.put(putRequest('a', '3', { ignoreLease: true }))
    assert.deepEqual(leases.take(), ['detach 2 a', 'attach 2 a'])
    store.put(putRequest('a', '4'))
    assert.deepEqual(leases.take(), ['detach 2 a'])
    store.put(putRequest('a', '5', { lease: 1n }))
    store.put(putRequest('b', '5', { lease: 1n }))
    leases.take()
    store.txn(txnRequest([deleteOp(deleteRequest('a', 'c')), putOp(putRequest('c', '6', { lease: 2n }))]))
    assert.deepEqual(leases.take(), ['detach 1 a', 'detach 1 b', 'attach 2 c'])
    assert.throws(() => store.put(putRequest('d', '', { lease: 3n })), refused('leaseNotFound'))
    assert.deepEqual(leases.take(), [])
  })

  void test('after opening, each key hangs on the lease of its newest row, if that exists', async (context) => {
    const leases = new Leases()
    const opened = await TestStore.open(context, { leases })
    opened.store.put(putRequest('a', '', { lease: 1n }))
    opened.store.put(putRequest('b', '', { lease: 1n }))
    opened.store.put(putRequest('b', '', { lease: 2n }))
    opened.store.put(putRequest('c', '', { lease: 2n }))
    opened.store.put(putRequest('c', ''))
    opened.store.put(putRequest('d', '', { lease: 2n }))
    opened.store.deleteRange(deleteRequest('d'))
    leases.take()
    leases.known.delete(2n)
    await opened.reopen()
    assert.deepEqual(leases.take(), ['attach 1 a'])
    opened.store.put(putRequest('b', '1'))
    assert.deepEqual(leases.take(), [], 'there is nothing to take b off')
  })

  void test('lease ids are exact', async (context) => {
    const leases = new Leases()
    const ids = [9_007_199_254_740_993n, -1n, 0x7fff_ffff_ffff_ffffn, -0x8000_0000_0000_0000n]
    for (const id of ids) leases.known.add(id)
    const opened = await TestStore.open(context, { leases })
    for (const id of ids) {
      opened.store.put(putRequest('a', '', { lease: id }))
      assert.equal(mvccpb.KeyValue.decode(opened.store.range(rangeRequest('a')).kvs[0]!).lease, id)
      assert.equal(leases.take().at(-1), `attach ${id} a`)
      await opened.reopen()
      assert.deepEqual(leases.take(), [`attach ${id} a`])
    }
  })

  void test('revoking deletes what hangs on the lease, as one revision in the given order', async (context) => {
    const leases = new Leases()
    const opened = await TestStore.open(context, { leases })
    for (const key of ['a', 'b', 'c']) opened.store.put(putRequest(key, '', { lease: 1n }))
    leases.take()
    opened.store.deleteKeys([bytes('b'), bytes('c'), bytes('never there')])
    assert.deepEqual(leases.take(), ['detach 1 b', 'detach 1 c'])
    assert.deepEqual(revisions(opened.backend).slice(-2), ['5/0t', '5/1t'])
    opened.store.deleteKeys([bytes('b')])
    assert.equal(opened.store.revision, 5)
  })
})

void describe('changes', () => {
  void test('each revision is handed over once, whole, when its transaction has ended', async (context) => {
    const { store } = await TestStore.open(context)
    const seen: string[] = []
    store.put(putRequest('zz', ''))
    store.setChangeListener((revision, changes) => {
      assert.equal(store.revision, revision)
      seen.push(
        `${revision}: ${changes.map(({ deleted, kv }) => `${deleted ? '-' : '+'}${pairs([kv])[0]}`).join(' ')}`,
      )
    })
    store.put(putRequest('a', '1'))
    store.txn(
      txnRequest([
        putOp(putRequest('b', '2')),
        txnOp(txnRequest([deleteOp(deleteRequest('a'))])),
        rangeOp(allKeys),
      ]),
    )
    store.deleteRange(deleteRequest('zzz'))
    store.txn(txnRequest([deleteOp(deleteRequest('zzz'))]))
    store.deleteRange(deleteRequest('b', 'c'))
    store.setChangeListener(undefined)
    store.put(putRequest('after', ''))
    assert.deepEqual(seen, ['3: +a=1@3', '4: +b=2@4 -a=@4', '5: -b=@5'])
  })

  void test('history is read in slices of whole revisions, pending rows included', async (context) => {
    const { store, backend } = await TestStore.open(context)
    for (let i = 0; i < 10; i++) {
      store.txn(txnRequest([putOp(putRequest('a', String(i))), putOp(putRequest('b', String(i)))]))
      if (i === 5) await backend.commit()
    }
    store.deleteRange(deleteRequest('a', 'c'))
    const read = (from: number, most: number): { next: number; seen: string[] } => {
      const seen: string[] = []
      const next = store.readChanges(from, most, (revision, changes) =>
        seen.push(`${revision}x${changes.length}`),
      )
      return { next, seen }
    }
    assert.deepEqual(read(2, 1), { next: 3, seen: ['2x2'] })
    assert.deepEqual(read(2, 3), { next: 4, seen: ['2x2', '3x2'] })
    assert.deepEqual(read(10, 100), { next: 13, seen: ['10x2', '11x2', '12x2'] })
    assert.deepEqual(read(13, 100), { next: 13, seen: [] })
    await store.compact(5n)
    assert.throws(() => read(4, 100), refused('compacted'))
    assert.deepEqual(read(5, 2), { next: 6, seen: ['5x2'] })
  })

  void test('a deletion at the compaction revision is still told (D-31)', async (context) => {
    const opened = await TestStore.open(context, { compactionBatchRows: 1 })
    for (const value of ['2', '3', '4']) opened.store.put(putRequest('v', value))
    opened.store.deleteRange(deleteRequest('v'))
    opened.store.put(putRequest('v', '6'))
    await opened.store.compact(5n)
    const read = (): string[] => {
      const seen: string[] = []
      opened.store.readChanges(5, 100, (revision, changes) =>
        seen.push(...changes.map(({ deleted }) => `${revision} ${deleted ? 'delete' : 'put'}`)),
      )
      return seen
    }
    assert.deepEqual(read(), ['5 delete', '6 put'])
    await opened.reopen()
    assert.deepEqual(read(), ['5 delete', '6 put'])
  })
})

void describe('compaction', () => {
  void test('which revisions can be compacted', async (context) => {
    const { store } = await TestStore.open(context)
    assert.throws(() => store.compact(-1n), refused('compacted'))
    assert.throws(() => store.compact(2n), refused('futureRevision'))
    await store.compact(0n)
    assert.equal(store.compactedRevision, 0)
    assert.throws(() => store.compact(0n), refused('compacted'))
    store.put(putRequest('a', ''))
    await store.compact(2n)
    assert.throws(() => store.compact(2n), refused('compacted'))
    assert.throws(() => store.compact(9_007_199_254_740_993n), refused('futureRevision'))
    assert.equal(store.revision, 2)
  })

  void test('it takes effect for readers at once, and keeps what its revision shows', async (context) => {
    const { store, backend } = await TestStore.open(context)
    for (let i = 2; i <= 5; i++) store.put(putRequest('a', String(i)))
    store.deleteRange(deleteRequest('a'))
    store.put(putRequest('b', '7'))
    const done = store.compact(4n)
    assert.throws(() => store.range(rangeRequest('a', '', { revision: 3n })), refused('compacted'))
    assert.deepEqual(pairs(store.range(rangeRequest('a', '', { revision: 4n })).kvs), ['a=4@4'])
    await done
    assert.deepEqual(pairs(store.range(rangeRequest('a', '', { revision: 4n })).kvs), ['a=4@4'])
    assert.deepEqual(revisions(backend), ['4/0', '5/0', '6/0t', '7/0'])
    await store.compact(6n)
    assert.deepEqual(revisions(backend), ['6/0t', '7/0'])
    await store.compact(7n)
    assert.deepEqual(revisions(backend), ['7/0'])
  })

  const SCHEDULED = Buffer.from('scheduledCompactRev')
  const FINISHED = Buffer.from('finishedCompactRev')

  /** 60 revisions of 15 keys, deletions among them; the newest is one. */
  const fill = (store: MvccStore): void => {
    const random = new SeededRandom(8)
    for (let i = 0; i < 59; i++) {
      if (random.chance(0.3))
        store.deleteRange(deleteRequest(`k${random.below(15)}`, random.chance(0.2) ? 'k9' : ''))
      else store.put(putRequest(`k${random.below(15)}`, String(i)))
    }
    store.put(putRequest('last', ''))
    store.deleteRange(deleteRequest('last'))
  }

  void test('stopped after each batch and opened again, it ends as one that was not (D-28)', async (context) => {
    const whole = await TestStore.open(context)
    fill(whole.store)
    const target = BigInt(whole.store.revision)
    await whole.store.compact(target)
    const expected = dump(whole.backend)
    const expectedHash = (await whole.store.hashKv(0n)).hash

    for (let stopAt = 0; stopAt < 12; stopAt++) {
      // A clock on which the pauses between batches end only when the test says so.
      let pauses = 0
      let pausing: ((goOn: boolean) => void) | undefined
      const clock = {
        ...systemClock,
        sleep: (_: number, signal?: AbortSignal): Promise<boolean> =>
          new Promise((resolve) => {
            if (signal?.aborted) resolve(false)
            else if (pauses++ < stopAt) resolve(true)
            else {
              pausing = resolve
              signal?.addEventListener('abort', () => resolve(false))
            }
          }),
      }
      const opened = await TestStore.open(context, { clock, compactionBatchRows: 7 })
      fill(opened.store)
      const compaction = opened.store.compact(target).then(
        () => 'done',
        (error: Error) => error.name,
      )
      while (pausing === undefined && opened.backend.get('meta', FINISHED) === undefined)
        await systemClock.sleep(0)
      const isStopped = pausing !== undefined
      await opened.close()
      assert.equal(await compaction, isStopped ? 'CompactionStopped' : 'done')

      const again = await TestStore.openAt(context, opened.path)
      assert.equal(again.store.revision, Number(target), 'the newest row may be gone')
      assert.equal(again.store.compactedRevision, Number(target))
      while (again.backend.get('meta', FINISHED) === undefined) await systemClock.sleep(0)
      assert.deepEqual(dump(again.backend), expected, `stopped after ${stopAt} pauses`)
      const { hash, compactRevision } = await again.store.hashKv(target)
      assert.equal(hash, expectedHash)
      if (isStopped)
        assert.equal(compactRevision, Number(target), 'the hash of an interrupted one is not remembered')
    }
  })

  void test('compactions follow one another, however fast they are asked for', async (context) => {
    const { store, backend } = await TestStore.open(context, { compactionBatchRows: 3 })
    fill(store)
    const done = [10n, 20n, 30n, 40n].map((revision) => store.compact(revision))
    await Promise.all(done)
    for (const name of [SCHEDULED, FINISHED]) assert.deepEqual(backend.get('meta', name), revisionKey(40))
    const kept = pairs(store.range({ ...allKeys, revision: 40n }).kvs)
    const other = await TestStore.open(context)
    fill(other.store)
    assert.deepEqual(kept, pairs(other.store.range({ ...allKeys, revision: 40n }).kvs))
    await other.store.compact(40n)
    assert.deepEqual(revisions(backend), revisions(other.backend))
  })

  void test('one that breaks down is reported', async (context) => {
    const errors: unknown[] = []
    const { store, backend } = await TestStore.open(context, { onFailed: (error) => errors.push(error) })
    store.put(putRequest('a', ''))
    backend.put('key', revisionKey(1), bytes('\x0a\x7f'))
    await assert.rejects(store.compact(2n))
    assert.equal(errors.length, 1)
  })
})

void describe('opening', () => {
  void test('everything is as it was', async (context) => {
    const opened = await TestStore.open(context)
    const { store } = opened
    store.put(putRequest('a', '1'))
    store.put(putRequest('a', '2'))
    store.deleteRange(deleteRequest('a'))
    store.put(putRequest('a', '3'))
    store.txn(txnRequest([putOp(putRequest('b', '1')), putOp(putRequest('a', '4'))]))
    const look = (revision: bigint): string[] => pairs(opened.store.range({ ...allKeys, revision }).kvs)
    const before = [2n, 3n, 4n, 5n, 6n].map(look)
    await opened.reopen()
    assert.deepEqual([2n, 3n, 4n, 5n, 6n].map(look), before)
    opened.store.put(putRequest('a', '5'))
    const { createRevision, version } = mvccpb.KeyValue.decode(opened.store.range(rangeRequest('a')).kvs[0]!)
    assert.deepEqual([createRevision, version], [5, 3])
  })

  void test('a revision that a restored backup skipped is a row without a value', async (context) => {
    const opened = await TestStore.open(context)
    opened.store.put(putRequest('a', '1'))
    opened.backend.put('key', revisionKey(1_000_002), bytes(''))
    opened.backend.put('meta', Buffer.from('scheduledCompactRev'), revisionKey(1_000_002))
    await opened.reopen()
    const { store } = opened
    assert.deepEqual([store.revision, store.compactedRevision], [1_000_002, 1_000_002])
    assert.deepEqual(pairs(store.range(allKeys).kvs), ['a=1@2'])
    assert.throws(() => store.range({ ...allKeys, revision: 2n }), refused('compacted'))
    store.put(putRequest('a', '2'))
    assert.equal(store.revision, 1_000_003)
    const seen: number[] = []
    store.readChanges(1_000_002, 10, (revision) => seen.push(revision))
    assert.deepEqual(seen, [1_000_003])
  })

  for (const { name, key, value } of [
    { name: 'a key that is no revision', key: bytes('hello'), value: bytes('') },
    {
      name: 'a deletion with another mark',
      key: Buffer.concat([revisionKey(3), bytes('x')]),
      value: bytes('\x0a\x01a'),
    },
    { name: 'a value that is no pair', key: revisionKey(3), value: bytes('\x0a\x7fa') },
    {
      name: 'a revision that is no safe integer',
      key: Buffer.from('0020000000000000' + '5f' + '0000000000000000', 'hex'),
      value: bytes('\x0a\x01a'),
    },
  ]) {
    void test(`refused: ${name}`, async (context) => {
      const { backend } = await TestStore.open(context)
      backend.put('key', key, value)
      const opening = MvccStore.open({
        backend,
        clock: systemClock,
        random: new SeededRandom(1),
        onFailed: () => undefined,
      })
      await assert.rejects(opening, DamagedRowsError)
    })
  }
})

void describe('ranges', () => {
  void test('sorting by a target without an order sees only what the limit needs', async (context) => {
    const { store } = await TestStore.open(context)
    for (let i = 0; i < 5; i++) store.put(putRequest(`s${i}`, `v${9 - i}`))
    const { kvs, more, count } = store.range(rangeRequest('s', 't', { sortTarget: 4, limit: 2n }))
    assert.deepEqual([pairs(kvs), more, count], [['s2=v7@4', 's1=v8@3'], true, 5])
  })

  void test('large values, read while they are pending and afterwards', async (context) => {
    const opened = await TestStore.open(context)
    const values = [100, 130_000, 140_000, 1_500_000].map((length) => 'x'.repeat(length))
    const check = (): void => {
      const { kvs } = opened.store.range(allKeys)
      assert.deepEqual(
        kvs.map((kv) => mvccpb.KeyValue.decode(kv).value.length),
        values.map((value) => value.length),
      )
    }
    values.forEach((value, i) => opened.store.put(putRequest(`k${i}`, value)))
    check()
    await opened.backend.commit()
    check()
    await opened.reopen()
    check()
    check()
  })

  void test('pairs that were handed out stay as they were', async (context) => {
    const opened = await TestStore.open(context, { cacheBytes: 0 })
    for (let i = 0; i < 50; i++) opened.store.put(putRequest(`k${i}`, 'first'.repeat(10)))
    await opened.backend.commit()
    await opened.reopen()
    const { kvs } = opened.store.range(allKeys)
    const before = pairs(kvs)
    // Far more than the cache holds, written and read.
    for (let i = 0; i < 2000; i++) {
      opened.store.put(putRequest(`k${i % 50}`, String(i).repeat(300)))
      opened.store.range(rangeRequest(`k${(i * 7) % 50}`))
      if (i % 500 === 0) await opened.backend.commit()
    }
    assert.deepEqual(pairs(kvs), before)
  })
})
