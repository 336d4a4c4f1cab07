import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { GrpcError, SeededRandom, ServerProcess } from '@etcd-ts/testkit'
import { ModelSession } from './model-session.ts'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// The catalogue's D-27. ETCD_TS_DEFRAG_KILLS: how often the server is killed while it defragments.
const kills = count('ETCD_TS_DEFRAG_KILLS', { ci: 100, local: 4 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })

void test(`${kills} SIGKILLs during defragmentation change no pair and leave no file behind`, async (t) => {
  const random = new SeededRandom(seed)
  const server = await ServerProcess.start(t)
  const session = new ModelSession(t, server)
  const fill = async (round: number): Promise<void> => {
    for (let i = 0; i < 4; i++) {
      const operations = Array.from({ length: 100 }, (_, j) => {
        return { kind: 'put', key: `key ${i} ${j}`, value: `${round} `.repeat(100) } as const
      })
      await session.call({ kind: 'txn', compare: [], success: operations, failure: [] })
    }
    await session.call({ kind: 'compact', revision: BigInt(session.model.revision), physical: true })
  }
  /** Files of the backend; log snapshots come and go by themselves. */
  const files = (): string[] => {
    return readdirSync(join(server.dataDir, 'member', 'snap'))
      .filter((name) => !name.endsWith('.snap'))
      .toSorted()
  }
  const defragment = (): Promise<unknown> => session.grpc.call(etcdserverpb.MaintenanceService.Defragment, {})

  await fill(0)
  const began = performance.now()
  await defragment()
  const tookMs = performance.now() - began
  await session.verify('after a whole defragmentation')
  const before = files()

  for (let kill = 0; kill < kills; kill++) {
    await fill(kill + 1)
    const outcome = defragment().then(
      () => 'done',
      (error: unknown) => {
        if (error instanceof GrpcError) return 'unanswered'
        throw error
      },
    )
    await arbitraryMoment(random.fraction() * tookMs * 1.2)
    await server.kill()
    await outcome
    await server.start()
    await session.verify(`seed ${seed}, kill ${kill}`)
    assert.deepEqual(files(), before, `seed ${seed}, kill ${kill}: files beside the database`)
  }
  await defragment()
  await session.verify('at the end')
  t.diagnostic(`seed ${seed}: a defragmentation takes ${tookMs.toFixed(1)} ms`)
})
