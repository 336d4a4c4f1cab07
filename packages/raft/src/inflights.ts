import { broken } from './invariant.ts'

/**
 * The appends sent to one follower that it has not acknowledged: for each the index of its last entry and
 * its payload in bytes, in sending order. Bounded by count and, softly, by bytes: the append that crosses
 * `bytesMax` is the last one let in.
 */
export class Inflights {
  readonly #countMax: number
  readonly #bytesMax: number
  // A ring that grows up to `countMax`: most followers never have many appends under way.
  #indexes: number[] = []
  #sizes: number[] = []
  #start = 0
  #count = 0
  #bytes = 0

  constructor(countMax: number, bytesMax: number) {
    this.#countMax = countMax
    this.#bytesMax = bytesMax
  }

  get count(): number {
    return this.#count
  }

  /** Payload of all of them. */
  get bytes(): number {
    return this.#bytes
  }

  get isFull(): boolean {
    return this.#count >= this.#countMax || this.#bytes >= this.#bytesMax
  }

  /** Adds an append whose last entry is at `index`; indexes ascend. */
  add(index: number, bytes: number): void {
    if (this.isFull) broken('cannot add into a Full inflights')
    if (this.#count === this.#indexes.length) this.#grow()
    const at = (this.#start + this.#count) % this.#indexes.length
    this.#indexes[at] = index
    this.#sizes[at] = bytes
    this.#count++
    this.#bytes += bytes
  }

  /** Drops those that an acknowledgement up to `index` covers. */
  freeUpTo(index: number): void {
    while (this.#count > 0 && this.#indexes[this.#start]! <= index) {
      this.#bytes -= this.#sizes[this.#start]!
      this.#start = (this.#start + 1) % this.#indexes.length
      this.#count--
    }
  }

  copy(): Inflights {
    const copy = new Inflights(this.#countMax, this.#bytesMax)
    copy.#indexes = [...this.#indexes]
    copy.#sizes = [...this.#sizes]
    copy.#start = this.#start
    copy.#count = this.#count
    copy.#bytes = this.#bytes
    return copy
  }

  #grow(): void {
    const size = Math.min(this.#countMax, Math.max(4, 2 * this.#indexes.length))
    const indexes = new Array<number>(size).fill(0)
    const sizes = new Array<number>(size).fill(0)
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#start + i) % this.#indexes.length
      indexes[i] = this.#indexes[from]!
      sizes[i] = this.#sizes[from]!
    }
    this.#indexes = indexes
    this.#sizes = sizes
    this.#start = 0
  }
}
