import type { Bucket } from './buckets.ts'
import type { BboltExport, DefragmentStep, RowVisitor } from './backend.ts'
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

/** A data file beside the store's own. */
export interface StoreReplacement extends StoreReader {
  /** Gives it up; does nothing once it is installed. */
  close(): Promise<void>
}

/** An export whose rows are pinned and whose size is still to be found. */
export interface PinnedExport {
  readonly measured: Promise<BboltExport>
}

/**
 * Where a `BufferedBackend` keeps its rows: what a real and a simulated disk have to do differently.
 *
 * At most one of `commit`, `defragment`, `pinExport`, `install` and `close` runs at a time.
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
  /**
   * Begins an export that is made off this thread; resolves once its rows are pinned. A store without this is exported
   * from a snapshot, by the thread that asks.
   */
  pinExport?(): Promise<PinnedExport>
  /** Opens the data file at `path` beside the store's own. @throws BackendError */
  openReplacement(path: string): StoreReplacement
  /**
   * Puts a replacement in the place of the store's file; resolves when that is durable.
   *
   * @param swapped called in the turn from which on the store reads the new rows
   */
  install(replacement: StoreReplacement, swapped: () => void): Promise<void>
  close(): Promise<void>
}
