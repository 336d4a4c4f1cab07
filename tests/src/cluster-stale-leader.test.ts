import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { eventually } from '@etcd-ts/testkit'
import { CATCH_UP_MS, SOON_MS, others, refusal, startCluster } from './cluster-faults.ts'

const { Put, Range, Txn } = etcdserverpb.KVService
const KEYS = Array.from({ length: 10 }, (_, i) => Buffer.from(`key ${i}`))
/** A member that waits for a majority gives up after seven seconds, with the default election timeout. */
const GIVES_UP_MS = 12_000

// D-04. A leader that has lost its followers answers no linearizable read, not even while it still takes itself for the
// leader, and a serializable read with the old value at the old revision; after the cut both sides agree.
void test('a leader that is cut off gives out nothing that is not true any more', async (t) => {
  const cluster = await startCluster(t, { links: true })
  const old = await cluster.leader()
  for (const key of KEYS) await old.grpc.call(Put, { key, value: Buffer.from('old') })
  const oldRevision = 1 + KEYS.length
  cluster.isolate(old)
  // Asked before anybody else has written: whoever reads now and is answered later must not be told the old value.
  const askedEarly = KEYS.map((key) => refusal(old, Range, { key }, { timeoutMs: GIVES_UP_MS }))
  const leader = await cluster.leader({ among: others(cluster.members, old) })
  for (const key of KEYS) await leader.grpc.call(Put, { key, value: Buffer.from('new') })

  const range = { case: 'requestRange', value: { key: KEYS[0] } } as const
  const asked = [
    ...KEYS.map((key) => refusal(old, Range, { key }, { timeoutMs: GIVES_UP_MS })),
    refusal(old, Txn, { success: [{ request: range }] }, { timeoutMs: GIVES_UP_MS }),
    refusal(old, Put, { key: Buffer.from('lost'), value: Buffer.from('x') }, { timeoutMs: GIVES_UP_MS }),
  ]
  const { kvs, header } = await old.grpc.call(Range, { key: KEYS[9], serializable: true })
  assert.equal(Buffer.from(kvs[0]?.value ?? []).toString(), 'old')
  assert.equal(kvs[0]?.modRevision, oldRevision)
  assert.equal(header?.revision, oldRevision)
  for (const { code, message } of await Promise.all([...askedEarly, ...asked])) {
    // Real etcd 3.4 tells a deadline of its own by the code for unknown errors.
    assert.ok([2, 4, 14].includes(code), message)
  }
  await eventually('the old leader knows that it leads no more', SOON_MS, async () => {
    const status = await old.status()
    return status.leader === old.id ? undefined : true
  })

  cluster.heal()
  await eventually('the old leader has caught up', CATCH_UP_MS, async () => {
    const answer = await old.grpc.call(Range, { key: KEYS[9] }, { timeoutMs: 2000 })
    return Buffer.from(answer.kvs[0]?.value ?? []).toString() === 'new' ? true : undefined
  })
  // What it was asked to write may have been written by now, or not at all, but everywhere the same.
  await cluster.assertEqualHashes()
})
