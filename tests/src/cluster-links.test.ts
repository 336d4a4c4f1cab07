import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Workload, checkCluster, eventually, registerSteps } from '@etcd-ts/testkit'
import { CATCH_UP_MS, SOON_MS, others, startCluster } from './cluster-faults.ts'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// ETCD_TS_LINK_CUT_MS: how long one direction is cut (in full: 60000).
const cutMs = count('ETCD_TS_LINK_CUT_MS', { ci: 5000, local: 3000 })

// D-11. A follower that does not hear the leader, and that everybody hears, does not disturb the others: leader and term
// stay (F16), and afterwards it catches up.
void test('the leader is not heard by one follower', async (t) => {
  const cluster = await startCluster(t, { links: true })
  const leader = await cluster.leader()
  const [deaf, healthy] = others(cluster.members, leader)
  assert.ok(deaf !== undefined && healthy !== undefined)
  const workload = Workload.start(t, {
    endpoints: () => [leader.endpoint, healthy.endpoint],
    step: registerSteps(),
  })
  await workload.acknowledged(50, SOON_MS)
  const { raftTerm } = await leader.status()
  cluster.block(leader, deaf)
  await arbitraryMoment(cutMs)
  await workload.acknowledged(50, SOON_MS)
  const after = await leader.status()
  assert.equal(after.leader, leader.id, 'the leader has not changed')
  assert.ok(after.raftTerm <= raftTerm + 1, `term ${after.raftTerm} after ${raftTerm}`)
  cluster.heal()
  await eventually('the follower has caught up', CATCH_UP_MS, async () => {
    const { raftAppliedIndex } = await deaf.status()
    return raftAppliedIndex >= after.raftAppliedIndex ? true : undefined
  })
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
})

// D-12. A leader that hears nobody gives up, whoever hears it; the others go on with a new one, and every answer is
// linearizable (I1 to I3).
void test('the leader hears nobody', async (t) => {
  const cluster = await startCluster(t, { links: true })
  const workload = Workload.start(t, { endpoints: () => cluster.endpoints, step: registerSteps() })
  await workload.acknowledged(50, SOON_MS)
  const leader = await cluster.leader()
  const rest = others(cluster.members, leader)
  for (const other of rest) cluster.block(other, leader)
  await eventually('the leader steps down', SOON_MS, async () => {
    const status = await leader.status()
    return status.leader === leader.id ? undefined : true
  })
  await cluster.leader({ among: rest, timeoutMs: SOON_MS })
  await workload.acknowledged(50, SOON_MS)
  cluster.heal()
  await workload.acknowledged(50, SOON_MS)
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
})
