import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '@etcd-ts/api'
import { Proposals, type Waiter } from './proposals.ts'

function waiter(deadlineMs: number): Waiter & { readonly outcomes: unknown[] } {
  const outcomes: unknown[] = []
  return {
    deadlineMs,
    entryBytes: 0,
    ended: false,
    outcomes,
    applied: (result) => outcomes.push(result),
    failed: (error) => outcomes.push((error as Error).message),
  }
}

void test('a waiter hears of its entry once', () => {
  const proposals = new Proposals()
  const call = waiter(10)
  proposals.register(1, call, 5)
  proposals.resolve(1, 'done')
  proposals.resolve(1, 'again')
  proposals.reject(1, new Error('late'))
  assert.deepEqual(call.outcomes, ['done'])
  assert.equal(proposals.size, 0)
})

void test('expiry takes those whose time is up and leaves the others', () => {
  const proposals = new Proposals()
  const calls = [waiter(10), waiter(11), waiter(12)] as const
  for (const [id, call] of calls.entries()) proposals.register(id, call, 1)
  proposals.expire(11, () => new ApiError('timeout'))
  assert.deepEqual(
    calls.map((call) => call.outcomes.length),
    [1, 1, 0],
  )
})

void test('what waits is bounded in number and in bytes, and room comes back', () => {
  const proposals = new Proposals()
  const half = 128 * 1024 * 1024
  proposals.register(1, waiter(10), half)
  proposals.register(2, waiter(10), half)
  assert.throws(() => proposals.register(3, waiter(10), 1), /too many requests/)
  proposals.resolve(1, undefined)
  proposals.register(3, waiter(10), 1)
  proposals.rejectAll(new Error('stopped'))
  for (let id = 0; id < 50_000; id++) proposals.register(id, waiter(10), 1)
  assert.throws(() => proposals.register(50_000, waiter(10), 1), /too many requests/)
})
