import type { Backend, Bucket, RowReader } from '@etcd-ts/backend'
import { bucketNames } from '@etcd-ts/backend'
import { type Clock, crc32c } from '@etcd-ts/platform'
import type { KeyIndex } from './key-index.ts'
import { KeyValueReader } from './key-value.ts'
import { TOMBSTONE_BIT } from './revision-history.ts'
import { isTombstoneKey, readMain, readSub } from './revision-key.ts'
import { yieldTurn } from './turns.ts'

/** A scan gives way to other work after this many rows or bytes: a few milliseconds. */
const SLICE_ROWS_MAX = 1000
const SLICE_BYTES_MAX = 1024 * 1024

const NAME = Buffer.from('key')
/** Rows of `meta` that differ between members with the same data. */
const UNHASHED_META = new Set(['consistent_index', 'term'])

/** Which rows below the compaction revision a hash covers. */
export interface KeepRule {
  /** Nothing is kept; then the hash covers what the compaction left, whether it can be read or not. */
  readonly isEmpty: boolean
  keeps(id: number, main: number, sub: number): boolean
}

/** The rows that a reader at `revision` sees. */
export function visibleAt(index: KeyIndex, revision: number): KeepRule {
  return {
    isEmpty: !index.hasAnyAt(revision, false),
    keeps: (id, main, sub) => index.isVisible(id, main, sub, revision),
  }
}

/** The rows that a compaction at `revision` leaves. */
export function leftBy(index: KeyIndex, revision: number): KeepRule {
  return {
    isEmpty: !index.hasAnyAt(revision, true),
    keeps: (id, main, sub) => index.survives(id, main, sub % TOMBSTONE_BIT, revision),
  }
}

/**
 * CRC-32C of the history up to a revision, equal on all members whose history is. A compaction removes rows at
 * another time on each member, so below the compaction revision only rows count that it leaves.
 *
 * etcd takes the same rows in the same order.
 */
export class HistoryHash {
  readonly #index: KeyIndex
  readonly #revision: number
  readonly #compacted: number
  readonly #kept: KeepRule
  readonly #reader = new KeyValueReader()
  #crc = crc32c(NAME)

  constructor(index: KeyIndex, revision: number, compacted: number, kept: KeepRule) {
    this.#index = index
    this.#revision = revision
    this.#compacted = compacted
    this.#kept = kept
  }

  /** Takes a row of the bucket `key`; rows come in the order of their keys. */
  add(key: Uint8Array, value: Uint8Array): void {
    const main = readMain(key)
    if (main > this.#revision) return
    if (main <= this.#compacted) {
      const isTombstone = isTombstoneKey(key)
      if (isTombstone && main === this.#compacted) return
      if (!this.#isKept(main, isTombstone, key, value)) return
    }
    this.#crc = crc32c(value, 0, value.length, crc32c(key, 0, key.length, this.#crc))
  }

  #isKept(main: number, isTombstone: boolean, key: Uint8Array, value: Uint8Array): boolean {
    const reader = this.#reader
    reader.readKey(value)
    const id = this.#index.find(value, reader.keyAt, reader.keyLength)
    if (id === 0) return false
    // With nothing to keep etcd takes every row that is there: those that the compaction has left, once it is done.
    if (this.#kept.isEmpty) return this.#index.survives(id, main, readSub(key), this.#compacted)
    return this.#kept.keeps(id, main, isTombstone ? readSub(key) + TOMBSTONE_BIT : readSub(key))
  }

  get value(): number {
    return this.#crc
  }
}

/** A scan was given up, because its rows are not those of the store any more or the store is closing. */
export class ScanStopped extends Error {
  override readonly name = 'ScanStopped'
}

/**
 * Hands all rows of a bucket to `visit`, giving way to other work now and then. Rows that change meanwhile may be
 * seen as they were or as they are.
 *
 * @param to exclusive; undefined for no end
 * @throws ScanStopped when the signal says so
 */
export async function scanInSlices(
  reader: RowReader,
  bucket: Bucket,
  to: Uint8Array | undefined,
  clock: Clock,
  visit: (key: Uint8Array, value: Uint8Array) => void,
  signal?: AbortSignal,
): Promise<void> {
  for (let from: Uint8Array | undefined = new Uint8Array(0); from !== undefined;) {
    const start: Uint8Array = from
    let rows = 0
    let bytes = 0
    if (signal?.aborted === true) throw new ScanStopped()
    from = undefined
    reader.scan(bucket, start, to, (key, value) => {
      if (rows++ === SLICE_ROWS_MAX || bytes > SLICE_BYTES_MAX) {
        from = new Uint8Array(key)
        return false
      }
      bytes += value.length
      visit(key, value)
      return true
    })
    if (from !== undefined) await yieldTurn(clock)
  }
}

/** CRC-32C of the whole backend, as the Maintenance service's Hash gives it. */
export async function hashBackend(backend: Backend, clock: Clock): Promise<number> {
  const view = await backend.snapshot()
  let crc = 0
  try {
    for (const bucket of bucketNames) {
      crc = crc32c(Buffer.from(bucket), 0, bucket.length, crc)
      await scanInSlices(view, bucket, undefined, clock, (key, value) => {
        if (bucket === 'meta' && UNHASHED_META.has(Buffer.from(key).toString('latin1'))) return
        crc = crc32c(value, 0, value.length, crc32c(key, 0, key.length, crc))
      })
    }
  } finally {
    view.close()
  }
  return crc
}
