import { ProtocolError } from './message-check.ts'

const NOTHING = new Uint8Array(0)
const FIRST_CARRY_BYTES = 16 * 1024

/**
 * Gives the bytes of a stream in the pieces in which they are wanted, although they arrive in others: as views into the
 * chunks, except for the pieces that straddle two of them, which are copied once.
 *
 * Its user asks `need` for a number of bytes and, when they are there, takes exactly so many from `bytes` at `at`; when
 * they are not, it waits for the next `push`.
 */
export class ChunkReader {
  bytes: Uint8Array = NOTHING
  at = 0
  #end = 0
  /** What followed in the chunk that completed a straddling piece. */
  #rest: Uint8Array = NOTHING
  #carry: Uint8Array = NOTHING
  #carriedBytes = 0
  #wantedBytes = 0

  /** Takes over a chunk, which must not change any more. Only to be called after `need` has returned false. */
  push(chunk: Uint8Array): void {
    if (this.#carriedBytes === 0) {
      this.#show(chunk)
      return
    }
    const missingBytes = this.#wantedBytes - this.#carriedBytes
    if (chunk.length < missingBytes) {
      this.#append(chunk)
      return
    }
    this.#append(chunk.subarray(0, missingBytes))
    this.#rest = chunk.subarray(missingBytes)
    this.#carriedBytes = 0
    this.#show(this.#carry.subarray(0, this.#wantedBytes))
    this.#carry = NOTHING
  }

  /** Whether the next `count` bytes are at `bytes[at]`. */
  need(count: number): boolean {
    if (this.#end - this.at >= count) return true
    if (this.at === this.#end && this.#rest.length > 0) {
      this.#show(this.#rest)
      this.#rest = NOTHING
      if (this.#end >= count) return true
    }
    this.#wantedBytes = count
    if (this.at < this.#end) {
      this.#append(this.bytes.subarray(this.at, this.#end))
      this.#show(NOTHING)
    }
    return false
  }

  /** Takes eight bytes, which `need` has promised: a big-endian number. @throws ProtocolError above `max` */
  takeUint64(max: number): number {
    const { bytes, at } = this
    this.at = at + 8
    const high = readUint32(bytes, at)
    const value = high * 4_294_967_296 + readUint32(bytes, at + 4)
    if (value > max) throw new ProtocolError(`rafthttp: error limit exceeded (${value} > ${max})`)
    return value
  }

  /** Takes everything that is there. */
  takeRest(): Uint8Array {
    const rest = this.at < this.#end ? this.bytes.subarray(this.at, this.#end) : this.#rest
    this.#rest = NOTHING
    this.#show(NOTHING)
    return rest
  }

  #show(bytes: Uint8Array): void {
    this.bytes = bytes
    this.at = 0
    this.#end = bytes.length
  }

  /** The carry grows with what has really arrived, whatever length was announced. */
  #append(part: Uint8Array): void {
    const neededBytes = this.#carriedBytes + part.length
    if (neededBytes > this.#carry.length) {
      const capacity = Math.max(neededBytes, 2 * this.#carry.length, FIRST_CARRY_BYTES)
      const grown = Buffer.allocUnsafeSlow(Math.min(capacity, this.#wantedBytes))
      grown.set(this.#carry.subarray(0, this.#carriedBytes))
      this.#carry = grown
    }
    this.#carry.set(part, this.#carriedBytes)
    this.#carriedBytes = neededBytes
  }
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  )
}
