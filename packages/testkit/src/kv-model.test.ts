import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutOpenChoices } from './kv-compare.ts'
import { KvGenerator } from './kv-generator.ts'
import { KvModel } from './kv-model.ts'
import {
  type KvAnswer,
  type KvCall,
  type PutCall,
  type RangeCall,
  SortTarget,
  type TxnOperation,
} from './kv-types.ts'
import { SeededRandom } from './seeded-random.ts'

// The model is checked against real etcd in the package of cross-package tests; here are examples of the rules.

function put(key: string, value = 'v', more: Partial<PutCall> = {}): PutCall {
  return { kind: 'put', key, value, ...more }
}

function range(key: string, more: Partial<RangeCall> = {}): RangeCall {
  return { kind: 'range', key, ...more }
}

function txn(success: readonly TxnOperation[], failure: readonly TxnOperation[] = []): KvCall {
  return { kind: 'txn', compare: [], success, failure }
}

function message(answer: KvAnswer): string {
  return answer.kind === 'error' ? answer.message.replace('etcdserver: ', '') : answer.kind
}

function keys(answer: KvAnswer): string {
  assert.equal(answer.kind, 'range')
  return answer.kvs.map((kv) => kv.key).join(' ')
}

void test('a new store is at revision 1, its first write at 2', () => {
  const model = new KvModel()
  assert.deepEqual(model.call(range('a')), { kind: 'range', revision: 1, kvs: [], more: false, count: 0 })
  assert.deepEqual(model.call(put('a')), { kind: 'put', revision: 2, prevKv: undefined })
})

void test('a put counts versions from the last creation', () => {
  const model = new KvModel()
  model.call(put('a', '1'))
  model.call(put('a', '2'))
  model.call({ kind: 'deleteRange', key: 'a' })
  const answer = model.call(put('a', '3'))
  assert.equal(answer.kind === 'put' && answer.revision, 5)
  assert.deepEqual(model.dump(), [
    { key: 'a', createRevision: 5, modRevision: 5, version: 1, value: '3', lease: 0n },
  ])
})

void test('without an order the limit cuts before the sort', () => {
  const model = new KvModel()
  for (let i = 0; i < 5; i++) model.call(put(`s${i}`, `v${9 - i}`))
  const answer = model.call(range('s', { rangeEnd: 't', sortTarget: SortTarget.value, limit: 2n }))
  assert.equal(keys(answer), 's2 s1')
  assert.ok(answer.kind === 'range' && answer.more)
})

for (const { name, call, expected } of [
  { name: 'an empty key', call: put(''), expected: 'key is not provided' },
  { name: 'a value that is to be ignored', call: put('a', 'x', { ignoreValue: true }), expected: 'value is provided' },
  { name: 'a lease that is to be ignored', call: put('a', 'x', { ignoreLease: true, lease: 1n }), expected: 'lease is provided' },
  { name: 'an unknown lease', call: put('a', 'x', { lease: 1n }), expected: 'requested lease not found' },
  { name: 'ignore_value on a missing key', call: put('a', '', { ignoreValue: true }), expected: 'key not found' },
  { name: 'an unknown sort order', call: range('a', { sortOrder: 3 }), expected: 'invalid sort option' },
  { name: 'a future revision', call: range('a', { revision: 2n }), expected: 'mvcc: required revision is a future revision' },
  { name: 'one put too many', call: txn(Array.from({ length: 129 }, (_, i) => put(`${i}`))), expected: 'too many operations in txn request' },
  { name: 'two puts of one key', call: txn([put('a'), put('a')]), expected: 'duplicate key given in txn request' },
  { name: 'two puts of one key in the branch not taken', call: txn([], [put('a'), put('a')]), expected: 'duplicate key given in txn request' },
  { name: 'a put in a deleted range', call: txn([{ kind: 'deleteRange', key: 'a', rangeEnd: 'c' }, put('b')]), expected: 'duplicate key given in txn request' },
  { name: 'an empty operation', call: txn([{ kind: 'empty' }]), expected: 'key not found' },
] as const) {
  void test(`refused without a new revision: ${name}`, () => {
    const model = new KvModel()
    assert.equal(message(model.call(call)), expected)
    assert.equal(model.revision, 1)
  })
} // prettier-ignore

void test('the two branches of a nested txn may put the same key, their parent may not', () => {
  const model = new KvModel()
  const nested: TxnOperation = { kind: 'txn', compare: [], success: [put('a')], failure: [put('a')] }
  assert.equal(message(model.call(txn([nested]))), 'txn')
  assert.equal(message(model.call(txn([nested, put('a')]))), 'duplicate key given in txn request')
})

void test('a nested txn has what its parent leaves of the limit', () => {
  const nested = (count: number): TxnOperation => ({
    kind: 'txn',
    compare: [],
    success: Array.from({ length: count }, (_, i) => put(`n${i}`)),
    failure: [],
  })
  const model = new KvModel()
  const others = Array.from({ length: 126 }, (_, i) => put(`o${i}`))
  assert.equal(message(model.call(txn([...others, nested(1)]))), 'txn')
  assert.equal(message(model.call(txn([...others, nested(2)]))), 'too many operations in txn request')
})

void test('a txn that fails at its last operation leaves nothing', () => {
  const model = new KvModel()
  model.call(put('a'))
  const before = [model.revision, model.dump(), model.hashKv()]
  const operations = [{ kind: 'deleteRange', key: 'a' }, put('b'), put('c', 'v', { lease: 9n })] as const
  assert.equal(message(model.call(txn(operations))), 'requested lease not found')
  assert.deepEqual([model.revision, model.dump(), model.hashKv()], before)
})

void test('a txn sees its own writes, and all of them have one revision', () => {
  const model = new KvModel()
  const answer = model.call(txn([range('a'), put('a', '1'), range('a')]))
  assert.ok(answer.kind === 'txn')
  assert.deepEqual(
    answer.responses.map((response) => [response.kind, response.revision]),
    [
      ['range', 1],
      ['put', 2],
      ['range', 2],
    ],
  )
})

void test('compaction refuses older reads, the same revision again, and 0 once something was compacted', () => {
  const model = new KvModel()
  for (let i = 0; i < 5; i++) model.call(put('a', String(i)))
  const compact = (revision: bigint): string => message(model.call({ kind: 'compact', revision }))
  assert.equal(compact(0n), 'compact')
  assert.equal(compact(4n), 'compact')
  assert.equal(compact(4n), 'mvcc: required revision has been compacted')
  assert.equal(compact(0n), 'mvcc: required revision has been compacted')
  assert.equal(compact(9n), 'mvcc: required revision is a future revision')
  assert.equal(
    message(model.call(range('a', { revision: 3n }))),
    'mvcc: required revision has been compacted',
  )
  assert.equal(message(model.call(range('a', { revision: 4n }))), 'range')
  assert.equal(message(model.call(range('a', { revision: -3n }))), 'range')
})

void test('the hash of an empty store is that of the bucket name', () => {
  assert.deepEqual(new KvModel().hashKv(), { hash: 1_084_519_789, compactRevision: -1, revision: 1 })
})

void test('compaction does not change the hash of a revision at or above it', () => {
  const random = new SeededRandom(5)
  const generator = new KvGenerator(random)
  const model = new KvModel()
  for (let i = 0; i < 400; i++) {
    const call = generator.next(model)
    if (call.kind !== 'compact') model.call(call)
  }
  const dump = model.dump()
  model.call({ kind: 'compact', revision: BigInt(model.revision) })
  assert.deepEqual(model.dump(), dump)
  const hash = model.hashKv()
  assert.ok(!('code' in hash) && hash.compactRevision === model.revision)
})

void test('answers that differ only in the order of equals are the same', () => {
  const kv = (key: string, version: number) => ({
    key,
    createRevision: 1,
    modRevision: 1,
    version,
    value: '',
    lease: 0n,
  })
  const call = range('a', { rangeEnd: 'z', sortTarget: SortTarget.version, limit: 3n })
  const answer = (kvs: ReturnType<typeof kv>[]): KvAnswer => ({
    kind: 'range',
    revision: 1,
    kvs,
    more: true,
    count: 13,
  })
  const settled = (kvs: ReturnType<typeof kv>[]): KvAnswer => withoutOpenChoices(call, answer(kvs))
  assert.deepEqual(
    settled([kv('b', 1), kv('a', 1), kv('c', 2)]),
    settled([kv('a', 1), kv('b', 1), kv('d', 2)]),
  )
  assert.notDeepEqual(
    settled([kv('b', 1), kv('a', 1), kv('c', 2)]),
    settled([kv('b', 1), kv('e', 1), kv('c', 2)]),
  )
})
