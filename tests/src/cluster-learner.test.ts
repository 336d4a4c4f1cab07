import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { type GrpcError, eventually, reservePort } from '@etcd-ts/testkit'
import { CATCH_UP_MS, refusal, refusalOfLeader, startCluster } from './cluster-faults.ts'

const { Put, Range } = etcdserverpb.KVService
const { MemberAdd, MemberPromote } = etcdserverpb.ClusterService
const { MoveLeader } = etcdserverpb.MaintenanceService

const FAILED_PRECONDITION = 9
const UNAVAILABLE = 14
const notReady = 'etcdserver: can only promote a learner member which is in sync with leader'

function assertRefusal({ code, text }: GrpcError, expectedCode: number, expectedText: string): void {
  assert.deepEqual([code, text], [expectedCode, expectedText])
}

// D-15. There is one learner at a time, it becomes a voter only when it is in sync with the leader, and until then serves
// nobody but readers who accept stale data (R49, R50).
void test('a learner from its addition to its promotion', async (t) => {
  const cluster = await startCluster(t)
  const put = async (writes: number): Promise<void> => {
    const puts = Array.from({ length: writes }, (_, i) =>
      cluster.call(Put, { key: Buffer.from(`key ${i}`), value: Buffer.from('x') }),
    )
    await Promise.all(puts)
  }
  await put(150)
  const learner = await cluster.announce({ learner: true })
  const spareUrl = `http://127.0.0.1:${await reservePort(t)}`
  const second = await refusalOfLeader(cluster, MemberAdd, { peerURLs: [spareUrl], isLearner: true })
  assertRefusal(second, FAILED_PRECONDITION, 'etcdserver: too many learner members in cluster')
  assertRefusal(
    await refusalOfLeader(cluster, MemberPromote, { ID: learner.id }),
    FAILED_PRECONDITION,
    notReady,
  )

  await learner.start()
  await eventually('the learner has caught up', CATCH_UP_MS, async () => {
    const { kvs } = await learner.grpc.call(Range, { key: Buffer.from('key 149'), serializable: true })
    return kvs.length > 0 ? true : undefined
  })
  assert.equal((await learner.status()).isLearner, true)
  const notSupported = 'etcdserver: rpc not supported for learner'
  assertRefusal(await refusal(learner, Range, { key: Buffer.from('key 1') }), UNAVAILABLE, notSupported)
  const write = { key: Buffer.from('key 1'), value: Buffer.from('x') }
  assertRefusal(await refusal(learner, Put, write), UNAVAILABLE, notSupported)
  const badTransferee = 'etcdserver: bad leader transferee'
  assertRefusal(
    await refusalOfLeader(cluster, MoveLeader, { targetID: learner.id }),
    FAILED_PRECONDITION,
    badTransferee,
  )

  learner.pause()
  await put(1500)
  assertRefusal(
    await refusalOfLeader(cluster, MemberPromote, { ID: learner.id }),
    FAILED_PRECONDITION,
    notReady,
  )
  learner.resume()
  await cluster.promote(learner)
  for (const member of cluster.members) {
    await eventually(`${member.name} knows the new voter`, CATCH_UP_MS, async () => {
      const { members } = await member.grpc.call(etcdserverpb.ClusterService.MemberList, {})
      return members.length === 4 && members.every(({ isLearner }) => !isLearner) ? true : undefined
    })
  }
  await learner.grpc.call(Put, write)
  await cluster.assertEqualHashes()
})
