import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb, mvccpb } from '@etcd-ts/api'
import { ResponseWriter } from './response-writer.ts'

const clusterId = 0xcdf818194e3a8c32n
const memberId = 0x8e9e05c52164694dn
const writer = new ResponseWriter(clusterId, memberId)
const revision = 2 ** 40 + 3
const header = { clusterId, memberId, revision, raftTerm: 2 }
const pair = mvccpb.KeyValue.create({
  key: Buffer.from('k'),
  value: Buffer.alloc(300, 'v'),
  modRevision: 7,
  createRevision: 7,
  version: 1,
})
const stored = mvccpb.KeyValue.encode(pair)

function written(): Buffer {
  return Buffer.from(writer.bytes.subarray(0, writer.length))
}

void test('a put, with and without the pair before it', () => {
  writer.put({ kind: 'put', revision, prevKv: undefined }, 2)
  assert.deepEqual(written(), Buffer.from(etcdserverpb.PutResponse.encode({ header })))
  writer.put({ kind: 'put', revision, prevKv: stored }, 2)
  assert.deepEqual(written(), Buffer.from(etcdserverpb.PutResponse.encode({ header, prevKv: pair })))
})

void test('a range, empty and full', () => {
  writer.range({ kind: 'range', revision, count: 0, more: false, kvs: [] }, 2)
  assert.deepEqual(written(), Buffer.from(etcdserverpb.RangeResponse.encode({ header })))
  writer.range({ kind: 'range', revision, count: 1000, more: true, kvs: [stored, stored] }, 2)
  assert.deepEqual(
    written(),
    Buffer.from(etcdserverpb.RangeResponse.encode({ header, kvs: [pair, pair], more: true, count: 1000 })),
  )
})

void test('a deletion with the pairs that it removed', () => {
  writer.deleteRange({ kind: 'deleteRange', revision, deleted: 2, prevKvs: [stored, stored] }, 2)
  assert.deepEqual(
    written(),
    Buffer.from(etcdserverpb.DeleteRangeResponse.encode({ header, deleted: 2, prevKvs: [pair, pair] })),
  )
})

void test('a txn: inner answers have the revision alone, and a nested txn an empty header', () => {
  const inner = { revision, clusterId: 0n, memberId: 0n, raftTerm: 0 }
  const empty = { ...inner, revision: 0 }
  writer.txn(
    {
      kind: 'txn',
      revision,
      succeeded: true,
      responses: [
        { kind: 'put', revision, prevKv: stored },
        { kind: 'range', revision, count: 1, more: false, kvs: [stored] },
        { kind: 'deleteRange', revision, deleted: 0, prevKvs: [] },
        {
          kind: 'txn',
          revision,
          succeeded: false,
          responses: [{ kind: 'put', revision, prevKv: undefined }],
        },
      ],
    },
    2,
  )
  assert.deepEqual(
    written(),
    Buffer.from(
      etcdserverpb.TxnResponse.encode({
        header,
        succeeded: true,
        responses: [
          { response: { case: 'responsePut', value: { header: inner, prevKv: pair } } },
          { response: { case: 'responseRange', value: { header: inner, kvs: [pair], count: 1 } } },
          { response: { case: 'responseDeleteRange', value: { header: inner } } },
          {
            response: {
              case: 'responseTxn',
              value: {
                header: empty,
                responses: [{ response: { case: 'responsePut', value: { header: inner } } }],
              },
            },
          },
        ],
      }),
    ),
  )
})

void test('an answer larger than the buffer fits, and the buffer shrinks back after a huge one', () => {
  const huge = mvccpb.KeyValue.encode({ ...pair, value: Buffer.alloc(5 * 1024 * 1024) })
  writer.range({ kind: 'range', revision, count: 1, more: false, kvs: [huge] }, 2)
  assert.equal(etcdserverpb.RangeResponse.decode(written()).kvs[0]?.value.length, 5 * 1024 * 1024)
  writer.header(revision, 2)
  assert.ok(writer.bytes.length < 1024 * 1024)
})
