import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type FaultCall,
  FaultInjector,
  KvGenerator,
  SeededRandom,
  ServerProcess,
  ourServer,
} from '@etcd-ts/testkit'
import { ModelSession } from './model-session.ts'
import { count } from './settings.ts'

// The catalogue's D-20 with real processes: the same calls again and again, each time ended at another call to the disk.
// ETCD_TS_CRASH_POINTS: how many of those points are tried.
const points = count('ETCD_TS_CRASH_POINTS', { ci: 60, local: 6 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const CALLS = 60
const diskCalls: readonly FaultCall[] = [
  'open',
  'write',
  'fdatasync',
  'fsync',
  'ftruncate',
  'rename',
  'unlink',
]

const skip = ourServer().title === 'etcd-ts' ? false : `${ourServer().title} does not run in Node`

void test(
  `${points} crashes at calls to the disk lose nothing acknowledged and leave nothing in part`,
  { skip, timeout: 900_000 },
  async (t) => {
    /** Makes the calls until the server ends or all are made. */
    const runCalls = async (session: ModelSession): Promise<void> => {
      const generator = new KvGenerator(new SeededRandom(seed))
      for (let i = 0; i < CALLS; i++) if (!(await session.tryCall(generator.next(session.model)))) return
    }
    const start = async (): Promise<{
      server: ServerProcess
      faults: FaultInjector
      session: ModelSession
    }> => {
      const faults = new FaultInjector(t)
      const server = await ServerProcess.start(t, { faults, flags: ['--snapshot-count=20'] })
      return { server, faults, session: new ModelSession(t, server) }
    }

    const clean = await start()
    clean.faults.inject({ calls: diskCalls, times: 10_000 })
    await runCalls(clean.session)
    const total = clean.faults.journal().length
    await clean.server.kill()
    assert.ok(total >= 60, `${total} calls to the disk`)

    const random = new SeededRandom(seed)
    for (let point = 0; point < points; point++) {
      const passing = Math.floor((point * total) / points)
      const { server, faults, session } = await start()
      const crash = random.pick(['before', 'after', 'halfway'] as const)
      if (passing > 0) faults.inject({ calls: diskCalls, times: passing })
      faults.inject({ calls: diskCalls, crash, times: 1 })
      await runCalls(session)
      // Of two runs, one may need a call less: then nothing has crashed yet.
      await (server.running ? server.kill() : server.exit())
      faults.clear()
      await server.start()
      await session.verify(
        `seed ${seed}, crash ${crash} call ${passing} of ${total} (${faults.journal().at(-1)})`,
      )
      await session.call({ kind: 'put', key: 'a', value: 'after' })
      await server.kill()
    }
  },
)
