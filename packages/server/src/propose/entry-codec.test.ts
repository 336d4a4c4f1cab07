import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { ProposalField, decodePutEntry, encodeProposal } from './entry-codec.ts'
import { RequestIds } from './request-id.ts'

const put = etcdserverpb.PutRequest.create({
  key: Uint8Array.from([107, 49]),
  value: Uint8Array.from([118, 49]),
  lease: 7n,
})

for (const memberId of [0x8e9e05c52164694dn, 0x1n, 0x10000n, 0xffffn]) {
  void test(`a put entry of member ${memberId.toString(16)} is what the codec reads and writes`, () => {
    const ids = new RequestIds(memberId, 1_795_500_000_123)
    const requestId = ids.next()
    const bytes = encodeProposal(ids, requestId, ProposalField.put, etcdserverpb.PutRequest, put)
    const decoded = etcdserverpb.InternalRaftRequest.decode(bytes)
    assert.equal(decoded.header?.ID, ids.full(requestId))
    assert.deepEqual(decoded.put, put)
    assert.deepEqual(Buffer.from(etcdserverpb.InternalRaftRequest.encode(decoded)), Buffer.from(bytes))
    if (ids.prefix !== 0) assert.deepEqual(decodePutEntry(bytes, ids), { put, requestId })
  })
}

void test("another member's id is not taken for one of ours", () => {
  const theirs = new RequestIds(0x1234n, 5)
  const bytes = encodeProposal(theirs, theirs.next(), ProposalField.put, etcdserverpb.PutRequest, put)
  assert.equal(decodePutEntry(bytes, new RequestIds(0x4321n, 5))?.requestId, -1)
})

void test('anything but a put with a plain header is left to the codec', () => {
  const ids = new RequestIds(0x1234n, 5)
  const compaction = encodeProposal(
    ids,
    ids.next(),
    ProposalField.compaction,
    etcdserverpb.CompactionRequest,
    { revision: 3n },
  )
  assert.equal(decodePutEntry(compaction, ids), undefined)
  const withUser = etcdserverpb.InternalRaftRequest.encode({ put, header: { ID: 9n, username: 'root' } })
  assert.equal(decodePutEntry(withUser, ids), undefined)
  for (let cut = 0; cut < compaction.length; cut++)
    assert.equal(decodePutEntry(compaction.subarray(0, cut), ids), undefined)
})
