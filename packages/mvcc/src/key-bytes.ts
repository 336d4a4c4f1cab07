/**
 * The bytes of all keys, outside the JavaScript heap: a million strings would be a million objects for the
 * garbage collector to visit.
 *
 *     chunk:  (length: 4 bytes, in the order of this machine; the key; zeros up to a multiple of 4)*
 *
 * A key is known by a number: its place in units of four bytes, chunk after chunk. Space of removed keys is not
 * used again piece by piece; a chunk goes when its last key is gone, and `isSparse` says whose keys are worth moving.
 */

const CHUNK_BITS = 18
const CHUNK_UNITS = 1 << CHUNK_BITS
const UNIT_MASK = CHUNK_UNITS - 1
const CHUNK_BYTES = CHUNK_UNITS * 4
const NO_BYTES = new Uint8Array(0)
const NO_WORDS = new Uint32Array(0)
/** A chunk with a smaller share of its bytes in use is sparse. */
const SPARSE_BELOW = 0.5

export class KeyBytes {
  readonly #bytes: Uint8Array[] = []
  readonly #words: Uint32Array[] = []
  /** Units in use, by chunk. */
  readonly #used: number[] = []
  readonly #freeChunks: number[] = []
  /** The chunk that takes new keys, and its first free unit. */
  #current = -1
  #next = CHUNK_UNITS

  /** Bytes of memory taken. */
  get byteLength(): number {
    return this.#bytes.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  /** Copies `source[start, start + length)`. @returns its number */
  add(source: Uint8Array, start: number, length: number): number {
    const units = 1 + ((length + 3) >>> 2)
    let chunk = this.#current
    let unit = this.#next
    if (units > CHUNK_UNITS) {
      chunk = this.#addChunk(units * 4)
      unit = 0
    } else if (unit + units > CHUNK_UNITS) {
      const full = this.#current
      this.#current = chunk = this.#addChunk(CHUNK_BYTES)
      if (full >= 0 && this.#used[full] === 0) this.#dropChunk(full)
      unit = 0
      this.#next = units
    } else {
      this.#next += units
    }
    this.#used[chunk]! += units
    this.#words[chunk]![unit] = length
    const bytes = this.#bytes[chunk]!
    const at = (unit << 2) + 4
    for (let i = 0; i < length; i++) bytes[at + i] = source[start + i]!
    return chunk * CHUNK_UNITS + unit
  }

  #addChunk(byteLength: number): number {
    const chunk = this.#freeChunks.pop() ?? this.#bytes.length
    const buffer = new ArrayBuffer(byteLength)
    this.#bytes[chunk] = new Uint8Array(buffer)
    this.#words[chunk] = new Uint32Array(buffer)
    this.#used[chunk] = 0
    return chunk
  }

  #dropChunk(chunk: number): void {
    this.#bytes[chunk] = NO_BYTES
    this.#words[chunk] = NO_WORDS
    this.#freeChunks.push(chunk)
  }

  remove(key: number): void {
    const chunk = Math.floor(key / CHUNK_UNITS)
    this.#used[chunk]! -= 1 + ((this.lengthOf(key) + 3) >>> 2)
    if (this.#used[chunk] === 0 && chunk !== this.#current) this.#dropChunk(chunk)
  }

  /** Most of the chunk that `key` lies in is free. */
  isSparse(key: number): boolean {
    const chunk = Math.floor(key / CHUNK_UNITS)
    return chunk !== this.#current && this.#used[chunk]! * 4 < this.#bytes[chunk]!.length * SPARSE_BELOW
  }

  lengthOf(key: number): number {
    return this.#words[key >>> CHUNK_BITS]![key & UNIT_MASK]!
  }

  /** The buffer that `key` lies in, from `offsetOf(key)`. */
  bufferOf(key: number): Uint8Array {
    return this.#bytes[key >>> CHUNK_BITS]!
  }

  offsetOf(key: number): number {
    return ((key & UNIT_MASK) << 2) + 4
  }

  equals(key: number, other: Uint8Array, start: number, length: number): boolean {
    const chunk = key >>> CHUNK_BITS
    const unit = key & UNIT_MASK
    if (this.#words[chunk]![unit] !== length) return false
    const bytes = this.#bytes[chunk]!
    const at = (unit << 2) + 4
    for (let i = 0; i < length; i++) if (bytes[at + i] !== other[start + i]) return false
    return true
  }

  /** Negative, zero or positive: how `key` stands to `other[start, start + length)`. */
  compare(key: number, other: Uint8Array, start: number, length: number): number {
    const chunk = key >>> CHUNK_BITS
    const unit = key & UNIT_MASK
    const bytes = this.#bytes[chunk]!
    const at = (unit << 2) + 4
    const own = this.#words[chunk]![unit]!
    const common = own < length ? own : length
    for (let i = 0; i < common; i++) {
      const difference = bytes[at + i]! - other[start + i]!
      if (difference !== 0) return difference
    }
    return own - length
  }
}
