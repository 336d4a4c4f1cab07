import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ConfState,
  ConfChangeType,
  type Entry,
  EntryType,
  decodeConfChange,
  emptyConfState,
  encodeConfChange,
} from '@etcd-ts/raft'
import { forceNewCluster } from './force-new-cluster.ts'

const SELF = 0xffffffffffffffffn

function change(index: number, type: ConfChangeType, nodeId: bigint): Entry {
  const data = encodeConfChange({ id: 7n, type, nodeId, context: undefined })
  return { type: EntryType.EntryConfChange, term: 3, index, data }
}

function normal(index: number): Entry {
  return { type: EntryType.EntryNormal, term: 3, index, data: Buffer.from('x') }
}

const { ConfChangeAddNode: add, ConfChangeAddLearnerNode: addLearner } = ConfChangeType
const { ConfChangeRemoveNode: remove, ConfChangeUpdateNode: update } = ConfChangeType

/** What was appended, as `INDEX +ID {context}`, `INDEX -ID`, and `INDEX` for an entry without effect. */
function forced(
  commit: number,
  entries: readonly Entry[],
  confState: Partial<ConfState> = {},
  appliedIndex = 0,
): string[] {
  const keepTo = Math.max(commit, appliedIndex)
  const result = forceNewCluster({
    memberId: SELF,
    hardState: { term: 4, vote: 2n, commit },
    confState: { ...emptyConfState(), ...confState },
    entries,
    appliedIndex,
  })
  assert.equal(result.keepTo, keepTo)
  assert.deepEqual(result.hardState, { term: 4, vote: 2n, commit: keepTo + result.append.length })
  return result.append.map((entry) => {
    assert.equal(entry.term, 4)
    if (entry.data === undefined) return `${entry.index}`
    assert.equal(entry.type, EntryType.EntryConfChange)
    const { id, type, nodeId, context } = decodeConfChange(entry.data)
    assert.equal(id, 0n)
    assert.ok(type === add || type === remove)
    const text = context === undefined ? '' : ` ${Buffer.from(context).toString('utf8')}`
    return `${entry.index} ${type === add ? '+' : '-'}${nodeId.toString(16)}${text}`
  })
}

void test('the others leave, by ascending id', () => {
  const entries = [change(1, add, 9n), change(2, add, SELF), change(3, add, 5n), normal(4)]
  assert.deepEqual(forced(4, entries), ['5 -5', '6 -9'])
})

void test('a cluster of one stays what it is', () => {
  assert.deepEqual(forced(2, [change(1, add, SELF), normal(2)]), [])
})

void test('members of the snapshot are known, and those that were removed since are not', () => {
  const entries = [change(11, remove, 5n), change(12, update, 9n), change(13, addLearner, 3n)]
  const confState = { voters: [5n, 9n, SELF], learners: [4n] }
  assert.deepEqual(forced(13, entries, confState), ['14 -3', '15 -4', '16 -9'])
})

void test('what was not committed is dropped, with the members it would have brought', () => {
  const entries = [change(1, add, SELF), normal(2), change(3, add, 5n), change(4, remove, SELF)]
  assert.deepEqual(forced(2, entries), ['3'])
})

void test('what was applied is kept, even when the hard state is behind', () => {
  const entries = [change(1, add, SELF), change(2, add, 5n), normal(3), normal(4)]
  assert.deepEqual(forced(1, entries, {}, 3), ['4 -5'])
})

void test('a member that its log does not know is added first', () => {
  assert.deepEqual(forced(1, [change(1, add, 5n)]), [
    '2 +ffffffffffffffff {"id":18446744073709551615,"peerURLs":["http://localhost:2380"]}',
    '3 -5',
  ])
})

void test('a member that was removed is added again', () => {
  const entries = [change(1, add, SELF), change(2, add, 5n), change(3, remove, SELF)]
  assert.equal(forced(3, entries)[0]?.startsWith('4 +ffffffffffffffff '), true)
})

void test('a learner is promoted first', () => {
  assert.deepEqual(forced(7, [], { voters: [5n], learners: [SELF] }), [
    '8 +ffffffffffffffff {"id":18446744073709551615,"peerURLs":null,"isPromote":true}',
    '9 -5',
  ])
})

void test('both halves of a change that is under way leave', () => {
  const confState = { voters: [SELF, 1n], votersOutgoing: [SELF, 2n], learnersNext: [2n], learners: [3n] }
  assert.deepEqual(forced(7, [], confState), ['8 -1', '9 -2', '10 -3'])
})
