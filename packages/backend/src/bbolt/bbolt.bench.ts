/**
 * What do an export and an import cost? Run: node packages/backend/dist/bbolt/bbolt.bench.js [rows]
 *
 * held      how long the first commit after an export was asked for had to wait
 * layout    the first walk over all rows
 * export    the second one, and the chunks' way to this thread
 * import    from the file to one of LMDB, with its sync
 * still     the longest time that this thread did not look at its events meanwhile
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
// oxlint-disable-next-line no-restricted-imports -- only to make and remove a folder
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock, systemDisk } from '@etcd-ts/platform'
import { openLmdbBackend } from '../lmdb-backend.ts'
import { importBbolt } from './import-thread.ts'

const ROWS = Number(process.argv[2] ?? 1_000_000)
const VALUE_BYTES = 300

const folder = mkdtempSync(join(tmpdir(), 'etcd-ts-bbolt-'))
const backend = openLmdbBackend({
  path: join(folder, 'db'),
  clock: systemClock,
  onWriteFailed: (error) => {
    throw error
  },
})
for (let i = 0; i < ROWS; i++) {
  const key = Buffer.alloc(17, '_')
  key.writeBigUInt64BE(BigInt(i + 2), 0)
  key.writeBigUInt64BE(0n, 9)
  backend.put('key', key, Buffer.alloc(VALUE_BYTES, i))
  if (i % 20_000 === 0) await backend.commit()
}
await backend.commit()

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
await systemClock.sleep(200)
delay.reset()
let startMs = systemClock.monotonicMs()
const lap = (): number => {
  const ms = systemClock.monotonicMs() - startMs
  startMs += ms
  return ms
}
const report = (name: string, ms: number, bytes = 0): void => {
  const rate =
    bytes === 0
      ? ''
      : `  ${Math.round(ROWS / ms).toLocaleString('en')} rows/ms  ${(bytes / 1000 / ms).toFixed(0)} MB/s`
  const still = `${(delay.max / 1e6).toFixed(1)} ms still`
  console.log(`${name.padEnd(8)} ${ms.toFixed(0).padStart(6)} ms  ${still}${rate}`)
  delay.reset()
  lap()
}

const asked = backend.exportBbolt()
backend.put('meta', Buffer.from('later'), Buffer.from('1'))
const held = backend.commit().then(() => systemClock.monotonicMs() - startMs)
const file = await asked
const layoutMs = lap()
report('held', await held)
report('layout', layoutMs)
// To memory: the disk would be what is measured.
const chunks: Uint8Array[] = []
for await (const chunk of file.chunks()) chunks.push(chunk)
report('export', lap(), file.sizeBytes)
const source = join(folder, 'file')
const output = systemDisk.open(source, 'create')
let at = 0
for (const chunk of chunks.splice(0)) {
  output.writeAt(chunk, at)
  at += chunk.length
}
output.datasyncNow()
output.close()
delay.reset()
lap()
await importBbolt({ source, target: join(folder, 'imported') })
report('import', lap(), file.sizeBytes)
console.log(`resident ${(process.memoryUsage.rss() / 1e6).toFixed(0)} MB, the map's pages included`)
await backend.close()
rmSync(folder, { recursive: true })
