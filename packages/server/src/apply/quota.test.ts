import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { QUOTA_DEFAULT_BYTES, Quota, putCost, txnCost } from './quota.ts'

const put = etcdserverpb.PutRequest.create({ key: Buffer.from('abc'), value: Buffer.from('de') })
const putOp: etcdserverpb.RequestOp = { request: { case: 'requestPut', value: put } }

void test('a put costs its key, its value and what comes with them', () =>
  assert.equal(putCost(put), 256 + 5))

void test('a txn costs its dearer branch, nested ones included', () => {
  const nested = etcdserverpb.TxnRequest.create({ success: [putOp, putOp] })
  const txn = etcdserverpb.TxnRequest.create({
    success: [putOp],
    failure: [putOp, { request: { case: 'requestTxn', value: nested } }],
  })
  assert.equal(txnCost(txn), 3 * 261)
})

void test('what would reach the limit is refused, what costs nothing never is', () => {
  let size = 1000
  const quota = new Quota(2000, () => size)
  assert.equal(quota.allows(999), true)
  assert.equal(quota.allows(1000), false)
  size = 5000
  assert.equal(quota.allows(1), false)
  assert.equal(quota.allows(0), true)
})

void test('0 means the default and a negative number no limit', () => {
  assert.equal(new Quota(0, () => 0).limitBytes, QUOTA_DEFAULT_BYTES)
  assert.equal(new Quota(-1, () => 2 ** 50).allows(1), true)
})
