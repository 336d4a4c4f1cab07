import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ClusterMember,
  FaultInjector,
  Workload,
  checkCluster,
  eventually,
  registerSteps,
} from '@etcd-ts/testkit'
import { SOON_MS, isOurs, others, startCluster } from './cluster-faults.ts'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// ETCD_TS_SLOW_DISK_MS: for how long the leader's disk is slow (in full: 300000). ETCD_TS_STALL_MS: the stall after that.
const slowMs = count('ETCD_TS_SLOW_DISK_MS', { ci: 5000, local: 3000 })
const stallMs = count('ETCD_TS_STALL_MS', { ci: 8000, local: 8000 })

/** A leader does not keep its place for longer than this on a disk that stands still. */
const LEADERSHIP_MOVES_MS = 3000

// D-26. A leader whose disk is slow, and then stands still for seconds, costs speed and perhaps its place, and no
// acknowledged write (I1 to I3); the others go on without it.
void test(
  'the disk of the leader is slow, and then stands still',
  { skip: isOurs ? false : 'faults of the disk are for our server only' },
  async (t) => {
    const faults = new FaultInjector(t)
    const env = faults.environment()
    const cluster = await startCluster(t, { env })
    const workload = Workload.start(t, {
      endpoints: () => cluster.endpoints,
      step: registerSteps(),
      timeoutMs: 5000,
    })
    await workload.acknowledged(50, SOON_MS)
    const calls = ['fdatasync', 'fsync'] as const
    const log = (member: ClusterMember): string => `^${member.server.dataDir}/member/wal`
    const slow = await cluster.leader()
    const heal = faults.inject({ calls, path: log(slow), delayMs: 200 })
    await arbitraryMoment(slowMs)
    await workload.acknowledged(20, SOON_MS)
    heal()
    const before = faults.journal().length
    const stalled = await cluster.leader()
    let attempts = 0
    faults.inject({ calls, path: log(stalled), delayMs: stallMs, times: 1 })
    const stallEnds = arbitraryMoment(stallMs)
    await eventually('another member leads', LEADERSHIP_MOVES_MS, async () => {
      const [other] = others(cluster.members, stalled)
      const { leader } = (await other?.status()) ?? { leader: 0n }
      return leader !== 0n && leader !== stalled.id ? true : undefined
    })
    // Whoever asks the others is served before the stall is over.
    const startMs = performance.now()
    for (const { name, endpoint } of others(cluster.members, stalled)) {
      for (let i = 0; i < 20; i++) {
        await eventually(`a write through ${name}`, stallMs / 2, async () => {
          const value = `${name} ${i} ${attempts++}`
          const { outcome } = await workload.call(endpoint, { kind: 'put', key: 'in the stall', value })
          return outcome.kind === 'answered' ? true : undefined
        })
      }
    }
    const writesMs = performance.now() - startMs
    assert.ok(writesMs < stallMs, 'the stall was not over')
    assert.equal(faults.journal().length, before + 1, 'the disk stood still')
    await stallEnds
    await workload.acknowledged(20, SOON_MS)
    const leader = await cluster.leader()
    t.diagnostic(
      `40 writes in the stall took ${writesMs.toFixed(0)} ms; leaders: ${slow.name}, ${stalled.name}, ${leader.name}`,
    )
    t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
  },
)
