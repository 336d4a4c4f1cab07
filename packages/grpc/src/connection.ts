import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { AssemblyBudget } from './assembly-budget.ts'
import { FloodGuard } from './flood-guard.ts'
import { FrameReader, type FrameSink } from './frame-reader.ts'
import {
  DEFAULT_WINDOW,
  ErrorCode,
  errorCodeName,
  Flag,
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_MAX,
  FrameType,
  PREFACE,
  readUint32,
  Setting,
  WINDOW_MAX,
  writeFrameHeader,
  writeUint32,
} from './frames.ts'
import { HpackError } from './hpack/decoder.ts'
import { IdRing } from './id-ring.ts'
import { FloodCost, type Limits, TINY_DATA_BYTES } from './limits.ts'
import { Output } from './output.ts'
import { Sender } from './sender.ts'
import type { Stream } from './stream.ts'
import type { Swept } from './sweeper.ts'

/** When a quiet connection is tested with a ping. */
export interface KeepaliveProbe {
  /** Quiet time after which a ping is sent. */
  readonly intervalMs: number
  /** Time for the peer to answer it (or to send anything else) before the connection is closed. */
  readonly timeoutMs: number
  /** Whether to ping while no stream is open. */
  readonly withoutStreams: boolean
}

const KEEPALIVE_PING = Buffer.from('alive\0\0\0', 'latin1')
export const DRAIN_PING = Buffer.from('drain\0\0\0', 'latin1')
const PING_BYTES = 8

const MAX_FRAME_SIZE_LIMIT = 0xff_ffff

/**
 * One HTTP/2 connection, either end: reads frames, holds the streams and both directions' flow control, and answers
 * the connection's own frames. What a header block means is its subclass's.
 *
 * Errors have the scope and code of RFC 9113: `fail` ends the connection, `resetStream` one stream.
 */
export abstract class Connection implements FrameSink, Swept {
  readonly socket: Socket
  readonly limits: Limits
  readonly output: Output
  readonly sender: Sender
  readonly guard: FloodGuard
  readonly assembly: AssemblyBudget
  readonly streams = new Map<number, Stream>()
  closed = false
  /** SETTINGS_MAX_HEADER_LIST_SIZE of the peer. */
  peerHeaderListMax = Infinity
  /** SETTINGS_MAX_CONCURRENT_STREAMS of the peer. */
  peerStreamsMax = Infinity
  /** The peer's SETTINGS have come. */
  handshaken = false
  /** Parts of unfinished messages held by streams. */
  assemblyBytes = 0

  /** Highest stream id that the peer has used. */
  protected lastPeerStreamId = 0
  /** Streams that we reset: their peer may send on until it knows. */
  protected readonly resetIds = new IdRing()
  /** Streams that ended by themselves. */
  protected readonly endedIds = new IdRing()

  readonly #isServer: boolean
  readonly #reader: FrameReader
  readonly #keepalive: KeepaliveProbe | undefined
  #receiveWindow: number
  #owedWindow = 0
  /** The stream whose header block is incomplete, or 0. */
  #headerStreamId = 0
  #headerFlags = 0
  #headerBlock: Buffer | undefined
  #headerBytes = 0
  #continuations = 0
  /** The stream of the newest DATA or HEADERS frame. */
  #lastStream: Stream | undefined
  #readingPaused = false
  #heard = true
  #heardAtMs = 0
  #pingSentAtMs = 0
  #lingerUntilMs = 0
  #takenBytes = 0
  #takenAtMs = 0
  readonly #openedAtMs = performance.now()

  constructor(socket: Socket, limits: Limits, isServer: boolean, keepalive: KeepaliveProbe | undefined) {
    this.socket = socket
    this.limits = limits
    this.#isServer = isServer
    this.#keepalive = keepalive
    this.#heardAtMs = this.#openedAtMs
    this.#takenAtMs = this.#openedAtMs
    this.#receiveWindow = limits.connectionWindowBytes
    this.guard = new FloodGuard(limits)
    this.assembly = new AssemblyBudget(limits.grantBytesMax)
    this.output = new Output(socket, socket instanceof TLSSocket)
    this.output.onDrain = () => this.#onDrain()
    this.sender = new Sender(this.output, limits, this.guard)
    this.#reader = new FrameReader(this, isServer)
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#onBytes(chunk))
    socket.on('end', () => this.lost('the peer has closed the connection'))
    socket.on('error', (error) => this.lost(error.message, error))
    socket.on('close', () => {
      this.lost('the connection is closed')
      this.onSocketClosed()
    })
    // A socket that was sniffed has been paused.
    socket.resume()
  }

  /** A complete header block. `endStream` is the flag of its HEADERS frame; `selfDependent` a false priority. */
  protected abstract onHeaderBlock(
    streamId: number,
    buffer: Buffer,
    start: number,
    end: number,
    endStream: boolean,
    selfDependent: boolean,
  ): void
  protected abstract onPeerTableSize(size: number): void
  protected abstract onGoAway(lastStreamId: number, code: number, debug: string): void
  protected abstract onPing(): void
  protected abstract onPingAck(payload: Buffer): void
  /** A stream has left the map. */
  protected abstract onStreamRemoved(stream: Stream): void
  protected abstract onSocketClosed(): void
  /** Waiting output has become less. */
  protected abstract onOutputDrained(): void

  /** Writes our first frames: SETTINGS, and the connection's window. */
  protected writeOpening(settings: readonly (readonly [id: number, value: number])[]): void {
    const { output } = this
    const length = settings.length * 6
    let at = output.reserve(PREFACE.length + FRAME_HEADER_BYTES + length)
    if (!this.#isServer) {
      output.buffer.set(PREFACE, at)
      at += PREFACE.length
    }
    at = writeFrameHeader(output.buffer, at, length, FrameType.Settings, 0, 0)
    for (const [id, value] of settings) {
      output.buffer[at++] = id >>> 8
      output.buffer[at++] = id
      at = writeUint32(output.buffer, at, value)
    }
    output.at = at
    this.#writeWindowUpdate(0, this.limits.connectionWindowBytes - DEFAULT_WINDOW)
  }

  #onBytes(chunk: Buffer): void {
    if (this.closed) return
    this.#heard = true
    this.#reader.push(chunk)
    // A client does not pause: two ends that both wait for the other to read would wait for ever.
    if (this.#isServer && this.output.backlogBytes > this.limits.socketBacklogBytesMax) this.#pauseReading()
  }

  #pauseReading(): void {
    this.output.flush()
    if (this.socket.writableLength <= this.limits.socketBacklogBytesMax) return
    this.#readingPaused = true
    this.socket.pause()
  }

  #onDrain(): void {
    if (this.closed) return
    this.sender.pump()
    this.onOutputDrained()
    if (!this.#readingPaused) return
    this.#readingPaused = false
    this.socket.resume()
  }

  onBadPreface(): void {
    this.fail(ErrorCode.ProtocolError, 'bogus greeting')
  }

  onOversizedFrame(): void {
    this.fail(ErrorCode.FrameSizeError, 'frame too large')
  }

  onFrame(buffer: Buffer, start: number, end: number, type: number, flags: number, streamId: number): void {
    if (this.#headerStreamId !== 0) {
      if (type === FrameType.Continuation && streamId === this.#headerStreamId)
        this.#onContinuation(buffer, start, end, flags)
      else this.fail(ErrorCode.ProtocolError, 'frame inside a header block')
      return
    }
    if (!this.handshaken && (type !== FrameType.Settings || (flags & Flag.Ack) !== 0)) {
      this.fail(ErrorCode.ProtocolError, 'the first frame is not SETTINGS')
      return
    }
    switch (type) {
      case FrameType.Data:
        return this.#onData(buffer, start, end, flags, streamId)
      case FrameType.Headers:
        return this.#onHeaders(buffer, start, end, flags, streamId)
      case FrameType.Priority:
        return this.#onPriority(buffer, start, end, streamId)
      case FrameType.RstStream:
        return this.#onRstStream(buffer, start, end, streamId)
      case FrameType.Settings:
        return this.#onSettings(buffer, start, end, flags, streamId)
      case FrameType.PushPromise:
        return this.fail(ErrorCode.ProtocolError, 'PUSH_PROMISE is not allowed')
      case FrameType.Ping:
        return this.#onPingFrame(buffer, start, end, flags, streamId)
      case FrameType.GoAway:
        return this.#onGoAwayFrame(buffer, start, end, streamId)
      case FrameType.WindowUpdate:
        return this.#onWindowUpdate(buffer, start, end, streamId)
      case FrameType.Continuation:
        return this.fail(ErrorCode.ProtocolError, 'CONTINUATION without HEADERS')
      default:
        this.#spend(FloodCost.unknownFrame)
    }
  }

  /** Charges the peer; closes the connection and returns false when it cannot pay. */
  #spend(cost: number): boolean {
    if (this.guard.spend(cost)) return true
    this.fail(ErrorCode.EnhanceYourCalm, 'too many frames without work')
    return false
  }

  // ---- DATA

  #onData(buffer: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId === 0) return this.fail(ErrorCode.ProtocolError, 'DATA on stream 0')
    const length = end - start
    if (!this.#takeConnectionWindow(length)) return
    if ((flags & Flag.Padded) !== 0) {
      if (length === 0) return this.fail(ErrorCode.FrameSizeError, 'DATA without its pad length')
      if (buffer[start]! >= length) return this.fail(ErrorCode.ProtocolError, 'padding longer than its frame')
      end -= buffer[start]!
      start++
    }
    const stream = this.#find(streamId)
    if (stream === undefined) return this.#onDataWithoutStream(streamId)
    if (stream.remoteClosed) return this.resetStream(stream, ErrorCode.StreamClosed)
    if (length > stream.receiveWindow) return this.resetStream(stream, ErrorCode.FlowControlError)
    stream.receiveWindow -= length
    stream.owedWindow += length
    const endStream = (flags & Flag.EndStream) !== 0
    if (stream.contentLeft >= 0) {
      stream.contentLeft -= end - start
      if (stream.contentLeft < 0 || (endStream && stream.contentLeft > 0))
        return this.resetStream(stream, ErrorCode.ProtocolError)
    }
    // Known before the payload is read, so that an answer given at once need not reset the stream.
    stream.remoteClosed = endStream
    if (end > start) stream.onData(buffer, start, end)
    else if (!endStream) this.#spend(FloodCost.emptyData)
    if (length < TINY_DATA_BYTES && !endStream) this.#spend(FloodCost.tinyData)
    if (endStream) this.#endRemote(stream)
  }

  #endRemote(stream: Stream): void {
    stream.onRemoteEnd()
    if (stream.localClosed) this.removeStream(stream)
  }

  #find(streamId: number): Stream | undefined {
    const last = this.#lastStream
    if (last !== undefined && last.id === streamId) return last
    const stream = this.streams.get(streamId)
    if (stream !== undefined) this.#lastStream = stream
    return stream
  }

  #onDataWithoutStream(streamId: number): void {
    if (this.isIdle(streamId)) return this.fail(ErrorCode.ProtocolError, 'DATA on an idle stream')
    if (!this.#spend(FloodCost.closedStreamFrame) || this.resetIds.has(streamId)) return
    this.writeReset(streamId, ErrorCode.StreamClosed)
  }

  /** True for a stream that neither side has opened. */
  protected abstract isIdle(streamId: number): boolean

  #takeConnectionWindow(bytes: number): boolean {
    if (bytes > this.#receiveWindow) {
      this.fail(ErrorCode.FlowControlError, 'connection window exceeded')
      return false
    }
    this.#receiveWindow -= bytes
    this.#owedWindow += bytes
    if (this.#owedWindow >= this.limits.connectionWindowBytes / 4) {
      this.#receiveWindow += this.#owedWindow
      this.#writeWindowUpdate(0, this.#owedWindow)
      this.#owedWindow = 0
    }
    return true
  }

  /** Lets the peer send `bytes` more on a stream. */
  grantWindow(stream: Stream, bytes: number): void {
    stream.receiveWindow += bytes
    this.#writeWindowUpdate(stream.id, bytes)
  }

  #writeWindowUpdate(streamId: number, increment: number): void {
    const { output } = this
    const at = output.reserve(FRAME_HEADER_BYTES + 4)
    writeFrameHeader(output.buffer, at, 4, FrameType.WindowUpdate, 0, streamId)
    output.at = writeUint32(output.buffer, at + FRAME_HEADER_BYTES, increment)
  }

  // ---- HEADERS, CONTINUATION

  #onHeaders(buffer: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId === 0) return this.fail(ErrorCode.ProtocolError, 'HEADERS on stream 0')
    if ((flags & Flag.Padded) !== 0) {
      if (start === end) return this.fail(ErrorCode.FrameSizeError, 'HEADERS without its pad length')
      end -= buffer[start++]!
      if (end < start) return this.fail(ErrorCode.ProtocolError, 'padding longer than its frame')
    }
    let selfDependent = false
    if ((flags & Flag.Priority) !== 0) {
      if (end - start < 5) return this.fail(ErrorCode.FrameSizeError, 'HEADERS without its priority')
      selfDependent = (readUint32(buffer, start) & 0x7fff_ffff) === streamId
      start += 5
    }
    const endStream = (flags & Flag.EndStream) !== 0
    if ((flags & Flag.EndHeaders) !== 0) {
      this.#onBlock(streamId, buffer, start, end, endStream, selfDependent)
      return
    }
    this.#headerStreamId = streamId
    this.#headerFlags = (endStream ? Flag.EndStream : 0) | (selfDependent ? Flag.Priority : 0)
    this.#headerBytes = 0
    this.#continuations = 0
    this.#headerBlock = Buffer.allocUnsafe(2 * FRAME_PAYLOAD_MAX)
    this.#appendHeaderBlock(buffer, start, end)
  }

  #onContinuation(buffer: Buffer, start: number, end: number, flags: number): void {
    if (++this.#continuations > this.limits.continuationsMax || !this.#spend(FloodCost.continuation)) {
      this.fail(ErrorCode.EnhanceYourCalm, 'too many CONTINUATION frames')
      return
    }
    if (this.#headerBytes + end - start > this.limits.headerBlockBytesMax) {
      this.fail(ErrorCode.EnhanceYourCalm, 'header block too large')
      return
    }
    this.#appendHeaderBlock(buffer, start, end)
    if ((flags & Flag.EndHeaders) === 0) return
    const streamId = this.#headerStreamId
    const block = this.#headerBlock!
    const first = this.#headerFlags
    this.#headerStreamId = 0
    this.#headerBlock = undefined
    this.#onBlock(
      streamId,
      block,
      0,
      this.#headerBytes,
      (first & Flag.EndStream) !== 0,
      (first & Flag.Priority) !== 0,
    )
  }

  #appendHeaderBlock(buffer: Buffer, start: number, end: number): void {
    const needed = this.#headerBytes + end - start
    let block = this.#headerBlock!
    if (needed > block.length) {
      block = Buffer.allocUnsafe(needed * 2)
      this.#headerBlock!.copy(block, 0, 0, this.#headerBytes)
      this.#headerBlock = block
    }
    buffer.copy(block, this.#headerBytes, start, end)
    this.#headerBytes = needed
  }

  #onBlock(
    streamId: number,
    buffer: Buffer,
    start: number,
    end: number,
    endStream: boolean,
    selfDependent: boolean,
  ): void {
    try {
      this.onHeaderBlock(streamId, buffer, start, end, endStream, selfDependent)
    } catch (error) {
      if (!(error instanceof HpackError)) throw error
      this.fail(ErrorCode.CompressionError, error.message)
    }
  }

  // ---- the other frames

  #onPriority(buffer: Buffer, start: number, end: number, streamId: number): void {
    if (streamId === 0) return this.fail(ErrorCode.ProtocolError, 'PRIORITY on stream 0')
    const stream = this.#find(streamId)
    if (end - start !== 5) {
      if (stream !== undefined) this.resetStream(stream, ErrorCode.FrameSizeError)
      else this.fail(ErrorCode.FrameSizeError, 'PRIORITY of a false size')
      return
    }
    if ((readUint32(buffer, start) & 0x7fff_ffff) === streamId) {
      if (stream !== undefined) this.resetStream(stream, ErrorCode.ProtocolError)
      else this.fail(ErrorCode.ProtocolError, 'stream depends on itself')
      return
    }
    this.#spend(FloodCost.priority)
  }

  #onRstStream(buffer: Buffer, start: number, end: number, streamId: number): void {
    if (streamId === 0) return this.fail(ErrorCode.ProtocolError, 'RST_STREAM on stream 0')
    if (end - start !== 4) return this.fail(ErrorCode.FrameSizeError, 'RST_STREAM of a false size')
    const stream = this.#find(streamId)
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.fail(ErrorCode.ProtocolError, 'RST_STREAM on an idle stream')
      else this.#spend(FloodCost.closedStreamFrame)
      return
    }
    const early = !stream.answered
    this.#close(stream)
    this.endedIds.add(streamId)
    stream.onReset(readUint32(buffer, start), true)
    if (early && this.#isServer) this.#spend(FloodCost.earlyReset)
  }

  #onSettings(buffer: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId !== 0) return this.fail(ErrorCode.ProtocolError, 'SETTINGS on a stream')
    if ((flags & Flag.Ack) !== 0) {
      if (end !== start) this.fail(ErrorCode.FrameSizeError, 'SETTINGS acknowledgement with content')
      return
    }
    if ((end - start) % 6 !== 0) return this.fail(ErrorCode.FrameSizeError, 'SETTINGS of a false size')
    for (let at = start; at < end; at += 6) {
      this.#onSetting((buffer[at]! << 8) | buffer[at + 1]!, readUint32(buffer, at + 2))
      if (this.closed) return
    }
    if (this.handshaken && !this.#spend(FloodCost.settings)) return
    this.handshaken = true
    const { output } = this
    const at = output.reserve(FRAME_HEADER_BYTES)
    output.at = writeFrameHeader(output.buffer, at, 0, FrameType.Settings, Flag.Ack, 0)
    this.onSettings()
  }

  /** The peer's settings are in force. */
  protected onSettings(): void {}

  #onSetting(id: number, value: number): void {
    switch (id) {
      case Setting.HeaderTableSize:
        this.onPeerTableSize(value)
        break
      case Setting.EnablePush:
        if (value > 1 || (value === 1 && !this.#isServer))
          this.fail(ErrorCode.ProtocolError, 'false value of ENABLE_PUSH')
        break
      case Setting.MaxConcurrentStreams:
        this.peerStreamsMax = value
        break
      case Setting.InitialWindowSize:
        this.#onInitialWindow(value)
        break
      case Setting.MaxFrameSize:
        if (value < FRAME_PAYLOAD_MAX || value > MAX_FRAME_SIZE_LIMIT)
          this.fail(ErrorCode.ProtocolError, 'false value of MAX_FRAME_SIZE')
        break
      case Setting.MaxHeaderListSize:
        this.peerHeaderListMax = value
        break
      default:
    }
  }

  #onInitialWindow(value: number): void {
    if (value > WINDOW_MAX) return this.fail(ErrorCode.FlowControlError, 'false value of INITIAL_WINDOW_SIZE')
    const change = value - this.sender.initialWindow
    this.sender.initialWindow = value
    if (change === 0) return
    for (const stream of this.streams.values())
      if (!this.sender.addStreamWindow(stream, change)) {
        this.fail(ErrorCode.FlowControlError, 'INITIAL_WINDOW_SIZE overflows a window')
        return
      }
  }

  #onPingFrame(buffer: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId !== 0) return this.fail(ErrorCode.ProtocolError, 'PING on a stream')
    if (end - start !== PING_BYTES) return this.fail(ErrorCode.FrameSizeError, 'PING of a false size')
    if ((flags & Flag.Ack) !== 0) {
      this.onPingAck(buffer.subarray(start, end))
      return
    }
    if (!this.#spend(FloodCost.ping)) return
    this.writePing(buffer.subarray(start, end), Flag.Ack)
    this.onPing()
  }

  protected writePing(payload: Uint8Array, flags: number): void {
    const { output } = this
    const at = output.reserve(FRAME_HEADER_BYTES + PING_BYTES)
    writeFrameHeader(output.buffer, at, PING_BYTES, FrameType.Ping, flags, 0)
    output.buffer.set(payload, at + FRAME_HEADER_BYTES)
    output.at = at + FRAME_HEADER_BYTES + PING_BYTES
  }

  #onGoAwayFrame(buffer: Buffer, start: number, end: number, streamId: number): void {
    if (streamId !== 0) return this.fail(ErrorCode.ProtocolError, 'GOAWAY on a stream')
    if (end - start < 8) return this.fail(ErrorCode.FrameSizeError, 'GOAWAY of a false size')
    if (!this.#spend(FloodCost.unknownFrame)) return
    this.onGoAway(
      readUint32(buffer, start) & 0x7fff_ffff,
      readUint32(buffer, start + 4),
      buffer.toString('latin1', start + 8, end),
    )
  }

  #onWindowUpdate(buffer: Buffer, start: number, end: number, streamId: number): void {
    if (end - start !== 4) return this.fail(ErrorCode.FrameSizeError, 'WINDOW_UPDATE of a false size')
    const increment = readUint32(buffer, start) & 0x7fff_ffff
    if (!this.#spend(FloodCost.windowUpdate)) return
    if (streamId === 0) {
      if (increment === 0) return this.fail(ErrorCode.ProtocolError, 'WINDOW_UPDATE by 0')
      if (!this.sender.addConnectionWindow(increment))
        return this.fail(ErrorCode.FlowControlError, 'connection window overflows')
      this.onOutputDrained()
      return
    }
    const stream = this.#find(streamId)
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.fail(ErrorCode.ProtocolError, 'WINDOW_UPDATE on an idle stream')
      return
    }
    if (increment === 0) return this.resetStream(stream, ErrorCode.ProtocolError)
    if (!this.sender.addStreamWindow(stream, increment))
      return this.resetStream(stream, ErrorCode.FlowControlError)
    this.onOutputDrained()
  }

  // ---- streams

  protected addStream(stream: Stream): void {
    this.streams.set(stream.id, stream)
    this.#lastStream = stream
  }

  /** Forgets a stream whose halves are both closed. */
  removeStream(stream: Stream): void {
    if (!this.streams.delete(stream.id)) return
    if (this.#lastStream === stream) this.#lastStream = undefined
    this.endedIds.add(stream.id)
    this.onStreamRemoved(stream)
  }

  #close(stream: Stream): void {
    stream.localClosed = true
    stream.remoteClosed = true
    this.sender.forget(stream)
    if (!this.streams.delete(stream.id)) return
    if (this.#lastStream === stream) this.#lastStream = undefined
    this.onStreamRemoved(stream)
  }

  /** Ends a stream for its peer's fault. */
  resetStream(stream: Stream, code: number): void {
    this.cancelStream(stream, code)
    stream.onReset(code, false)
    this.#spend(FloodCost.refusedRequest)
  }

  /** Ends a stream that we want no more of. */
  cancelStream(stream: Stream, code: number): void {
    if (!this.streams.has(stream.id)) return
    this.writeReset(stream.id, code)
    this.#close(stream)
  }

  /** Refuses a stream that never became one. */
  protected refuseStream(streamId: number, code: number): void {
    this.writeReset(streamId, code)
    this.#spend(FloodCost.refusedRequest)
  }

  writeReset(streamId: number, code: number): void {
    if (this.closed) return
    this.resetIds.add(streamId)
    const { output } = this
    const at = output.reserve(FRAME_HEADER_BYTES + 4)
    writeFrameHeader(output.buffer, at, 4, FrameType.RstStream, 0, streamId)
    output.at = writeUint32(output.buffer, at + FRAME_HEADER_BYTES, code)
  }

  // ---- the end

  /** Ends the connection for its peer's fault: GOAWAY, and nothing is read any more. */
  fail(code: number, text: string): void {
    if (this.closed) return
    this.writeGoAway(this.lastPeerStreamId, code, text)
    this.finish(`${errorCodeName(code)}: ${text}`)
  }

  protected writeGoAway(lastStreamId: number, code: number, debug: string): void {
    const { output } = this
    const length = 8 + debug.length
    let at = output.reserve(FRAME_HEADER_BYTES + length)
    at = writeFrameHeader(output.buffer, at, length, FrameType.GoAway, 0, 0)
    at = writeUint32(output.buffer, at, lastStreamId)
    at = writeUint32(output.buffer, at, code)
    output.at = at + output.buffer.write(debug, at, 'latin1')
  }

  /** Sends what is written, then closes; what the peer still sends is read and dropped, lest a reset destroys it. */
  protected finish(reason: string): void {
    if (this.closed) return
    this.output.flush()
    this.lost(reason)
    this.#lingerUntilMs = performance.now() + this.limits.goAwayLingerMs
    this.socket.resume()
    this.socket.end()
  }

  /** The connection is of no more use: tells its streams. */
  lost(reason: string, _cause?: Error): void {
    if (this.closed) return
    this.closed = true
    for (const stream of this.streams.values()) {
      stream.localClosed = true
      stream.remoteClosed = true
      stream.pending = undefined
      stream.onConnectionLost(reason)
    }
    this.streams.clear()
    this.#lastStream = undefined
    if (this.socket.readableEnded && !this.socket.writableEnded) this.socket.destroy()
  }

  // ---- time

  sweep(nowMs: number): void {
    if (this.closed) {
      if (nowMs >= this.#lingerUntilMs) this.socket.destroy()
      return
    }
    if (!this.handshaken) {
      if (nowMs - this.#openedAtMs >= this.limits.handshakeTimeoutMs)
        this.#abandon('no HTTP/2 handshake in time')
      return
    }
    this.#sweepKeepalive(nowMs)
    this.#sweepStalls(nowMs)
  }

  #sweepKeepalive(nowMs: number): void {
    if (this.#heard) {
      this.#heard = false
      this.#heardAtMs = nowMs
      this.#pingSentAtMs = 0
    }
    const probe = this.#keepalive
    if (probe === undefined) return
    if (this.#pingSentAtMs > 0) {
      if (nowMs - this.#pingSentAtMs >= probe.timeoutMs)
        this.#abandon('keepalive ping not acked within timeout')
    } else if (
      nowMs - this.#heardAtMs >= probe.intervalMs &&
      (probe.withoutStreams || this.streams.size > 0)
    ) {
      this.#pingSentAtMs = nowMs
      this.writePing(KEEPALIVE_PING, 0)
    }
  }

  #sweepStalls(nowMs: number): void {
    const { socket } = this
    const taken = socket.bytesWritten - socket.writableLength
    if (socket.writableLength === 0 || taken !== this.#takenBytes) {
      this.#takenBytes = taken
      this.#takenAtMs = nowMs
    } else if (nowMs - this.#takenAtMs >= this.limits.stallTimeoutMs) {
      this.#abandon('the peer does not read')
      return
    }
    if (this.sender.pendingBytes === 0) return
    for (const stream of this.streams.values())
      if (stream.pending !== undefined && nowMs - stream.pending.movedAtMs >= this.limits.stallTimeoutMs)
        this.resetStream(stream, ErrorCode.InternalError)
  }

  #abandon(reason: string): void {
    this.lost(reason)
    this.socket.destroy()
  }
}
