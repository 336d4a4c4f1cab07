import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom, type SimEnd, type SimFaults, type SimIoCall } from '@etcd-ts/testkit'
import { Simulation, type SimulationOptions } from './member-simulation-run.ts'
import { count } from './settings.ts'

// The catalogue's D-20, D-21 and D-24 and invariant I16 for a whole single member, with nothing real but its code.
// ETCD_TS_SEEDS: how many seeds are tried; ETCD_TS_SEED: one seed alone, as a failure names it.
// ETCD_TS_CRASH_POINTS: how many calls to the outside the crash is tried at; ETCD_TS_CRASH_CALL: that call alone.

const oneSeed = process.env['ETCD_TS_SEED']
const oneCall = process.env['ETCD_TS_CRASH_CALL']
const firstSeed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const seedCount = oneSeed === undefined ? count('ETCD_TS_SEEDS', { ci: 200, local: 30 }) : 1
const pointCount = count('ETCD_TS_CRASH_POINTS', { ci: 200, local: 20 })
const seeds = Array.from({ length: seedCount }, (_, i) => firstSeed + i)

/** Runs, and says with a failure how to see it again. */
async function replayable(
  variables: Readonly<Record<string, number>>,
  run: () => Promise<void>,
): Promise<void> {
  try {
    await run()
  } catch (error) {
    const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
    const command = `${settings.join(' ')} npm test -- tests/dist/member-simulation.test.js`
    throw new Error(`to see it again: ${command}\n${withCauses(error)}`, { cause: error })
  }
}

function withCauses(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return `${error.stack}${error.cause === undefined ? '' : `\ncaused by ${withCauses(error.cause)}`}`
}

void test(`D-21: ${seedCount} seeds of a member that dies three times lose nothing acknowledged`, async () => {
  for (const seed of seeds) {
    await replayable({ ETCD_TS_SEED: seed }, () => new Simulation(seed).surviveCrashes())
  }
})

void test('the same seed gives the same calls to the outside and the same answers', async () => {
  for (const seed of seeds.slice(0, 3)) {
    await replayable({ ETCD_TS_SEED: seed }, async () => {
      const [first, second] = [new Simulation(seed), new Simulation(seed)]
      await first.surviveCrashes()
      await second.surviveCrashes()
      assert.deepEqual(second.host.journal, first.host.journal)
    })
  }
})

/** Small segments, few files kept, and time enough that they are purged. */
const busyDisk: SimulationOptions = {
  flags: [
    '--snapshot-count=15',
    '--snapshot-catchup-entries=5',
    '--max-snapshots=1',
    '--max-wals=1',
    '--backend-batch-interval=20ms',
    '--compaction-batch-limit=10',
  ],
  walSegmentBytes: 3000,
  callers: 4,
  paceMs: 1500,
}

void test("D-20: a member recovers from its end, or the machine's, at any call to the outside", async () => {
  const calls = 200
  const undisturbed = new Simulation(firstSeed, busyDisk)
  await undisturbed.live({ calls })
  const total = undisturbed.calls
  undisturbed.host.end('kill')
  assert.ok(total > 300, `${total} calls to the outside`)
  const random = new SeededRandom(firstSeed)
  const every = Array.from({ length: total }, (_, i) => i + 1)
  const points =
    oneCall !== undefined
      ? [count('ETCD_TS_CRASH_CALL', { ci: 0, local: 0 })]
      : pointCount >= total
        ? every
        : Array.from({ length: pointCount }, () => random.between(1, total))
  for (const dieAtCall of points) {
    await replayable({ ETCD_TS_SEED: firstSeed, ETCD_TS_CRASH_CALL: dieAtCall }, async () => {
      for (const how of ['kill', 'powerLoss'] satisfies SimEnd[]) {
        const simulation = new Simulation(firstSeed, busyDisk)
        await simulation.live({ calls, dieAtCall })
        simulation.host.end(how)
        // The next run may die while it recovers, or live until files are purged.
        const diesAgain = dieAtCall % 2 === 0
        await simulation.live({
          calls: 0,
          restMs: 65_000,
          ...(diesAgain ? { dieAtCall: (dieAtCall % 30) + 1 } : {}),
        })
        simulation.host.end(how)
        await simulation.live({ calls: 20 })
        simulation.host.end('powerLoss')
        await simulation.live({ calls: 0 })
        simulation.mustNotHaveGivenUp()
      }
    })
  }
})

const isOf = (call: SimIoCall, operation: string, path: RegExp): boolean =>
  call.device === 'disk' && call.operation === operation && path.test(call.path)

for (const { name, matches, fault } of [
  {
    name: 'fdatasync of the log',
    matches: (call) => isOf(call, 'datasync', /\.wal$/),
    fault: { code: 'EIO' },
  },
  {
    name: 'write to the log',
    matches: (call) => isOf(call, 'write', /\.wal$/),
    fault: { code: 'EIO', doneBytes: 100 },
  },
  {
    name: 'write to a full disk',
    matches: (call) => isOf(call, 'write', /\.wal$/),
    fault: { code: 'ENOSPC', doneBytes: 700 },
  },
  {
    name: 'rename of a segment',
    matches: (call) => isOf(call, 'rename', /\d\.tmp$/),
    fault: { code: 'EIO' },
  },
  {
    name: 'sync of a folder',
    matches: (call) => isOf(call, 'syncDirectory', /wal$|snap$/),
    fault: { code: 'EIO' },
  },
  {
    name: 'write of a snapshot',
    matches: (call) => isOf(call, 'write', /\.snap$/),
    fault: { code: 'ENOSPC', doneBytes: 100 },
  },
  {
    name: 'fdatasync of a snapshot',
    matches: (call) => isOf(call, 'datasync', /\.snap$/),
    fault: { code: 'EIO' },
  },
  {
    name: 'removal of an old file',
    matches: (call) => isOf(call, 'unlink', /\.(snap|wal)$/),
    fault: { code: 'EIO' },
  },
  { name: 'commit of the backend', matches: (call) => call.operation === 'commit', fault: { code: 'EIO' } },
] satisfies { name: string; matches: (call: SimIoCall) => boolean; fault: ReturnType<SimFaults> }[]) {
  void test(`D-24: after a failed ${name} the member gives up, answers no more, and recovers`, async () => {
    let failures = 0
    for (const seed of seeds.slice(0, Math.max(4, seedCount / 10))) {
      await replayable({ ETCD_TS_SEED: seed }, async () => {
        const simulation = new Simulation(seed, busyDisk)
        let passing = simulation.random.below(12)
        let hasFailed = false
        const faults: SimFaults = (call) => {
          if (hasFailed || !matches(call) || passing-- > 0) return undefined
          hasFailed = true
          return fault
        }
        const lingers = seed % 2 === 0
        await simulation.live({ calls: 200, lingers, faults })
        if (hasFailed) failures++
        assert.equal(simulation.gaveUp.length, hasFailed ? 1 : 0)
        simulation.host.end('powerLoss')
        await simulation.live({ calls: 20 })
        simulation.host.end('kill')
        await simulation.live({ calls: 0 })
        assert.equal(simulation.gaveUp.length, hasFailed ? 1 : 0)
      })
    }
    assert.ok(failures > 0 || oneSeed !== undefined, 'no seed had the fault')
  })
}
