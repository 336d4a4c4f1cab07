import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError, etcdserverpb, mvccpb } from '@etcd-ts/api'
import {
  type KvAnswer,
  type KvCall,
  KvGenerator,
  KvModel,
  type KvResult,
  SeededRandom,
  decodeResult,
  encodeCall,
  fromBytes,
  show,
  withoutOpenChoices,
} from '@etcd-ts/testkit'
import { checkDeleteRange, checkPut, checkRange, checkTxn } from './checks.ts'
import type { Change, OperationResult } from './results.ts'
import type { MvccStore } from './store.ts'
import { TestStore, allKeys } from './store-fixture.ts'
import type { LeaseIndex } from './lease-index.ts'

const TXN_OPS_MAX = 128

/** A lessor with a fixed set of leases, which checks that what it is told fits together. */
class TestLeases implements LeaseIndex {
  readonly #leases: ReadonlySet<bigint>
  readonly keys = new Map<string, bigint>()

  constructor(leases: readonly bigint[]) {
    this.#leases = new Set(leases)
  }

  has(leaseId: bigint): boolean {
    return this.#leases.has(leaseId)
  }

  attach(leaseId: bigint, key: Uint8Array): void {
    assert.ok(this.has(leaseId))
    assert.equal(this.keys.get(fromBytes(key)), undefined)
    this.keys.set(fromBytes(key), leaseId)
  }

  detach(leaseId: bigint, key: Uint8Array): void {
    assert.equal(this.keys.get(fromBytes(key)), leaseId)
    this.keys.delete(fromBytes(key))
  }
}

function toResponse(result: OperationResult): etcdserverpb.ResponseOpInit {
  const header = { revision: result.kind === 'txn' ? 0 : result.revision }
  switch (result.kind) {
    case 'range': {
      const kvs = result.kvs.map((kv) => mvccpb.KeyValue.decode(kv))
      return {
        response: { case: 'responseRange', value: { header, kvs, more: result.more, count: result.count } },
      }
    }
    case 'put': {
      const prevKv = result.prevKv === undefined ? undefined : mvccpb.KeyValue.decode(result.prevKv)
      return { response: { case: 'responsePut', value: { header, prevKv } } }
    }
    case 'deleteRange': {
      const prevKvs = result.prevKvs.map((kv) => mvccpb.KeyValue.decode(kv))
      return {
        response: { case: 'responseDeleteRange', value: { header, deleted: result.deleted, prevKvs } },
      }
    }
    case 'txn': {
      const responses = result.responses.map(toResponse)
      return { response: { case: 'responseTxn', value: { header, succeeded: result.succeeded, responses } } }
    }
  }
}

/** The answer in the form of the model, by way of the messages that a server would send. */
function answerOf(call: KvCall, result: OperationResult): KvResult {
  const { response } = toResponse(result)
  switch (response?.case) {
    case 'responseRange':
      return decodeResult(call, etcdserverpb.RangeResponse.encode(response.value))
    case 'responsePut':
      return decodeResult(call, etcdserverpb.PutResponse.encode(response.value))
    case 'responseDeleteRange':
      return decodeResult(call, etcdserverpb.DeleteRangeResponse.encode(response.value))
    case 'responseTxn': {
      const header = { revision: result.revision }
      return decodeResult(call, etcdserverpb.TxnResponse.encode({ ...response.value, header }))
    }
    default:
      throw new Error('no response')
  }
}

/** Does what a server does with a call: checks, then (for writes) what apply does. */
function answer(store: MvccStore, call: KvCall): KvAnswer {
  // The request's bytes are overwritten once it has been applied, as those of a connection's buffer are.
  const request = Uint8Array.from(encodeCall(call))
  try {
    switch (call.kind) {
      case 'range': {
        const range = etcdserverpb.RangeRequest.decode(request)
        checkRange(range)
        return answerOf(call, store.range(range))
      }
      case 'put': {
        const put = etcdserverpb.PutRequest.decode(request)
        checkPut(put)
        return answerOf(call, store.put(put))
      }
      case 'deleteRange': {
        const deletion = etcdserverpb.DeleteRangeRequest.decode(request)
        checkDeleteRange(deletion)
        return answerOf(call, store.deleteRange(deletion))
      }
      case 'txn': {
        const txn = etcdserverpb.TxnRequest.decode(request)
        checkTxn(txn, TXN_OPS_MAX)
        store.checkTxnRevisions(txn)
        return answerOf(call, store.txn(txn))
      }
      case 'compact':
        void store.compact(call.revision)
        return { kind: 'compact', revision: store.revision }
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return { kind: 'error', code: error.code, message: error.message }
  } finally {
    request.fill(0xee)
  }
}

async function run(scope: Parameters<typeof TestStore.open>[0], seed: number, calls: number): Promise<void> {
  const leases = new TestLeases([7n, -5n])
  const options = { leases, compactionBatchRows: 7, cacheBytes: 2 * 1024 * 1024 }
  const opened = await TestStore.open(scope, options)
  const random = new SeededRandom(seed)
  const generator = new KvGenerator(random, { unknownSorts: true })
  const model = new KvModel()
  model.leases.add(7n).add(-5n)
  let changes: { revision: number; changes: readonly Change[] }[] = []
  const listen = (): void =>
    opened.store.setChangeListener((revision, made) => changes.push({ revision, changes: made }))
  listen()

  for (let i = 0; i < calls; i++) {
    const call = generator.next(model)
    const expected = withoutOpenChoices(call, model.call(call))
    const got = withoutOpenChoices(call, answer(opened.store, call))
    assert.deepEqual(got, expected, `call ${i} of seed ${seed}: ${show(call)}`)
    assert.equal(opened.store.revision, model.revision)
    assert.equal(opened.store.compactedRevision, model.compactRevision)

    if (random.chance(0.01)) {
      const { hash } = await opened.store.hashKv(0n)
      assert.deepEqual({ hash }, { hash: (model.hashKv() as { hash: number }).hash }, `hash after call ${i}`)
    }
    if (random.chance(0.01)) {
      const stored = opened.store.range(allKeys).kvs.map((kv) => mvccpb.KeyValue.decode(kv))
      assert.deepEqual(
        stored.map((kv) => ({ ...kv, key: fromBytes(kv.key), value: fromBytes(kv.value) })),
        model.dump(),
      )
      for (const kv of stored) assert.equal(leases.keys.get(fromBytes(kv.key)) ?? 0n, kv.lease)
      assert.equal([...leases.keys].length, stored.filter((kv) => kv.lease !== 0n).length)
    }
    if (random.chance(0.004)) {
      const from = Math.max(opened.store.compactedRevision, 2)
      const read: typeof changes = []
      for (let next = from; next <= opened.store.revision;) {
        next = opened.store.readChanges(next, 1 + random.below(20), (revision, made) =>
          read.push({ revision, changes: made }),
        )
      }
      const hex = (list: typeof changes): string[] =>
        list.flatMap(({ revision, changes: made }) =>
          made.map(({ deleted, kv }) => `${revision} ${deleted} ${Buffer.from(kv).toString('hex')}`),
        )
      // Compactions remove what is before them, and of the revision they are at nothing.
      assert.deepEqual(hex(read), hex(changes.filter(({ revision }) => revision >= from)))
      changes = changes.filter(({ revision }) => revision >= from)
    }
    if (random.chance(0.003)) await opened.backend.commit()
    if (random.chance(0.001)) {
      leases.keys.clear()
      await opened.reopen()
      listen()
    }
  }
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  void test(`5000 random calls give what the model gives, seed ${seed}`, async (context) => {
    await run(context, seed, 5000)
  })
}
