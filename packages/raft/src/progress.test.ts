import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeProgress } from './describe-config.ts'
import { Inflights } from './inflights.ts'
import { InvariantError } from './invariant.ts'
import { Progress } from './progress.ts'

const progressAt = (match: number, next: number): Progress => {
  const progress = new Progress(next, false, () => new Inflights(2, Infinity))
  progress.match = match
  progress.recentActive = true
  return progress
}

void test('a probe with entries pauses the flow, an empty one does not', () => {
  const progress = progressAt(0, 5)
  progress.sentEntries(0, 0)
  assert.equal(progress.isPaused, false)
  progress.sentEntries(2, 10)
  assert.equal(describeProgress(progress), 'StateProbe match=0 next=5 paused')
})

void test('replication goes ahead of the answers until enough is under way', () => {
  const progress = progressAt(4, 9)
  progress.becomeReplicate()
  progress.sentEntries(1, 10)
  assert.equal(describeProgress(progress), 'StateReplicate match=4 next=6 inflight=1')
  progress.sentEntries(3, 10)
  assert.equal(describeProgress(progress), 'StateReplicate match=4 next=9 paused inflight=2[full]')
  assert.equal(progress.maybeUpdate(5), true)
  progress.inflights.freeUpTo(5)
  assert.equal(describeProgress(progress), 'StateReplicate match=5 next=9 inflight=1')
  assert.equal(progress.maybeUpdate(5), false)
})

void test('a member that needs a snapshot is sent nothing else, and goes on after it', () => {
  const progress = progressAt(2, 3)
  progress.becomeSnapshot(10)
  assert.equal(describeProgress(progress), 'StateSnapshot match=2 next=11 paused pendingSnap=10')
  assert.throws(() => progress.sentEntries(1, 1), InvariantError)
  progress.becomeProbe()
  assert.equal(progress.next, 11)
  progress.becomeSnapshot(20)
  progress.pendingSnapshot = 0
  progress.becomeProbe()
  assert.equal(progress.next, 3)
})

for (const { name, state, match, next, rejected, hint, wanted } of [
  {
    name: 'stale in replication',
    state: 'replicate',
    match: 5,
    next: 6,
    rejected: 5,
    hint: 4,
    wanted: undefined,
  },
  {
    name: 'news in replication: back to what matches',
    state: 'replicate',
    match: 5,
    next: 9,
    rejected: 8,
    hint: 7,
    wanted: 6,
  },
  { name: 'stale in probing', state: 'probe', match: 0, next: 9, rejected: 5, hint: 4, wanted: undefined },
  { name: 'in probing: to the hint', state: 'probe', match: 0, next: 9, rejected: 8, hint: 3, wanted: 4 },
  {
    name: 'in probing: never past what was refused',
    state: 'probe',
    match: 0,
    next: 9,
    rejected: 8,
    hint: 20,
    wanted: 8,
  },
  {
    name: 'in probing: never before what matches',
    state: 'probe',
    match: 5,
    next: 9,
    rejected: 8,
    hint: 1,
    wanted: 6,
  },
] as const) {
  void test(`a refusal ${name}`, () => {
    const progress = progressAt(match, next)
    if (state === 'replicate') progress.becomeReplicate()
    progress.next = next
    assert.equal(progress.maybeDecrease(rejected, hint), wanted !== undefined)
    assert.equal(progress.next, wanted ?? next)
  })
}

void test('a commit index is sent when it can move that of the member', () => {
  const progress = progressAt(5, 6)
  progress.becomeReplicate()
  assert.equal(progress.canBumpCommit(3), true)
  progress.sentCommit(5)
  assert.equal(progress.canBumpCommit(5), false)
  assert.equal(progress.canBumpCommit(6), false, 'the member has no more entries')
  progress.sentEntries(1, 1)
  assert.equal(progress.canBumpCommit(6), true)
})

void test('what was sent of the commit index is doubtful once entries are taken back', () => {
  const progress = progressAt(5, 6)
  progress.becomeReplicate()
  progress.sentEntries(3, 1)
  progress.sentCommit(8)
  assert.equal(progress.canBumpCommit(8), false)
  progress.becomeProbe()
  progress.sentEntries(0, 0)
  progress.becomeReplicate()
  progress.sentEntries(3, 1)
  assert.equal(progress.canBumpCommit(8), true)
})

void test('a member that has lost what it had acknowledged is sent that again', () => {
  const progress = progressAt(10, 11)
  progress.sentEntries(1, 10)
  assert.equal(progress.maybeDecrease(10, 4), true)
  assert.equal(describeProgress(progress), 'StateProbe match=4 next=5')
  progress.becomeReplicate()
  assert.equal(progress.maybeDecrease(4, 2), false, 'a stale refusal')
})
