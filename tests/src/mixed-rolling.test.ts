import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterProcess, type ServerProgram, WriteLoad } from '@etcd-ts/testkit'
import { ours, openFlags, real, skipWithoutReal } from './mixed-programs.ts'
import { count } from './settings.ts'

// ETCD_TS_SEED: of the clients' random choices. Writes that must be acknowledged between two replacements: a round.
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const writesPerRound = count('ETCD_TS_ROLLING_WRITES', { ci: 1000, local: 200 })

void test(
  'a cluster of real etcd is replaced by ours member by member, and back, under load: no acknowledged write is lost or repeated',
  { skip: skipWithoutReal },
  async (t) => {
    const cluster = await ClusterProcess.start(t, { program: real, flags: openFlags })
    const load = WriteLoad.start(t, { endpoints: () => cluster.endpoints, seed })
    await load.progress(writesPerRound)

    for (const program of [ours, real]) {
      await replaceAll(cluster, program, load)
      assert.ok(cluster.members.every((member) => member.program === program))
    }

    await load.stop()
    await cluster.assertEqualHashes()
    for (const { endpoint } of cluster.members) await load.check(endpoint)
    const { acknowledged, lost } = load.ledger.counts
    t.diagnostic(`${acknowledged} writes acknowledged and present, ${lost} unanswered ones absent`)
  },
)

/** Removes each member and adds one that runs `program` in its place. */
async function replaceAll(cluster: ClusterProcess, program: ServerProgram, load: WriteLoad): Promise<void> {
  for (const old of cluster.members.slice()) {
    await cluster.remove(old)
    await cluster.join({ program })
    await load.progress(writesPerRound)
  }
}
