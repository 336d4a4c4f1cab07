import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '@etcd-ts/platform'
import { silentLogger } from '../log/index.ts'
import { runPeriodicCompaction, runRevisionCompaction } from './auto-compaction.ts'

const MINUTE_MS = 60_000

/** A clock whose sleeps end at once, one after the other, until its time is up. */
function clockUntil(endMs: number, onTick: (nowMs: number) => void): Clock {
  let nowMs = 0
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer: () => assert.fail('no timers here'),
    soon: () => assert.fail('nothing to do soon'),
    sleep: (delayMs) => {
      nowMs += delayMs
      onTick(nowMs)
      return Promise.resolve(nowMs <= endMs)
    },
  }
}

interface Recorded {
  revision: number
  isLeader: boolean
  succeeds: boolean
  readonly compactions: [minute: number, revision: number][]
  nowMs: number
}

/** One revision a minute. */
function record(): {
  state: Recorded
  ports: Parameters<typeof runPeriodicCompaction>[1]
  readonly clock: (endMs: number) => Clock
} {
  const state: Recorded = { revision: 1, isLeader: true, succeeds: true, compactions: [], nowMs: 0 }
  return {
    state,
    ports: {
      revision: () => state.revision,
      isLeader: () => state.isLeader,
      compact: (revision) => {
        state.compactions.push([state.nowMs / MINUTE_MS, revision])
        return Promise.resolve(state.succeeds)
      },
    },
    clock: (endMs) =>
      clockUntil(endMs, (nowMs) => {
        state.nowMs = nowMs
        state.revision = 1 + Math.floor(nowMs / MINUTE_MS)
      }),
  }
}

const { signal } = new AbortController()

void test('a period of ten minutes keeps ten minutes of history, compacting every ten', async () => {
  const { state, ports, clock } = record()
  await runPeriodicCompaction(10 * MINUTE_MS, ports, clock(30 * MINUTE_MS), silentLogger, signal)
  assert.deepEqual(state.compactions, [
    [10, 1],
    [20, 10],
    [30, 20],
  ])
})

void test('a period of two hours waits two hours, then compacts every hour', async () => {
  const { state, ports, clock } = record()
  await runPeriodicCompaction(120 * MINUTE_MS, ports, clock(240 * MINUTE_MS), silentLogger, signal)
  assert.deepEqual(
    state.compactions.map(([minute]) => minute),
    [120, 180, 240],
  )
})

void test('a compaction that failed is tried again with the next sample; a follower compacts nothing', async () => {
  const { state, ports, clock } = record()
  state.succeeds = false
  await runPeriodicCompaction(10 * MINUTE_MS, ports, clock(12 * MINUTE_MS), silentLogger, signal)
  assert.deepEqual(
    state.compactions.map(([minute]) => minute),
    [10, 11, 12],
  )
  const follower = record()
  follower.state.isLeader = false
  await runPeriodicCompaction(
    10 * MINUTE_MS,
    follower.ports,
    follower.clock(30 * MINUTE_MS),
    silentLogger,
    signal,
  )
  assert.deepEqual(follower.state.compactions, [])
})

void test('revision mode keeps the last revisions, looking every five minutes', async () => {
  const { state, ports, clock } = record()
  await runRevisionCompaction(7, ports, clock(15 * MINUTE_MS), silentLogger, signal)
  assert.deepEqual(state.compactions, [
    [10, 4],
    [15, 9],
  ])
})
