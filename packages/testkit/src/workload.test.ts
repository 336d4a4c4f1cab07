import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkCluster } from './cluster-check.ts'
import { ClusterProcess } from './cluster-process.ts'
import { realServer, skipWithout } from './programs.ts'
import { Workload, listSteps, registerSteps } from './workload.ts'

const program = realServer()

// The checks are tried on a system that is known to work.
void describe('workloads on real etcd', { skip: skipWithout(program, 'real etcd') ?? false }, () => {
  for (const { kind, step } of [
    { kind: 'registers', step: registerSteps() },
    { kind: 'lists', step: listSteps() },
  ] as const) {
    void test(`${kind}: a leader is killed, and every answer is explained`, async (t) => {
      const cluster = await ClusterProcess.start(t, { ...(program && { program }) })
      const endpoints = (): string[] => cluster.endpoints
      const workload = Workload.start(t, { endpoints, step, pinned: kind === 'lists' })
      await workload.acknowledged(300, 30_000)
      const leader = await cluster.leader()
      await leader.kill()
      await workload.acknowledged(100, 30_000)
      await leader.start()
      await workload.acknowledged(300, 30_000)
      t.diagnostic(await checkCluster(cluster, workload, { kind }))
      const calls = workload.history.calls.filter(({ outcome }) => outcome.kind === 'answered')
      assert.ok(calls.length > 700)
    })
  }

  void test('stale reads are found', async (t) => {
    const cluster = await ClusterProcess.start(t, { ...(program && { program }), links: true })
    const workload = Workload.start(t, { endpoints: () => cluster.endpoints, step: registerSteps(2) })
    await workload.acknowledged(50, 30_000)
    const old = await cluster.leader()
    cluster.isolate(old)
    await workload.acknowledged(50, 30_000)
    const { outcome } = await workload.call(old.endpoint, {
      kind: 'range',
      key: 'register/0',
      serializable: true,
    })
    assert.equal(outcome.kind, 'answered')
    cluster.heal()
    await workload.acknowledged(1, 30_000)
    t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
    // The same answers to readers who had not agreed to stale ones.
    for (const entry of workload.history.calls) {
      if (entry.call.kind === 'range' && entry.call.serializable) {
        Object.assign(entry, { call: { kind: 'range', key: entry.call.key } })
      }
    }
    await assert.rejects(checkCluster(cluster, workload, { kind: 'registers' }), /a stale answer/)
  })
})
