import { KeyHasher } from './key-hash.ts'
import { KeyOrder } from './key-order.ts'
import { CREATED, HISTORY, KEY, KeyTable, LEAF, MAIN, ROW, SUB, VERSION } from './key-table.ts'
import { RevisionHistory, TOMBSTONE_BIT } from './revision-history.ts'

/** Whether a `range_end` is the one zero byte that stands for no upper end. */
export function isOpenEnd(to: Uint8Array): boolean {
  return to.length === 1 && to[0] === 0
}

/**
 * Which revisions each key has, in memory: everything about a key but its values.
 *
 * A revision is two numbers, main and sub, and may be a deletion. A key's revisions fall into generations, each ended
 * by a deletion; `created` and `version` are those of the newest one. Keys are ordered bytewise.
 *
 * A key is spoken of by the number of its record (key-table.ts), which stays the same until a compaction removes
 * the key.
 */
export class KeyIndex {
  readonly table: KeyTable
  readonly #order: KeyOrder
  readonly #history = new RevisionHistory()
  /** Keys that can be read now. */
  liveKeys = 0
  /** The revision that `findAt` found; `sub` with TOMBSTONE_BIT. */
  main = 0
  sub = 0
  /** What `collect` found: keys, and the revision of each. */
  ids: number[] = []
  mains: number[] = []
  subs: number[] = []

  /** @param secret eight bytes that no client can guess */
  constructor(secret: Uint8Array) {
    this.table = new KeyTable(new KeyHasher(secret))
    this.#order = new KeyOrder(this.table)
  }

  /** Bytes of memory taken. */
  get byteLength(): number {
    return this.table.byteLength + this.#order.byteLength + this.#history.byteLength
  }

  /** The key `bytes[start, start + length)`, or 0. */
  find(bytes: Uint8Array, start = 0, length = bytes.length): number {
    return this.table.find(bytes, start, length)
  }

  /** Adds a key that is not there yet; it has no revision. */
  add(bytes: Uint8Array, start = 0, length = bytes.length): number {
    const id = this.table.add(bytes, start, length)
    this.#order.insert(id)
    return id
  }

  /** The bytes of a key, valid until the next compaction. */
  keyOf(id: number): Uint8Array {
    const { bytes } = this.table
    const key = this.table.word(id, KEY)
    const at = bytes.offsetOf(key)
    return bytes.bufferOf(key).subarray(at, at + bytes.lengthOf(key))
  }

  /** Main of the revision that created the key, of the newest generation. */
  createdOf(id: number): number {
    return this.table.float(id, CREATED)
  }

  versionOf(id: number): number {
    return this.table.float(id, VERSION)
  }

  mainOf(id: number): number {
    return this.table.float(id, MAIN)
  }

  /** Sub of the newest revision, which is not a deletion. */
  subOf(id: number): number {
    return this.table.word(id, SUB)
  }

  /** Gives a key a revision that is newer than all revisions before. */
  put(id: number, main: number, sub: number, created: number, version: number): void {
    this.#push(id, main, sub, 1)
    this.table.setFloat(id, CREATED, created)
    this.table.setFloat(id, VERSION, version)
  }

  /** Gives a key a revision that is its deletion. */
  tombstone(id: number, main: number, sub: number): void {
    this.#push(id, main, (sub | TOMBSTONE_BIT) >>> 0, 0)
  }

  #push(id: number, main: number, sub: number, live: 0 | 1): void {
    const { table } = this
    const wasLive = table.isLive(id) ? 1 : 0
    const before = table.float(id, MAIN)
    if (before > 0) {
      table.setWord(id, HISTORY, this.#history.push(table.word(id, HISTORY), before, table.word(id, SUB)))
    }
    table.setFloat(id, MAIN, main)
    table.setWord(id, SUB, sub)
    table.setFloat(id, ROW, 0)
    this.liveKeys += live - wasLive
    this.#order.touched(table.word(id, LEAF), main, live - wasLive)
  }

  /** Finds a key's newest revision whose main is not above `atMain`, be it a deletion. @returns false if none */
  findAt(id: number, atMain: number): boolean {
    const { table } = this
    const main = table.float(id, MAIN)
    if (main <= atMain) {
      this.main = main
      this.sub = table.word(id, SUB)
      return true
    }
    const history = this.#history
    if (!history.find(table.word(id, HISTORY), atMain)) return false
    this.main = history.main
    this.sub = history.sub
    return true
  }

  /** As `findAt`, for a key that can be read at `atMain`. */
  findLiveAt(id: number, atMain: number): boolean {
    return this.findAt(id, atMain) && this.sub < TOMBSTONE_BIT
  }

  /**
   * Counts the keys of `[from, to)` that can be read at `atMain`, and collects the first `limit` of them into `ids`,
   * `mains` and `subs`.
   *
   * @param to one zero byte for no upper end
   */
  collect(from: Uint8Array, to: Uint8Array, atMain: number, limit: number): number {
    const order = this.#order
    const ids: number[] = []
    const mains: number[] = []
    const subs: number[] = []
    this.ids = ids
    this.mains = mains
    this.subs = subs
    if (!isOpenEnd(to) && Buffer.compare(from, to) >= 0) return 0
    if (isOpenEnd(to)) order.seekEnd()
    else order.seek(to, 0, to.length)
    const endLeaf = order.leaf
    const endSlot = order.slot
    order.seek(from, 0, from.length)
    let count = 0
    for (; order.leaf >= 0; order.next()) {
      const { leaf } = order
      const isEnd = leaf === endLeaf
      if (!isEnd && order.slot === 0 && ids.length >= limit && order.newest(leaf) <= atMain) {
        count += order.live(leaf)
        continue
      }
      const end = isEnd ? endSlot : order.count(leaf)
      for (let { slot } = order; slot < end; slot++) {
        const id = order.id(leaf, slot)
        if (!this.findLiveAt(id, atMain)) continue
        count++
        if (ids.length >= limit) continue
        ids.push(id)
        mains.push(this.main)
        subs.push(this.sub)
      }
      if (isEnd) break
    }
    return count
  }

  /** As `collect`, for a single key. */
  collectKey(key: Uint8Array, atMain: number): number {
    const id = this.find(key)
    const isFound = id !== 0 && this.findLiveAt(id, atMain)
    this.ids = isFound ? [id] : []
    this.mains = isFound ? [this.main] : []
    this.subs = isFound ? [this.sub] : []
    return this.ids.length
  }

  /** Whether any key can be read at `atMain`, or was deleted by that very revision (`orDeleted`). */
  hasAnyAt(atMain: number, orDeleted: boolean): boolean {
    for (let id = 1; id < this.table.idEnd; id++) {
      if (this.table.word(id, KEY) === 0 || !this.findAt(id, atMain)) continue
      if (this.sub < TOMBSTONE_BIT || (orDeleted && this.main === atMain)) return true
    }
    return false
  }

  /** Whether a compaction at `atMain` keeps the row (main, sub) of a key. */
  survives(id: number, main: number, sub: number, atMain: number): boolean {
    if (main > atMain) return true
    if (!this.findAt(id, atMain) || this.main !== main) return false
    return this.sub < TOMBSTONE_BIT ? this.sub === sub : main === atMain && this.sub - TOMBSTONE_BIT === sub
  }

  /**
   * Whether the row (main, sub) is what a reader at `atMain` sees of its key, in the sense of HashKV: of a key that
   * one revision both deleted and wrote again, HashKV sees nothing.
   */
  isVisible(id: number, main: number, sub: number, atMain: number): boolean {
    if (!this.findLiveAt(id, atMain) || this.main !== main || this.sub !== sub) return false
    return main < atMain || !this.#history.hasTombstoneAt(this.table.word(id, HISTORY), main)
  }

  /**
   * Forgets what cannot be read any more after a compaction at `atMain`, for the keys from number `id` on.
   *
   * @param keysMax keys to look at
   * @returns the number to go on from, or 0 when all keys are done
   */
  compact(id: number, keysMax: number, atMain: number): number {
    const { table } = this
    const end = Math.min(id + keysMax, table.idEnd)
    for (; id < end; id++) {
      if (table.word(id, KEY) === 0 || table.float(id, MAIN) === 0) continue
      const history = table.word(id, HISTORY)
      if (table.float(id, MAIN) > atMain) {
        if (history !== 0) table.setWord(id, HISTORY, this.#history.compact(history, atMain))
      } else {
        this.#history.free(history)
        table.setWord(id, HISTORY, 0)
        if (table.word(id, SUB) >= TOMBSTONE_BIT && table.float(id, MAIN) < atMain) {
          this.#order.remove(id)
          table.remove(id)
          continue
        }
      }
      this.#moveIfSparse(id)
    }
    return id < table.idEnd ? id : 0
  }

  /** Takes the bytes of a key out of memory that is mostly empty, so that it can be given back. */
  #moveIfSparse(id: number): void {
    const moved = this.table.copyIfSparse(id)
    if (moved === 0) return
    this.#order.moved(id, moved)
    this.table.bytes.remove(this.table.word(id, KEY))
    this.table.setWord(id, KEY, moved)
  }

  /** Joins leaves that removals left small, `pages` of them at a time. @returns the place to go on from, or 0 */
  tidy(place: number, pages: number): number {
    do place = this.#order.tidy(place)
    while (place !== 0 && --pages > 0)
    return place
  }
}
