import { FRAME_HEADER_BYTES, FRAME_PAYLOAD_MAX, PREFACE, readUint32 } from './frames.ts'

/** Takes the frames that a reader finds. */
export interface FrameSink {
  /** True once no further frame is wanted. */
  readonly closed: boolean
  /** One whole frame with its payload in `buffer[start, end)`, valid until this returns. */
  onFrame(buffer: Buffer, start: number, end: number, type: number, flags: number, streamId: number): void
  /** A frame longer than we have allowed. */
  onOversizedFrame(): void
  /** The first bytes are not HTTP/2's. */
  onBadPreface(): void
}

/** Cuts the bytes of a connection into frames. Frames are read where they lie; only one that straddles reads is copied. */
export class FrameReader {
  readonly #sink: FrameSink
  #prefaceLeft: number
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES)
  #headerBytes = 0
  #payload: Buffer | undefined
  #payloadBytes = 0

  constructor(sink: FrameSink, expectsPreface: boolean) {
    this.#sink = sink
    this.#prefaceLeft = expectsPreface ? PREFACE.length : 0
  }

  push(chunk: Buffer): void {
    let at = 0
    if (this.#prefaceLeft > 0) {
      at = this.#readPreface(chunk)
      if (this.#prefaceLeft > 0) return
    }
    if (this.#headerBytes > 0) at = this.#completeFrame(chunk, at)
    const sink = this.#sink
    const length = chunk.length
    while (length - at >= FRAME_HEADER_BYTES) {
      if (sink.closed) return
      const payloadBytes = (chunk[at]! << 16) | (chunk[at + 1]! << 8) | chunk[at + 2]!
      if (payloadBytes > FRAME_PAYLOAD_MAX) {
        sink.onOversizedFrame()
        return
      }
      const start = at + FRAME_HEADER_BYTES
      if (length - start < payloadBytes) break
      at = start + payloadBytes
      sink.onFrame(chunk, start, at, chunk[start - 6]!, chunk[start - 5]!, readStreamId(chunk, start - 4))
    }
    if (at < length && !sink.closed) this.#keep(chunk, at)
  }

  #readPreface(chunk: Buffer): number {
    const taken = Math.min(this.#prefaceLeft, chunk.length)
    const from = PREFACE.length - this.#prefaceLeft
    if (PREFACE.compare(chunk, 0, taken, from, from + taken) !== 0) {
      this.#sink.onBadPreface()
      return 0
    }
    this.#prefaceLeft -= taken
    return taken
  }

  /** Keeps the beginning of a frame whose end has not arrived. */
  #keep(chunk: Buffer, at: number): void {
    this.#headerBytes = chunk.copy(this.#header, 0, at)
    if (this.#headerBytes < FRAME_HEADER_BYTES) return
    this.#payload = Buffer.allocUnsafe(this.#payloadLength())
    this.#payloadBytes = chunk.copy(this.#payload, 0, at + FRAME_HEADER_BYTES)
  }

  #payloadLength(): number {
    return (this.#header[0]! << 16) | (this.#header[1]! << 8) | this.#header[2]!
  }

  /** Continues the kept frame; returns the offset in `chunk` where the next one begins. */
  #completeFrame(chunk: Buffer, at: number): number {
    if (this.#headerBytes < FRAME_HEADER_BYTES) {
      const copied = chunk.copy(this.#header, this.#headerBytes, at)
      this.#headerBytes += copied
      at += copied
      if (this.#headerBytes < FRAME_HEADER_BYTES) return at
      const length = this.#payloadLength()
      if (length > FRAME_PAYLOAD_MAX) {
        this.#sink.onOversizedFrame()
        return chunk.length
      }
      if (chunk.length - at >= length) return this.#emit(chunk, at, at + length)
      this.#payload = Buffer.allocUnsafe(length)
      this.#payloadBytes = 0
    }
    const payload = this.#payload!
    const copied = chunk.copy(payload, this.#payloadBytes, at)
    this.#payloadBytes += copied
    at += copied
    if (this.#payloadBytes === payload.length) {
      this.#payload = undefined
      this.#emit(payload, 0, payload.length)
    }
    return at
  }

  #emit(buffer: Buffer, start: number, end: number): number {
    this.#headerBytes = 0
    const header = this.#header
    this.#sink.onFrame(buffer, start, end, header[3]!, header[4]!, readStreamId(header, 5))
    return end
  }
}

function readStreamId(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) & 0x7fff_ffff
}
