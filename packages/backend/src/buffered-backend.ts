import type { Clock, Timer } from '@etcd-ts/platform'
import {
  type Backend,
  type BackendReplacement,
  type BackendSnapshot,
  type BboltExport,
  type DefragmentStep,
  KEY_BYTES_MAX,
  type Row,
  type RowReader,
  type RowSlot,
  type RowVisitor,
} from './backend.ts'
import { exportSnapshot } from './bbolt/plain-export.ts'
import { type Bucket, bucketIndex } from './buckets.ts'
import { BackendError } from './error.ts'
import { RowArena } from './row-arena.ts'
import { type PendingRow, REMOVED, RowBatch, compareKeys, compareToKey } from './row-batch.ts'
import type { RowStore, StoreReader, StoreReplacement } from './row-store.ts'

/** When the rows of a backend are committed, and how far its writer may fall behind. */
export interface BufferedBackendOptions {
  readonly clock: Clock
  /** A batch is closed this long after its first write. */
  readonly batchIntervalMs?: number
  /** A batch is closed, once the current turn of the event loop is over, when it holds this many writes. */
  readonly batchLimit?: number
  /** Above this much that is not durable yet, `drained` waits. */
  readonly pendingBytesMax?: number
  /** Told of each batch that has become durable, and how long that took. */
  onCommitted?(durationMs: number): void
  /** Called once when a commit failed: nothing is durable from then on. */
  onWriteFailed(error: BackendError): void
}

export const BATCH_INTERVAL_MS = 100
export const BATCH_LIMIT = 10_000
export const PENDING_BYTES_MAX = 64 * 1024 * 1024
/** What rows take in pages, by the sum of their lengths: node headers, offsets and unused tails come on top. */
const PAGE_OVERHEAD = 1.4
/** Pages that any commit writes anew: the way from the root of each table down to what changed. */
const COMMIT_BYTES = 16 * 1024

const FROM_START: Uint8Array = new Uint8Array(0)

interface Waiter {
  resolve(): void
  reject(error: BackendError): void
  /** Other rows took the place of what is waited for, and are durable. */
  replaced(): void
}

/** A batch and those who wait for it. */
class OpenBatch extends RowBatch {
  readonly waiters: Waiter[] = []
}

function rangeOf(reader: RowReader, bucket: Bucket, from = FROM_START, to?: Uint8Array): Row[] {
  const rows: Row[] = []
  reader.scan(bucket, from, to, (key, value) => {
    rows.push([new Uint8Array(key), new Uint8Array(value)])
    return true
  })
  return rows
}

function getFrom(store: StoreReader, bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
  const value = store.peek(bucket, key)
  return value === undefined ? undefined : new Uint8Array(value)
}

/** A reader over what a store gives of committed rows. */
function readerOf(view: StoreReader): RowReader {
  return {
    get: (bucket, key) => getFrom(view, bucket, key),
    scan: (bucket, from, to, visit) => view.scan(bucket, from, to, visit),
    range(bucket, from, to) {
      return rangeOf(this, bucket, from, to)
    },
  }
}

/** A list of pending rows and how far a scan has come in it. */
interface PendingSource {
  readonly rows: readonly PendingRow[]
  at: number
}

/**
 * A `Backend` that keeps writes in memory until its store has committed them.
 *
 *     write -> current batch -> (interval, limit or commit: hook, closed) -> waiting batches -> one at a time
 *     to the store -> durable: forgotten here, since the store now shows it
 *
 * A read asks the current batch, then the waiting ones from new to old, then the store.
 */
export class BufferedBackend implements Backend {
  readonly #store: RowStore
  readonly #options: BufferedBackendOptions
  readonly #batchLimit: number
  readonly #batchIntervalMs: number
  readonly #pendingBytesMax: number
  readonly #arena = new RowArena()
  #current = new OpenBatch()
  /** Closed batches, oldest first; the first one may be with the store. */
  readonly #waiting: OpenBatch[] = []
  /** The store is at work. */
  #busy = false
  /** The batch that the store is writing. */
  #committing: OpenBatch | undefined
  /** Work for the store that nothing may run beside. */
  readonly #tasks: (() => Promise<void>)[] = []
  #order = 0
  #waitingBytes = 0
  #timer: Timer | undefined
  #limitReached = false
  #hook: () => void = () => undefined
  #drainWaiters: Waiter[] = []
  #failure: BackendError | undefined
  #closed = false
  /** How often other rows have taken the place of all. */
  #installed = 0
  readonly #replacements = new WeakMap<BackendReplacement, StoreReplacement>()

  constructor(store: RowStore, options: BufferedBackendOptions) {
    this.#store = store
    this.#options = options
    this.#batchLimit = options.batchLimit ?? BATCH_LIMIT
    this.#batchIntervalMs = options.batchIntervalMs ?? BATCH_INTERVAL_MS
    this.#pendingBytesMax = options.pendingBytesMax ?? PENDING_BYTES_MAX
  }

  reserve(bucket: Bucket, keyLength: number, valueLength: number): RowSlot {
    if (keyLength === 0) throw new BackendError('emptyKey', `an empty key in the bucket ${bucket}`)
    if (keyLength > KEY_BYTES_MAX) {
      throw new BackendError('keyTooLong', `a key of ${keyLength} bytes in the bucket ${bucket}`)
    }
    if (this.#closed) throw new BackendError('closed', 'the backend is closed')
    const keyAt = this.#arena.take(keyLength + Math.max(0, valueLength))
    const row: PendingRow = {
      bytes: this.#arena.bytes,
      keyAt,
      keyLength,
      valueAt: keyAt + keyLength,
      valueLength,
      order: this.#order++,
    }
    const batch = this.#current
    batch.add(bucketIndex[bucket], row)
    if (batch.count === 1) this.#armTimer()
    else if (batch.count >= this.#batchLimit && !this.#limitReached) this.#closeSoon()
    return row
  }

  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void {
    const slot = this.reserve(bucket, key.length, value.length)
    slot.bytes.set(key, slot.keyAt)
    slot.bytes.set(value, slot.valueAt)
  }

  delete(bucket: Bucket, key: Uint8Array): void {
    const slot = this.reserve(bucket, key.length, REMOVED)
    slot.bytes.set(key, slot.keyAt)
  }

  peek(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    const index = bucketIndex[bucket]
    let pending = this.#current.find(index, key)
    for (let i = this.#waiting.length - 1; i >= 0 && pending === undefined; i--) {
      pending = this.#waiting[i]!.find(index, key)
    }
    if (pending === undefined) return this.#store.peek(bucket, key)
    if (pending.valueLength === REMOVED) return undefined
    return pending.bytes.subarray(pending.valueAt, pending.valueAt + pending.valueLength)
  }

  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    return getFrom(this, bucket, key)
  }

  range(bucket: Bucket, from?: Uint8Array, to?: Uint8Array): Row[] {
    return rangeOf(this, bucket, from, to)
  }

  scan(bucket: Bucket, from: Uint8Array, to: Uint8Array | undefined, visit: RowVisitor): void {
    const sources = this.#sourcesFrom(bucketIndex[bucket], from)
    if (sources.length === 0) {
      this.#store.scan(bucket, from, to, visit)
      return
    }
    let stopped = false
    let pending = takeLowest(sources)
    const visitPending = (): boolean => {
      const { bytes, keyAt, valueAt, valueLength } = pending!
      pending = takeLowest(sources)
      if (valueLength === REMOVED) return true
      return visit(bytes.subarray(keyAt, valueAt), bytes.subarray(valueAt, valueAt + valueLength))
    }
    this.#store.scan(bucket, from, to, (key, value) => {
      for (; pending !== undefined;) {
        const difference = compareToKey(pending, key)
        if (difference > 0) break
        stopped = !visitPending()
        if (stopped) return false
        if (difference === 0) return true
      }
      stopped = !visit(key, value)
      return !stopped
    })
    while (!stopped && pending !== undefined && (to === undefined || compareToKey(pending, to) < 0)) {
      stopped = !visitPending()
    }
  }

  #sourcesFrom(bucket: number, from: Uint8Array): PendingSource[] {
    const sources: PendingSource[] = []
    for (const batch of [...this.#waiting, this.#current]) {
      for (const list of [batch.puts[bucket]!, batch.removals[bucket]!]) {
        const at = list.lowerBound(from)
        const rows = list.sorted()
        if (at < rows.length) sources.push({ rows, at })
      }
    }
    return sources
  }

  setCommitHook(hook: () => void): void {
    this.#hook = hook
  }

  commit(): Promise<void> {
    return new Promise((resolve, reject) => this.#afterCommit({ resolve, reject, replaced: resolve }))
  }

  snapshot(): Promise<BackendSnapshot> {
    return new Promise((resolve, reject) => {
      // The store commits the next batch only after this has run.
      const pin = (): void => {
        const view = this.#store.snapshot()
        resolve({ ...readerOf(view), close: () => view.close() })
      }
      this.#afterCommit({ resolve: pin, reject, replaced: pin })
    })
  }

  exportBbolt(): Promise<BboltExport> {
    return new Promise((resolve, reject) => {
      const installed = this.#installed
      this.#afterCommit({
        resolve: () => resolve(this.#pinExport(installed)),
        reject,
        replaced: () => reject(replaced()),
      })
    })
  }

  /** @param installed `#installed` as it was when the rows were asked for */
  async #pinExport(installed: number): Promise<BboltExport> {
    const store = this.#store
    if (store.pinExport === undefined) return exportSnapshot(store.snapshot())
    let measured: Promise<BboltExport> | undefined
    // No batch comes before it, but an installation may.
    await this.#alone(async () => {
      if (this.#installed !== installed) throw replaced()
      measured = (await store.pinExport!()).measured
    })
    return measured!
  }

  openReplacement(path: string): BackendReplacement {
    const opened = this.#store.openReplacement(path)
    const replacement = { ...readerOf(opened), close: () => opened.close() }
    this.#replacements.set(replacement, opened)
    return replacement
  }

  async install(
    replacement: BackendReplacement | string,
    swapped: () => void = () => undefined,
  ): Promise<void> {
    if (this.#closed) throw new BackendError('closed', 'the backend is closed')
    if (typeof replacement === 'string') replacement = this.openReplacement(replacement)
    const opened = this.#replacements.get(replacement)
    if (opened === undefined) throw new Error('only what openReplacement gave can be installed')
    let superseded: Waiter[] = []
    try {
      await this.#alone(() =>
        this.#store.install(opened, () => {
          superseded = this.#forget()
          this.#installed++
          swapped()
        }),
      )
    } catch (error) {
      if (error instanceof BackendError && error.reason === 'writeFailed') this.#fail(error, superseded)
      throw error
    }
    for (const waiter of superseded) waiter.replaced()
  }

  /** Forgets everything that is not with the store. @returns those who waited for it */
  #forget(): Waiter[] {
    this.#timer?.cancel()
    this.#current = new OpenBatch()
    this.#limitReached = false
    const forgotten = this.#waiting.splice(this.#committing === undefined ? 0 : 1)
    this.#waitingBytes = this.#committing?.bytes ?? 0
    const waiters = [...forgotten.flatMap((batch) => batch.waiters), ...this.#drainWaiters]
    this.#drainWaiters = []
    return waiters
  }

  size(): number {
    return this.#store.size()
  }

  sizeInUse(): number {
    return this.#store.sizeInUse()
  }

  sizeProjected(): number {
    const size = this.#store.size()
    const pending = this.pendingBytes()
    if (pending === 0) return size
    const free = size - this.#store.sizeInUse()
    return size + Math.max(0, Math.ceil(pending * PAGE_OVERHEAD) + COMMIT_BYTES - free)
  }

  pendingBytes(): number {
    return this.#waitingBytes + this.#current.bytes
  }

  drained(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.pendingBytes() <= this.#pendingBytesMax) return Promise.resolve()
    this.#closeBatch()
    return new Promise((resolve, reject) => this.#drainWaiters.push({ resolve, reject, replaced: resolve }))
  }

  async defragment(onStep: (step: DefragmentStep) => void = () => undefined): Promise<void> {
    await this.commit()
    try {
      await this.#alone(() => this.#store.defragment(onStep))
    } catch (error) {
      if (error instanceof BackendError && error.reason === 'writeFailed') this.#fail(error)
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    const committed = this.#failure === undefined ? this.commit() : undefined
    this.#closed = true
    try {
      await committed
    } finally {
      await this.#alone(() => this.#store.close())
    }
  }

  async abandon(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const closed = new BackendError('closed', 'the backend is closed')
    for (const waiter of this.#forget()) waiter.reject(closed)
    await this.#alone(() => this.#store.close())
  }

  /** Runs `work` at a time when the store does nothing else. */
  #alone(work: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#tasks.push(() => work().then(resolve, reject))
      this.#next()
    })
  }

  #armTimer(): void {
    this.#timer = this.#options.clock.setTimer(this.#batchIntervalMs, () => this.#closeBatch())
  }

  /** Closes the batch when the turn is over: in the middle of one the hook might describe half of a change. */
  #closeSoon(): void {
    this.#limitReached = true
    const batch = this.#current
    this.#options.clock.soon(() => {
      if (this.#current === batch) this.#closeBatch()
    })
  }

  #closeBatch(): void {
    if (this.#failure !== undefined) return
    this.#hook()
    this.#timer?.cancel()
    const batch = this.#current
    if (batch.count === 0) return
    this.#current = new OpenBatch()
    this.#limitReached = false
    this.#waiting.push(batch)
    this.#waitingBytes += batch.bytes
    this.#next()
  }

  #afterCommit(waiter: Waiter): void {
    this.#closeBatch()
    const last = this.#waiting.at(-1)
    if (this.#failure !== undefined) waiter.reject(this.#failure)
    else if (this.#closed) waiter.reject(new BackendError('closed', 'the backend is closed'))
    else if (last === undefined) waiter.resolve()
    else last.waiters.push(waiter)
  }

  /** Gives the store its next piece of work, if it has none. */
  #next(): void {
    if (this.#busy) return
    const task = this.#tasks.shift()
    if (task !== undefined) {
      this.#busy = true
      void task().finally(() => this.#finished())
      return
    }
    const batch = this.#waiting[0]
    if (batch === undefined || this.#failure !== undefined) return
    this.#busy = true
    this.#committing = batch
    const startedMs = this.#options.clock.monotonicMs()
    this.#store.commit(batch).then(
      () => {
        this.#options.onCommitted?.(this.#options.clock.monotonicMs() - startedMs)
        this.#committed(batch)
      },
      (error: unknown) => this.#failed(error),
    )
  }

  #finished(): void {
    this.#busy = false
    this.#committing = undefined
    this.#next()
  }

  #committed(batch: OpenBatch): void {
    this.#waiting.shift()
    this.#waitingBytes -= batch.bytes
    for (const waiter of batch.waiters) waiter.resolve()
    if (this.#drainWaiters.length > 0 && this.pendingBytes() <= this.#pendingBytesMax) {
      const waiters = this.#drainWaiters
      this.#drainWaiters = []
      for (const waiter of waiters) waiter.resolve()
    }
    this.#finished()
  }

  #failed(cause: unknown): void {
    this.#fail(new BackendError('writeFailed', `could not commit: ${messageOf(cause)}`, { cause }))
    this.#finished()
  }

  #fail(failure: BackendError, others: readonly Waiter[] = []): void {
    this.#failure = failure
    const waiters = [...others, ...this.#waiting.flatMap((batch) => batch.waiters), ...this.#drainWaiters]
    this.#drainWaiters = []
    for (const waiter of waiters) waiter.reject(failure)
    this.#options.onWriteFailed(failure)
  }
}

function replaced(): BackendError {
  return new BackendError('replaced', 'other rows took the place of those that were to be exported')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Takes the row with the lowest key off `sources`, and all older ones of the same key. */
function takeLowest(sources: readonly PendingSource[]): PendingRow | undefined {
  let lowest: PendingRow | undefined
  for (const { rows, at } of sources) {
    const row = rows[at]
    if (row === undefined) continue
    const difference = lowest === undefined ? -1 : compareKeys(row, lowest)
    if (difference < 0 || (difference === 0 && row.order > lowest!.order)) lowest = row
  }
  if (lowest === undefined) return undefined
  for (const source of sources) {
    const row = source.rows[source.at]
    if (row !== undefined && compareKeys(row, lowest) === 0) source.at++
  }
  return lowest
}
