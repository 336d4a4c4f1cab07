const CHUNK_BYTES = 1024 * 1024
/** Distance between the first places of two chunks; the buffers are at most this long. */
const CHUNK_PLACES = 2 * CHUNK_BYTES

/**
 * Rows that were written or read lately, so that most reads need no search in the data file.
 *
 * Rows lie in chunks of memory, those of the backend's writes and the cache's own; the cache holds a fixed number of
 * chunks and lets the oldest go. A row is known by its place, a number that is never used twice; places of chunks
 * that are gone give nothing. Views stay true for as long as somebody holds them: a chunk is never written twice.
 */
export class RowCache {
  readonly #chunks: (Buffer | undefined)[]
  /** Number of the chunk next to come, from 1. */
  #nextChunk = 1
  /** The chunk that the backend fills, and the one that rows read are copied to. */
  #written: Buffer | undefined
  #writtenChunk = 0
  #own: Buffer | undefined
  #ownChunk = 0
  #ownNext = 0

  /** @param sizeBytes memory to hold on to */
  constructor(sizeBytes: number) {
    this.#chunks = Array.from<undefined>({ length: Math.max(2, Math.floor(sizeBytes / CHUNK_BYTES)) })
  }

  #addChunk(chunk: Buffer): number {
    this.#chunks[this.#nextChunk % this.#chunks.length] = chunk
    return this.#nextChunk++
  }

  /** Takes note of a row that the backend's arena holds. @returns its place, 0 when it is too large to be kept */
  note(bytes: Buffer, at: number): number {
    if (bytes !== this.#written || !this.#isHeld(this.#writtenChunk)) {
      if (bytes.length !== CHUNK_BYTES) return 0
      this.#written = bytes
      this.#writtenChunk = this.#addChunk(bytes)
    }
    return this.#writtenChunk * CHUNK_PLACES + at
  }

  /** Copies a row. @returns its place, 0 when it is too large to be kept */
  copy(row: Uint8Array): number {
    const { length } = row
    if (length > CHUNK_BYTES / 8) return 0
    if (this.#own === undefined || this.#ownNext + length > CHUNK_BYTES || !this.#isHeld(this.#ownChunk)) {
      this.#own = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      this.#ownChunk = this.#addChunk(this.#own)
      this.#ownNext = 0
    }
    const at = this.#ownNext
    this.#own.set(row, at)
    this.#ownNext += length
    return this.#ownChunk * CHUNK_PLACES + at
  }

  #isHeld(chunk: number): boolean {
    return this.#nextChunk - chunk <= this.#chunks.length
  }

  /** The row of `length` bytes at `place`, or undefined if it is not held any more. */
  view(place: number, length: number): Uint8Array | undefined {
    const chunk = Math.floor(place / CHUNK_PLACES)
    if (place === 0 || !this.#isHeld(chunk)) return undefined
    const at = place - chunk * CHUNK_PLACES
    return this.#chunks[chunk % this.#chunks.length]!.subarray(at, at + length)
  }
}
