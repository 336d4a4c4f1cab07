import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { ClusterProcess } from './cluster-process.ts'
import { GrpcError } from './grpc-client.ts'
import { realServer, skipWithout } from './programs.ts'

const program = realServer()
const { Put, Range } = etcdserverpb.KVService

// The harness is tried on a system that is known to work.
void describe('a cluster of real etcd', { skip: skipWithout(program, 'real etcd') ?? false }, () => {
  void test('loses its leader, goes on, takes members in and lets them go', async (t) => {
    const cluster = await ClusterProcess.start(t, {
      ...(program && { program }),
      flags: ['--strict-reconfig-check=false'],
    })
    const first = await cluster.leader()
    assert.equal((await first.status()).header?.memberId, first.id)
    await cluster.call(Put, { key: Buffer.from('a'), value: Buffer.from('1') })
    await first.kill()
    const second = await cluster.leader({ except: first })
    await second.grpc.call(Put, { key: Buffer.from('b'), value: Buffer.from('2') })
    first.wipe()
    await cluster.remove(first)
    const learner = await cluster.join({ learner: true })
    assert.equal(learner.name, 'm4')
    await cluster.promote(learner)
    await cluster.moveLeader(learner)
    assert.equal(await cluster.leader(), learner)
    const { kvs } = await learner.grpc.call(Range, { key: Buffer.from('a'), rangeEnd: Buffer.from('c') })
    assert.deepEqual(
      kvs.map((kv) => Buffer.from(kv.value).toString()),
      ['1', '2'],
    )
    const voter = await cluster.join()
    assert.equal((await cluster.memberList()).length, 4)
    await cluster.remove(voter)
    assert.equal((await cluster.assertEqualHashes()).revision, 3)
    assert.equal((await cluster.hashKv()).length, 3)
  })

  void test('a leader that is cut off is replaced, and follows once it is back', async (t) => {
    const cluster = await ClusterProcess.start(t, { ...(program && { program }), links: true })
    for (const cut of ['stall', 'reset'] as const) {
      const old = await cluster.leader()
      cluster.isolate(old, cut)
      const others = cluster.members.filter((member) => member !== old)
      const leader = await cluster.leader({ among: others })
      await leader.grpc.call(Put, { key: Buffer.from(cut), value: Buffer.from('x') })
      const lost = old.grpc.call(
        Put,
        { key: Buffer.from('lost'), value: Buffer.from('x') },
        { timeoutMs: 500 },
      )
      await assert.rejects(lost, GrpcError)
      cluster.heal()
      await cluster.leader({ among: cluster.members })
      await cluster.assertEqualHashes()
    }
  })

  void test('one direction is cut: a leader that is not heard is replaced', async (t) => {
    const cluster = await ClusterProcess.start(t, { ...(program && { program }), links: true })
    const old = await cluster.leader()
    const others = cluster.members.filter((member) => member !== old)
    for (const other of others) cluster.block(old, other)
    await cluster.leader({ among: others })
    cluster.heal()
    await cluster.leader({ among: cluster.members })
  })

  void test('delays are added and end', async (t) => {
    const cluster = await ClusterProcess.start(t, { ...(program && { program }), links: true })
    const leader = await cluster.leader()
    for (const other of cluster.members) if (other !== leader) cluster.delay(leader, other, 100)
    const before = performance.now()
    await leader.grpc.call(Put, { key: Buffer.from('a'), value: Buffer.from('x') })
    assert.ok(performance.now() - before >= 100, 'the put waited for a follower')
    cluster.heal()
    await cluster.settled()
  })
})
