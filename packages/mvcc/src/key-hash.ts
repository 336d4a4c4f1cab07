/**
 * HalfSipHash-1-3 (Aumasson and Bernstein 2012, the 32-bit variant of the reference code): a hash with a secret, so
 * that a client cannot choose keys that all land in one place of a hash table.
 *
 * The secret and its consequences stay inside a table: no order of anything depends on it.
 */
export class KeyHasher {
  readonly #v0: number
  readonly #v1: number
  readonly #v2: number
  readonly #v3: number

  /** @param secret eight bytes nobody can guess */
  constructor(secret: Uint8Array) {
    const view = new DataView(secret.buffer, secret.byteOffset, secret.byteLength)
    const k0 = view.getInt32(0, true)
    const k1 = view.getInt32(4, true)
    this.#v0 = k0
    this.#v1 = k1
    this.#v2 = 0x6c796765 ^ k0
    this.#v3 = 0x74656462 ^ k1
  }

  /** The hash of `bytes[start, start + length)`, in `[0, 2^32)`. */
  hash(bytes: Uint8Array, start: number, length: number): number {
    let v0 = this.#v0
    let v1 = this.#v1
    let v2 = this.#v2
    let v3 = this.#v3
    let at = start
    const whole = start + (length & ~3)
    for (; at < whole; at += 4) {
      const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      v3 ^= word
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
      v0 ^= word
    }
    let last = length << 24
    const left = length & 3
    if (left > 0) last |= bytes[at]!
    if (left > 1) last |= bytes[at + 1]! << 8
    if (left > 2) last |= bytes[at + 2]! << 16
    v3 ^= last
    for (let round = 0; round < 4; round++) {
      if (round === 1) {
        v0 ^= last
        v2 ^= 0xff
      }
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    return (v1 ^ v3) >>> 0
  }
}
