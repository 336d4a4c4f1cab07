import type { Limits } from './limits.ts'

/** Collects a header block that comes in a HEADERS frame and CONTINUATION frames, within bounds. */
export class HeaderAssembler {
  /** The stream whose block is incomplete, or 0: until it is complete no other frame may come. */
  streamId = 0
  endStream = false
  selfDependent = false
  block = Buffer.alloc(0)
  length = 0

  readonly #limits: Limits
  #continuations = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  begin(streamId: number, endStream: boolean, selfDependent: boolean): void {
    this.streamId = streamId
    this.endStream = endStream
    this.selfDependent = selfDependent
    this.length = 0
    this.#continuations = 0
  }

  /** Counts a CONTINUATION frame of `bytes`; false when the block is out of bounds. */
  admits(bytes: number): boolean {
    this.#continuations++
    return (
      this.#continuations <= this.#limits.continuationsMax &&
      this.length + bytes <= this.#limits.headerBlockBytesMax
    )
  }

  append(buffer: Buffer, start: number, end: number): void {
    const needed = this.length + end - start
    if (needed > this.block.length) {
      const grown = Buffer.allocUnsafe(needed * 2)
      this.block.copy(grown, 0, 0, this.length)
      this.block = grown
    }
    buffer.copy(this.block, this.length, start, end)
    this.length = needed
  }

  /** Lets go of the block, which belongs to the caller from here on. */
  finish(): Buffer {
    const { block } = this
    this.streamId = 0
    this.block = Buffer.alloc(0)
    return block
  }
}
