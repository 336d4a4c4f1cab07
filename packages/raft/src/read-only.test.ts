import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EntryType, type Message, MessageType, newEntry, newMessage } from './messages.ts'
import { PendingReads } from './read-only.ts'

const requestOf = (from: bigint, ...context: number[]): Message => {
  const message = newMessage(MessageType.MsgReadIndex, 1n)
  message.from = from
  message.entries = [newEntry(EntryType.EntryNormal, Uint8Array.from(context))]
  return message
}

void test('a confirmed round confirms the reads before it, too', () => {
  const reads = new PendingReads()
  const first = requestOf(1n, 1)
  const second = requestOf(2n, 2)
  reads.add(first, 10, 1n)
  const context = reads.add(second, 12, 1n)
  reads.add(requestOf(2n, 3), 13, 1n)
  assert.deepEqual(
    [...(reads.acknowledge(3n, context) ?? [])],
    [
      [1n, true],
      [3n, true],
    ],
  )
  assert.deepEqual(
    reads.take(context).map(({ request, index }) => [request, index]),
    [
      [first, 10],
      [second, 12],
    ],
  )
  assert.deepEqual(reads.take(context), [])
})

void test('a request that comes again shares the round of the first', () => {
  const reads = new PendingReads()
  const context = reads.add(requestOf(2n, 7), 10, 1n)
  assert.equal(reads.add(requestOf(2n, 7), 20, 1n), context)
  assert.notDeepEqual(reads.add(requestOf(3n, 7), 20, 1n), context, 'another member may use the same context')
})

void test('answers to a round that is over do not count for the next one of the same request', () => {
  const reads = new PendingReads()
  const first = reads.add(requestOf(2n, 7), 10, 1n)
  reads.take(first)
  const second = reads.add(requestOf(2n, 7), 10, 1n)
  assert.equal(reads.acknowledge(3n, first), undefined)
  assert.notEqual(reads.acknowledge(3n, second), undefined)
})

void test('contexts that are no rounds are ignored', () => {
  const reads = new PendingReads()
  reads.add(requestOf(2n, 7), 10, 1n)
  for (const context of [[], [1], new Array<number>(8).fill(255), new Array<number>(9).fill(0)]) {
    assert.equal(reads.acknowledge(3n, Uint8Array.from(context)), undefined)
    assert.deepEqual(reads.take(Uint8Array.from(context)), [])
  }
})

void test('heartbeats carry the newest round', () => {
  const reads = new PendingReads()
  assert.equal(reads.newestContext, undefined)
  reads.add(requestOf(2n, 1), 10, 1n)
  const newest = reads.add(requestOf(2n, 2), 10, 1n)
  assert.equal(reads.newestContext, newest)
})
