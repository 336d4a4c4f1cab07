import { ApiError } from '@etcd-ts/api'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReadIndex } from './read-index.ts'

class Read {
  readonly deadlineMs: number
  outcome = 'waiting'

  constructor(deadlineMs = 7000) {
    this.deadlineMs = deadlineMs
  }

  ready(): void {
    this.outcome = 'ready'
  }

  failed(error: unknown): void {
    this.outcome = (error as Error).message
  }
}

function counted(): ReadIndex {
  let id = 0
  return new ReadIndex(
    () => ++id,
    () => new ApiError('timeout'),
  )
}

void test('all reads that wait share one round, and those that come later wait for the next', () => {
  const reads = counted()
  const [first, second, late] = [new Read(), new Read(), new Read()]
  reads.add(first)
  reads.add(second)
  assert.equal(reads.startRound(0), 1)
  reads.add(late)
  assert.equal(reads.startRound(1), undefined)
  reads.confirm(1, 5, 5)
  assert.deepEqual([first.outcome, second.outcome, late.outcome], ['ready', 'ready', 'waiting'])
  assert.equal(reads.startRound(2), 2)
})

void test('a confirmed read waits until its index is applied', () => {
  const reads = counted()
  const read = new Read()
  reads.add(read)
  reads.startRound(0)
  reads.confirm(1, 5, 4)
  assert.equal(read.outcome, 'waiting')
  reads.applied(5)
  assert.equal(read.outcome, 'ready')
})

void test('a round that gets no answer is asked again under another id, and the first answer is not taken', () => {
  const reads = counted()
  const read = new Read()
  reads.add(read)
  assert.equal(reads.startRound(0), 1)
  assert.equal(reads.startRound(499), undefined)
  assert.equal(reads.startRound(500), 2)
  reads.confirm(1, 3, 3)
  assert.equal(read.outcome, 'waiting')
  reads.confirm(2, 3, 3)
  assert.equal(read.outcome, 'ready')
})

void test('reads fail when their time is up, wherever they wait', () => {
  const reads = counted()
  const [confirmed, asked, queued, patient] = [new Read(10), new Read(10), new Read(10), new Read(20)]
  reads.add(confirmed)
  reads.startRound(0)
  reads.confirm(1, 9, 1)
  reads.add(asked)
  reads.add(patient)
  reads.startRound(1)
  reads.add(queued)
  reads.expire(10)
  for (const read of [confirmed, asked, queued]) assert.equal(read.outcome, 'etcdserver: request timed out')
  assert.equal(patient.outcome, 'waiting')
})

void test('what was asked of a leader that is gone is asked of the next one at once', () => {
  const reads = counted()
  const [asked, queued] = [new Read(), new Read()]
  reads.add(asked)
  assert.equal(reads.startRound(0), 1)
  reads.add(queued)
  assert.equal(reads.startRound(1), undefined)
  reads.leaderChanged()
  assert.equal(reads.startRound(1), 2)
  reads.confirm(1, 9, 9)
  assert.equal(asked.outcome, 'waiting')
  reads.confirm(2, 9, 9)
  assert.deepEqual([asked.outcome, queued.outcome], ['ready', 'waiting'])
})
