/**
 * One record of 64 bytes for each key, so that what a request needs of a key is in one line of the processor's
 * cache, and a hash table from keys to records.
 *
 *     word  0   hash of the key
 *           1   number of the key's bytes (key-bytes.ts); 0 in a record that is not in use
 *           2   sub of the newest revision, TOMBSTONE_BIT if it is a deletion
 *           3   history of older revisions (revision-history.ts)
 *           4   leaf of the key order that the record is in (key-order.ts)
 *           5   length of the cached row
 *     float 3   main of the newest revision
 *           4   main of the revision that created the key
 *           5   version
 *           6   place of the cached row, 0 for none
 *           7   (int64) lease
 *
 * Records come in segments of 16384 and never move; record 0 is not used. The hash table is 256 small tables with
 * linear probing, chosen by the top bits of the hash, so that none ever takes long to grow.
 */
import { KeyBytes } from './key-bytes.ts'
import type { KeyHasher } from './key-hash.ts'
import { TOMBSTONE_BIT } from './revision-history.ts'

export const HASH = 0
export const KEY = 1
export const SUB = 2
export const HISTORY = 3
export const LEAF = 4
export const ROW_LENGTH = 5
export const MAIN = 3
export const CREATED = 4
export const VERSION = 5
export const ROW = 6
export const LEASE = 7

const SEGMENT_BITS = 14
const SEGMENT_RECORDS = 1 << SEGMENT_BITS
const RECORD_MASK = SEGMENT_RECORDS - 1
const RECORD_BYTES = 64
const PART_BITS = 8
const PART_SLOTS_MIN = 16
/** A part grows when more than this share of its slots is taken. */
const LOAD_MAX = 0.75

interface Part {
  slots: Uint32Array
  count: number
}

export class KeyTable {
  readonly bytes = new KeyBytes()
  readonly #hasher: KeyHasher
  readonly #words: Uint32Array[] = []
  readonly #floats: Float64Array[] = []
  readonly #leases: BigInt64Array[] = []
  readonly #parts: Part[] = Array.from({ length: 1 << PART_BITS }, () => ({
    slots: new Uint32Array(PART_SLOTS_MIN),
    count: 0,
  }))
  readonly #freeIds: number[] = []
  /** Records have numbers from 1 to below this. */
  idEnd = 1

  constructor(hasher: KeyHasher) {
    this.#hasher = hasher
    this.#addSegment()
    this.bytes.add(new Uint8Array(0), 0, 0) // so that no key has the number 0
  }

  /** Bytes of memory taken. */
  get byteLength(): number {
    const slots = this.#parts.reduce((sum, part) => sum + part.slots.length, 0)
    return this.#words.length * SEGMENT_RECORDS * RECORD_BYTES + slots * 4 + this.bytes.byteLength
  }

  #addSegment(): void {
    const buffer = new ArrayBuffer(SEGMENT_RECORDS * RECORD_BYTES)
    this.#words.push(new Uint32Array(buffer))
    this.#floats.push(new Float64Array(buffer))
    this.#leases.push(new BigInt64Array(buffer))
  }

  /** A word of a record. */
  word(id: number, field: number): number {
    return this.#words[id >>> SEGMENT_BITS]![((id & RECORD_MASK) << 4) + field]!
  }

  setWord(id: number, field: number, value: number): void {
    this.#words[id >>> SEGMENT_BITS]![((id & RECORD_MASK) << 4) + field] = value
  }

  /** A float of a record. */
  float(id: number, field: number): number {
    return this.#floats[id >>> SEGMENT_BITS]![((id & RECORD_MASK) << 3) + field]!
  }

  setFloat(id: number, field: number, value: number): void {
    this.#floats[id >>> SEGMENT_BITS]![((id & RECORD_MASK) << 3) + field] = value
  }

  /** Whether the newest revision is one that can be read: neither missing nor a deletion. */
  isLive(id: number): boolean {
    const at = (id & RECORD_MASK) << 4
    const words = this.#words[id >>> SEGMENT_BITS]!
    return words[at + SUB]! < TOMBSTONE_BIT && this.float(id, MAIN) > 0
  }

  hasLease(id: number): boolean {
    const at = ((id & RECORD_MASK) << 4) + 2 * LEASE
    const words = this.#words[id >>> SEGMENT_BITS]!
    return words[at] !== 0 || words[at + 1] !== 0
  }

  lease(id: number): bigint {
    return this.#leases[id >>> SEGMENT_BITS]![((id & RECORD_MASK) << 3) + LEASE]!
  }

  setLease(id: number, lease: bigint): void {
    this.#leases[id >>> SEGMENT_BITS]![((id & RECORD_MASK) << 3) + LEASE] = lease
  }

  /** The record of the key `bytes[start, start + length)`, or 0. */
  find(bytes: Uint8Array, start: number, length: number): number {
    const hash = this.#hasher.hash(bytes, start, length)
    const { slots } = this.#parts[hash >>> (32 - PART_BITS)]!
    const mask = slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const id = slots[slot]!
      if (id === 0) return 0
      const words = this.#words[id >>> SEGMENT_BITS]!
      const record = (id & RECORD_MASK) << 4
      if (words[record + HASH] === hash && this.bytes.equals(words[record + KEY]!, bytes, start, length))
        return id
    }
  }

  /** Makes a record, all zeros, for a key that has none. @returns its number */
  add(bytes: Uint8Array, start: number, length: number): number {
    const id = this.#freeIds.pop() ?? this.idEnd++
    if (id >>> SEGMENT_BITS >= this.#words.length) this.#addSegment()
    const words = this.#words[id >>> SEGMENT_BITS]!
    const record = (id & RECORD_MASK) << 4
    const hash = this.#hasher.hash(bytes, start, length)
    words[record + HASH] = hash
    words[record + KEY] = this.bytes.add(bytes, start, length)
    const part = this.#parts[hash >>> (32 - PART_BITS)]!
    part.count++
    if (part.count > part.slots.length * LOAD_MAX) this.#grow(part)
    insert(part.slots, hash, id)
    return id
  }

  #grow(part: Part): void {
    const slots = new Uint32Array(part.slots.length * 2)
    for (const id of part.slots) if (id !== 0) insert(slots, this.word(id, HASH), id)
    part.slots = slots
  }

  /** Gives up a record; its history and its place in the order are the caller's business. */
  remove(id: number): void {
    const part = this.#parts[this.word(id, HASH) >>> (32 - PART_BITS)]!
    this.#unlink(part.slots, id)
    part.count--
    this.bytes.remove(this.word(id, KEY))
    const record = (id & RECORD_MASK) << 4
    this.#words[id >>> SEGMENT_BITS]!.fill(0, record, record + RECORD_BYTES / 4)
    this.#freeIds.push(id)
  }

  /** Takes `id` out and moves those behind it up, so that no search ends too early (Knuth 6.4, algorithm R). */
  #unlink(slots: Uint32Array, id: number): void {
    const mask = slots.length - 1
    let hole = this.word(id, HASH) & mask
    while (slots[hole] !== id) hole = (hole + 1) & mask
    for (let slot = (hole + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.word(slots[slot]!, HASH) & mask
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = slots[slot]!
        hole = slot
      }
    }
    slots[hole] = 0
  }

  /** Gives the bytes of a key a new place, if the chunk that they are in is mostly empty. @returns its number, or 0 */
  copyIfSparse(id: number): number {
    const key = this.word(id, KEY)
    if (!this.bytes.isSparse(key)) return 0
    return this.bytes.add(this.bytes.bufferOf(key), this.bytes.offsetOf(key), this.bytes.lengthOf(key))
  }
}

function insert(slots: Uint32Array, hash: number, id: number): void {
  const mask = slots.length - 1
  let slot = hash & mask
  while (slots[slot] !== 0) slot = (slot + 1) & mask
  slots[slot] = id
}
