// Microbenchmarks of packages/mvcc on packages/backend, in one process: what the store's operations cost the main
// thread, what a million keys take in memory, and how long opening them takes.
//
//     node benchmarks/mvcc.mjs [keys, default 1000000]
//
// Figures are from one run; `node --cpu-prof benchmarks/mvcc.mjs` shows where the time goes.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { etcdserverpb } from '../packages/api/dist/index.js'
import { openLmdbBackend } from '../packages/backend/dist/index.js'
import { MvccStore } from '../packages/mvcc/dist/index.js'
import { systemClock, systemRandom } from '../packages/platform/dist/index.js'

const KEYS = Number(process.argv[2] ?? 1_000_000)
const VALUE = Buffer.alloc(256, 'v')
/** Operations per turn of the event loop, as a busy server has them. */
const PER_TURN = 100

const folder = mkdtempSync(join(process.env.ETCD_TS_BENCH_DIR ?? tmpdir(), 'etcd-ts-bench-'))
const fail = (error) => {
  throw error
}
const open = async () => {
  const backend = openLmdbBackend({ path: join(folder, 'db'), clock: systemClock, onWriteFailed: fail })
  const store = await MvccStore.open({ backend, clock: systemClock, random: systemRandom, onFailed: fail })
  return { backend, store }
}
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`
const turn = () => new Promise((resolve) => setImmediate(resolve))

// A permutation of the keys, so that they come in no order.
const shuffled = Uint32Array.from({ length: KEYS }, (_, i) => i)
let seed = 1
const random = (below) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}
for (let i = KEYS - 1; i > 0; i--) {
  const j = random(i + 1)
  ;[shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]]
}
const keyOf = (i) => Buffer.from(`/registry/${String(i).padStart(9, '0')}`)

/** Runs `work(i)` for all i below `count`, in turns; prints the time it took the main thread. */
async function measure(name, count, work) {
  let spent = 0
  let worst = 0
  for (let i = 0; i < count;) {
    const before = performance.now()
    for (const end = Math.min(count, i + PER_TURN); i < end; i++) work(i)
    const took = performance.now() - before
    spent += took
    worst = Math.max(worst, took)
    await turn()
  }
  const each = (spent * 1000) / count
  console.log(`${name.padEnd(44)} ${each.toFixed(2).padStart(8)} µs   worst turn ${worst.toFixed(1)} ms`)
  return each
}

let { backend, store } = await open()
const request = (fields) => etcdserverpb.RangeRequest.create(fields)
const put = { ...etcdserverpb.PutRequest.create({}), value: VALUE }

const loop = { worst: 0, last: performance.now() }
const watch = setInterval(() => {
  const now = performance.now()
  loop.worst = Math.max(loop.worst, now - loop.last)
  loop.last = now
}, 1)

console.log(`${KEYS} keys of 19 bytes, values of ${VALUE.length} bytes`)
const keys = Array.from({ length: Math.min(KEYS, 200_000) }, (_, i) => keyOf(shuffled[i]))
await measure('put, new key, random order', keys.length, (i) => {
  put.key = keys[i]
  store.put(put)
})
await backend.drained()
loop.worst = 0
for (let i = keys.length; i < KEYS; i += PER_TURN) {
  for (let j = i; j < Math.min(KEYS, i + PER_TURN); j++) {
    put.key = keyOf(shuffled[j])
    store.put(put)
  }
  await turn()
  await backend.drained()
}
await backend.commit()
console.log(`${'(loading the rest)'.padEnd(44)} longest gap of the event loop ${loop.worst.toFixed(1)} ms`)
const index = store.indexBytes
console.log(
  `index ${megabytes(index)}, ${(index / KEYS).toFixed(0)} bytes a key; resident ${megabytes(process.memoryUsage().rss)}`,
)

await measure('put, existing key', 200_000, (i) => {
  put.key = keys[i % keys.length]
  store.put(put)
})
await backend.commit()
await measure('put, existing key, one of a thousand', 200_000, (i) => {
  put.key = keys[i % 1000]
  store.put(put)
})
await backend.commit()
const requests = keys.slice(0, 100_000).map((key) => request({ key }))
await measure('range, one key of 1000', 300_000, (i) => store.range(requests[i % 1000]))
await measure('range, one key, from the data file', 100_000, (i) => store.range(requests[i]))
const pages = Array.from({ length: 1000 }, () => {
  const first = random(KEYS - 500)
  return request({ key: keyOf(first), rangeEnd: keyOf(first + 500) })
})
await measure('range, 500 keys, first time', 100, (i) => store.range(pages[i]))
await measure('range, 500 keys, again', 2000, (i) => store.range(pages[i % 100]))
const all = { key: Buffer.from('/'), rangeEnd: Buffer.from('\0') }
await measure('range, all keys, limit 10', 500, () => store.range(request({ ...all, limit: 10n })))
await measure('range, all keys, count only', 500, () => store.range(request({ ...all, countOnly: true })))
const old = BigInt(store.revision - 100_000)
await measure('range, all keys, count only, old revision', 10, () =>
  store.range(request({ ...all, countOnly: true, revision: old })),
)
await measure('range, one key, old revision', 100_000, (i) =>
  store.range({ ...requests[i % 1000], revision: old }),
)
const txn = etcdserverpb.TxnRequest.create({
  compare: [{ key: keys[0], target: 2, result: 1, targetUnion: { case: 'modRevision', value: 0n } }],
  success: [{ request: { case: 'requestPut', value: { ...put, key: keys[0] } } }],
})
await measure('txn, one compare, one put', 100_000, () => store.txn(txn))
await measure('delete and put again', 100_000, (i) => {
  store.deleteRange({ key: keys[i], rangeEnd: new Uint8Array(0), prevKv: false })
  put.key = keys[i]
  store.put(put)
})
await backend.commit()

loop.worst = 0
let before = performance.now()
await store.hashKv(0n)
const hashMs = performance.now() - before
console.log(`HashKV ${hashMs.toFixed(0)} ms, longest gap of the event loop ${loop.worst.toFixed(1)} ms`)
loop.worst = 0
before = performance.now()
await store.compact(BigInt(store.revision))
console.log(
  `compaction ${(performance.now() - before).toFixed(0)} ms, longest gap of the event loop ${loop.worst.toFixed(1)} ms`,
)
clearInterval(watch)
await store.close()
await backend.close()
globalThis.gc?.()
before = performance.now()
;({ backend, store } = await open())
console.log(
  `open ${(performance.now() - before).toFixed(0)} ms, resident ${megabytes(process.memoryUsage().rss)}, ` +
    `data file ${megabytes(backend.size())}`,
)
await store.close()
await backend.close()
rmSync(folder, { recursive: true })
