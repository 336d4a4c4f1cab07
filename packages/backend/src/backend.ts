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

/** The rows of a backend as they were at one moment, as a bbolt file: what members and tools of etcd exchange. */
export interface BboltExport {
  readonly sizeBytes: number
  /**
   * The file from its first byte to its last, in pieces of at most 128 KiB that the receiver owns; can be asked for once.
   * A reader that stops early lets go of the rows. Nothing is read ahead of the reader but a few pieces.
   *
   * @throws BackendError `transferFailed`, `closed` from the iteration: the file is not whole
   */
  chunks(): AsyncIterable<Uint8Array>
  /** Lets go of the rows, whether they were read or not. */
  close(): void
}

/** A data file, open beside the live one, whose rows are to take the place of the live ones. */
export interface BackendReplacement extends RowReader {
  /** Gives it up; the file stays where it is. Does nothing once it is installed. */
  close(): Promise<void>
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
  /**
   * The rows as they are now, as a bbolt file. The commit hook runs before this returns, so what the caller reads in the
   * same turn of the event loop belongs to these rows; what is written later is not among them. A few commits may wait
   * until the rows are pinned, and pages of the data file stay in use until the export is closed.
   *
   * @throws BackendError `transferFailed`, `writeFailed`, `replaced`, `closed` (as a rejection)
   * @see docs/formats/bbolt.md
   */
  exportBbolt(): Promise<BboltExport>

  /**
   * Opens the data file at `path` (made by an import, on the same file system) beside the live one, which goes on as before.
   *
   * @throws BackendError when there is no such file, or it cannot be opened
   */
  openReplacement(path: string): BackendReplacement
  /**
   * Puts a replacement in the place of the live data file, as a whole: reads before the call of `swapped` see the old rows,
   * reads from `swapped` on the new ones. What was written and not committed belonged to the old rows and is forgotten; who
   * waits for its commit is told that it is done when the new rows are durable. Nobody may write between this call and
   * `swapped`. Views and exports of the old rows remain what they are.
   *
   * A crash at any moment leaves either file whole under the live name; until the new one is durable there, it is still
   * found under its own name, too, or is there already.
   *
   * @param replacement what `openReplacement` gave, or the path that it would be given
   * @param swapped runs in the turn in which the rows change: what mirrors rows in memory is exchanged there
   * @throws BackendError `writeFailed` when it is not known which file a crash would leave; any other error when nothing
   * was changed
   */
  install(replacement: BackendReplacement | string, swapped?: () => void): Promise<void>

  /** Commits and closes. */
  close(): Promise<void>
  /** Closes without committing what is buffered: for when that may describe half of a change. */
  abandon(): Promise<void>
}
