const SIZE = 256

/** Remembers the newest stream ids of one kind, so that a late frame can be told from a false one. */
export class IdRing {
  #ids: Int32Array | undefined
  #next = 0

  add(id: number): void {
    this.#ids ??= new Int32Array(SIZE)
    this.#ids[this.#next] = id
    this.#next = (this.#next + 1) & (SIZE - 1)
  }

  has(id: number): boolean {
    return this.#ids !== undefined && this.#ids.includes(id)
  }
}
