import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom, Workload, checkCluster, eventually, registerSteps } from '@etcd-ts/testkit'
import { CATCH_UP_MS, SOON_MS, memberListOf, startCluster } from './cluster-faults.ts'
import { count } from './settings.ts'

// ETCD_TS_REPLACEMENTS: how many members are replaced (in full: 20).
const replacements = count('ETCD_TS_REPLACEMENTS', { ci: 6, local: 3 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })

// D-14. A member that is replaced by one with the same name and URLs and an empty disk gets a new id, catches up, and the
// old id is never seen again (F22, I18); every answer is linearizable (I1 to I3).
void test(`${replacements} members are replaced, one after the other, under writes`, async (t) => {
  const random = new SeededRandom(seed)
  const cluster = await startCluster(t)
  const workload = Workload.start(t, { endpoints: () => cluster.endpoints, step: registerSteps(), seed })
  await workload.acknowledged(200, SOON_MS)
  const gone = new Set<bigint>()
  for (let i = 0; i < replacements; i++) {
    const old = random.pick(cluster.members)
    await cluster.remove(old)
    gone.add(old.id)
    // By now the log has been cut: the new one needs a snapshot.
    await workload.acknowledged(150, CATCH_UP_MS)
    const member = await cluster.join({ replaces: old })
    assert.equal(member.name, old.name)
    assert.equal(member.peerUrl, old.peerUrl)
    assert.ok(!gone.has(member.id), 'the id is a new one')
    const { raftAppliedIndex: goal } = await (await cluster.leader()).status()
    await eventually('the new member has caught up', CATCH_UP_MS, async () => {
      const { raftAppliedIndex } = await member.status()
      return raftAppliedIndex >= goal ? true : undefined
    })
  }
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
  const ids = new Set(cluster.members.map(({ id }) => id))
  for (const member of cluster.members) {
    const list = await memberListOf(member)
    assert.deepEqual(new Set(list.map(({ ID }) => ID)), ids, `as ${member.name} knows it`)
  }
})
