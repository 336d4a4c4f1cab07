import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import {
  type ClusterMember,
  type ClusterProcess,
  SeededRandom,
  Workload,
  checkCluster,
  listSteps,
} from '@etcd-ts/testkit'
import { SOON_MS, others, refusal, startCluster } from './cluster-faults.ts'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// ETCD_TS_PARTITIONS: how many partitions (in full: 60, with ETCD_TS_PARTITION_MS=5000, how long each lasts).
const partitions = count('ETCD_TS_PARTITIONS', { ci: 5, local: 3 })
const lastsMs = count('ETCD_TS_PARTITION_MS', { ci: 2000, local: 2000 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })

/** Cuts links; gives the members that are without a majority for sure, and those that have one. */
type Partition = (
  cluster: ClusterProcess,
  leader: ClusterMember,
  random: SeededRandom,
) => { minority: readonly ClusterMember[]; majority: readonly ClusterMember[] }

function shuffled<T>(random: SeededRandom, list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, place: random.fraction() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item)
}

const kinds: Record<string, Partition> = {
  'the leader and one more are cut off'(cluster, leader, random) {
    const minority = [leader, random.pick(others(cluster.members, leader))]
    cluster.partition([minority])
    return { minority, majority: others(cluster.members, ...minority) }
  },
  'everybody hears a majority, no two the same'(cluster, _, random) {
    const ring = shuffled(random, cluster.members)
    ring.forEach((from, i) => {
      for (const distance of [2, 3]) {
        const to = ring[(i + distance) % ring.length]
        if (to !== undefined) cluster.block(from, to)
      }
    })
    return { minority: [], majority: [] }
  },
  halves(cluster, _, random) {
    const minority = shuffled(random, cluster.members).slice(0, 2)
    cluster.partition([minority])
    return { minority, majority: others(cluster.members, ...minority) }
  },
  'one direction'(cluster, leader, random) {
    // What the leader, or somebody else, says to two others does not arrive.
    const from = random.chance(0.5) ? leader : random.pick(cluster.members)
    for (const to of shuffled(random, others(cluster.members, from)).slice(0, 2)) cluster.block(from, to)
    return { minority: [], majority: [] }
  },
  'a single one is cut off'(cluster, _, random) {
    const minority = [random.pick(cluster.members)]
    cluster.partition([minority])
    return { minority, majority: others(cluster.members, ...minority) }
  },
}

// D-03. Transactions stay strictly serializable (I4: no G0, G1a to G1c, G-single, G2, no edge of time broken) while the
// network is cut in changing ways; who has no majority does not answer linearizable reads; and after each cut the whole
// cluster goes on (I21).
void test(`five members, ${partitions} partitions of the network`, async (t) => {
  const random = new SeededRandom(seed)
  const cluster = await startCluster(t, { size: 5, links: true })
  const workload = Workload.start(t, {
    endpoints: () => cluster.endpoints,
    step: listSteps(),
    clients: 10,
    pinned: true,
    seed,
  })
  await workload.acknowledged(50, SOON_MS)
  let order: string[] = []
  for (let i = 0; i < partitions; i++) {
    if (order.length === 0) order = shuffled(random, Object.keys(kinds))
    const kind = order.pop() ?? ''
    const { minority, majority } = kinds[kind]!(cluster, await cluster.leader(), random)
    if (majority.length > 0) await cluster.leader({ among: majority })
    const refusals = await Promise.all(
      minority.map((member) =>
        refusal(
          member,
          etcdserverpb.KVService.Range,
          { key: Buffer.from('list') },
          { timeoutMs: Math.max(500, lastsMs) },
        ),
      ),
    )
    for (const { code, message } of refusals) assert.ok(code === 4 || code === 14, message)
    if (refusals.length === 0) await arbitraryMoment(lastsMs)
    cluster.heal()
    await workload.acknowledged(20, SOON_MS)
  }
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'lists' }))
})
