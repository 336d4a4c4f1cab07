import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { eventually } from '@etcd-ts/testkit'
import { CATCH_UP_MS, isOurs, memberListOf, refusal, startCluster } from './cluster-faults.ts'

const { MemberPromote, MemberUpdate } = etcdserverpb.ClusterService
const { Put } = etcdserverpb.KVService

/** Real etcd 3.4 takes a learner whose URLs are changed for a voter from then on (etcd issue 21694). */
const skip = isOurs ? false : 'real etcd does not'

// D-17. New peer URLs change nothing but the URLs: a learner stays one in every view, of every member, before and after all
// have been restarted (I18).
void test('peer URLs of a voter and of a learner are changed', { skip }, async (t) => {
  const cluster = await startCluster(t)
  const learner = await cluster.join({ learner: true })
  const leader = await cluster.leader()
  const voter = cluster.members.find((member) => member !== leader && member !== learner)
  assert.ok(voter !== undefined)
  // The same listeners by another name.
  const urls = new Map(cluster.members.map((member) => [member.id, member.peerUrl]))
  for (const member of [voter, learner]) {
    const url = member.peerUrl.replace('127.0.0.1', 'localhost')
    urls.set(member.id, url)
    await leader.grpc.call(MemberUpdate, { ID: member.id, peerURLs: [url] })
  }
  const check = async (): Promise<void> => {
    for (const member of cluster.members) {
      assert.equal((await member.status()).isLearner, member === learner)
      // A learner does not list the members.
      if (member === learner) continue
      await eventually(`${member.name} knows the new URLs`, CATCH_UP_MS, async () => {
        const list = await memberListOf(member)
        assert.equal(list.length, 4)
        return list.every(({ ID, peerURLs }) => peerURLs.join(',') === urls.get(ID)) ? true : undefined
      })
      for (const { ID, isLearner } of await memberListOf(member)) assert.equal(isLearner, ID === learner.id)
    }
    // Raft does not count on the learner: with two of three voters there is a majority without it.
    await leader.grpc.call(Put, { key: Buffer.from('a'), value: Buffer.from('x') })
  }
  await check()
  await Promise.all(cluster.members.map((member) => member.stop()))
  await cluster.start()
  await check()
  // It can still be promoted, once.
  await cluster.promote(learner)
  const error = await refusal(await cluster.leader(), MemberPromote, { ID: learner.id })
  assert.equal(error.text, 'etcdserver: can only promote a learner member')
  await cluster.assertEqualHashes()
})
