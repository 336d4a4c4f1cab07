/**
 * What does the log cost? Run: node packages/wal/dist/wal.bench.js [folder]
 *
 * encode    frames into memory: CRC, copy and all
 * append    the same and one write to the page cache a batch
 * + sync    the same and a sync a batch, each awaited, as with one client
 * shared    batches that go on while a sync runs: all that wait share the next one, as under load
 * open      reading it all back
 */
// oxlint-disable-next-line no-restricted-imports -- only to make and remove a folder
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { raftpb } from '@etcd-ts/api'
import { SystemDisk, systemClock } from '@etcd-ts/platform'
import { type Entry, FrameWriter } from './frame.ts'
import { Wal } from './wal.ts'

const DATA_BYTES = 300
const ENTRIES = 200_000

const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'etcd-ts-wal-'))
const disk = new SystemDisk()
const data = new Uint8Array(DATA_BYTES).fill(7)
let logs = 0
let index = 0

function batchOf(size: number): Entry[] {
  return Array.from({ length: size }, () => ({
    type: raftpb.EntryType.EntryNormal,
    term: 2,
    index: ++index,
    data,
  }))
}

function newWal(): Wal {
  index = 0
  return Wal.create(disk, join(folder, String(logs++)), { metadata: Uint8Array.of(8, 1, 16, 2) })
}

function report(name: string, entries: number, ms: number, syncs?: number): void {
  const perEntry = `${((ms * 1000) / entries).toFixed(2)} µs an entry`
  const perSync = syncs === undefined ? '' : `, ${((ms * 1000) / syncs).toFixed(0)} µs a sync`
  console.log(
    `${name.padEnd(22)} ${Math.round((entries / ms) * 1000)
      .toLocaleString('en')
      .padStart(10)}/s  ${perEntry}${perSync}`,
  )
}

for (let round = 0; round < 2; round++) {
  const writer = new FrameWriter(0)
  const entries = batchOf(100)
  const startMs = systemClock.monotonicMs()
  for (let n = 0; n < ENTRIES; n += entries.length) {
    writer.clear()
    for (const entry of entries) writer.entry(entry)
  }
  report('encode', ENTRIES, systemClock.monotonicMs() - startMs)
}

for (const size of [1, 10, 100, 1000]) {
  const wal = newWal()
  const count = size === 1 ? ENTRIES / 10 : ENTRIES
  const state = { term: 2, vote: 0x8e9c_1b2a_0000_0001n, commit: 0 }
  let spentMs = 0
  for (let n = 0; n < count; n += size) {
    const entries = batchOf(size)
    const startMs = systemClock.monotonicMs()
    wal.append({ ...state, commit: n }, entries)
    spentMs += systemClock.monotonicMs() - startMs
    if (n % 20_000 === 0) await wal.sync()
  }
  report(`append ${size}`, count, spentMs)
  await wal.close()
}

for (const size of [1, 10, 100, 1000]) {
  const wal = newWal()
  const rounds = size === 1000 ? 100 : 2000
  const startMs = systemClock.monotonicMs()
  for (let n = 0; n < rounds; n++) {
    wal.append(undefined, batchOf(size))
    await wal.sync()
  }
  report(`append + sync ${size}`, rounds * size, systemClock.monotonicMs() - startMs, rounds)
  await wal.close()
}

{
  const wal = newWal()
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const waiting = new Set<Promise<void>>()
  const startMs = systemClock.monotonicMs()
  for (let n = 0; n < ENTRIES / 20; n++) {
    wal.append(undefined, batchOf(20))
    const synced = wal.sync()
    waiting.add(synced)
    void synced.then(() => waiting.delete(synced))
    await turn()
  }
  await Promise.all(waiting)
  report('append + sync, shared', ENTRIES, systemClock.monotonicMs() - startMs)
  await wal.close()

  const openMs = systemClock.monotonicMs()
  const { entries } = Wal.open(disk, join(folder, String(logs - 1)), { index: 0, term: 0 })
  report('open', entries.length, systemClock.monotonicMs() - openMs)
}
rmSync(folder, { recursive: true })
