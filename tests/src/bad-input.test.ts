import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  type Fault,
  FaultInjector,
  GrpcKvClient,
  ServerProcess,
  freeAfter,
  makeTempDir,
  ourServer,
  show,
} from '@etcd-ts/testkit'
import { count } from './settings.ts'

// Data directories and disks that a member must not trust: it says why, ends, and has changed and lost nothing.

// These look at how our server ends and into its files; another program named by ETCD_TS_SERVER ends in its own way.
const skip = ourServer().title === 'etcd-ts' ? false : `${ourServer().title} is not ours`
const firstStartFaults = count('ETCD_TS_FIRST_START_FAULTS', { ci: 60, local: 6 })

async function client(t: TestContext, server: ServerProcess): Promise<GrpcKvClient> {
  const kv = new GrpcKvClient(server.endpoint)
  freeAfter(t, () => kv.close())
  return kv
}

/** A server that has acknowledged `count` writes, and is down. */
async function writtenServer(t: TestContext, writes: number): Promise<ServerProcess> {
  const server = await ServerProcess.start(t)
  await putMany(await client(t, server), writes)
  await server.kill()
  return server
}

async function putMany(kv: GrpcKvClient, writes: number): Promise<void> {
  for (let i = 0; i < writes; i++) {
    const { answer } = await kv.call({ kind: 'put', key: `key ${i}`, value: `value ${i} ${'x'.repeat(100)}` })
    assert.equal(answer.kind, 'put', show(answer))
  }
}

/** Asserts that every write of `putMany` is there. */
async function checkMany(kv: GrpcKvClient, writes: number): Promise<void> {
  for (let i = 0; i < writes; i++) {
    const { answer } = await kv.call({ kind: 'range', key: `key ${i}` })
    assert.ok(
      answer.kind === 'range' && answer.kvs[0]?.value.startsWith(`value ${i} `),
      `key ${i}: ${show(answer)}`,
    )
  }
}

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}

/** Names and contents of everything in a folder but the marks of who has it open. */
function fingerprint(folder: string): Record<string, string> {
  const isLock = (path: string): boolean => /\/(\.lock-[^/]*|db-lock)$/.test(path)
  const kept = files(folder).filter((path) => !isLock(path))
  return Object.fromEntries(
    kept.map((path) => [path, createHash('sha256').update(readFileSync(path)).digest('hex')]),
  )
}

function walFiles(server: ServerProcess): string[] {
  return files(join(server.dataDir, 'member', 'wal')).filter((path) => path.endsWith('.wal'))
}

/** The newest WAL file, and the offset behind its last record (the rest was allocated in advance and is zero). */
function newestWal(server: ServerProcess): { path: string; bytes: Buffer; end: number } {
  const path = walFiles(server).at(-1) ?? ''
  const bytes = readFileSync(path)
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end -= 1
  return { path, bytes, end: Math.ceil(end / 8) * 8 }
}

/** Offsets of the records of a WAL file: each is 8 bytes of length (56 bits, and 8 of padding) and the padded record. */
function recordOffsets(bytes: Buffer, end: number): number[] {
  const offsets: number[] = []
  for (let at = 0; at < end;) {
    offsets.push(at)
    const field = bytes.readBigUInt64LE(at)
    const padding = field >> 63n === 1n ? Number((field >> 56n) & 7n) : 0
    at += 8 + Number(field & 0xff_ffff_ffff_ffffn) + padding
  }
  return offsets
}

/** Starts a server that must refuse to run. @returns its last log lines */
async function refusesToStart(server: ServerProcess): Promise<string> {
  server.spawn()
  const exit = await server.exit()
  assert.ok(exit.code !== null && exit.code !== 0, `ended with ${show(exit)}: ${server.log.tail()}`)
  return server.linesOfThisRun().join('\n')
}

void test('a data directory in use is waited for, and its owner goes on', { skip }, async (t) => {
  const server = await ServerProcess.start(t)
  const kv = await client(t, server)
  await putMany(kv, 5)
  const second = await ServerProcess.create(t, { dataDir: server.dataDir })
  second.spawn()
  await second.log.waitFor(/another process holds the data directory/)
  await putMany(kv, 6)
  await checkMany(kv, 6)
  await server.stop()
  await second.log.waitFor(second.program.readyLine)
  await checkMany(await client(t, second), 6)
})

void test('the log of another cluster is refused, and nothing is modified', { skip }, async (t) => {
  const server = await writtenServer(t, 20)
  const other = await writtenServer(t, 40)
  const wal = join(server.dataDir, 'member', 'wal')
  const own = join(makeTempDir(t, 'own-wal'), 'wal')
  cpSync(wal, own, { recursive: true })
  rmSync(wal, { recursive: true })
  cpSync(join(other.dataDir, 'member', 'wal'), wal, { recursive: true })
  const before = fingerprint(server.dataDir)
  const log = await refusesToStart(server)
  assert.match(log, /cluster|member|wal/i)
  assert.deepEqual(fingerprint(server.dataDir), before)
  // With its own log it runs as before.
  rmSync(wal, { recursive: true })
  cpSync(own, wal, { recursive: true })
  await server.start()
  await checkMany(await client(t, server), 20)
})

for (const { name, damage } of [
  {
    name: 'a flipped bit in the data of a record in the middle',
    damage: (bytes: Buffer, at: number) => (bytes[at + 40]! ^= 1),
  },
  {
    name: 'a flipped bit in the length of a record in the middle',
    damage: (bytes: Buffer, at: number) => (bytes[at]! ^= 4),
  },
  { name: 'a length of 0 in the middle', damage: (bytes: Buffer, at: number) => bytes.fill(0, at, at + 8) },
  {
    name: 'a zeroed sector in the middle',
    damage: (bytes: Buffer, at: number) =>
      bytes.fill(0, Math.ceil(at / 512) * 512, Math.ceil(at / 512) * 512 + 512),
  },
]) {
  void test(
    `${name} of the log is refused, with the file's name, and nothing is modified`,
    { skip },
    async (t) => {
      const server = await writtenServer(t, 60)
      const { path, bytes, end } = newestWal(server)
      const offsets = recordOffsets(bytes, end)
      damage(bytes, offsets[Math.floor(offsets.length / 2)] ?? 0)
      writeFileSync(path, bytes)
      const before = fingerprint(server.dataDir)
      const log = await refusesToStart(server)
      assert.ok(log.includes(path.slice(path.lastIndexOf('/') + 1)), `the log names the file: ${log}`)
      assert.match(log, /offset/i)
      assert.deepEqual(fingerprint(server.dataDir), before)
    },
  )
}

void test(
  'a record of which only a part was written is dropped, and everything before it is there',
  { skip },
  async (t) => {
    const server = await writtenServer(t, 30)
    const { path, bytes, end } = newestWal(server)
    // The length of a record of 200 bytes and the first 60 of them.
    bytes.writeBigUInt64LE(200n, end)
    bytes.fill(0x5a, end + 8, end + 68)
    writeFileSync(path, bytes)
    await server.start()
    const kv = await client(t, server)
    await checkMany(kv, 30)
    await putMany(kv, 31)
    await server.kill()
    await server.start()
    await checkMany(kv, 31)
  },
)

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
  void test(`${name} ends the process, acknowledges nothing more, and loses nothing`, { skip }, async (t) => {
    const faults = new FaultInjector(t)
    const server = await ServerProcess.start(t, { faults })
    const kv = await client(t, server)
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
  })
}

void test('a slow fdatasync delays answers and loses nothing', { skip }, async (t) => {
  const faults = new FaultInjector(t)
  const server = await ServerProcess.start(t, { faults })
  const kv = await client(t, server)
  faults.inject({ calls: ['fdatasync'], path: '\\.wal', delayMs: 50, times: 5 })
  await putMany(kv, 10)
  await server.kill()
  await server.start()
  await checkMany(kv, 10)
})

void test(
  'a first start that fails at any call to the disk can be made again',
  { skip, timeout: 600_000 },
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
      await putMany(await client(t, server), 2)
      await server.kill()
    }
  },
)

void test(
  'a file system without room stops the member, and it starts again once there is room',
  { skip },
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
    const kv = await client(t, server)
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
