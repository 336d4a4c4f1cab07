import type { HeaderField } from './header-field.ts'

/** The dynamic table of one direction (RFC 7541, 2.3.2): the newest entry has index 1, the oldest leaves first. */
export class DynamicTable {
  #ring: (HeaderField | undefined)[] = new Array<HeaderField | undefined>(16).fill(undefined)
  /** Place of the newest entry. */
  #newest = 0
  #count = 0
  #size = 0
  #sizeMax: number

  /** Counts changes: what was computed from indexes holds only while this stays the same. */
  epoch = 0

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  get count(): number {
    return this.#count
  }

  get size(): number {
    return this.#size
  }

  get sizeMax(): number {
    return this.#sizeMax
  }

  /** Entry `index` (from 1), or undefined when there is none. */
  get(index: number): HeaderField | undefined {
    if (index > this.#count) return undefined
    return this.#ring[(this.#newest + index - 1) & (this.#ring.length - 1)]
  }

  add(field: HeaderField): void {
    this.epoch++
    this.#evictTo(this.#sizeMax - field.size)
    // An entry larger than the table empties it and is not added (RFC 7541, 4.4).
    if (field.size > this.#sizeMax) return
    if (this.#count === this.#ring.length) this.#grow()
    this.#newest = (this.#newest - 1) & (this.#ring.length - 1)
    this.#ring[this.#newest] = field
    this.#count++
    this.#size += field.size
  }

  resize(sizeMax: number): void {
    this.epoch++
    this.#sizeMax = sizeMax
    this.#evictTo(sizeMax)
  }

  #evictTo(size: number): void {
    while (this.#count > 0 && this.#size > size) {
      const oldest = (this.#newest + this.#count - 1) & (this.#ring.length - 1)
      this.#size -= this.#ring[oldest]!.size
      this.#ring[oldest] = undefined
      this.#count--
    }
  }

  #grow(): void {
    const ring = new Array<HeaderField | undefined>(this.#ring.length * 2).fill(undefined)
    for (let i = 0; i < this.#count; i++) ring[i] = this.get(i + 1)
    this.#ring = ring
    this.#newest = 0
  }
}
