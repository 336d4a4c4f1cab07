/**
 * Random histories of a group, checked at each step: see `simulate`. `RAFT_SEEDS=5000` runs so many (2,000 in CI, else
 * 200), `RAFT_SEED=17` begins with that one (and runs it alone unless told how many), `RAFT_ROUNDS=20000` lets each go on
 * for longer, `RAFT_TRACE=1` prints every event; `RAFT_READ_SEEDS` counts those about reads (D-05 of the catalogue).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plants } from './plants.ts'
import { ROUNDS, type SimulationOptions, type SimulationResult, simulate } from './simulation.ts'

const { RAFT_SEED, RAFT_SEEDS, RAFT_READ_SEEDS, RAFT_ROUNDS, RAFT_TRACE, CI } = process.env
const firstSeed = Number(RAFT_SEED ?? 1)
const seedCount = Number(RAFT_SEEDS ?? (RAFT_SEED !== undefined ? 1 : CI === 'true' ? 2000 : 200))
const readSeedCount = Number(RAFT_READ_SEEDS ?? (RAFT_SEED !== undefined ? 1 : CI === 'true' ? 5000 : 200))
const rounds = Number(RAFT_ROUNDS ?? ROUNDS)
const READ_ROUNDS = 200
/** Each fault has to be found within so many seeds. */
const SEEDS_TO_FIND_PLANT_MAX = 200

/** Runs one history; its failure says how to see it again. */
function run(options: SimulationOptions): SimulationResult {
  const trace =
    RAFT_TRACE === '1' ? (text: string): void => void process.stdout.write(`${text}\n`) : undefined
  try {
    return simulate({ rounds, ...options, trace })
  } catch (cause) {
    const settings = `RAFT_SEED=${options.seed}${RAFT_ROUNDS === undefined ? '' : ` RAFT_ROUNDS=${RAFT_ROUNDS}`}`
    throw new Error(
      `seed ${options.seed} fails; to see it again: ${settings} RAFT_TRACE=1 npm test -- packages/raft/dist/simulation\n${String(cause)}`,
      { cause },
    )
  }
}

void test(`${seedCount} random histories from seed ${firstSeed} on keep raft's promises`, (context) => {
  const total: Record<string, number> = {}
  for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
    const { fingerprint: _, ...counts } = run({ seed })
    for (const [what, count] of Object.entries(counts)) total[what] = (total[what] ?? 0) + count
  }
  context.diagnostic(JSON.stringify(total))
  if (seedCount < 100) return
  for (const [what, count] of Object.entries(total)) {
    assert.ok(count > seedCount / 4, `too little happens: ${what}`)
  }
})

void test(`D-05: ${readSeedCount} random histories of readers have no read that is too old`, (context) => {
  let reads = 0
  for (let seed = firstSeed; seed < firstSeed + readSeedCount; seed++) {
    reads += run({ seed, focus: 'reads', rounds: READ_ROUNDS }).reads
  }
  context.diagnostic(`${reads} reads`)
  if (readSeedCount >= 100) assert.ok(reads > readSeedCount)
})

void test('the same seed gives the same history', () => {
  assert.deepEqual(run({ seed: firstSeed }), run({ seed: firstSeed }))
})

for (const plant of plants) {
  void test(`a driver with the fault ${plant} is found out by what comes of it`, (context) => {
    for (let seed = 1; seed <= SEEDS_TO_FIND_PLANT_MAX; seed++) {
      try {
        const focus = plant === 'readContextReused' ? 'reads' : undefined
        simulate({ seed, plant, focus, checksPromises: false })
      } catch (error) {
        // Whatever check or invariant it was.
        context.diagnostic(`with seed ${seed}: ${String(error)}`)
        return
      }
    }
    assert.fail(`not within ${SEEDS_TO_FIND_PLANT_MAX} seeds`)
  })
}
