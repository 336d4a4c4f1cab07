/**
 * Clusters of real members with nothing real but their code, disturbed and checked: see `ClusterSimulation`.
 * ETCD_TS_CLUSTER_SEEDS: how many seeds; ETCD_TS_SEED: the first, or one alone, as a failure names it; ETCD_TS_TRACE=1 prints what happens.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterSimulation } from './cluster-simulation-run.ts'
import { count } from './settings.ts'

const firstSeed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const isOneSeed =
  process.env['ETCD_TS_SEED'] !== undefined && process.env['ETCD_TS_CLUSTER_SEEDS'] === undefined
const seedCount = isOneSeed ? 1 : count('ETCD_TS_CLUSTER_SEEDS', { ci: 120, local: 10 })
const seeds = Array.from({ length: seedCount }, (_, i) => firstSeed + i)

async function replayable(seed: number): Promise<ClusterSimulation> {
  const trace =
    process.env['ETCD_TS_TRACE'] === '1'
      ? (text: string) => void process.stdout.write(`${text}\n`)
      : undefined
  try {
    const simulation = new ClusterSimulation(seed, { trace })
    await simulation.survive()
    return simulation
  } catch (error) {
    const command = `ETCD_TS_SEED=${seed} ETCD_TS_TRACE=1 npm test -- tests/dist/cluster-simulation.test.js`
    throw new Error(`to see it again: ${command}\n${withCauses(error)}`, { cause: error })
  }
}

function withCauses(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return `${error.stack}${error.cause === undefined ? '' : `\ncaused by ${withCauses(error.cause)}`}`
}

void test(`${seedCount} clusters in trouble lose nothing and explain every answer`, async (context) => {
  const total: Record<string, number> = {}
  for (const seed of seeds) {
    const { counts } = await replayable(seed)
    for (const [what, n] of Object.entries<number>({ ...counts })) total[what] = (total[what] ?? 0) + n
  }
  context.diagnostic(JSON.stringify(total))
})

void test('the same seed gives the same history', async () => {
  const [first, second] = [await replayable(firstSeed), await replayable(firstSeed)]
  assert.deepEqual(second.journal, first.journal)
})

void test('a member knows after a loss of power, and alone, that what its backend holds was committed', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const simulation = new ClusterSimulation(seed, { members: 3, flags: ['--backend-batch-interval=20ms'] })
    simulation.found()
    await simulation.until('a cluster', () => simulation.isOne())
    await simulation.write(20)
    await simulation.pass(500)
    const [node, ...others] = simulation.nodes
    assert.ok(node !== undefined)
    node.process?.die()
    simulation.end(node, 'powerLoss')
    const addresses = others.map(({ address }) => address)
    simulation.network.partition([node.address], addresses)
    simulation.start(node)
    await simulation.until('a start', () => node.running !== undefined)
    await simulation.pass(100)
    assert.deepEqual([seed, node.appliedIndex], [seed, node.storedIndex])
  }
})
