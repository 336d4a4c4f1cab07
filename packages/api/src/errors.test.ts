import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError, errorReason, errorTable } from './index.ts'

void test('an error carries its reason, its code, its text and its cause', () => {
  const cause = new Error('disk')
  const error = new ApiError('noSpace', { cause })
  assert.equal(error.reason, 'noSpace')
  assert.equal(error.code, 8)
  assert.equal(error.message, 'etcdserver: mvcc: database space exceeded')
  assert.equal(error.cause, cause)
  assert.ok(error instanceof Error)
})

void test('every text names one reason', () => {
  for (const [reason, row] of Object.entries(errorTable)) assert.equal(errorReason(row.text), reason)
  assert.equal(errorReason('etcdserver: something else'), undefined)
})
