/**
 * The order of the keys: a tree of three levels, of nodes with up to 128 entries (sorted-nodes.ts).
 *
 *     root:     page, page, ...      and the first key of each: one flat array, a hundred entries for a million keys
 *     page:     leaf, leaf, ...      each under its first key
 *     leaf:     record, record, ...  and: how many of the keys are live, and the newest main of any
 *
 * Leaves keep how many of their keys are live, so counting a range looks at its leaves, not at its keys.
 */
import type { KeyBytes } from './key-bytes.ts'
import { KEY, LEAF, type KeyTable } from './key-table.ts'
import { NODE_ENTRIES, SortedNodes } from './sorted-nodes.ts'

const LEAVES_AT_FIRST = 512
const PAGES_AT_FIRST = 64
/** Neighbours that hold no more than this together become one node. */
const MERGED_ENTRIES_MAX = 96

export class KeyOrder {
  readonly #table: KeyTable
  readonly #bytes: KeyBytes
  readonly #leaves: SortedNodes
  readonly #pages: SortedNodes
  #live = new Uint16Array(LEAVES_AT_FIRST)
  /** No key of the leaf has a newer revision than this. */
  #newest = new Float64Array(LEAVES_AT_FIRST)
  /** The page that a leaf is in. */
  #pageOf = new Uint32Array(LEAVES_AT_FIRST)
  #root = new Uint32Array(PAGES_AT_FIRST)
  #firsts = new Uint32Array(PAGES_AT_FIRST)
  #rootCount = 0
  /** Where `seek` or `next` stands: a page by its place in the root, a leaf by its slot in the page, a slot in that. */
  #place = 0
  #leafSlot = 0
  /** The leaf that `seek` or `next` stands in, -1 at the end; and the slot in it. */
  leaf = -1
  slot = 0

  constructor(table: KeyTable) {
    this.#table = table
    this.#bytes = table.bytes
    this.#leaves = new SortedNodes(table.bytes)
    this.#pages = new SortedNodes(table.bytes)
  }

  /** Bytes of memory taken. */
  get byteLength(): number {
    return this.#leaves.byteLength + this.#pages.byteLength + this.#live.length * 14 + this.#root.length * 8
  }

  /** Number of keys in a leaf. */
  count(leaf: number): number {
    return this.#leaves.count(leaf)
  }

  /** Number of keys in a leaf that can be read now. */
  live(leaf: number): number {
    return this.#live[leaf]!
  }

  /** No key of the leaf has a newer revision. */
  newest(leaf: number): number {
    return this.#newest[leaf]!
  }

  /** The record at a slot of a leaf. */
  id(leaf: number, slot: number): number {
    return this.#leaves.value(leaf, slot)
  }

  /** Finds the leaf that a key is in or would be put into; there is at least one. */
  #descend(bytes: Uint8Array, start: number, length: number): void {
    const firsts = this.#firsts
    let low = 1
    let high = this.#rootCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#bytes.compare(firsts[middle]!, bytes, start, length) <= 0) low = middle + 1
      else high = middle
    }
    this.#place = low - 1
    const page = this.#root[this.#place]!
    const slot = this.#pages.search(page, bytes, start, length)
    this.#leafSlot = this.#pages.isExact ? slot : Math.max(0, slot - 1)
    this.leaf = this.#pages.value(page, this.#leafSlot)
    this.slot = this.#leaves.search(this.leaf, bytes, start, length)
  }

  /** Goes to the first key that is not below `bytes[start, start + length)`. */
  seek(bytes: Uint8Array, start: number, length: number): void {
    this.leaf = -1
    this.slot = 0
    if (this.#rootCount === 0) return
    this.#descend(bytes, start, length)
    if (this.slot === this.#leaves.count(this.leaf)) this.next()
  }

  /** Goes behind the last key. */
  seekEnd(): void {
    this.leaf = -1
    this.slot = 0
  }

  /** Goes to the first key of the next leaf. */
  next(): void {
    this.slot = 0
    this.#leafSlot++
    if (this.#leafSlot === this.#pages.count(this.#root[this.#place]!)) {
      this.#place++
      this.#leafSlot = 0
    }
    this.leaf =
      this.#place < this.#rootCount ? this.#pages.value(this.#root[this.#place]!, this.#leafSlot) : -1
  }

  /** Puts a record that is in no leaf into the order; it is not live. */
  insert(id: number): void {
    const key = this.#table.word(id, KEY)
    if (this.#rootCount === 0) {
      const page = this.#pages.create()
      this.#pages.insert(page, 0, key, this.#newLeaf(page))
      this.#addToRoot(0, page)
    }
    this.#descend(this.#bytes.bufferOf(key), this.#bytes.offsetOf(key), this.#bytes.lengthOf(key))
    let { leaf, slot } = this
    if (this.#leaves.count(leaf) === NODE_ENTRIES) {
      // Keys that only grow fill their leaves.
      const isLast = slot === NODE_ENTRIES
      const kept = isLast ? NODE_ENTRIES : NODE_ENTRIES / 2
      const right = this.#newLeaf(this.#pageOf[leaf]!)
      this.#moveTail(leaf, kept, right)
      this.#newest[right] = this.#newest[leaf]!
      this.#addLeaf(right, isLast ? key : this.#leaves.key(right, 0))
      if (isLast || slot > kept) {
        leaf = right
        slot -= kept
      }
    }
    this.#leaves.insert(leaf, slot, key, id)
    this.#table.setWord(id, LEAF, leaf)
    // Of all leaves only the very first is ever given a key below its first.
    if (slot === 0 && leaf === this.leaf) this.#firstChanged(0, 0, key)
  }

  #newLeaf(page: number): number {
    const leaf = this.#leaves.create()
    if (leaf >= this.#live.length) {
      this.#live = grown(this.#live, new Uint16Array(leaf * 2))
      this.#newest = grown(this.#newest, new Float64Array(leaf * 2))
      this.#pageOf = grown(this.#pageOf, new Uint32Array(leaf * 2))
    }
    this.#live[leaf] = 0
    this.#newest[leaf] = 0
    this.#pageOf[leaf] = page
    return leaf
  }

  /** Puts a new leaf behind the one that `#descend` found. */
  #addLeaf(leaf: number, firstKey: number): void {
    let page = this.#root[this.#place]!
    let slot = this.#leafSlot + 1
    if (this.#pages.count(page) === NODE_ENTRIES) {
      const kept = slot === NODE_ENTRIES ? NODE_ENTRIES - 1 : NODE_ENTRIES / 2
      const right = this.#pages.create()
      this.#movePageTail(page, kept, right)
      this.#addToRoot(this.#place + 1, right)
      if (slot > kept) {
        page = right
        slot -= kept
      }
    }
    this.#pages.insert(page, slot, firstKey, leaf)
    this.#pageOf[leaf] = page
  }

  #addToRoot(place: number, page: number): void {
    if (this.#rootCount === this.#root.length) {
      this.#root = grown(this.#root, new Uint32Array(this.#rootCount * 2))
      this.#firsts = grown(this.#firsts, new Uint32Array(this.#rootCount * 2))
    }
    this.#root.copyWithin(place + 1, place, this.#rootCount)
    this.#firsts.copyWithin(place + 1, place, this.#rootCount)
    this.#root[place] = page
    this.#firsts[place] = this.#pages.key(page, 0)
    this.#rootCount++
  }

  #removeFromRoot(place: number): void {
    this.#pages.drop(this.#root[place]!)
    this.#root.copyWithin(place, place + 1, this.#rootCount)
    this.#firsts.copyWithin(place, place + 1, this.#rootCount)
    this.#rootCount--
  }

  /** The first key of a leaf, at a slot of the page at a place, is another one. */
  #firstChanged(place: number, leafSlot: number, key: number): void {
    this.#pages.replaceKey(this.#root[place]!, leafSlot, key)
    if (leafSlot === 0) this.#firsts[place] = key
  }

  /** Moves the keys of `from` behind the first `kept` to the end of `to`. */
  #moveTail(from: number, kept: number, to: number): void {
    const before = this.#leaves.count(to)
    this.#leaves.moveTail(from, kept, to)
    let live = 0
    for (let slot = before; slot < this.#leaves.count(to); slot++) {
      const id = this.#leaves.value(to, slot)
      this.#table.setWord(id, LEAF, to)
      if (this.#table.isLive(id)) live++
    }
    this.#live[from]! -= live
    this.#live[to]! += live
  }

  #movePageTail(from: number, kept: number, to: number): void {
    const before = this.#pages.count(to)
    this.#pages.moveTail(from, kept, to)
    for (let slot = before; slot < this.#pages.count(to); slot++)
      this.#pageOf[this.#pages.value(to, slot)] = to
  }

  /** A key of the leaf has a new revision; `liveChange` is 1 if that brought it to life, -1 if it removed it. */
  touched(leaf: number, main: number, liveChange: number): void {
    this.#newest[leaf] = main
    this.#live[leaf]! += liveChange
  }

  /** Takes a record that is not live out of the order; its bytes are still there. */
  remove(id: number): void {
    const leaf = this.#table.word(id, LEAF)
    const slot = this.#leaves.slotOfValue(leaf, id)
    this.#leaves.remove(leaf, slot)
    if (slot > 0) return
    this.#descendToFirst(this.#table.word(id, KEY))
    if (this.#leaves.count(leaf) > 0)
      this.#firstChanged(this.#place, this.#leafSlot, this.#leaves.key(leaf, 0))
    else this.#removeLeaf(leaf)
  }

  /** Finds the page and the slot of the leaf whose first key this is. */
  #descendToFirst(key: number): void {
    this.#descend(this.#bytes.bufferOf(key), this.#bytes.offsetOf(key), this.#bytes.lengthOf(key))
  }

  /** Takes the empty leaf at `#place` and `#leafSlot` out of its page. */
  #removeLeaf(leaf: number): void {
    const page = this.#root[this.#place]!
    this.#leaves.drop(leaf)
    this.#pages.remove(page, this.#leafSlot)
    if (this.#pages.count(page) === 0) this.#removeFromRoot(this.#place)
    else if (this.#leafSlot === 0) this.#firsts[this.#place] = this.#pages.key(page, 0)
  }

  /** The bytes of a record's key have another number now; those that had the old one are still there. */
  moved(id: number, key: number): void {
    const leaf = this.#table.word(id, LEAF)
    const slot = this.#leaves.slotOfValue(leaf, id)
    if (slot === 0) {
      this.#descendToFirst(key)
      this.#firstChanged(this.#place, this.#leafSlot, key)
    }
    this.#leaves.setKey(leaf, slot, key)
  }

  /**
   * Joins the leaves of a page that have become small, and the page with the next one.
   *
   * @returns the place of the page to go on with, 0 when all are done
   */
  tidy(place: number): number {
    if (place >= this.#rootCount) return 0
    const page = this.#root[place]!
    for (let slot = 0; slot + 1 < this.#pages.count(page);) {
      const left = this.#pages.value(page, slot)
      const right = this.#pages.value(page, slot + 1)
      if (this.#leaves.count(left) + this.#leaves.count(right) > MERGED_ENTRIES_MAX) {
        slot++
        continue
      }
      this.#moveTail(right, 0, left)
      this.#newest[left] = Math.max(this.#newest[left]!, this.#newest[right]!)
      this.#leaves.drop(right)
      this.#pages.remove(page, slot + 1)
    }
    const next = this.#root[place + 1]!
    if (
      place + 1 < this.#rootCount &&
      this.#pages.count(page) + this.#pages.count(next) <= MERGED_ENTRIES_MAX
    ) {
      this.#movePageTail(next, 0, page)
      this.#removeFromRoot(place + 1)
      return place
    }
    return place + 1 < this.#rootCount ? place + 1 : 0
  }
}

function grown<A extends Uint16Array | Uint32Array | Float64Array>(from: A, to: A): A {
  to.set(from as Uint32Array)
  return to
}
