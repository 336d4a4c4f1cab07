import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Fault, FaultInjector, ServerProcess, freeAfter, makeTempDir, show } from '@etcd-ts/testkit'
import { count } from './settings.ts'
import { checkMany, clientOf, putMany, skipUnlessOurs } from './written-server.ts'

// Disks that fail, are full or are slow: what was acknowledged stays, and nothing is acknowledged that is not safe.

// ETCD_TS_FIRST_START_FAULTS: at how many points a first start is made to fail.
const firstStartFaults = count('ETCD_TS_FIRST_START_FAULTS', { ci: 30, local: 6 })

for (const { name, fault } of [
  {
    name: 'a failing fdatasync of the log',
    fault: { calls: ['fdatasync', 'fsync'], error: 'EIO', path: '\\.wal', times: 1 },
  },
  { name: 'a failing write of the log', fault: { calls: ['write'], error: 'EIO', path: '\\.wal', times: 1 } },
  {
    name: 'a full disk under the log',
    fault: { calls: ['write', 'ftruncate', 'open'], error: 'ENOSPC', path: '/wal/' },
  },
] satisfies { name: string; fault: Fault }[]) {
  void test(
    `${name} ends the process, acknowledges nothing more, and loses nothing`,
    { skip: skipUnlessOurs },
    async (t) => {
      const faults = new FaultInjector(t)
      const server = await ServerProcess.start(t, { faults })
      const kv = await clientOf(t, server)
      await putMany(kv, 20)
      faults.inject(fault)
      const { answer } = await kv.call({ kind: 'put', key: 'not safe', value: 'v' })
      assert.equal(answer.kind, 'error', show(answer))
      const exit = await server.exit(5_000)
      assert.ok(exit.code !== null && exit.code !== 0, `ended with ${show(exit)}: ${server.log.tail()}`)
      assert.notDeepEqual(faults.journal(), [])
      assert.match(server.log.tail(), /"level":"(fatal|panic|error)"/)
      faults.clear()
      await server.start()
      await checkMany(kv, 20)
      await putMany(kv, 21)
    },
  )
}

void test('a slow fdatasync delays answers and loses nothing', { skip: skipUnlessOurs }, async (t) => {
  const faults = new FaultInjector(t)
  const server = await ServerProcess.start(t, { faults })
  const kv = await clientOf(t, server)
  faults.inject({ calls: ['fdatasync'], path: '\\.wal', delayMs: 50, times: 5 })
  await putMany(kv, 10)
  await server.kill()
  await server.start()
  await checkMany(kv, 10)
})

void test(
  'a first start that fails at any call to the disk can be made again',
  { skip: skipUnlessOurs, timeout: 600_000 },
  async (t) => {
    const calls = ['open', 'write', 'fdatasync', 'fsync', 'ftruncate', 'rename', 'mkdir'] as const
    const start = async (
      passing: number,
      error: string,
    ): Promise<{ server: ServerProcess; faults: FaultInjector }> => {
      const faults = new FaultInjector(t)
      const dataDir = makeTempDir(t, 'first-start')
      const path = dataDir.replaceAll(/[^\w/]/g, '.')
      if (passing > 0) faults.inject({ calls, path, times: passing })
      if (error !== '') faults.inject({ calls, path, error, times: 1 })
      return { server: await ServerProcess.create(t, { dataDir, faults }), faults }
    }
    const clean = await start(1000, '')
    await clean.server.start()
    const total = clean.faults.journal().length
    await clean.server.kill()
    assert.ok(total > 5 && total < 1000, `${total} calls`)

    const step = Math.max(1, Math.floor(total / firstStartFaults))
    for (let k = 0; k < total; k += step) {
      const { server, faults } = await start(k, k % 2 === 0 ? 'EIO' : 'ENOSPC')
      server.spawn()
      // Most faults end the start; one that the member can live with lets it become ready.
      await server.log.waitFor(server.program.readyLine).catch(() => undefined)
      const failed = faults.journal().find((line) => !line.endsWith('passed'))
      if (server.running) await server.kill()
      else await server.exit()
      faults.clear()
      await server.start().catch((error: unknown) => {
        throw new Error(`the start after one that failed at call ${k} (${failed}): ${String(error)}`, {
          cause: error,
        })
      })
      await putMany(await clientOf(t, server), 2)
      await server.kill()
    }
  },
)

void test(
  'a file system without room stops the member, and it starts again once there is room',
  { skip: skipUnlessOurs },
  async (t) => {
    const dataDir = makeTempDir(t, 'small-disk')
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=192m', 'tmpfs', dataDir], { stdio: 'pipe' })
    } catch {
      t.skip('a small file system cannot be mounted here')
      return
    }
    freeAfter(t, () => void execFileSync('umount', ['--lazy', dataDir]))
    const server = await ServerProcess.start(t, { dataDir })
    const kv = await clientOf(t, server)
    await putMany(kv, 10)
    const filler = join(dataDir, 'filler')
    fillUp(filler)
    assert.ok(statSync(filler).size > 0)
    let written = 10
    for (; written < 3000; written++) {
      const value = `value ${written} ${'x'.repeat(60_000)}`
      const { answer } = await kv.call({ kind: 'put', key: `key ${written}`, value })
      if (answer.kind === 'error') break
    }
    assert.ok(written < 3000, 'the disk became full')
    // It may have ended by itself, or have become read-only.
    await (server.running ? server.kill() : server.exit())
    rmSync(filler)
    await server.start()
    await checkMany(kv, written)
    await putMany(kv, 3)
  },
)

/** Writes a file until its file system is full. */
function fillUp(path: string): void {
  for (let size = 8 * 1024 * 1024; size >= 4096; size /= 2) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(size, 1), { flag: 'a' })
    } catch {
      // Full for this size: smaller pieces may still fit.
    }
  }
}
