/**
 * Nodes of up to 128 entries in ascending order of their keys: what the key order (key-order.ts) is made of.
 *
 *     entry:   key (number of its bytes, key-bytes.ts), value (uint32), head (uint32)
 *     node:    entries, how many, and how many bytes all their keys have in common
 *     head:    the four bytes of the key behind the common ones, big-endian, zeros where the key is shorter
 *
 * A search would miss the processor's cache at each key it looks at. It looks at heads instead, which lie side by
 * side, and at a key only where heads are equal: that of the first entry and one or two more.
 */
import type { KeyBytes } from './key-bytes.ts'

const NODE_BITS = 7
export const NODE_ENTRIES = 1 << NODE_BITS
const SEGMENT_BITS = 8
const SEGMENT_NODES = 1 << SEGMENT_BITS
const SEGMENT_MASK = SEGMENT_NODES - 1
const HEAD_BYTES = 4

export class SortedNodes {
  readonly #bytes: KeyBytes
  readonly #keys: Uint32Array[] = []
  readonly #values: Uint32Array[] = []
  readonly #heads: Uint32Array[] = []
  #counts = new Uint8Array(SEGMENT_NODES)
  #common = new Uint32Array(SEGMENT_NODES)
  readonly #free: number[] = []
  /** Nodes have numbers below this. */
  nodeEnd = 0
  /** `search` found the key itself. */
  isExact = false

  constructor(bytes: KeyBytes) {
    this.#bytes = bytes
  }

  /** Bytes of memory taken. */
  get byteLength(): number {
    return this.#keys.length * SEGMENT_NODES * NODE_ENTRIES * 12 + this.#counts.length * 5
  }

  /** An empty node. */
  create(): number {
    const node = this.#free.pop() ?? this.nodeEnd++
    if (node >>> SEGMENT_BITS >= this.#keys.length) {
      this.#keys.push(new Uint32Array(SEGMENT_NODES * NODE_ENTRIES))
      this.#values.push(new Uint32Array(SEGMENT_NODES * NODE_ENTRIES))
      this.#heads.push(new Uint32Array(SEGMENT_NODES * NODE_ENTRIES))
    }
    if (node >= this.#counts.length) {
      const counts = new Uint8Array(node * 2)
      counts.set(this.#counts)
      this.#counts = counts
      const common = new Uint32Array(node * 2)
      common.set(this.#common)
      this.#common = common
    }
    this.#counts[node] = 0
    return node
  }

  /** Gives up a node. */
  drop(node: number): void {
    this.#free.push(node)
  }

  count(node: number): number {
    return this.#counts[node]!
  }

  value(node: number, slot: number): number {
    return this.#values[node >>> SEGMENT_BITS]![((node & SEGMENT_MASK) << NODE_BITS) + slot]!
  }

  key(node: number, slot: number): number {
    return this.#keys[node >>> SEGMENT_BITS]![((node & SEGMENT_MASK) << NODE_BITS) + slot]!
  }

  /** The same key at another place in memory. */
  setKey(node: number, slot: number, key: number): void {
    this.#keys[node >>> SEGMENT_BITS]![((node & SEGMENT_MASK) << NODE_BITS) + slot] = key
  }

  /** Another key, still between its neighbours. */
  replaceKey(node: number, slot: number, key: number): void {
    this.setKey(node, slot, key)
    const common = this.#commonWith(node, key, slot === 0 ? this.#counts[node]! - 1 : 0)
    if (common < this.#common[node]!) this.#setHeads(node, common)
    else this.#setHead(node, slot)
  }

  /** The slot of the entry with this value. */
  slotOfValue(node: number, value: number): number {
    const base = (node & SEGMENT_MASK) << NODE_BITS
    return this.#values[node >>> SEGMENT_BITS]!.indexOf(value, base) - base
  }

  /** The slot of the first entry whose key is not below `bytes[start, start + length)`. */
  search(node: number, bytes: Uint8Array, start: number, length: number): number {
    this.isExact = false
    const count = this.#counts[node]!
    if (count === 0) return 0
    const segment = node >>> SEGMENT_BITS
    const base = (node & SEGMENT_MASK) << NODE_BITS
    const keys = this.#keys[segment]!
    const common = this.#common[node]!
    const first = keys[base]!
    const own = this.#bytes.bufferOf(first)
    const ownAt = this.#bytes.offsetOf(first)
    for (let i = 0; i < common; i++) {
      if (i >= length) return 0
      const difference = own[ownAt + i]! - bytes[start + i]!
      if (difference !== 0) return difference > 0 ? 0 : count
    }
    const heads = this.#heads[segment]!
    const head = headOf(bytes, start + common, start + length)
    let low = base
    let high = base + count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (heads[middle]! < head) low = middle + 1
      else high = middle
    }
    high = low
    while (high < base + count && heads[high] === head) high++
    while (low < high) {
      const middle = (low + high) >>> 1
      const difference = this.#bytes.compare(keys[middle]!, bytes, start, length)
      if (difference === 0) {
        this.isExact = true
        return middle - base
      }
      if (difference < 0) low = middle + 1
      else high = middle
    }
    return low - base
  }

  /** Puts an entry before the one at `slot`; there must be room, and `slot` what `search` says of the key. */
  insert(node: number, slot: number, key: number, value: number): void {
    const segment = node >>> SEGMENT_BITS
    const at = ((node & SEGMENT_MASK) << NODE_BITS) + slot
    const count = this.#counts[node]!
    const common = count === 0 ? this.#bytes.lengthOf(key) : this.#commonWith(node, key, 0)
    const end = at - slot + count
    this.#keys[segment]!.copyWithin(at + 1, at, end)
    this.#values[segment]!.copyWithin(at + 1, at, end)
    this.#keys[segment]![at] = key
    this.#values[segment]![at] = value
    this.#counts[node] = count + 1
    if (count === 0 || common < this.#common[node]!) this.#setHeads(node, common)
    else {
      this.#heads[segment]!.copyWithin(at + 1, at, end)
      this.#setHead(node, slot)
    }
  }

  /** How many of the bytes that a node's keys have in common the key at `slot` has in common with `key`. */
  #commonWith(node: number, key: number, slot: number): number {
    const other = this.key(node, slot)
    const a = this.#bytes.bufferOf(other)
    const b = this.#bytes.bufferOf(key)
    const aAt = this.#bytes.offsetOf(other)
    const bAt = this.#bytes.offsetOf(key)
    const most = Math.min(this.#common[node]!, this.#bytes.lengthOf(key))
    let common = 0
    while (common < most && a[aAt + common] === b[bAt + common]) common++
    return common
  }

  #setHead(node: number, slot: number): void {
    const key = this.key(node, slot)
    const at = this.#bytes.offsetOf(key)
    const end = at + this.#bytes.lengthOf(key)
    this.#heads[node >>> SEGMENT_BITS]![((node & SEGMENT_MASK) << NODE_BITS) + slot] = headOf(
      this.#bytes.bufferOf(key),
      at + this.#common[node]!,
      end,
    )
  }

  #setHeads(node: number, common: number): void {
    this.#common[node] = common
    const count = this.#counts[node]!
    for (let slot = 0; slot < count; slot++) this.#setHead(node, slot)
  }

  /** Finds anew how much the keys of a node have in common. */
  #refresh(node: number): void {
    const count = this.#counts[node]!
    if (count === 0) return
    this.#common[node] = this.#bytes.lengthOf(this.key(node, 0))
    this.#setHeads(node, this.#commonWith(node, this.key(node, count - 1), 0))
  }

  remove(node: number, slot: number): void {
    const segment = node >>> SEGMENT_BITS
    const at = ((node & SEGMENT_MASK) << NODE_BITS) + slot
    const end = at - slot + this.#counts[node]!
    this.#keys[segment]!.copyWithin(at, at + 1, end)
    this.#values[segment]!.copyWithin(at, at + 1, end)
    this.#heads[segment]!.copyWithin(at, at + 1, end)
    this.#counts[node]!--
  }

  /** Moves the entries of `from` behind the first `kept` to the end of `to`, whose keys are all lower. */
  moveTail(from: number, kept: number, to: number): void {
    const source = ((from & SEGMENT_MASK) << NODE_BITS) + kept
    const target = ((to & SEGMENT_MASK) << NODE_BITS) + this.#counts[to]!
    const moved = this.#counts[from]! - kept
    for (const column of [this.#keys, this.#values]) {
      const entries = column[from >>> SEGMENT_BITS]!.subarray(source, source + moved)
      column[to >>> SEGMENT_BITS]!.set(entries, target)
    }
    this.#counts[from] = kept
    this.#counts[to]! += moved
    this.#refresh(from)
    this.#refresh(to)
  }
}

function headOf(bytes: Uint8Array, at: number, end: number): number {
  if (end - at >= HEAD_BYTES) {
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  }
  let head = 0
  for (let i = 0; i < HEAD_BYTES; i++) head = (head << 8) | (at + i < end ? bytes[at + i]! : 0)
  return head >>> 0
}
