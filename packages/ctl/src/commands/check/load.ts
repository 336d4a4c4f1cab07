import { randomFillSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@etcd-ts/client'
import { bytesOf } from '../../byte-text.ts'
import { callErrorText } from '../../call-error.ts'

export interface LoadOptions {
  readonly prefix: string
  readonly keyBytes: number
  readonly valueBytes: number
  /** Without it, as fast as the clients can. */
  readonly writesPerSecond?: number
  /** Ends after so long.. */
  readonly seconds?: number
  /** ..or after so many writes. */
  readonly count?: number
  /** Called several times a second. */
  readonly onTick: (seconds: number, writes: number) => void
}

/** What a load has shown. */
export interface LoadReport {
  readonly writesPerSecond: number
  readonly slowestSeconds: number
  /** Standard deviation of the writes' durations. */
  readonly deviationSeconds: number
  /** How often each error came. */
  readonly errors: ReadonlyMap<string, number>
}

const RANDOM_BYTES = 16
const TICK_MS = 200

/** Writes keys below a prefix, one at a time from each client. */
export async function runLoad(clients: readonly Client[], options: LoadOptions): Promise<LoadReport> {
  const { writesPerSecond = Infinity, seconds = Infinity, count = Infinity } = options
  const prefix = bytesOf(options.prefix)
  const value = Buffer.alloc(options.valueBytes)
  const errors = new Map<string, number>()
  const started = performance.now()
  const elapsed = (): number => (performance.now() - started) / 1000
  let tickets = 0
  let writes = 0
  let slowest = 0
  let sum = 0
  let squares = 0

  const work = async (client: Client): Promise<void> => {
    while (tickets < count) {
      const waitMs = (tickets++ / writesPerSecond - elapsed()) * 1000
      if (elapsed() + Math.max(0, waitMs) / 1000 >= seconds) return
      if (waitMs > 0) await sleep(waitMs)
      const key = Buffer.alloc(prefix.length + options.keyBytes)
      key.set(prefix)
      randomFillSync(key, prefix.length, RANDOM_BYTES)
      const from = elapsed()
      try {
        await client.kv.put({ key, value })
      } catch (error) {
        const text = callErrorText(error)
        errors.set(text, (errors.get(text) ?? 0) + 1)
      }
      const took = elapsed() - from
      writes++
      slowest = Math.max(slowest, took)
      sum += took
      squares += took * took
    }
  }

  const ticker = setInterval(() => options.onTick(elapsed(), writes), TICK_MS)
  options.onTick(0, 0)
  try {
    await Promise.all(clients.map(work))
  } finally {
    clearInterval(ticker)
  }
  const mean = sum / writes
  return {
    writesPerSecond: writes / elapsed(),
    slowestSeconds: slowest,
    deviationSeconds: Math.sqrt(Math.max(0, squares / writes - mean * mean)),
    errors,
  }
}
