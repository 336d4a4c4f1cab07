/** How fast is CRC-32C? Run: node packages/platform/dist/crc32c.bench.js */
import { crc32c, crc32cOfView } from './crc32c.ts'

const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 2654435761) >>> 24)
const view = new DataView(bytes.buffer)

for (const length of [32, 100, 300, 4096, 1 << 20]) {
  for (const [name, run] of [
    ['crc32c', (seed: number) => crc32c(bytes, 0, length, seed)],
    ['crc32cOfView', (seed: number) => crc32cOfView(view, 0, length, seed)],
  ] as const) {
    const calls = Math.ceil((256 << 20) / length)
    let crc = 0
    let bestMs = Infinity
    for (let round = 0; round < 4; round++) {
      const startMs = performance.now()
      for (let i = 0; i < calls; i++) crc = run(crc)
      bestMs = Math.min(bestMs, performance.now() - startMs)
    }
    const gigabytes = ((length * calls) / bestMs / 1e6).toFixed(2)
    console.log(
      `${name.padEnd(14)}${String(length).padStart(8)} bytes  ${gigabytes} GB/s  ${((bestMs * 1e6) / calls).toFixed(0)} ns`,
    )
  }
}
