import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import {
  GrpcKvClient,
  JsonKvClient,
  type KvAnswer,
  type KvCall,
  type KvClient,
  ManualScope,
  type PutCall,
  ServerProcess,
  type TxnCall,
  type TxnOperation,
  freeAfter,
  ourServer,
} from '@etcd-ts/testkit'

// Shapes of transactions that must be refused, or accepted, as etcd does: the catalogue's D-06 and D-07.

const put = (key: string, more: Partial<PutCall> = {}): PutCall => ({ kind: 'put', key, value: 'v', ...more })
const remove = (key: string, rangeEnd?: string): TxnOperation => ({
  kind: 'deleteRange',
  key,
  ...(rangeEnd === undefined ? {} : { rangeEnd }),
})
const range = (key: string): TxnOperation => ({ kind: 'range', key })
const txn = (success: readonly TxnOperation[], failure: readonly TxnOperation[] = []): TxnCall => ({
  kind: 'txn',
  compare: [],
  success,
  failure,
})
const puts = (length: number, name = 'k'): TxnOperation[] =>
  Array.from({ length }, (_, i) => put(`${name}${i}`))

const tooMany = 'etcdserver: too many operations in txn request'
const duplicate = 'etcdserver: duplicate key given in txn request'
const leaseNotFound = 'etcdserver: requested lease not found'

interface Row {
  readonly name: string
  readonly call: KvCall
  /** The error's text; undefined when the call must succeed. */
  readonly refused: string | undefined
  /** Not asked of an etcd that ends when it gets this. */
  readonly oursOnly?: boolean
}

const shapes: readonly Row[] = [
  { name: '128 operations', call: txn(puts(128)), refused: undefined },
  { name: '129 operations', call: txn(puts(129)), refused: tooMany },
  { name: '129 operations in the branch that is not taken', call: txn([], puts(129)), refused: tooMany },
  {
    name: '129 compares',
    call: { ...txn([]), compare: Array.from({ length: 129 }, () => ({ key: 'k', result: 0, target: 0 })) },
    refused: tooMany,
  },
  {
    name: '127 operations and a nested one',
    call: txn([...puts(126), txn(puts(1, 'n'))]),
    refused: undefined,
  },
  {
    name: '127 operations and two nested ones',
    call: txn([...puts(126), txn(puts(2, 'n'))]),
    refused: tooMany,
  },
  { name: 'two puts of one key', call: txn([put('a'), put('a')]), refused: duplicate },
  { name: 'a key put by parent and child', call: txn([put('a'), txn([put('a')])]), refused: duplicate },
  {
    name: 'a key put by both branches of one child',
    call: txn([txn([put('a')], [put('a')])]),
    refused: undefined,
  },
  {
    name: 'a key put by two children',
    call: txn([txn([put('a')]), txn([], [put('a')])]),
    refused: duplicate,
  },
  { name: 'a put inside a deleted range', call: txn([remove('a', 'c'), put('b')]), refused: duplicate },
  { name: 'a put of a deleted key, put first', call: txn([put('b'), remove('b')]), refused: duplicate },
  {
    name: 'a child puts what its parent deletes',
    call: txn([remove('a', 'c'), txn([put('b')])]),
    refused: duplicate,
  },
  {
    name: 'a put at the end of a deleted range',
    call: txn([remove('a', 'b'), put('b')]),
    refused: undefined,
  },
  { name: 'deletes that overlap', call: txn([remove('a', 'c'), remove('b')]), refused: undefined },
  { name: 'an empty key', call: txn([put('')]), refused: 'etcdserver: key is not provided' },
  {
    name: 'a compare of an empty key',
    call: { ...txn([]), compare: [{ key: '', result: 0, target: 0 }] },
    refused: 'etcdserver: key is not provided',
  },
  {
    name: 'an operation that is not set',
    call: txn([{ kind: 'empty' }]),
    refused: 'etcdserver: key not found',
  },
  {
    name: 'ignore_value with a value',
    call: txn([put('a', { ignoreValue: true })]),
    refused: 'etcdserver: value is provided',
  },
  {
    name: 'ignore_lease with a lease',
    call: txn([put('a', { ignoreLease: true, lease: 5n })]),
    refused: 'etcdserver: lease is provided',
  },
  {
    name: 'ignore_value on a key that is not there',
    call: txn([put('missing', { ignoreValue: true, value: '' })]),
    refused: 'etcdserver: key not found',
  },
  {
    name: 'an unknown sort target',
    call: txn([{ kind: 'range', key: 'a', sortTarget: 5 }]),
    refused: 'etcdserver: invalid sort option',
    oursOnly: true,
  },
  {
    name: 'an unknown sort order',
    call: { kind: 'range', key: 'a', sortOrder: 3 },
    refused: 'etcdserver: invalid sort option',
    oursOnly: true,
  },
  {
    name: 'a put that keeps the value of a key deleted up to the open end',
    call: txn([remove('a', '\0'), put('b', { ignoreValue: true, value: '' })]),
    refused: 'etcdserver: key not found',
    oursOnly: true,
  },
]

const unknownLease = put('z', { lease: 123_456n })
const halves: readonly Row[] = [
  {
    name: 'five puts, the last with an unknown lease',
    call: txn([...puts(4, 'p'), unknownLease]),
    refused: leaseNotFound,
  },
  {
    name: 'the same in a nested txn',
    call: txn([...puts(3, 'p'), txn([unknownLease])]),
    refused: leaseNotFound,
  },
  {
    name: 'five deletes before',
    call: txn([...['a', 'b', 'k0', 'k1', 'k2'].map((key) => remove(key)), unknownLease]),
    refused: leaseNotFound,
  },
  {
    name: 'a range at a future revision after a put',
    call: txn([put('p'), { kind: 'range', key: 'a', revision: 1_000_000n }]),
    refused: 'etcdserver: mvcc: required revision is a future revision',
  },
  {
    name: 'only the branch that is not taken is wrong',
    call: txn([range('a')], [unknownLease]),
    refused: undefined,
  },
]

function textOf(answer: KvAnswer): string | undefined {
  return answer.kind === 'error' ? answer.message : undefined
}

void describe('shapes of transactions', () => {
  const scope = new ManualScope()
  let server: ServerProcess
  let clients: Record<'gRPC' | 'JSON', KvClient>
  let grpc: GrpcKvClient

  after(() => scope.end())
  before(async () => {
    server = await ServerProcess.start(scope)
    grpc = new GrpcKvClient(server.endpoint)
    clients = { gRPC: grpc, JSON: new JsonKvClient(server.clientUrl) }
    freeAfter(scope, () => {
      for (const client of Object.values(clients)) client.close()
    })
    for (const key of ['a', 'b', 'k0']) await grpc.call(put(key))
  })

  /** The revision and the hash of everything stored. */
  const state = async (): Promise<unknown> => {
    const { header, hash } = await grpc.grpc.call(etcdserverpb.MaintenanceService.HashKV, {})
    return { revision: header?.revision, hash }
  }

  for (const { name, call, refused, oursOnly } of [...shapes, ...halves]) {
    const skip = oursOnly && ourServer().title !== 'etcd-ts' ? 'would end this server' : false
    void test(`${name}: ${refused ?? 'accepted'}`, { skip }, async () => {
      for (const [protocol, client] of Object.entries(clients)) {
        const before = await state()
        const { answer } = await client.call(call)
        assert.equal(textOf(answer), refused, protocol)
        if (refused !== undefined) assert.deepEqual(await state(), before, `${protocol}: nothing changes`)
      }
    })
  }
})
