import { Fifo } from './fifo.ts'
import type { FloodGuard } from './flood-guard.ts'
import {
  DEFAULT_WINDOW,
  Flag,
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_MAX,
  FrameType,
  WINDOW_MAX,
  writeFrameHeader,
  writeUint32,
} from './frames.ts'
import type { Limits } from './limits.ts'
import type { Output } from './output.ts'
import { PendingOutput, type Stream } from './stream.ts'

/** gRPC's message prefix: a compressed flag and the length in four bytes. */
export const MESSAGE_PREFIX_BYTES = 5

/** A dynamic table size update to 0 (RFC 7541, 6.3). */
const TABLE_CLEAR = Uint8Array.of(0x20)

/**
 * Writes the frames of streams, within the peer's windows and the socket's patience. What may not leave yet is copied
 * and waits on its stream; streams with waiting bytes take turns, one frame each.
 */
export class Sender {
  readonly output: Output
  /** The connection's window. */
  window = DEFAULT_WINDOW
  /** The window that the peer gives to new streams. */
  initialWindow = DEFAULT_WINDOW
  /** The peer has shrunk its decoder's table: the next header block must begin by emptying it (RFC 7541, 4.2). */
  tableClearOwed = false
  /** Bytes that wait on all streams. */
  pendingBytes = 0

  readonly #limits: Limits
  readonly #guard: FloodGuard
  readonly #ready = new Fifo<Stream>()
  #pumping = false

  constructor(output: Output, limits: Limits, guard: FloodGuard) {
    this.output = output
    this.#limits = limits
    this.#guard = guard
  }

  /** Writes a header block, in CONTINUATION frames where it is long. */
  headers(streamId: number, block: Uint8Array, blockBytes: number, endStream: boolean): void {
    if (this.tableClearOwed) {
      this.tableClearOwed = false
      block = Buffer.concat([TABLE_CLEAR, block.subarray(0, blockBytes)])
      blockBytes++
    }
    const first = Math.min(blockBytes, FRAME_PAYLOAD_MAX)
    const flags = (endStream ? Flag.EndStream : 0) | (first === blockBytes ? Flag.EndHeaders : 0)
    this.#frame(FrameType.Headers, flags, streamId, block, 0, first)
    for (let from = first; from < blockBytes;) {
      const to = Math.min(blockBytes, from + FRAME_PAYLOAD_MAX)
      this.#frame(FrameType.Continuation, to === blockBytes ? Flag.EndHeaders : 0, streamId, block, from, to)
      from = to
    }
  }

  #frame(type: number, flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const { output } = this
    const at = output.reserve(FRAME_HEADER_BYTES + end - start)
    const payloadAt = writeFrameHeader(output.buffer, at, end - start, type, flags, streamId)
    output.at = copy(bytes, start, end, output.buffer, payloadAt)
  }

  /** Whether `answer` may be called for a message of so many bytes: it fits the windows, and one frame. */
  fitsAnswer(stream: Stream, messageBytes: number): boolean {
    const dataBytes = MESSAGE_PREFIX_BYTES + messageBytes
    return (
      dataBytes <= FRAME_PAYLOAD_MAX &&
      dataBytes <= stream.sendWindow &&
      this.#mayPass(dataBytes) &&
      !this.tableClearOwed
    )
  }

  /** Writes a whole answer: headers, one message, trailers. The stream is not touched: it has ended. */
  answer(
    streamId: number,
    headers: Uint8Array,
    message: Uint8Array,
    start: number,
    end: number,
    trailers: Uint8Array,
  ): void {
    const { output } = this
    const dataBytes = MESSAGE_PREFIX_BYTES + end - start
    this.window -= dataBytes
    let at = output.reserve(3 * FRAME_HEADER_BYTES + headers.length + dataBytes + trailers.length)
    const out = output.buffer
    at = writeFrameHeader(out, at, headers.length, FrameType.Headers, Flag.EndHeaders, streamId)
    at = copy(headers, 0, headers.length, out, at)
    at = writeFrameHeader(out, at, dataBytes, FrameType.Data, 0, streamId)
    out[at++] = 0
    at = writeUint32(out, at, end - start)
    at = copy(message, start, end, out, at)
    const flags = Flag.EndHeaders | Flag.EndStream
    at = writeFrameHeader(out, at, trailers.length, FrameType.Headers, flags, streamId)
    output.at = copy(trailers, 0, trailers.length, out, at)
    this.#guard.earn()
  }

  /** True when so many bytes fit the connection's window and overtake nobody. */
  #mayPass(bytes: number): boolean {
    if (bytes > this.window || this.output.blocked) return false
    if (this.#ready.size === 0) return true
    // With a window and a willing socket only streams that have ended can still be queued.
    this.pump()
    return this.#ready.size === 0 && bytes <= this.window && !this.output.blocked
  }

  /**
   * Sends one message, or as much of it as may leave now; the rest is copied and waits.
   * @returns false when the stream should stop until `onSendDrained`
   */
  message(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): boolean {
    const total = MESSAGE_PREFIX_BYTES + end - start
    let sent = 0
    if (stream.pending === undefined && this.#mayPass(1)) {
      while (sent < total) {
        const room = Math.min(FRAME_PAYLOAD_MAX, this.window, stream.sendWindow, total - sent)
        if (this.output.blocked || room < Math.min(MESSAGE_PREFIX_BYTES, total - sent)) break
        const ends = endStream && sent + room === total
        this.#messageFrame(stream, bytes, start, end, sent, room, ends)
        sent += room
      }
      if (sent === total) {
        if (endStream) stream.onLocalEnd()
        return true
      }
    }
    return this.#wait(stream, bytes, start, end, sent, endStream)
  }

  /** Writes bytes `[from, from + count)` of prefix and message as one DATA frame. */
  #messageFrame(
    stream: Stream,
    bytes: Uint8Array,
    start: number,
    end: number,
    from: number,
    count: number,
    endStream: boolean,
  ): void {
    const { output } = this
    let at = output.reserve(FRAME_HEADER_BYTES + count)
    const out = output.buffer
    at = writeFrameHeader(out, at, count, FrameType.Data, endStream ? Flag.EndStream : 0, stream.id)
    let bodyFrom = start + from - MESSAGE_PREFIX_BYTES
    let bodyBytes = count
    if (from === 0) {
      out[at++] = 0
      at = writeUint32(out, at, end - start)
      bodyFrom = start
      bodyBytes -= MESSAGE_PREFIX_BYTES
    }
    output.at = copy(bytes, bodyFrom, bodyFrom + bodyBytes, out, at)
    this.window -= count
    stream.sendWindow -= count
    this.#guard.earn()
  }

  #wait(
    stream: Stream,
    bytes: Uint8Array,
    start: number,
    end: number,
    sent: number,
    endStream: boolean,
  ): boolean {
    const pending = (stream.pending ??= new PendingOutput())
    const count = MESSAGE_PREFIX_BYTES + end - start - sent
    const tail = Buffer.allocUnsafe(count)
    let at = 0
    let from = start + sent - MESSAGE_PREFIX_BYTES
    if (sent === 0) {
      tail[0] = 0
      at = writeUint32(tail, 1, end - start)
      from = start
    }
    copy(bytes, from, end, tail, at)
    pending.chunks.push(tail)
    pending.bytes += count
    pending.endStream ||= endStream
    this.pendingBytes += count
    this.#enqueue(stream)
    if (
      pending.bytes <= this.#limits.streamHighWaterBytes &&
      this.pendingBytes <= this.#limits.connectionHighWaterBytes
    )
      return true
    pending.awaited = true
    return false
  }

  /**
   * Ends the local half with a header block, after all waiting bytes. A block that has to wait must not depend on the
   * dynamic table, for others overtake it.
   */
  trailers(stream: Stream, block: Uint8Array): void {
    if (stream.pending !== undefined) {
      stream.pending.trailers = block
      return
    }
    this.#guard.earn()
    this.headers(stream.id, block, block.length, true)
    stream.onLocalEnd()
  }

  /** Ends the local half without trailers, after all waiting bytes: a client has no more messages. */
  endStream(stream: Stream): void {
    if (stream.pending !== undefined) {
      stream.pending.endStream = true
      return
    }
    const { output } = this
    const at = output.reserve(FRAME_HEADER_BYTES)
    output.at = writeFrameHeader(output.buffer, at, 0, FrameType.Data, Flag.EndStream, stream.id)
    stream.onLocalEnd()
  }

  /** Drops what waits on a stream that has ended. */
  forget(stream: Stream): void {
    if (stream.pending === undefined) return
    this.pendingBytes -= stream.pending.bytes
    stream.pending = undefined
  }

  /** Adds the peer's WINDOW_UPDATE to the connection's window; false when it overflows. */
  addConnectionWindow(increment: number): boolean {
    if (this.window + increment > WINDOW_MAX) return false
    this.window += increment
    this.pump()
    return true
  }

  /** Adds to a stream's window; false when it overflows. */
  addStreamWindow(stream: Stream, increment: number): boolean {
    if (stream.sendWindow + increment > WINDOW_MAX) return false
    stream.sendWindow += increment
    if (stream.pending !== undefined && stream.sendWindow > 0) {
      this.#enqueue(stream)
      this.pump()
    }
    return true
  }

  #enqueue(stream: Stream): void {
    if (stream.queued) return
    stream.queued = true
    this.#ready.push(stream)
  }

  /** Sends what may leave now. */
  pump(): void {
    // A drained stream's owner writes more from within: that joins this round.
    if (this.#pumping) return
    this.#pumping = true
    try {
      this.#pumpAll()
    } finally {
      this.#pumping = false
    }
  }

  #pumpAll(): void {
    const { output } = this
    while (this.window > 0 && !output.blocked) {
      const stream = this.#ready.shift()
      if (stream === undefined) return
      stream.queued = false
      const { pending } = stream
      // A stream without a window is queued again when it gets one.
      if (pending === undefined || stream.sendWindow <= 0) continue
      const count = Math.min(FRAME_PAYLOAD_MAX, this.window, stream.sendWindow, pending.bytes)
      this.#pendingFrame(stream, pending, count)
      if (pending.bytes > 0) this.#enqueue(stream)
      else this.#sentAll(stream, pending)
      if (pending.awaited && this.#isDrained(pending)) {
        pending.awaited = false
        stream.onSendDrained()
      }
    }
  }

  #isDrained(pending: PendingOutput): boolean {
    if (pending.bytes === 0) return true
    return (
      pending.bytes <= this.#limits.streamLowWaterBytes &&
      this.pendingBytes <= this.#limits.connectionHighWaterBytes
    )
  }

  #pendingFrame(stream: Stream, pending: PendingOutput, count: number): void {
    const { output } = this
    const ends = pending.endStream && count === pending.bytes
    const reserved = output.reserve(FRAME_HEADER_BYTES + count)
    const out = output.buffer
    let at = writeFrameHeader(out, reserved, count, FrameType.Data, ends ? Flag.EndStream : 0, stream.id)
    const { chunks } = pending
    let left = count
    let used = 0
    while (left > 0) {
      const chunk = chunks[used]!
      const to = Math.min(chunk.length, pending.offset + left)
      left -= to - pending.offset
      at = copy(chunk, pending.offset, to, out, at)
      pending.offset = to
      if (to < chunk.length) break
      pending.offset = 0
      used++
    }
    if (used > 0) chunks.splice(0, used)
    output.at = at
    pending.bytes -= count
    pending.movedAtMs = performance.now()
    this.pendingBytes -= count
    this.window -= count
    stream.sendWindow -= count
    this.#guard.earn()
  }

  #sentAll(stream: Stream, pending: PendingOutput): void {
    stream.pending = undefined
    if (pending.trailers !== undefined) this.trailers(stream, pending.trailers)
    else if (pending.endStream) stream.onLocalEnd()
  }
}

/** Below this many bytes a loop is faster than the call into the runtime. */
const LOOP_COPY_BYTES = 64

function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): number {
  const count = end - start
  if (count <= LOOP_COPY_BYTES) {
    for (let i = start; i < end; i++) to[at++] = from[i]!
    return at
  }
  to.set(start === 0 && end === from.length ? from : from.subarray(start, end), at)
  return at + count
}
