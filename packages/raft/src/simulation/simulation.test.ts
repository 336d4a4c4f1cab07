/**
 * Random histories of a group, checked at each step: see `simulate`. By default 200 of them;
 * `RAFT_SEEDS=2000` runs so many, `RAFT_SEED=17` begins with that one (and runs it alone unless told how
 * many), `RAFT_TRACE=1` prints every event.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plants } from './plants.ts'
import { type SimulationOptions, simulate } from './simulation.ts'

const { RAFT_SEED, RAFT_SEEDS, RAFT_TRACE } = process.env
const firstSeed = Number(RAFT_SEED ?? 1)
const seedCount = Number(RAFT_SEEDS ?? (RAFT_SEED === undefined ? 200 : 1))
/** Each fault has to be found within so many seeds. */
const SEEDS_TO_FIND_PLANT_MAX = 200

/** Runs one history; its failure says how to see it again. */
function run(options: SimulationOptions): ReturnType<typeof simulate> {
  const trace =
    RAFT_TRACE === '1' ? (text: string): void => void process.stdout.write(`${text}\n`) : undefined
  try {
    return simulate({ ...options, trace })
  } catch (cause) {
    throw new Error(
      `seed ${options.seed} fails; replay: RAFT_SEED=${options.seed} RAFT_TRACE=1 node --test packages/raft/dist/simulation/`,
      { cause },
    )
  }
}

void test(`${seedCount} random histories from seed ${firstSeed} on keep raft's promises`, (context) => {
  const total = { committed: 0, elections: 0, confChanges: 0, snapshots: 0 }
  for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
    const result = run({ seed })
    total.committed += result.committed
    total.elections += result.elections
    total.confChanges += result.confChanges
    total.snapshots += result.snapshots
  }
  context.diagnostic(JSON.stringify(total))
  if (seedCount < 100) return
  for (const [what, count] of Object.entries(total))
    assert.ok(count > seedCount, `too little happens: ${what}`)
})

void test('the same seed gives the same history', () => {
  assert.deepEqual(run({ seed: firstSeed }), run({ seed: firstSeed }))
})

for (const plant of plants) {
  void test(`a driver with the fault ${plant} is found out`, () => {
    for (let seed = 1; seed <= SEEDS_TO_FIND_PLANT_MAX; seed++) {
      try {
        simulate({ seed, plant })
      } catch {
        return // whatever check or invariant it was
      }
    }
    assert.fail(`not within ${SEEDS_TO_FIND_PLANT_MAX} seeds`)
  })
}
