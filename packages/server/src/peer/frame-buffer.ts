const BLOCK_BYTES = 64 * 1024
/** A block that grew for a large message is kept up to this size. */
const BLOCK_KEPT_BYTES_MAX = 1024 * 1024
/** Payloads from this size on are sent from where they are instead of being copied. */
export const OWN_SEGMENT_BYTES = 16 * 1024

// A chunk of HTTP/1.1 (RFC 9112 section 7.1): size in hexadecimal, CRLF, that many bytes, CRLF.
const CHUNK_HEAD_BYTES = 10
const CHUNK_TAIL_BYTES = 2
const HEX = Buffer.from('0123456789abcdef', 'latin1')

/**
 * Collects the frames that a stream is to send next, and makes one HTTP chunk of them.
 *
 * Frames are written in place into a block; large payloads are segments of their own between its parts.
 */
export class FrameBuffer {
  /** Where to write, at `at`, after `reserve`. */
  bytes: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES)
  at = 0
  #segments: Uint8Array[] = []
  /** Bytes of `#segments`. */
  #closedBytes = 0
  /** Start, in `bytes`, of the part that is not in `#segments` yet. */
  #start = 0
  #isOpen = false

  /** Bytes of frames collected. */
  get sizeBytes(): number {
    return this.#isOpen ? this.#closedBytes + this.at - this.#start - CHUNK_HEAD_BYTES : 0
  }

  /** Makes room for `count` bytes at `at`. */
  reserve(count: number): void {
    const head = this.#isOpen ? 0 : CHUNK_HEAD_BYTES
    if (this.at + head + count + CHUNK_TAIL_BYTES > this.bytes.length) {
      this.#closeSegment()
      this.bytes = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, head + count + CHUNK_TAIL_BYTES))
      this.at = 0
      this.#start = 0
    }
    if (this.#isOpen) return
    this.#isOpen = true
    this.#start = this.at
    this.at += head
  }

  /** Adds a payload without copying it: it must not change until it is sent. Needs a `reserve` before. */
  addSegment(payload: Uint8Array): void {
    this.#closeSegment()
    this.#segments.push(payload)
    this.#closedBytes += payload.length
  }

  /** Writes a big-endian number of 8 bytes, for which there is room. */
  writeUint64(value: number): void {
    this.at = this.bytes.writeUInt32BE(Math.floor(value / 4_294_967_296), this.at)
    this.at = this.bytes.writeUInt32BE(value % 4_294_967_296, this.at)
  }

  /** The collected frames as one HTTP chunk, in pieces; the buffer then collects the next one. */
  takeChunk(): Uint8Array[] {
    let size = this.sizeBytes
    this.reserve(0)
    this.bytes[this.at++] = 13
    this.bytes[this.at++] = 10
    this.#closeSegment()
    const segments = this.#segments
    const head = segments[0]
    if (head !== undefined) {
      for (let i = 7; i >= 0; i--) {
        head[i] = HEX[size % 16] ?? 0
        size = Math.floor(size / 16)
      }
      head[8] = 13
      head[9] = 10
    }
    this.#segments = []
    this.#closedBytes = 0
    this.#isOpen = false
    return segments
  }

  /** Lets the block be written from its beginning again, once everything taken from it has been sent. */
  recycle(): void {
    if (this.#isOpen) return
    if (this.bytes.length > BLOCK_KEPT_BYTES_MAX) this.bytes = Buffer.allocUnsafeSlow(BLOCK_BYTES)
    this.at = 0
    this.#start = 0
  }

  #closeSegment(): void {
    if (!this.#isOpen || this.at === this.#start) return
    this.#segments.push(this.bytes.subarray(this.#start, this.at))
    this.#closedBytes += this.at - this.#start
    this.#start = this.at
  }
}
