/**
 * What does it cost to sync off the calling thread? Run: node packages/platform/dist/disk.bench.js [folder]
 *
 * `here` is fdatasync on the calling thread, `there` the same through the sync thread, `nothing` the way there and back
 * with nothing to sync, each for one write of `size` bytes into a file of zeros.
 */
import { fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SyncThread } from './disk-sync-thread.ts'

const ROUNDS = 2000
const FILE_BYTES = 32 << 20

const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'etcd-ts-disk-'))
const descriptor = openSync(join(folder, 'file'), 'w+')
writeSync(descriptor, new Uint8Array(FILE_BYTES), 0, FILE_BYTES, 0)
fdatasyncSync(descriptor)
const syncs = new SyncThread()
await syncs.datasync(descriptor)

for (const size of [512, 16_384]) {
  const piece = new Uint8Array(size).fill(7)
  let position = 0
  const write = (): void => {
    writeSync(descriptor, piece, 0, size, position)
    position = (position + size) % FILE_BYTES
  }
  await measure(`here    ${size}`, () => {
    write()
    fdatasyncSync(descriptor)
  })
  await measure(`there   ${size}`, () => {
    write()
    return syncs.datasync(descriptor)
  })
}
await measure('nothing', () => syncs.datasync(descriptor))
rmSync(folder, { recursive: true })

async function measure(name: string, run: () => void | Promise<void>): Promise<void> {
  const micros = new Float64Array(ROUNDS)
  for (let i = 0; i < ROUNDS; i++) {
    const startMs = performance.now()
    await run()
    micros[i] = (performance.now() - startMs) * 1000
  }
  micros.sort()
  const at = (share: number): string => micros[Math.floor(ROUNDS * share)]!.toFixed(0).padStart(6)
  console.log(`${name.padEnd(16)} p50 ${at(0.5)}  p90 ${at(0.9)}  p99 ${at(0.99)} µs`)
}
