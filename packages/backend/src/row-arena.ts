const CHUNK_BYTES = 1024 * 1024
/** A larger piece gets a buffer of its own, so that at most this much is left unused at the end of a chunk. */
const SHARED_PIECE_BYTES_MAX = 128 * 1024

/**
 * Memory for rows, handed out from the front of large chunks. Nothing is ever given back or used twice: a chunk
 * goes when the last one who holds a row of it lets go, so views into it stay true for as long as they exist.
 */
export class RowArena {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #next = 0
  /** The buffer of the piece that `take` gave last. */
  bytes: Buffer = this.#chunk

  /** Takes `length` bytes. @returns where they begin in `bytes` */
  take(length: number): number {
    if (length > SHARED_PIECE_BYTES_MAX) {
      this.bytes = Buffer.allocUnsafeSlow(length)
      return 0
    }
    if (this.#next + length > CHUNK_BYTES) {
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      this.#next = 0
    }
    this.bytes = this.#chunk
    const at = this.#next
    this.#next += length
    return at
  }
}
