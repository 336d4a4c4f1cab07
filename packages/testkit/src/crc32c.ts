const TABLE = new Uint32Array(256)
for (let i = 0; i < 256; i++) {
  let crc = i
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  TABLE[i] = crc >>> 0
}

/** CRC-32C (Castagnoli) of everything it has been given, one table look-up a byte. */
export class Crc32c {
  #state = 0xffffffff

  update(bytes: Uint8Array): this {
    for (const byte of bytes)
      this.#state = ((this.#state >>> 8) ^ (TABLE[(this.#state ^ byte) & 0xff] ?? 0)) >>> 0
    return this
  }

  get value(): number {
    return (this.#state ^ 0xffffffff) >>> 0
  }
}
