/**
 * The revisions of all keys except each key's newest, outside the JavaScript heap.
 *
 *     slab of slots:   slot = main (float64), sub with TOMBSTONE_BIT (uint32)
 *     block:           2, 4, 8 ... 1024 slots, the first of which is its head:
 *                      main = the block of older revisions or 0; sub = log2 of its slots << 24 | revisions in it
 *     history:         the block of its newest revisions; in a block revisions ascend
 *
 * A history is known by the number of its first slot, 0 for none. A block that is full moves into one twice its
 * size until it has 1024 slots; then another is put in front. So a search reads a block a thousand revisions.
 */

/** Set in `sub` of a revision that is a deletion. */
export const TOMBSTONE_BIT = 0x8000_0000

const SLAB_BITS = 16
const SLAB_SLOTS = 1 << SLAB_BITS
const SLOT_MASK = SLAB_SLOTS - 1
const CLASS_MIN = 1
const CLASS_MAX = 10
const COUNT_MASK = 0xff_ffff

export class RevisionHistory {
  readonly #mains: Float64Array[] = []
  readonly #subs: Uint32Array[] = []
  readonly #free: number[][] = Array.from({ length: CLASS_MAX + 1 }, () => [])
  /** The first slot never used. */
  #next = 0
  /** What `find` and `last` found. */
  main = 0
  /** With TOMBSTONE_BIT. */
  sub = 0

  constructor() {
    this.#addSlab()
    this.#next = 2 // 0 stands for no block
  }

  /** Bytes of memory taken. */
  get byteLength(): number {
    return this.#mains.length * SLAB_SLOTS * 12
  }

  #addSlab(): void {
    this.#mains.push(new Float64Array(SLAB_SLOTS))
    this.#subs.push(new Uint32Array(SLAB_SLOTS))
  }

  #allocate(sizeClass: number): number {
    const freed = this.#free[sizeClass]!.pop()
    if (freed !== undefined) return freed
    const slots = 1 << sizeClass
    // A block never crosses into the next slab; it begins at a multiple of its size, so nothing is lost but that.
    const block = (this.#next + slots - 1) & -slots
    for (let hole = this.#next; hole < block; hole += 2) this.#free[CLASS_MIN]!.push(hole)
    if (block + slots > this.#mains.length * SLAB_SLOTS) this.#addSlab()
    this.#next = block + slots
    return block
  }

  #newBlock(sizeClass: number, older: number): number {
    const block = this.#allocate(sizeClass)
    this.#setHead(block, sizeClass, 0, older)
    return block
  }

  #setHead(block: number, sizeClass: number, count: number, older: number): void {
    this.#mains[block >>> SLAB_BITS]![block & SLOT_MASK] = older
    this.#subs[block >>> SLAB_BITS]![block & SLOT_MASK] = (sizeClass << 24) | count
  }

  #older(block: number): number {
    return this.#mains[block >>> SLAB_BITS]![block & SLOT_MASK]!
  }

  #count(block: number): number {
    return this.#subs[block >>> SLAB_BITS]![block & SLOT_MASK]! & COUNT_MASK
  }

  #class(block: number): number {
    return this.#subs[block >>> SLAB_BITS]![block & SLOT_MASK]! >>> 24
  }

  #release(block: number): void {
    this.#free[this.#class(block)]!.push(block)
  }

  /** Moves the newest `count` revisions of `block` into a new block of the given class and frees `block`. */
  #move(block: number, sizeClass: number, count: number, older: number): number {
    const target = this.#newBlock(sizeClass, older)
    const from = (block & SLOT_MASK) + 1 + this.#count(block) - count
    const to = (target & SLOT_MASK) + 1
    const mains = this.#mains[block >>> SLAB_BITS]!
    const subs = this.#subs[block >>> SLAB_BITS]!
    this.#mains[target >>> SLAB_BITS]!.set(mains.subarray(from, from + count), to)
    this.#subs[target >>> SLAB_BITS]!.set(subs.subarray(from, from + count), to)
    this.#setHead(target, sizeClass, count, older)
    this.#release(block)
    return target
  }

  /** Adds a revision newer than all others. @returns the history's new number */
  push(history: number, main: number, sub: number): number {
    let block = history
    let count = 0
    if (block === 0) block = this.#newBlock(CLASS_MIN, 0)
    else {
      count = this.#count(block)
      const sizeClass = this.#class(block)
      if (count + 1 === 1 << sizeClass) {
        if (sizeClass < CLASS_MAX) block = this.#move(block, sizeClass + 1, count, this.#older(block))
        else {
          block = this.#newBlock(CLASS_MAX, block)
          count = 0
        }
      }
    }
    const slot = (block & SLOT_MASK) + 1 + count
    this.#mains[block >>> SLAB_BITS]![slot] = main
    this.#subs[block >>> SLAB_BITS]![slot] = sub
    this.#subs[block >>> SLAB_BITS]![block & SLOT_MASK]!++
    return block
  }

  /** Finds the newest revision whose main is not above `atMain`. @returns false when there is none */
  find(history: number, atMain: number): boolean {
    for (let block = history; block !== 0; block = this.#older(block)) {
      const mains = this.#mains[block >>> SLAB_BITS]!
      const first = (block & SLOT_MASK) + 1
      if (mains[first]! > atMain) continue
      const slot = lastNotAbove(mains, first, this.#count(block), atMain)
      this.main = mains[slot]!
      this.sub = this.#subs[block >>> SLAB_BITS]![slot]!
      return true
    }
    return false
  }

  /** Finds the newest revision. */
  last(history: number): boolean {
    return this.find(history, Infinity)
  }

  /** Finds the newest revision of that main, other than the newest that `find` gives, that is a deletion. */
  hasTombstoneAt(history: number, main: number): boolean {
    for (let block = history; block !== 0; block = this.#older(block)) {
      const mains = this.#mains[block >>> SLAB_BITS]!
      const first = (block & SLOT_MASK) + 1
      for (let slot = first + this.#count(block) - 1; slot >= first; slot--) {
        if (mains[slot]! < main) return false
        if (mains[slot] === main && this.#subs[block >>> SLAB_BITS]![slot]! >= TOMBSTONE_BIT) return true
      }
    }
    return false
  }

  /**
   * Drops what a compaction at `atMain` makes unreadable: everything older than the newest revision whose main is not
   * above `atMain`, and that one too if it is a deletion before `atMain`.
   *
   * @returns the history's new number
   */
  compact(history: number, atMain: number): number {
    let newer = 0
    for (let block = history; block !== 0;) {
      const older = this.#older(block)
      const mains = this.#mains[block >>> SLAB_BITS]!
      const first = (block & SLOT_MASK) + 1
      if (mains[first]! > atMain) {
        newer = block
        block = older
        continue
      }
      const count = this.#count(block)
      let kept = lastNotAbove(mains, first, count, atMain)
      if (mains[kept]! < atMain && this.#subs[block >>> SLAB_BITS]![kept]! >= TOMBSTONE_BIT) kept++
      this.free(older)
      const replaced = this.#shrink(block, first + count - kept)
      if (newer === 0) return replaced
      this.#mains[newer >>> SLAB_BITS]![newer & SLOT_MASK] = replaced
      return history
    }
    return history
  }

  /** Keeps the newest `count` revisions of a block without older ones. @returns the block now, 0 for none */
  #shrink(block: number, count: number): number {
    if (count === 0) {
      this.#release(block)
      return 0
    }
    let sizeClass = CLASS_MIN
    while (count + 1 > 1 << sizeClass) sizeClass++
    if (sizeClass < this.#class(block)) return this.#move(block, sizeClass, count, 0)
    const first = (block & SLOT_MASK) + 1
    const end = first + this.#count(block)
    this.#mains[block >>> SLAB_BITS]!.copyWithin(first, end - count, end)
    this.#subs[block >>> SLAB_BITS]!.copyWithin(first, end - count, end)
    this.#setHead(block, sizeClass, count, 0)
    return block
  }

  /** Drops all of a history. */
  free(history: number): void {
    for (let block = history; block !== 0;) {
      const older = this.#older(block)
      this.#release(block)
      block = older
    }
  }
}

/** The last of `mains[first, first + count)`, the first of which is not above `atMain`, that is not above it. */
function lastNotAbove(mains: Float64Array, first: number, count: number, atMain: number): number {
  let low = first
  let high = first + count
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (mains[middle]! <= atMain) low = middle
    else high = middle
  }
  return low
}
