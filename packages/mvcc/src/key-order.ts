/**
 * The order of the keys: a sequence of leaves, each with the record numbers of up to 128 keys in ascending order.
 *
 *     directory:   leaf, leaf, ...             in the order of their keys
 *     leaf:        record, record, ...         plus: how many, how many of these are live, newest main
 *
 * A million keys make some ten thousand leaves: the directory is searched and, when a leaf splits, moved as one flat
 * array. Leaves keep how many of their keys are live, so counting a range looks at its leaves, not at its keys.
 */
import { KEY, LEAF, type KeyTable } from './key-table.ts'

const LEAF_BITS = 7
const LEAF_IDS = 1 << LEAF_BITS
const SEGMENT_BITS = 9
const SEGMENT_LEAVES = 1 << SEGMENT_BITS
const LEAF_MASK = SEGMENT_LEAVES - 1
/** Neighbours that hold no more than this together become one leaf. */
const MERGED_IDS_MAX = 96

export class KeyOrder {
  readonly #table: KeyTable
  readonly #segments: Uint32Array[] = []
  #counts = new Uint16Array(SEGMENT_LEAVES)
  #live = new Uint16Array(SEGMENT_LEAVES)
  /** No key of the leaf has a newer revision than this. */
  #newest = new Float64Array(SEGMENT_LEAVES)
  readonly #freeLeaves: number[] = []
  #leafEnd = 0
  #directory = new Uint32Array(SEGMENT_LEAVES)
  /** Leaves in the directory. */
  leaves = 0
  /** Where `seek` ended: place of the leaf in the directory (`leaves` for the end), and of the key in it. */
  leaf = 0
  slot = 0

  constructor(table: KeyTable) {
    this.#table = table
  }

  /** Bytes of memory taken. */
  get byteLength(): number {
    return (
      this.#segments.length * SEGMENT_LEAVES * LEAF_IDS * 4 +
      this.#counts.length * 12 +
      this.#directory.length * 4
    )
  }

  /** Number of keys in the leaf at `place`. */
  countAt(place: number): number {
    return this.#counts[this.#directory[place]!]!
  }

  liveAt(place: number): number {
    return this.#live[this.#directory[place]!]!
  }

  newestAt(place: number): number {
    return this.#newest[this.#directory[place]!]!
  }

  /** The record at `slot` of the leaf at `place`. */
  idAt(place: number, slot: number): number {
    return this.#idIn(this.#directory[place]!, slot)
  }

  #idIn(leaf: number, slot: number): number {
    return this.#segments[leaf >>> SEGMENT_BITS]![((leaf & LEAF_MASK) << LEAF_BITS) + slot]!
  }

  #compare(id: number, bytes: Uint8Array, start: number, length: number): number {
    return this.#table.bytes.compare(this.#table.word(id, KEY), bytes, start, length)
  }

  /** Goes to the first key that is not below `bytes[start, start + length)`. */
  seek(bytes: Uint8Array, start: number, length: number): void {
    // The last leaf whose first key is not above.
    let low = 0
    let high = this.leaves
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(this.idAt(middle, 0), bytes, start, length) <= 0) low = middle + 1
      else high = middle
    }
    if (low === 0) {
      this.leaf = 0
      this.slot = 0
      return
    }
    const place = low - 1
    const leaf = this.#directory[place]!
    const count = this.#counts[leaf]!
    low = 0
    high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(this.#idIn(leaf, middle), bytes, start, length) < 0) low = middle + 1
      else high = middle
    }
    this.leaf = low === count ? place + 1 : place
    this.slot = low === count ? 0 : low
  }

  /** Goes behind the last key. */
  seekEnd(): void {
    this.leaf = this.leaves
    this.slot = 0
  }

  /** Puts a record that is in no leaf into the order; it counts as not live. */
  insert(id: number): void {
    const { bytes } = this.#table
    const key = this.#table.word(id, KEY)
    const place = this.#placeFor(bytes.bufferOf(key), bytes.offsetOf(key), bytes.lengthOf(key))
    let leaf = this.#directory[place]!
    let slot = this.slot
    const count = this.#counts[leaf]!
    if (count === LEAF_IDS) {
      // Keys that only grow fill their leaves.
      const isLast = slot === LEAF_IDS && place + 1 === this.leaves
      const kept = isLast ? LEAF_IDS : LEAF_IDS / 2
      const right = this.#split(place, kept)
      if (slot > kept || isLast) {
        leaf = right
        slot -= kept
      }
    }
    const ids = this.#segments[leaf >>> SEGMENT_BITS]!
    const base = (leaf & LEAF_MASK) << LEAF_BITS
    ids.copyWithin(base + slot + 1, base + slot, base + this.#counts[leaf]!)
    ids[base + slot] = id
    this.#counts[leaf]!++
    this.#table.setWord(id, LEAF, leaf)
  }

  /** The place of the leaf that a new key belongs to; `slot` is where in it. */
  #placeFor(bytes: Uint8Array, start: number, length: number): number {
    if (this.leaves === 0) {
      this.#addToDirectory(0, this.#newLeaf())
      this.slot = 0
      return 0
    }
    const last = this.leaves - 1
    const lastCount = this.countAt(last)
    if (this.#compare(this.idAt(last, lastCount - 1), bytes, start, length) < 0) {
      this.slot = lastCount
      return last
    }
    this.seek(bytes, start, length)
    if (this.slot > 0 || this.leaf === 0) return this.leaf
    this.slot = this.countAt(this.leaf - 1)
    return this.leaf - 1
  }

  #newLeaf(): number {
    const leaf = this.#freeLeaves.pop() ?? this.#leafEnd++
    if (leaf >>> SEGMENT_BITS >= this.#segments.length) {
      this.#segments.push(new Uint32Array(SEGMENT_LEAVES * LEAF_IDS))
    }
    if (leaf >= this.#counts.length) {
      this.#counts = grown(this.#counts, new Uint16Array(leaf * 2))
      this.#live = grown(this.#live, new Uint16Array(leaf * 2))
      this.#newest = grown(this.#newest, new Float64Array(leaf * 2))
    }
    this.#counts[leaf] = 0
    this.#live[leaf] = 0
    this.#newest[leaf] = 0
    return leaf
  }

  #addToDirectory(place: number, leaf: number): void {
    if (this.leaves === this.#directory.length) {
      this.#directory = grown(this.#directory, new Uint32Array(this.leaves * 2))
    }
    this.#directory.copyWithin(place + 1, place, this.leaves)
    this.#directory[place] = leaf
    this.leaves++
  }

  /** Moves what comes after the first `kept` keys of the leaf at `place` into a new one behind it. @returns that */
  #split(place: number, kept: number): number {
    const left = this.#directory[place]!
    const right = this.#newLeaf()
    this.#addToDirectory(place + 1, right)
    this.#newest[right] = this.#newest[left]!
    this.#moveTail(left, kept, right)
    return right
  }

  /** Appends the keys of `from` behind the first `kept` to `to`. */
  #moveTail(from: number, kept: number, to: number): void {
    const source = this.#segments[from >>> SEGMENT_BITS]!
    const sourceBase = (from & LEAF_MASK) << LEAF_BITS
    const target = this.#segments[to >>> SEGMENT_BITS]!
    const targetBase = ((to & LEAF_MASK) << LEAF_BITS) + this.#counts[to]!
    const moved = this.#counts[from]! - kept
    let live = 0
    for (let i = 0; i < moved; i++) {
      const id = source[sourceBase + kept + i]!
      target[targetBase + i] = id
      this.#table.setWord(id, LEAF, to)
      if (this.#table.isLive(id)) live++
    }
    this.#counts[from] = kept
    this.#counts[to]! += moved
    this.#live[from]! -= live
    this.#live[to]! += live
  }

  /** A key of the leaf has a new revision; `liveChange` is 1 if that brought it to life, -1 if it removed it. */
  touched(leaf: number, main: number, liveChange: number): void {
    this.#newest[leaf] = main
    this.#live[leaf]! += liveChange
  }

  /** Takes a record that is not live out of the order. */
  remove(id: number): void {
    const leaf = this.#table.word(id, LEAF)
    const count = this.#counts[leaf]!
    const ids = this.#segments[leaf >>> SEGMENT_BITS]!
    const base = (leaf & LEAF_MASK) << LEAF_BITS
    if (count === 1) {
      const { bytes } = this.#table
      const key = this.#table.word(id, KEY)
      this.seek(bytes.bufferOf(key), bytes.offsetOf(key), bytes.lengthOf(key))
      this.#removeFromDirectory(this.leaf)
      return
    }
    const slot = ids.indexOf(id, base) - base
    ids.copyWithin(base + slot, base + slot + 1, base + count)
    this.#counts[leaf] = count - 1
  }

  #removeFromDirectory(place: number): void {
    this.#freeLeaves.push(this.#directory[place]!)
    this.#directory.copyWithin(place, place + 1, this.leaves)
    this.leaves--
  }

  /** Joins neighbours that have become small, beginning with the leaf at `place`. @returns the place to go on from */
  mergeAt(place: number): number {
    if (place + 1 >= this.leaves) return this.leaves
    const left = this.#directory[place]!
    const right = this.#directory[place + 1]!
    if (this.#counts[left]! + this.#counts[right]! > MERGED_IDS_MAX) return place + 1
    this.#newest[left] = Math.max(this.#newest[left]!, this.#newest[right]!)
    this.#moveTail(right, 0, left)
    this.#removeFromDirectory(place + 1)
    return place
  }
}

function grown<A extends Uint16Array | Uint32Array | Float64Array>(from: A, to: A): A {
  to.set(from as Uint32Array)
  return to
}
