import type { Backend, RowSlot } from '@etcd-ts/backend'
import type { KeyIndex } from './key-index.ts'
import { keyValueSize, tombstoneSize, writeKeyValue, writeTombstone } from './key-value.ts'
import { ROW, ROW_LENGTH } from './key-table.ts'
import { RowCache } from './row-cache.ts'
import {
  REVISION_BYTES,
  TOMBSTONE_BYTES,
  revisionKey,
  writeRevisionKey,
  writeTombstoneKey,
} from './revision-key.ts'

const BUCKET = 'key'
/** A range of more rows than this leaves the cache as it is. */
export const CACHED_RANGE_ROWS_MAX = 1000

/** The rows of the bucket `key` and the index of them: what one says, the other has. */
export class Rows {
  readonly backend: Backend
  readonly index: KeyIndex
  readonly #cache: RowCache
  readonly #key = new Uint8Array(REVISION_BYTES)

  constructor(backend: Backend, index: KeyIndex, cacheBytes: number) {
    this.backend = backend
    this.index = index
    this.#cache = new RowCache(cacheBytes)
  }

  /**
   * The encoded pair of the revision (main, sub) of a key.
   *
   * @param keep remember it for the next read
   */
  at(id: number, main: number, sub: number, keep: boolean): Uint8Array {
    const { table } = this.index
    const isNewest = this.index.mainOf(id) === main && this.index.subOf(id) === sub
    if (isNewest) {
      const cached = this.#cache.view(table.float(id, ROW), table.word(id, ROW_LENGTH))
      if (cached !== undefined) return cached
    }
    writeRevisionKey(this.#key, 0, main, sub)
    const row = this.backend.peek(BUCKET, this.#key)
    if (row === undefined) throw new Error(`the row of revision ${main}/${sub} is missing`)
    if (isNewest && keep) {
      const place = this.#cache.copy(row)
      table.setFloat(id, ROW, place)
      table.setWord(id, ROW_LENGTH, row.length)
      const copy = this.#cache.view(place, row.length)
      if (copy !== undefined) return copy
    }
    return new Uint8Array(row)
  }

  /** The encoded pair of a key that can be read now. */
  newest(id: number): Uint8Array {
    return this.at(id, this.index.mainOf(id), this.index.subOf(id), true)
  }

  /** Writes a revision of a key. @returns the slot of its row */
  put(
    id: number,
    key: Uint8Array,
    main: number,
    sub: number,
    created: number,
    version: number,
    value: Uint8Array,
    lease: bigint,
  ): RowSlot {
    const length = keyValueSize(key.length, created, main, version, value.length, lease)
    const slot = this.backend.reserve(BUCKET, REVISION_BYTES, length)
    writeRevisionKey(slot.bytes, slot.keyAt, main, sub)
    writeKeyValue(slot.bytes, slot.valueAt, key, created, main, version, value, lease)
    const { index } = this
    index.put(id, main, sub, created, version)
    index.table.setFloat(id, ROW, this.#cache.note(slot.bytes, slot.valueAt))
    index.table.setWord(id, ROW_LENGTH, length)
    return slot
  }

  /** Writes the deletion of a key. */
  tombstone(id: number, key: Uint8Array, main: number, sub: number): void {
    const slot = this.backend.reserve(BUCKET, TOMBSTONE_BYTES, tombstoneSize(key.length))
    writeTombstoneKey(slot.bytes, slot.keyAt, main, sub)
    writeTombstone(slot.bytes, slot.valueAt, key)
    this.index.tombstone(id, main, sub)
  }

  /** Hands the rows of the revisions `from` to `to`, both included, to `visit`, as `RowReader.scan`. */
  scan(from: number, to: number, visit: (key: Uint8Array, value: Uint8Array) => boolean): void {
    this.backend.scan(BUCKET, revisionKey(from), revisionKey(to + 1), visit)
  }
}
