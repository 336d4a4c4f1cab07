import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ServerProcess, makeTempDir, show } from '@etcd-ts/testkit'
import { checkMany, clientOf, putMany, skipUnlessOurs, writtenServer } from './written-server.ts'

// Data directories that a member must not trust: it says why, ends, and has changed and lost nothing.

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

void test(
  'a data directory in use is waited for, and its owner goes on',
  { skip: skipUnlessOurs },
  async (t) => {
    const server = await ServerProcess.start(t)
    const kv = await clientOf(t, server)
    await putMany(kv, 5)
    const second = await ServerProcess.create(t, { dataDir: server.dataDir })
    second.spawn()
    await second.log.waitFor(/another process holds the data directory/)
    await putMany(kv, 6)
    await checkMany(kv, 6)
    await server.stop()
    await second.log.waitFor(second.program.readyLine)
    await checkMany(await clientOf(t, second), 6)
  },
)

void test(
  'the log of another cluster is refused, and nothing is modified',
  { skip: skipUnlessOurs },
  async (t) => {
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
    await checkMany(await clientOf(t, server), 20)
  },
)

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
    { skip: skipUnlessOurs },
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
  { skip: skipUnlessOurs },
  async (t) => {
    const server = await writtenServer(t, 30)
    const { path, bytes, end } = newestWal(server)
    // The length of a record of 200 bytes and the first 60 of them.
    bytes.writeBigUInt64LE(200n, end)
    bytes.fill(0x5a, end + 8, end + 68)
    writeFileSync(path, bytes)
    await server.start()
    const kv = await clientOf(t, server)
    await checkMany(kv, 30)
    await putMany(kv, 31)
    await server.kill()
    await server.start()
    await checkMany(kv, 31)
  },
)
