import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom, ServerProcess, type TxnOperation } from '@etcd-ts/testkit'
import { ModelSession } from './model-session.ts'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// The catalogue's D-28. ETCD_TS_COMPACTION_KILLS: how often the server is killed while it compacts.
const kills = count('ETCD_TS_COMPACTION_KILLS', { ci: 50, local: 4 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const KEYS = 120

/** A txn of many puts and nearly as many deletes, one operation a key. */
function churn(random: SeededRandom, round: number): TxnOperation[] {
  const operations: TxnOperation[] = []
  for (let i = 0; i < KEYS; i++) {
    const key = `key ${i}`
    const fate = random.below(5)
    if (fate <= 1) operations.push({ kind: 'put', key, value: `round ${round}` })
    else if (fate <= 3) operations.push({ kind: 'deleteRange', key })
  }
  return operations
}

void test(`${kills} SIGKILLs during compactions: no revision goes back, and what is left is what must be left`, async (t) => {
  const random = new SeededRandom(seed)
  const server = await ServerProcess.start(t, { flags: ['--experimental-compaction-batch-limit=10'] })
  const session = new ModelSession(t, server)
  const { model } = session
  // As long as something lives, the hash does not depend on how far a compaction has come.
  await session.call({ kind: 'put', key: 'always there', value: '' })

  for (let kill = 0; kill < kills; kill++) {
    for (let round = 0; round < 5; round++) {
      await session.call({ kind: 'txn', compare: [], success: churn(random, round), failure: [] })
    }
    // Half of the time the newest revision is a tombstone and the compaction goes up to it.
    const toTheEnd = random.chance(0.5)
    await session.call({ kind: 'put', key: 'last', value: String(kill) })
    if (toTheEnd) await session.call({ kind: 'deleteRange', key: 'last' })
    const oldest = model.compactRevision + 1
    const revision = toTheEnd ? model.revision : random.between(Math.max(1, oldest), model.revision)
    const compaction = session.tryCall({
      kind: 'compact',
      revision: BigInt(revision),
      physical: random.chance(0.3),
    })
    await arbitraryMoment(random.below(250))
    await server.kill()
    await compaction
    await server.start()
    await session.verify(`seed ${seed}, kill ${kill}, compaction at ${revision}`)
  }

  // What was interrupted last is finished by the process that runs now, without being asked to.
  const finished = /finished scheduled compaction/
  const earlier = server.log.find(
    new RegExp(`${finished.source}.*"compact-revision":${model.compactRevision}\\b`),
  )
  if (earlier === undefined) await server.log.waitFor(finished)
  await session.call({ kind: 'put', key: 'last', value: 'end' })
  await session.call({ kind: 'compact', revision: BigInt(model.revision), physical: true })
  await session.verify('at the end')
  assert.equal((await session.state()).compactRevision, model.revision)
})
