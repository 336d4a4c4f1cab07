import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { Workload, checkCluster, registerSteps } from '@etcd-ts/testkit'
import { SOON_MS, faultFlags, refusalOfLeader, startCluster } from './cluster-faults.ts'
import { count } from './settings.ts'

// ETCD_TS_REMOVALS: how many leaders are removed (in full: 10).
const removals = count('ETCD_TS_REMOVALS', { ci: 4, local: 2 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const { MemberRemove } = etcdserverpb.ClusterService

// D-18. A leader that is removed lets go and ends, the others elect a new one and go on, and every answer is linearizable
// (I1 to I3, I18).
void test(`the leader is removed ${removals} times under writes`, async (t) => {
  const cluster = await startCluster(t)
  const workload = Workload.start(t, { endpoints: () => cluster.endpoints, step: registerSteps(), seed })
  for (let i = 0; i < removals; i++) {
    await workload.acknowledged(50, SOON_MS)
    const leader = await cluster.leader()
    // Waits for the end of its process, too.
    await cluster.remove(leader)
    await cluster.leader({ timeoutMs: SOON_MS })
    await workload.acknowledged(50, SOON_MS)
    await cluster.join()
  }
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
})

// D-18. A cluster shrinks to one member, which goes on, and whose removal is refused.
void test('members are removed down to the last', async (t) => {
  const flags = (program: Parameters<typeof faultFlags>[0]): string[] =>
    faultFlags(program).filter((flag) => !flag.startsWith('--strict-reconfig-check'))
  const cluster = await startCluster(t, { size: 2, flags })
  const workload = Workload.start(t, { endpoints: () => cluster.endpoints, step: registerSteps(), seed })
  await workload.acknowledged(20, SOON_MS)
  await cluster.remove(await cluster.leader())
  await workload.acknowledged(50, SOON_MS)
  const [last] = cluster.members
  assert.ok(last !== undefined)
  const { text } = await refusalOfLeader(cluster, MemberRemove, { ID: last.id })
  assert.equal(text, 'etcdserver: re-configuration failed due to not enough started members')
  await workload.acknowledged(50, SOON_MS)
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
})
