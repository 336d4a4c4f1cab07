import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClusterProcess, FaultInjector, Workload, checkCluster, registerSteps } from '@etcd-ts/testkit'
import { SOON_MS, isOurs, startCluster } from './cluster-faults.ts'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// ETCD_TS_SLOW_DISK_MS: for how long the leader's disk is slow (in full: 300000). ETCD_TS_STALL_MS: the stall after that.
const slowMs = count('ETCD_TS_SLOW_DISK_MS', { ci: 5000, local: 3000 })
const stallMs = count('ETCD_TS_STALL_MS', { ci: 8000, local: 8000 })

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
    const slow = await cluster.leader()
    const path = `^${slow.server.dataDir}`
    const heal = faults.inject({ calls: ['fdatasync', 'fsync'], path, delayMs: 200 })
    await arbitraryMoment(slowMs)
    await workload.acknowledged(20, SOON_MS)
    heal()
    const stalled = await cluster.leader()
    faults.inject({
      calls: ['fdatasync', 'fsync'],
      path: `^${stalled.server.dataDir}`,
      delayMs: stallMs,
      times: 1,
    })
    await workload.acknowledged(20, SOON_MS)
    await arbitraryMoment(stallMs)
    await workload.acknowledged(20, SOON_MS)
    const leader = await cluster.leader()
    t.diagnostic(`the leader was ${slow.name}, then ${stalled.name}, in the end ${leader.name}`)
    assert.ok(faults.journal().length > 0)
    t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
  },
)
