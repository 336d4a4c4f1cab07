import { gunzipSync } from 'node:zlib'
import type { WindowApplicant } from './assembly-budget.ts'
import type { Connection } from './connection.ts'
import { ErrorCode, readUint32 } from './frames.ts'
import { MESSAGE_PREFIX_BYTES } from './sender.ts'
import { Code, type Status } from './status.ts'
import { Stream } from './stream.ts'

/** First room for an unfinished message; it doubles as bytes come, so a false length reserves nothing. */
const FIRST_ROOM_BYTES = 32 * 1024

/** The end of a stream inside a message. */
export const CUT_MESSAGE: Status = { code: Code.Internal, message: 'unexpected EOF' }

/** A message of which a part has arrived: its prefix (flag, length) first, then its body. */
class PartialMessage {
  readonly prefix = Buffer.alloc(MESSAGE_PREFIX_BYTES)
  prefixBytes = 0
  body: Buffer | undefined
  bodyBytes = 0
  /** Its stream has applied for window... */
  applied = false
  /** ...and so much is reserved in the connection's budget. */
  reserved = 0

  get length(): number {
    return readUint32(this.prefix, 1)
  }

  /** Makes room for `bytes` more of the body. */
  makeRoom(bytes: number): Buffer {
    const { body } = this
    const needed = this.bodyBytes + bytes
    if (body !== undefined && body.length >= needed) return body
    const size = Math.min(this.length, Math.max(needed, FIRST_ROOM_BYTES, this.bodyBytes * 2))
    const grown = Buffer.allocUnsafeSlow(size)
    body?.copy(grown, 0, 0, this.bodyBytes)
    this.body = grown
    return grown
  }
}

/**
 * A stream that receives gRPC messages: `compressed (1) | length (4) | body`. A message inside one frame is handed on
 * where it lies. The size limit is applied to the length, before anything is kept.
 */
export abstract class MessageStream extends Stream implements WindowApplicant {
  /** `grpc-encoding` of the peer's messages; empty for none. */
  protected encoding = ''
  protected readonly messageBytesMax: number
  /** Whether further messages matter; what comes after is dropped. */
  protected wantsMessages = true
  #partial: PartialMessage | undefined = undefined
  #paused = false
  /** Bytes that came while paused... */
  #held: Buffer[] | undefined = undefined
  /** ...and the end. */
  #endOwed = false

  constructor(
    connection: Connection,
    id: number,
    sendWindow: number,
    receiveWindow: number,
    messageBytesMax: number,
  ) {
    super(connection, id, sendWindow, receiveWindow)
    this.messageBytesMax = messageBytesMax
  }

  /** One message, valid until this returns. */
  protected abstract onMessageBytes(message: Buffer): void
  /** What was received is no message that we take. */
  protected abstract onMessageFault(status: Status): void
  /** The peer has ended its half inside a message. */
  protected abstract onCutMessage(): void
  /** The peer has ended its half and every message has been handed on. */
  protected abstract onMessagesEnd(): void

  onData(bytes: Buffer, start: number, end: number): void {
    if (!this.wantsMessages) return
    if (this.#paused) {
      this.#hold(bytes, start, end)
      return
    }
    this.#read(bytes, start, end)
    if (!this.remoteClosed) this.#returnWindow()
  }

  onRemoteEnd(): void {
    if (!this.wantsMessages) return
    if (this.#paused) this.#endOwed = true
    else if (this.#partial !== undefined) this.onCutMessage()
    else this.onMessagesEnd()
  }

  /** Stops or restarts the delivery of messages, and of the end behind them. */
  pause(paused: boolean): void {
    if (paused === this.#paused) return
    this.#paused = paused
    if (paused) return
    const held = this.#held ?? []
    this.#held = undefined
    for (const chunk of held) this.connection.assemblyBytes -= chunk.length
    for (const chunk of held) {
      if (!this.wantsMessages) return
      // Whoever takes a message may pause again.
      if (this.#paused) this.#hold(chunk, 0, chunk.length)
      else this.#read(chunk, 0, chunk.length)
    }
    if (this.#paused || !this.wantsMessages) return
    if (this.#endOwed) this.onRemoteEnd()
    else if (!this.remoteClosed) this.#returnWindow()
  }

  #hold(bytes: Buffer, start: number, end: number): void {
    if (!this.#keep(end - start)) return
    this.#held ??= []
    this.#held.push(Buffer.from(bytes.subarray(start, end)))
  }

  /** Counts bytes that are kept; resets the stream when its connection keeps too many. */
  #keep(bytes: number): boolean {
    const { connection } = this
    if (connection.assemblyBytes + bytes > connection.limits.assemblyBytesMax) {
      connection.resetStream(this, ErrorCode.EnhanceYourCalm)
      return false
    }
    connection.assemblyBytes += bytes
    return true
  }

  #read(bytes: Buffer, start: number, end: number): void {
    let at = start
    if (this.#partial !== undefined) at = this.#continue(this.#partial, bytes, at, end)
    while (end - at >= MESSAGE_PREFIX_BYTES && this.wantsMessages && !this.#paused) {
      const flag = bytes[at]!
      const length = readUint32(bytes, at + 1)
      if (!this.#isTaken(flag, length)) return
      const bodyAt = at + MESSAGE_PREFIX_BYTES
      if (end - bodyAt < length) break
      at = bodyAt + length
      this.#deliver(flag, bytes.subarray(bodyAt, at))
    }
    if (at === end || !this.wantsMessages) return
    if (this.#paused) this.#hold(bytes, at, end)
    else this.#continue((this.#partial = new PartialMessage()), bytes, at, end)
  }

  /** Adds to the unfinished message, and delivers it when it is complete; returns the offset behind it. */
  #continue(partial: PartialMessage, bytes: Buffer, at: number, end: number): number {
    if (partial.prefixBytes < MESSAGE_PREFIX_BYTES) {
      const copied = bytes.copy(partial.prefix, partial.prefixBytes, at, end)
      partial.prefixBytes += copied
      at += copied
      if (partial.prefixBytes < MESSAGE_PREFIX_BYTES) return at
      if (!this.#isTaken(partial.prefix[0]!, partial.length)) return end
    }
    const count = Math.min(end - at, partial.length - partial.bodyBytes)
    if (count > 0) {
      if (!this.#keep(count)) return end
      bytes.copy(partial.makeRoom(count), partial.bodyBytes, at, at + count)
      partial.bodyBytes += count
    }
    if (partial.bodyBytes === partial.length) {
      const body = partial.body ?? Buffer.alloc(0)
      this.#dropPartial()
      this.#deliver(partial.prefix[0]!, body)
    } else if (!partial.applied && this.wantedWindow > 0) {
      partial.applied = true
      this.connection.assembly.apply(this)
    }
    return at + count
  }

  get wantedWindow(): number {
    const partial = this.#partial
    if (partial === undefined || this.remoteClosed) return 0
    return Math.max(0, partial.length - partial.bodyBytes - this.receiveWindow)
  }

  onWindowReserved(bytes: number): void {
    this.#partial!.reserved += bytes
    this.owedWindow -= bytes
    this.connection.grantWindow(this, bytes)
  }

  /** Gives back the window of complete messages; an unfinished one gets more through the budget alone. */
  #returnWindow(): void {
    if (!this.wantsMessages || this.#paused || this.#partial !== undefined) return
    const owed = this.owedWindow
    if (owed < this.connection.limits.streamWindowBytes / 2) return
    this.owedWindow = 0
    this.connection.grantWindow(this, owed)
  }

  #isTaken(flag: number, length: number): boolean {
    const fault = this.#faultOf(flag, length)
    if (fault === undefined) return true
    this.onMessageFault(fault)
    return false
  }

  #faultOf(flag: number, length: number): Status | undefined {
    if (length > this.messageBytesMax)
      return {
        code: Code.ResourceExhausted,
        message: `grpc: received message larger than max (${length} vs. ${this.messageBytesMax})`,
      }
    if (flag === 0 || (flag === 1 && this.encoding === 'gzip')) return undefined
    if (flag > 1) return { code: Code.Internal, message: `grpc: received unexpected payload format ${flag}` }
    if (this.encoding === '' || this.encoding === 'identity')
      return { code: Code.Internal, message: 'grpc: compressed flag set with identity or empty encoding' }
    return {
      code: Code.Internal,
      message: `grpc: Decompressor is not installed for grpc-encoding "${this.encoding}"`,
    }
  }

  #deliver(flag: number, body: Buffer): void {
    if (flag === 0) {
      this.onMessageBytes(body)
      return
    }
    let message: Buffer
    try {
      message = gunzipSync(body, { maxOutputLength: Math.max(1, this.messageBytesMax) })
    } catch (error) {
      this.onMessageFault(inflateFault(error, this.messageBytesMax))
      return
    }
    this.onMessageBytes(message)
  }

  #dropPartial(): void {
    const partial = this.#partial
    if (partial === undefined) return
    this.#partial = undefined
    this.connection.assemblyBytes -= partial.bodyBytes
    if (partial.reserved > 0) this.connection.assembly.release(partial.reserved)
  }

  /** Drops whatever has been kept: the call has ended. */
  protected dropMessages(): void {
    this.wantsMessages = false
    if (this.#held !== undefined) {
      for (const chunk of this.#held) this.connection.assemblyBytes -= chunk.length
      this.#held = undefined
    }
    this.#dropPartial()
  }
}

function inflateFault(error: unknown, bytesMax: number): Status {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE')
    return {
      code: Code.ResourceExhausted,
      message: `grpc: received message after decompression larger than max (${bytesMax + 1} vs. ${bytesMax})`,
    }
  const text = error instanceof Error ? error.message : String(error)
  return { code: Code.Internal, message: `grpc: failed to decompress the received message: ${text}` }
}
