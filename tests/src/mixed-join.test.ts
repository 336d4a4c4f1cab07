import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { ClusterProcess, ManualScope, type ServerProgram } from '@etcd-ts/testkit'
import {
  assertEqualPairs,
  fill,
  ours,
  quickFlags,
  real,
  skipWithoutReal,
  writesThatCutTheLog,
} from './mixed-programs.ts'

// Members of one program join a cluster of the other, lead it, follow it and leave it.

const SNAPSHOT_SENT = /sent database snapshot|sent merged snapshot/

for (const { host, guest, title } of [
  { host: real, guest: ours, title: 'a cluster of real etcd, and a guest of ours' },
  { host: ours, guest: real, title: 'a cluster of ours, and a guest of real etcd' },
]) {
  void describe(title, { skip: skipWithoutReal }, () => joinSuite(host, guest))
}

function joinSuite(host: ServerProgram, guest: ServerProgram): void {
  const scope = new ManualScope()
  let cluster: ClusterProcess
  after(() => scope.end())
  before(async () => {
    cluster = await ClusterProcess.start(scope, { program: host, flags: quickFlags })
  })

  for (const catchUp of ['log', 'snapshot'] as const) {
    for (const role of ['learner', 'voter'] as const) {
      void test(`joins as a ${role} and catches up from the ${catchUp}`, async (t) => {
        if (catchUp === 'snapshot') await fill(t, cluster, writesThatCutTheLog(host))
        else await fill(t, cluster, 100)
        const sentBefore = snapshotsSent(cluster)
        const member = await cluster.join({ program: guest, learner: role === 'learner' })
        await assertEqualPairs(cluster)
        assert.equal(
          snapshotsSent(cluster) > sentBefore,
          catchUp === 'snapshot',
          'whether a member has sent a snapshot',
        )
        if (role === 'learner') {
          const { isLearner } = await member.status()
          assert.equal(isLearner, true)
          await cluster.promote(member)
        }
        await fill(t, cluster, 200)
        await cluster.assertEqualHashes()
        await member.server.restart()
        await fill(t, cluster, 200)
        await cluster.assertEqualHashes()
        await cluster.remove(member)
      })
    }
  }

  void test('leads, and the others follow under writes', async (t) => {
    const member = await cluster.join({ program: guest })
    await cluster.moveLeader(member)
    await fill(t, cluster, 1000)
    assert.equal(await cluster.leader(), member)
    await cluster.assertEqualHashes()
    // One that was away takes what it missed from the leader's log.
    const [away] = await cluster.followers()
    assert.ok(away !== undefined)
    await away.kill()
    await fill(t, cluster, 50)
    await away.start()
    await cluster.assertEqualHashes()
    // Compactions and deletes under this leader.
    const { Put, DeleteRange, Compact } = etcdserverpb.KVService
    const { header } = await cluster.call(Put, { key: Buffer.from('last'), value: Buffer.from('x') })
    await cluster.call(Compact, { revision: BigInt((header?.revision ?? 0) - 100) })
    await cluster.call(DeleteRange, { key: Buffer.from('fill 1'), rangeEnd: Buffer.from('fill 2') })
    await assertEqualPairs(cluster)
    await cluster.assertEqualHashes()
    await cluster.remove(member)
    await cluster.leader({ except: member })
    await fill(t, cluster, 100)
    await cluster.assertEqualHashes()
  })

  void test('a follower that was away for too long gets a snapshot from a leader of the other kind', async (t) => {
    const member = await cluster.join({ program: guest })
    await cluster.moveLeader(member)
    const [away] = await cluster.followers()
    assert.ok(away !== undefined)
    await away.kill()
    const sentBefore = snapshotsSent(cluster)
    await fill(t, cluster, writesThatCutTheLog(guest))
    await away.start()
    await cluster.assertEqualHashes()
    assert.ok(snapshotsSent(cluster) > sentBefore, 'a member has sent a snapshot')
    await away.server.restart()
    await cluster.assertEqualHashes()
    await cluster.remove(member)
  })
}

function snapshotsSent(cluster: ClusterProcess): number {
  let sent = 0
  for (const { server } of cluster.members) {
    sent += server.log.lines.filter((line) => SNAPSHOT_SENT.test(line)).length
  }
  return sent
}
