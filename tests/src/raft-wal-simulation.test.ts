/**
 * Random histories of a raft group whose members keep their state in the real log and the real snapshot files, on disks
 * that lose sectors: see `Simulation` in packages/raft. ETCD_TS_RAFT_SEEDS: how many; ETCD_TS_SEED: the
 * first of them, or one alone, as a failure names it; ETCD_TS_TRACE=1 prints every event.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Plant, Simulation, type SimulationResult } from '@etcd-ts/raft/simulation'
import { SimClock } from '@etcd-ts/testkit'
import { type StorePlant, WalStore } from './raft-wal-store.ts'
import { count } from './settings.ts'

const firstSeed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const isOneSeed = process.env['ETCD_TS_SEED'] !== undefined && process.env['ETCD_TS_RAFT_SEEDS'] === undefined
const seedCount = isOneSeed ? 1 : count('ETCD_TS_RAFT_SEEDS', { ci: 2000, local: 100 })
const seeds = Array.from({ length: seedCount }, (_, i) => firstSeed + i)
const SEEDS_TO_FIND_PLANT_MAX = 200
const ROUNDS = 300

interface Planted {
  readonly driver?: Plant
  readonly store?: StorePlant
}

async function simulate(
  seed: number,
  planted?: Planted,
  trace?: (text: string) => void,
): Promise<SimulationResult> {
  const clock = new SimClock()
  const failures: unknown[] = []
  const damages = { left: 1 }
  const simulation = new Simulation({
    seed,
    rounds: ROUNDS,
    plant: planted?.driver,
    trace,
    checksPromises: planted === undefined,
    openStore: (_, random) =>
      new WalStore({
        clock,
        random,
        plant: planted?.store,
        damages,
        failed: (error) => failures.push(error),
      }),
  })
  for (const _ of simulation.rounds()) {
    await clock.advance(1)
    if (failures.length > 0) throw failures[0]
  }
  return simulation.result()
}

async function replayable(seed: number): Promise<SimulationResult> {
  const trace =
    process.env['ETCD_TS_TRACE'] === '1'
      ? (text: string) => void process.stdout.write(`${text}\n`)
      : undefined
  try {
    return await simulate(seed, undefined, trace)
  } catch (error) {
    const command = `ETCD_TS_SEED=${seed} ETCD_TS_TRACE=1 npm test -- tests/dist/raft-wal-simulation.test.js`
    const text = error instanceof Error ? error.stack : String(error)
    throw new Error(`to see it again: ${command}\n${text}`, { cause: error })
  }
}

void test(`${seedCount} random histories on real logs keep raft's promises`, async (context) => {
  const total: Record<string, number> = {}
  for (const seed of seeds) {
    const { fingerprint: _, ...counts } = await replayable(seed)
    for (const [what, n] of Object.entries(counts)) total[what] = (total[what] ?? 0) + n
  }
  context.diagnostic(JSON.stringify(total))
})

void test('the same seed gives the same history', async () => {
  assert.deepEqual(await replayable(firstSeed), await replayable(firstSeed))
})

for (const { name, planted } of [
  { name: 'a member that acknowledges before it has synced', planted: { driver: 'ackBeforeSync' } },
  { name: 'a vote that is not written', planted: { driver: 'voteNotPersisted' } },
  { name: 'a configuration that is not stored', planted: { driver: 'configNotStored' } },
  { name: 'a disk that skips one sync in fifty', planted: { store: 'syncSkipped' } },
  { name: 'a disk that never makes names durable', planted: { store: 'namesNotSynced' } },
  { name: 'a damaged log that is cut off and used', planted: { store: 'damageCutOff' } },
  { name: 'a snapshot point before its file', planted: { store: 'pointBeforeFile' } },
] satisfies { name: string; planted: Planted }[]) {
  void test(`found: ${name}`, async (context) => {
    for (let seed = 1; seed <= SEEDS_TO_FIND_PLANT_MAX; seed++) {
      try {
        await simulate(seed, planted)
      } catch (error) {
        context.diagnostic(`with seed ${seed}: ${String(error).slice(0, 200)}`)
        return
      }
    }
    assert.fail(`not found by ${SEEDS_TO_FIND_PLANT_MAX} seeds`)
  })
}
