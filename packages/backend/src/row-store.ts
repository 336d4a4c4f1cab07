import type { Bucket } from './buckets.ts'
import type { DefragmentStep, RowVisitor } from './backend.ts'
import type { RowBatch } from './row-batch.ts'

/** What can be read of committed rows. */
export interface StoreReader {
  /** A view that is valid until the next call of the store, or undefined. */
  peek(bucket: Bucket, key: Uint8Array): Uint8Array | undefined
  /** As `RowReader.scan`. */
  scan(bucket: Bucket, from: Uint8Array, to: Uint8Array | undefined, visit: RowVisitor): void
}

/** Committed rows as they were at one moment. */
export interface StoreSnapshot extends StoreReader {
  close(): void
}

/**
 * Where a `BufferedBackend` keeps its rows: what a real and a simulated disk have to do differently.
 *
 * At most one of `commit`, `defragment` and `close` runs at a time.
 */
export interface RowStore extends StoreReader {
  /**
   * Makes a batch durable, all of it or nothing. Readers see it once the promise has resolved, or earlier.
   * The batch's bytes do not change while it runs.
   */
  commit(batch: RowBatch): Promise<void>
  /** A view of what is committed now. */
  snapshot(): StoreSnapshot
  /** Bytes of the data file up to its last page ever used. */
  size(): number
  /** `size` without free pages. */
  sizeInUse(): number
  defragment(onStep: (step: DefragmentStep) => void): Promise<void>
  close(): Promise<void>
}
