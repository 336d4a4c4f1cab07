import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KeyValue } from './kv-types.ts'
import { type LedgerWrite, WriteLedger } from './write-ledger.ts'

function kv(key: string, value: string, modRevision: number): KeyValue {
  return { key, value, modRevision, createRevision: modRevision, version: 1, lease: 0n }
}

function write(value: string, puts: string[], deletes: string[] = []): LedgerWrite {
  return { value, puts, deletes }
}

void test('what was acknowledged must be there with its revision', () => {
  const ledger = new WriteLedger()
  ledger.acknowledged(ledger.begin(write('v1', ['a', 'b'])), 2)
  ledger.check([kv('a', 'v1', 2), kv('b', 'v1', 2)], 2)
  assert.throws(
    () => ledger.check([kv('a', 'v1', 2)], 2),
    /b of v1 \(acknowledged at revision 2\) is missing/,
  )
  assert.throws(() => ledger.check([kv('a', 'v1', 2), kv('b', 'v1', 3)], 3), /has revision 3/)
})

void test('an unanswered write is there in whole or not at all, and stays as it was found', () => {
  const ledger = new WriteLedger()
  ledger.acknowledged(ledger.begin(write('v1', ['a'])), 2)
  ledger.unanswered(ledger.begin(write('v2', ['b', 'c'], ['a'])))
  assert.throws(
    () => ledger.check([kv('a', 'v1', 2), kv('b', 'v2', 3)], 3),
    /a of v1 .* not deleted by v2|c of v2 .* missing/,
  )
  ledger.check([kv('b', 'v2', 3), kv('c', 'v2', 3)], 3)
  assert.throws(() => ledger.check([kv('a', 'v1', 2)], 3), /missing|not deleted/)
})

void test('a write that was found absent must not appear later', () => {
  const ledger = new WriteLedger()
  ledger.unanswered(ledger.begin(write('v1', ['a'])))
  ledger.check([], 1)
  assert.throws(() => ledger.check([kv('a', 'v1', 2)], 2), /a of v1 \(absent\) is there/)
  assert.deepEqual(ledger.counts, { acknowledged: 0, unanswered: 0, lost: 1 })
})

void test('a revision is given out once, and never goes back', () => {
  const ledger = new WriteLedger()
  ledger.acknowledged(ledger.begin(write('v1', ['a'])), 2)
  const second = ledger.begin(write('v2', ['b']))
  assert.throws(() => ledger.acknowledged(second, 2), /revision 2 was given to v1 and to v2/)
  assert.throws(() => ledger.check([], 1), /went back from revision 2 to 1/)
})

void test('nothing may be there that nobody wrote', () => {
  assert.throws(() => new WriteLedger().check([kv('x', 'y', 2)], 2), /nobody wrote y to x/)
})
