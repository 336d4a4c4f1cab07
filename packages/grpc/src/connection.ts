import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { AssemblyBudget } from './assembly-budget.ts'
import {
  PING_BYTES,
  type SettingPair,
  writeGoAway,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from './control-frames.ts'
import { FloodGuard } from './flood-guard.ts'
import { FrameReader, type FrameSink } from './frame-reader.ts'
import {
  DEFAULT_WINDOW,
  ErrorCode,
  errorCodeName,
  Flag,
  FRAME_PAYLOAD_MAX,
  FrameType,
  PREFACE,
  readUint32,
  Setting,
  WINDOW_MAX,
} from './frames.ts'
import { HeaderAssembler } from './header-assembler.ts'
import { HpackError } from './hpack/decoder.ts'
import { IdRing } from './id-ring.ts'
import { FloodCost, type Limits, TINY_DATA_BYTES } from './limits.ts'
import { type KeepaliveProbe, Liveness } from './liveness.ts'
import { Output } from './output.ts'
import { Sender } from './sender.ts'
import type { Stream } from './stream.ts'
import type { Swept } from './sweeper.ts'

const KEEPALIVE_PING = Buffer.from('alive\0\0\0', 'latin1')

/** Why a connection was given up; the second in grpc-go's words. */
const verdictTexts = {
  'no handshake': 'no HTTP/2 greeting in time',
  'no ping answer': 'keepalive ping failed to receive ACK within timeout',
  stalled: 'the other end does not read',
} as const

const PRIORITY_BYTES = 5
const SETTING_BYTES = 6
const MAX_FRAME_SIZE_LIMIT = 0xff_ffff
const STREAM_ID_BITS = 0x7fff_ffff

/**
 * One HTTP/2 connection, either end: reads frames, holds the streams and both directions' flow control, and answers
 * the connection's own frames. What a header block means is its subclass's.
 *
 * Errors have the scope and code of RFC 9113: `fail` ends the connection, `resetStream` one stream.
 */
export abstract class Connection<S extends Stream = Stream> implements FrameSink, Swept {
  readonly socket: Socket
  readonly limits: Limits
  readonly output: Output
  readonly sender: Sender
  readonly guard: FloodGuard
  readonly assembly: AssemblyBudget
  readonly streams = new Map<number, S>()
  closed = false
  /** The peer's SETTINGS have come. */
  handshaken = false
  /** SETTINGS_MAX_HEADER_LIST_SIZE of the peer. */
  peerHeaderListMax = Infinity
  /** SETTINGS_MAX_CONCURRENT_STREAMS of the peer. */
  peerStreamsMax = Infinity
  /** Parts of unfinished messages held by streams. */
  assemblyBytes = 0

  /** Streams that we reset: their peer may send on until it knows. */
  protected readonly resetIds = new IdRing()
  /** Streams that ended by themselves. */
  protected readonly endedIds = new IdRing()

  readonly #isServer: boolean
  readonly #reader: FrameReader
  readonly #headers: HeaderAssembler
  readonly #liveness: Liveness
  #receiveWindow: number
  #owedWindow = 0
  /** The stream of the newest DATA or HEADERS frame. */
  #lastStream: S | undefined
  #readingPaused = false
  #lingerUntilMs = 0

  constructor(socket: Socket, limits: Limits, isServer: boolean, probe: KeepaliveProbe | undefined) {
    this.socket = socket
    this.limits = limits
    this.#isServer = isServer
    this.#receiveWindow = limits.connectionWindowBytes
    this.#headers = new HeaderAssembler(limits)
    this.#liveness = new Liveness(limits, probe)
    this.guard = new FloodGuard(limits)
    this.assembly = new AssemblyBudget(limits.grantBytesMax)
    this.output = new Output(socket, socket instanceof TLSSocket)
    this.output.onDrain = () => this.#onDrain()
    this.sender = new Sender(this.output, limits, this.guard)
    this.#reader = new FrameReader(this, isServer)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, limits.tcpKeepAliveMs)
    socket.on('data', (chunk: Buffer) => this.#onBytes(chunk))
    socket.on('end', () => this.lost('EOF'))
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
  protected abstract onSettings(): void
  protected abstract onPeerTableSize(size: number): void
  protected abstract onGoAway(lastStreamId: number, code: number, debug: string): void
  protected abstract onPing(): void
  protected abstract onPingAck(payload: Buffer): void
  /** A stream has left the map. */
  protected abstract onStreamRemoved(): void
  protected abstract onSocketClosed(): void
  /** Waiting output has become less. */
  protected abstract onOutputDrained(): void
  /** True for a stream that neither side has opened. */
  protected abstract isIdle(streamId: number): boolean
  /** The id for a GOAWAY: the last stream of the peer that was, or may have been, acted on. */
  protected abstract readonly lastActedId: number
  /** Whether the peer should be held back: the connection's window is then not refilled. */
  protected abstract readonly withholdsWindow: boolean

  /** Writes our first frames: SETTINGS, and the connection's window. */
  protected writeOpening(settings: readonly SettingPair[]): void {
    const { output } = this
    if (!this.#isServer) {
      const at = output.reserve(PREFACE.length)
      output.buffer.set(PREFACE, at)
      output.at = at + PREFACE.length
    }
    writeSettings(output, settings)
    writeWindowUpdate(output, 0, this.limits.connectionWindowBytes - DEFAULT_WINDOW)
  }

  #onBytes(chunk: Buffer): void {
    if (this.closed) return
    this.#liveness.heard = true
    this.#reader.push(chunk)
    // A client does not pause: two ends that both wait for the other to read would wait for ever.
    if (this.#isServer && this.output.backlogBytes > this.limits.socketBacklogBytesMax) this.#pauseReading()
  }

  #pauseReading(): void {
    this.output.flush()
    if (this.closed || this.socket.writableLength <= this.limits.socketBacklogBytesMax) return
    this.#readingPaused = true
    this.socket.pause()
  }

  #onDrain(): void {
    if (this.closed) return
    this.sender.pump()
    this.#onLessOutput()
    if (!this.#readingPaused) return
    this.#readingPaused = false
    this.socket.resume()
  }

  #onLessOutput(): void {
    this.onOutputDrained()
    this.#returnWindow()
  }

  onBadPreface(): void {
    this.fail(ErrorCode.ProtocolError, 'bogus greeting')
  }

  onOversizedFrame(): void {
    this.fail(ErrorCode.FrameSizeError, 'frame too large')
  }

  onFrame(buffer: Buffer, start: number, end: number, type: number, flags: number, streamId: number): void {
    if (this.#headers.streamId !== 0) {
      if (type === FrameType.Continuation && streamId === this.#headers.streamId)
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
        return this.#onSettingsFrame(buffer, start, end, flags, streamId)
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
        this.charge(FloodCost.unknownFrame)
    }
  }

  /** Charges the peer; closes the connection and returns false when it cannot pay. */
  protected charge(cost: number): boolean {
    if (this.guard.spend(cost)) return true
    this.fail(ErrorCode.EnhanceYourCalm, 'too many frames without work')
    return false
  }

  // ---- DATA and windows

  #onData(buffer: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId === 0) return this.fail(ErrorCode.ProtocolError, 'DATA on stream 0')
    const length = end - start
    if (length > this.#receiveWindow)
      return this.fail(ErrorCode.FlowControlError, 'connection window exceeded')
    this.#receiveWindow -= length
    this.#owedWindow += length
    this.#returnWindow()
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
    else if (!endStream) this.charge(FloodCost.emptyData)
    if (endStream) {
      stream.onRemoteEnd()
      if (stream.localClosed) this.removeStream(stream)
    } else if (length < TINY_DATA_BYTES) this.charge(FloodCost.tinyData)
  }

  #find(streamId: number): S | undefined {
    const last = this.#lastStream
    if (last !== undefined && last.id === streamId) return last
    const stream = this.streams.get(streamId)
    if (stream !== undefined) this.#lastStream = stream
    return stream
  }

  #onDataWithoutStream(streamId: number): void {
    if (this.isIdle(streamId)) return this.fail(ErrorCode.ProtocolError, 'DATA on an idle stream')
    if (!this.charge(FloodCost.closedStreamFrame) || this.resetIds.has(streamId)) return
    this.writeReset(streamId, ErrorCode.StreamClosed)
  }

  /** Gives the connection's window back, in large steps. */
  #returnWindow(): void {
    const owed = this.#owedWindow
    if (owed < this.limits.connectionWindowBytes / 4 || this.withholdsWindow || this.closed) return
    this.#receiveWindow += owed
    this.#owedWindow = 0
    writeWindowUpdate(this.output, 0, owed)
  }

  /** Lets the peer send `bytes` more on a stream. */
  grantWindow(stream: Stream, bytes: number): void {
    if (this.closed) return
    stream.receiveWindow += bytes
    writeWindowUpdate(this.output, stream.id, bytes)
  }

  #onWindowUpdate(buffer: Buffer, start: number, end: number, streamId: number): void {
    if (end - start !== 4) return this.fail(ErrorCode.FrameSizeError, 'WINDOW_UPDATE of a false size')
    const increment = readUint32(buffer, start) & WINDOW_MAX
    if (!this.charge(FloodCost.windowUpdate)) return
    if (streamId === 0) {
      if (increment === 0) return this.fail(ErrorCode.ProtocolError, 'WINDOW_UPDATE by 0')
      if (!this.sender.addConnectionWindow(increment))
        return this.fail(ErrorCode.FlowControlError, 'connection window overflows')
      return this.#onLessOutput()
    }
    const stream = this.#find(streamId)
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.fail(ErrorCode.ProtocolError, 'WINDOW_UPDATE on an idle stream')
      return
    }
    if (increment === 0) return this.resetStream(stream, ErrorCode.ProtocolError)
    if (!this.sender.addStreamWindow(stream, increment))
      return this.resetStream(stream, ErrorCode.FlowControlError)
    this.#onLessOutput()
  }

  // ---- HEADERS and CONTINUATION

  #onHeaders(buffer: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId === 0) return this.fail(ErrorCode.ProtocolError, 'HEADERS on stream 0')
    if ((flags & Flag.Padded) !== 0) {
      if (start === end) return this.fail(ErrorCode.FrameSizeError, 'HEADERS without its pad length')
      end -= buffer[start++]!
      if (end < start) return this.fail(ErrorCode.ProtocolError, 'padding longer than its frame')
    }
    let selfDependent = false
    if ((flags & Flag.Priority) !== 0) {
      if (end - start < PRIORITY_BYTES)
        return this.fail(ErrorCode.FrameSizeError, 'HEADERS without its priority')
      selfDependent = (readUint32(buffer, start) & STREAM_ID_BITS) === streamId
      start += PRIORITY_BYTES
    }
    const endStream = (flags & Flag.EndStream) !== 0
    if ((flags & Flag.EndHeaders) !== 0)
      return this.#onBlock(streamId, buffer, start, end, endStream, selfDependent)
    this.#headers.begin(streamId, endStream, selfDependent)
    this.#headers.append(buffer, start, end)
  }

  #onContinuation(buffer: Buffer, start: number, end: number, flags: number): void {
    const headers = this.#headers
    if (!this.charge(FloodCost.continuation)) return
    if (!headers.admits(end - start))
      return this.fail(ErrorCode.EnhanceYourCalm, 'header block too large or in too many frames')
    headers.append(buffer, start, end)
    if ((flags & Flag.EndHeaders) === 0) return
    const { streamId, length, endStream, selfDependent } = headers
    this.#onBlock(streamId, headers.finish(), 0, length, endStream, selfDependent)
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
    const sized = end - start === PRIORITY_BYTES
    if (sized && (readUint32(buffer, start) & STREAM_ID_BITS) !== streamId) {
      this.charge(FloodCost.priority)
      return
    }
    // A stream error; but an idle stream cannot be reset.
    const code = sized ? ErrorCode.ProtocolError : ErrorCode.FrameSizeError
    const stream = this.#find(streamId)
    if (stream !== undefined) this.resetStream(stream, code)
    else this.fail(code, sized ? 'stream depends on itself' : 'PRIORITY of a false size')
  }

  #onRstStream(buffer: Buffer, start: number, end: number, streamId: number): void {
    if (streamId === 0) return this.fail(ErrorCode.ProtocolError, 'RST_STREAM on stream 0')
    if (end - start !== 4) return this.fail(ErrorCode.FrameSizeError, 'RST_STREAM of a false size')
    const stream = this.#find(streamId)
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.fail(ErrorCode.ProtocolError, 'RST_STREAM on an idle stream')
      else this.charge(FloodCost.closedStreamFrame)
      return
    }
    const early = !stream.answered
    this.endedIds.add(streamId)
    this.#close(stream)
    stream.onReset(readUint32(buffer, start), true)
    if (early && this.#isServer) this.charge(FloodCost.earlyReset)
  }

  #onSettingsFrame(buffer: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId !== 0) return this.fail(ErrorCode.ProtocolError, 'SETTINGS on a stream')
    if ((flags & Flag.Ack) !== 0) {
      if (end !== start) this.fail(ErrorCode.FrameSizeError, 'SETTINGS acknowledgement with content')
      return
    }
    if ((end - start) % SETTING_BYTES !== 0)
      return this.fail(ErrorCode.FrameSizeError, 'SETTINGS of a false size')
    // Every change of the initial window touches every stream.
    const cost = FloodCost.settings + (this.streams.size >>> 8)
    if (this.handshaken && !this.charge(cost)) return
    let initialWindow = this.sender.initialWindow
    for (let at = start; at < end; at += SETTING_BYTES) {
      const id = (buffer[at]! << 8) | buffer[at + 1]!
      const value = readUint32(buffer, at + 2)
      if (id !== Setting.InitialWindowSize) this.#onSetting(id, value)
      else if (value <= WINDOW_MAX) initialWindow = value
      else this.fail(ErrorCode.FlowControlError, 'false value of INITIAL_WINDOW_SIZE')
      if (this.closed) return
    }
    // Once a frame, however often the frame names it.
    if (!this.#changeInitialWindow(initialWindow)) return
    this.handshaken = true
    writeSettingsAck(this.output)
    this.onSettings()
  }

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

  #changeInitialWindow(value: number): boolean {
    const change = value - this.sender.initialWindow
    this.sender.initialWindow = value
    if (change === 0) return true
    // Not the map itself: a call that ends here may let another begin, with the new window.
    for (const stream of Array.from(this.streams.values()))
      if (!this.sender.addStreamWindow(stream, change)) {
        this.fail(ErrorCode.FlowControlError, 'INITIAL_WINDOW_SIZE overflows a window')
        return false
      }
    return true
  }

  #onPingFrame(buffer: Buffer, start: number, end: number, flags: number, streamId: number): void {
    if (streamId !== 0) return this.fail(ErrorCode.ProtocolError, 'PING on a stream')
    if (end - start !== PING_BYTES) return this.fail(ErrorCode.FrameSizeError, 'PING of a false size')
    const payload = buffer.subarray(start, end)
    if ((flags & Flag.Ack) !== 0) this.onPingAck(payload)
    else if (this.charge(FloodCost.ping)) {
      writePing(this.output, payload, Flag.Ack)
      this.onPing()
    }
  }

  #onGoAwayFrame(buffer: Buffer, start: number, end: number, streamId: number): void {
    if (streamId !== 0) return this.fail(ErrorCode.ProtocolError, 'GOAWAY on a stream')
    if (end - start < 8) return this.fail(ErrorCode.FrameSizeError, 'GOAWAY of a false size')
    if (!this.charge(FloodCost.unknownFrame)) return
    const lastStreamId = readUint32(buffer, start) & STREAM_ID_BITS
    this.onGoAway(lastStreamId, readUint32(buffer, start + 4), buffer.toString('latin1', start + 8, end))
  }

  // ---- streams

  protected addStream(stream: S): void {
    this.streams.set(stream.id, stream)
    this.#lastStream = stream
  }

  #drop(stream: Stream): boolean {
    if (this.#lastStream === stream) this.#lastStream = undefined
    return this.streams.delete(stream.id)
  }

  /** Forgets a stream whose halves are both closed. */
  removeStream(stream: Stream): void {
    if (!this.#drop(stream)) return
    this.endedIds.add(stream.id)
    this.onStreamRemoved()
  }

  #close(stream: Stream): void {
    stream.localClosed = true
    stream.remoteClosed = true
    this.sender.forget(stream)
    if (this.#drop(stream)) this.onStreamRemoved()
  }

  /** Ends a stream for its peer's fault. */
  resetStream(stream: Stream, code: number): void {
    this.cancelStream(stream, code)
    stream.onReset(code, false)
    this.charge(FloodCost.streamError)
  }

  /** Ends a stream that we want no more of. */
  cancelStream(stream: Stream, code: number): void {
    if (!this.streams.has(stream.id)) return
    this.writeReset(stream.id, code)
    this.#close(stream)
  }

  writeReset(streamId: number, code: number): void {
    if (this.closed) return
    this.resetIds.add(streamId)
    writeRstStream(this.output, streamId, code)
  }

  // ---- the end

  /** Ends the connection for its peer's fault: GOAWAY, and nothing is read any more. */
  fail(code: number, text: string): void {
    if (this.closed) return
    writeGoAway(this.output, this.lastActedId, code, text)
    this.finish(`${errorCodeName(code)}: ${text}`)
  }

  /** Sends what is written, then closes; what the peer still sends is read and dropped, lest a reset destroys it. */
  protected finish(reason: string): void {
    if (this.closed) return
    this.#lingerUntilMs = performance.now() + this.limits.goAwayLingerMs
    this.output.flush()
    this.lost(reason)
    this.socket.resume()
    this.socket.end()
  }

  /** The connection is of no more use: tells its streams. */
  lost(reason: string, _cause?: Error): void {
    if (this.closed) return
    this.closed = true
    const streams = [...this.streams.values()]
    this.streams.clear()
    this.#lastStream = undefined
    for (const stream of streams) {
      stream.localClosed = true
      stream.remoteClosed = true
      stream.pending = undefined
      stream.onConnectionLost(reason)
    }
    if (this.socket.readableEnded) this.socket.destroy()
  }

  sweep(nowMs: number): void {
    if (this.closed) {
      if (nowMs >= this.#lingerUntilMs) this.socket.destroy()
      return
    }
    const verdict = this.#liveness.look(nowMs, this.socket, this.handshaken, this.streams.size > 0)
    if (verdict === 'ping') writePing(this.output, KEEPALIVE_PING, 0)
    else if (verdict !== 'fine') {
      this.lost(verdictTexts[verdict])
      this.socket.destroy()
    } else if (this.sender.pendingBytes > 0) this.#sweepStalledStreams(nowMs)
  }

  #sweepStalledStreams(nowMs: number): void {
    const before = nowMs - this.limits.stallTimeoutMs
    for (const stream of this.streams.values())
      if (stream.pending !== undefined && stream.pending.movedAtMs <= before)
        this.resetStream(stream, ErrorCode.InternalError)
  }
}
