import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimIoCall } from '@etcd-ts/testkit'
import { type Plant, Simulation } from './member-simulation-run.ts'
import { lies, moved, puts } from './plants.ts'

// The tester tested (part 3.6 of the catalogue): bugs are planted under a member, and the simulation must find each.

const SEEDS_MAX = 50

const isSyncOf = (path: RegExp) => (call: SimIoCall) => call.operation === 'datasync' && path.test(call.path)

for (const { name, plant } of [
  { name: 'a disk that makes nothing of the log durable', plant: () => ({ faults: lies(isSyncOf(/wal/)) }) },
  {
    name: 'a disk that skips one sync of the log in twenty',
    plant: () => ({ faults: lies(isSyncOf(/wal/), 20) }),
  },
  {
    name: 'a disk that never makes names in the log durable',
    plant: () => ({ faults: lies((call) => call.operation === 'syncDirectory' && /wal/.test(call.path)) }),
  },
  {
    name: 'a backend that says a commit is durable when it is not',
    plant: () => ({ faults: lies((call) => call.operation === 'commit') }),
  },
  {
    name: 'a backend whose commits are not atomic',
    plant: (): Plant => ({ faults: (call) => (call.operation === 'commit' ? { tears: true } : undefined) }),
  },
  {
    name: 'a backend that forgets the consistent index',
    plant: () => puts((_, key, value) => (key === 'consistent_index' ? undefined : value)),
  },
  {
    name: 'a consistent index that is one entry behind',
    plant: () => puts((_, key, value) => (key === 'consistent_index' ? moved(value, -1) : value)),
  },
  {
    name: 'a consistent index that is one entry ahead',
    plant: () => puts((_, key, value) => (key === 'consistent_index' ? moved(value, 1) : value)),
  },
  {
    name: 'an alarm that is not stored',
    plant: () => puts((bucket, _, value) => (bucket === 'alarm' ? undefined : value)),
  },
  {
    name: 'a compaction that is not stored',
    plant: () => puts((_, key, value) => (key === 'scheduledCompactRev' ? undefined : value)),
  },
] satisfies { name: string; plant: () => Plant }[]) {
  void test(`found: ${name}`, async (t) => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      try {
        await new Simulation(seed, { plant: plant() }).surviveCrashes()
      } catch (error) {
        const [what] = String(error).split('\n')
        t.diagnostic(`with seed ${seed}: ${what?.slice(0, 200)}`)
        return
      }
    }
    assert.fail(`not found by ${SEEDS_MAX} seeds`)
  })
}
