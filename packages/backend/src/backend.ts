import type { Bucket } from './buckets.ts'

/** Longest key of a row: about half of what LMDB takes with pages of 4 KiB, the smallest there are. */
export const KEY_BYTES_MAX = 1024

/** One row, both parts owned by the receiver. */
export type Row = readonly [key: Uint8Array, value: Uint8Array]

/**
 * Takes one row of a scan. Both parts are views that are valid during the call only, and only until the backend is
 * asked for something else; it must not be written to before the scan has ended.
 *
 * @returns false to end the scan
 */
export type RowVisitor = (key: Uint8Array, value: Uint8Array) => boolean

/** Rows as they were at one moment. Keys are ordered bytewise, unsigned, a prefix before what it is a prefix of. */
export interface RowReader {
  /** The value of `key`, owned by the caller, or undefined. */
  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined
  /**
   * Hands the rows of `[from, to)` to `visit`, in order of their keys, until it returns false.
   *
   * @param to exclusive; undefined for no end
   */
  scan(bucket: Bucket, from: Uint8Array, to: Uint8Array | undefined, visit: RowVisitor): void
  /** The rows of `[from, to)`, all of them at once: for buckets that are known to be small. */
  range(bucket: Bucket, from?: Uint8Array, to?: Uint8Array): Row[]
}

/** A view that later writes do not change. Old pages of the data file stay in use until it is closed. */
export interface BackendSnapshot extends RowReader {
  close(): void
}

/** Room for one row that is being written, see `Backend.reserve`. */
export interface RowSlot {
  readonly bytes: Buffer
  readonly keyAt: number
  readonly keyLength: number
  readonly valueAt: number
  readonly valueLength: number
}

/** The steps of a defragmentation, in order; a crash after any of them leaves one whole data file. */
export type DefragmentStep = 'copied' | 'synced' | 'opened' | 'renamed' | 'finished'

/**
 * Ordered buckets of bytes with one writer and many readers.
 *
 * Writes are buffered and reach the disk in batches; every read of the backend sees them at once. A batch is
 * committed as a whole: after a crash the rows are those of all batches up to some moment, never a part of
 * one. Just before a batch is closed the commit hook may add rows that describe it (the consistent index),
 * so these are never ahead of the rows they speak of, nor behind them.
 */
export interface Backend extends RowReader {
  /** Stores a copy of `value` under a copy of `key`. */
  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void
  /**
   * Like `put`, without the copies: the caller writes key and value into the slot before it calls the backend
   * again, and does not change them after that. The slot's bytes stay valid for as long as somebody holds them.
   */
  reserve(bucket: Bucket, keyLength: number, valueLength: number): RowSlot
  /** Removes `key`, whether it exists or not. */
  delete(bucket: Bucket, key: Uint8Array): void
  /** Like `get`, but the value is a view that is valid until the next call of the backend. */
  peek(bucket: Bucket, key: Uint8Array): Uint8Array | undefined

  /** Calls `hook` just before each batch is closed; rows that it writes belong to that batch. */
  setCommitHook(hook: () => void): void
  /**
   * Closes the batch and resolves once everything written so far is durable.
   *
   * @throws BackendError `writeFailed` (as a rejection) when that cannot be had any more
   */
  commit(): Promise<void>
  /** A view of everything written so far. */
  snapshot(): Promise<BackendSnapshot>

  /** Bytes of the data file: its pages up to the last one ever used. */
  size(): number
  /** `size` without the pages that are free. */
  sizeInUse(): number
  /** What `size` will be when everything written so far is committed, a little more rather than less. */
  sizeProjected(): number
  /** Bytes written and not yet durable. */
  pendingBytes(): number
  /** Resolves when `pendingBytes` is no longer above the limit that the backend was opened with. */
  drained(): Promise<void>

  /** Rewrites the data file without its free pages. Rows stay readable and writable meanwhile. */
  defragment(onStep?: (step: DefragmentStep) => void): Promise<void>
  /** Commits and closes. */
  close(): Promise<void>
}
