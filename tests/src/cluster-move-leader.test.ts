import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import {
  type ClusterMember,
  type ClusterProcess,
  SeededRandom,
  Workload,
  checkCluster,
  eventually,
  registerSteps,
} from '@etcd-ts/testkit'
import { SOON_MS, others, refusal, refusalOfLeader, startCluster } from './cluster-faults.ts'
import { count } from './settings.ts'

// ETCD_TS_MOVES: how often the leader is moved. ETCD_TS_STOPPED_MOVES: how often to a member that is stopped (in full: 5).
const moves = count('ETCD_TS_MOVES', { ci: 50, local: 20 })
const stoppedMoves = count('ETCD_TS_STOPPED_MOVES', { ci: 1, local: 1 })
const impossibleMoves = 5
const GIVES_UP_MS = 5000
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const { MoveLeader } = etcdserverpb.MaintenanceService

/** Asks the leader, whoever it is, until it has moved. */
async function move(cluster: ClusterProcess, target: ClusterMember): Promise<void> {
  await eventually(`${target.name} leads`, SOON_MS, async () => {
    const leader = await cluster.leader()
    if (leader === target) return true
    await leader.grpc.call(MoveLeader, { targetID: target.id }, { timeoutMs: SOON_MS })
    return undefined
  })
}

// D-13. No acknowledged write is lost and every answer is linearizable (I1 to I3, I6) while the leader is moved under
// writes; a move to who cannot lead is refused or given up, and the old leader serves again (F24).
void test(`the leader is moved ${moves} times under writes`, async (t) => {
  const random = new SeededRandom(seed)
  const cluster = await startCluster(t)
  const voters = [...cluster.members]
  const learner = await cluster.join({ learner: true })
  const workload = Workload.start(t, {
    endpoints: () => voters.map(({ endpoint }) => endpoint),
    step: registerSteps(),
    seed,
  })
  await workload.acknowledged(50, SOON_MS)
  for (let i = 0; i < moves; i++) {
    await move(cluster, random.pick(others(voters, await cluster.leader())))
    await workload.acknowledged(1, SOON_MS)
  }
  for (let i = 0; i < impossibleMoves; i++) {
    for (const targetID of [learner.id, 4711n]) {
      const { code, text } = await refusalOfLeader(cluster, MoveLeader, { targetID })
      assert.deepEqual([code, text], [9, 'etcdserver: bad leader transferee'])
    }
    const leader = await cluster.leader()
    const [follower] = others(voters, leader)
    assert.ok(follower !== undefined)
    const { code, text } = await refusal(follower, MoveLeader, { targetID: leader.id })
    assert.deepEqual([code, text], [9, 'etcdserver: not leader'])
  }
  for (let i = 0; i < stoppedMoves; i++) {
    const leader = await cluster.leader()
    const stopped = random.pick(others(voters, leader))
    stopped.pause()
    const moving = refusal(leader, MoveLeader, { targetID: stopped.id }, { timeoutMs: GIVES_UP_MS })
    // Writes wait until Raft gives the move up, after an election timeout; the caller of the move waits on.
    await workload.acknowledged(20, SOON_MS)
    const { code, message } = await moving
    assert.ok(code === 4 || code === 2, message)
    stopped.resume()
    await workload.acknowledged(20, SOON_MS)
  }
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
})
