import { test } from 'node:test'
import { SeededRandom, Workload, checkCluster, registerSteps } from '@etcd-ts/testkit'
import { SOON_MS, startCluster } from './cluster-faults.ts'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// ETCD_TS_LEADER_KILLS: how often the leader is killed (in full: 60). ETCD_TS_KILL_PERIOD_MS: from one kill to the next.
const kills = count('ETCD_TS_LEADER_KILLS', { ci: 6, local: 3 })
const periodMs = count('ETCD_TS_KILL_PERIOD_MS', { ci: 2500, local: 2500 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const RESTART_AFTER_MS = 1000

// D-02. No acknowledged write is lost and every answer is linearizable (I1 to I3, I6), and a majority that is left accepts
// writes again (F01), when leaders are killed one after the other and come back.
void test(`the leader is killed ${kills} times, and comes back each time`, async (t) => {
  const random = new SeededRandom(seed)
  const cluster = await startCluster(t)
  const workload = Workload.start(t, { endpoints: () => cluster.endpoints, step: registerSteps(), seed })
  await workload.acknowledged(50, SOON_MS)
  const pauses: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    const leader = await cluster.leader()
    await arbitraryMoment(random.below(100))
    await leader.kill()
    pauses.push(await workload.acknowledged(1, SOON_MS))
    await arbitraryMoment(RESTART_AFTER_MS)
    await leader.start()
    await arbitraryMoment(Math.max(0, periodMs - RESTART_AFTER_MS))
  }
  t.diagnostic(`writes were acknowledged again after ${pauses.map((ms) => ms.toFixed(0)).join(', ')} ms`)
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
})
