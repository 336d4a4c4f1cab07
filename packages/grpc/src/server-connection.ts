import type { Socket } from 'node:net'
import { Connection } from './connection.ts'
import { writeGoAway, writePing } from './control-frames.ts'
import type { DeadlineWheel } from './deadline-wheel.ts'
import { Fifo } from './fifo.ts'
import { ErrorCode, Setting, STREAM_ID_MAX } from './frames.ts'
import { DECODER_TABLE_BYTES, HpackDecoder } from './hpack/decoder.ts'
import { isPseudo } from './hpack/header-field.ts'
import { FloodCost, type Limits, PING_STRIKES_MAX } from './limits.ts'
import type { KeepaliveProbe } from './liveness.ts'
import type { MethodTable } from './method-table.ts'
import { type Refusal, type RequestHead, RequestHeadReader } from './request-head.ts'
import { headerPairs, type Pair, plainBlock, ResponseBlocks, statusPairs } from './response-blocks.ts'
import { ServerStream } from './server-stream.ts'

/** What a connection needs of its server. */
export interface ServerHost {
  readonly methods: MethodTable
  readonly limits: Limits
  readonly deadlines: DeadlineWheel
  readonly receiveBytesMax: number
  readonly sendBytesMax: number
  /** SETTINGS_MAX_CONCURRENT_STREAMS, or Infinity. */
  readonly concurrentStreamsMax: number
  readonly probe: KeepaliveProbe
  readonly pingPolicy: PingPolicy
  receivedBytes: number
  sentBytes: number
  openStreams: number
  forget(connection: ServerConnection): void
}

/** Which pings of clients are too many. */
export interface PingPolicy {
  readonly minTimeMs: number
  readonly permitWithoutStream: boolean
}

/** A client without streams should not ping at all, if pings without streams are not permitted: once in this time. */
const IDLE_PING_INTERVAL_MS = 2 * 60 * 60 * 1000

const DRAIN_PING = Buffer.from('drain\0\0\0', 'latin1')

/** A request that waits until the connection's output has become less. */
interface HeldRequest {
  readonly stream: ServerStream
  readonly message: Buffer
}

/** The server's end of a connection: turns header blocks into calls. */
export class ServerConnection extends Connection<ServerStream> {
  readonly host: ServerHost
  readonly blocks = new ResponseBlocks()
  readonly #decoder: HpackDecoder
  readonly #heads: RequestHeadReader
  readonly #held = new Fifo<HeldRequest>()
  #pingStrikes = 0
  #lastPingAtMs = -Infinity
  /** Frames of answers sent when the last ping came. */
  #answersAtLastPing = -1
  #draining: 'no' | 'announced' | 'last id sent' = 'no'
  /** Highest stream id that the client has used... */
  #lastId = 0
  /** ...and that became a call. */
  protected lastActedId = 0

  constructor(socket: Socket, host: ServerHost) {
    super(socket, host.limits, true, host.probe)
    this.host = host
    this.#decoder = new HpackDecoder(host.limits.headerListBytesMax)
    this.#heads = new RequestHeadReader(this.#decoder, host.methods, host.limits.headerListBytesMax)
    const settings: [number, number][] = [
      [Setting.InitialWindowSize, host.limits.streamWindowBytes],
      [Setting.MaxHeaderListSize, host.limits.headerListBytesMax],
    ]
    if (host.concurrentStreamsMax < 0xffff_ffff)
      settings.push([Setting.MaxConcurrentStreams, host.concurrentStreamsMax])
    this.writeOpening(settings)
  }

  protected onHeaderBlock(
    streamId: number,
    buffer: Buffer,
    start: number,
    end: number,
    endStream: boolean,
    selfDependent: boolean,
  ): void {
    if (streamId > this.#lastId && (streamId & 1) === 1) {
      const head = this.#heads.read(buffer, start, end)
      this.#lastId = streamId
      // After the last GOAWAY a client's newer streams are for another connection.
      if (this.#draining === 'last id sent') {
        this.#refuse(streamId, ErrorCode.RefusedStream, FloodCost.refusedStream)
        return
      }
      this.lastActedId = streamId
      if (head.malformed || selfDependent || (endStream && head.contentLength > 0))
        this.#refuse(streamId, ErrorCode.ProtocolError, FloodCost.streamError)
      else this.#open(streamId, head, endStream)
      return
    }
    this.#decoder.decode(buffer, start, end)
    const stream = this.streams.get(streamId)
    if (stream !== undefined) this.#onTrailers(stream, endStream, selfDependent)
    else if (this.resetIds.has(streamId)) this.charge(FloodCost.closedStreamFrame)
    else if (this.endedIds.has(streamId)) this.fail(ErrorCode.StreamClosed, 'HEADERS on a closed stream')
    else this.fail(ErrorCode.ProtocolError, 'HEADERS with a false stream id')
  }

  /** Resets a stream that never became one. */
  #refuse(streamId: number, code: number, cost: number): void {
    this.writeReset(streamId, code)
    this.charge(cost)
  }

  #open(streamId: number, head: RequestHead, endStream: boolean): void {
    const { host } = this
    if (this.streams.size >= Math.min(host.concurrentStreamsMax, this.limits.streamsMax)) {
      this.#refuse(streamId, ErrorCode.RefusedStream, FloodCost.refusedStream)
      return
    }
    const { entry } = head
    if (head.refusal !== undefined || entry === undefined) {
      this.#answer(streamId, head.refusal!, endStream)
      return
    }
    entry.started++
    host.openStreams++
    const stream = new ServerStream(this, streamId, head, entry)
    stream.remoteClosed = endStream
    this.addStream(stream)
    if (head.timeoutMs >= 0) host.deadlines.add(stream)
    stream.open()
    if (endStream) stream.onRemoteEnd()
  }

  /** Answers a request that reaches no service. */
  #answer(streamId: number, refusal: Refusal, endStream: boolean): void {
    const pairs: Pair[] = [...headerPairs(refusal.httpStatus), ...statusPairs(refusal)]
    if (refusal.message.startsWith('grpc: Decompressor')) pairs.push(['grpc-accept-encoding', 'gzip'])
    const block = plainBlock(pairs)
    this.sender.headers(streamId, block, block.length, true)
    if (endStream) this.endedIds.add(streamId)
    else this.endEarly(streamId)
  }

  /** Tells the client of an ended stream that no more of its half is wanted. */
  endEarly(streamId: number): void {
    this.guard.forgive()
    this.writeReset(streamId, ErrorCode.NoError)
  }

  #onTrailers(stream: ServerStream, endStream: boolean, selfDependent: boolean): void {
    if (stream.remoteClosed) {
      this.resetStream(stream, ErrorCode.StreamClosed)
      return
    }
    const { fields, count } = this.#decoder
    let malformed = !endStream || selfDependent || stream.contentLeft > 0
    for (let i = 0; i < count; i++) if (!fields[i]!.valid || isPseudo(fields[i]!.kind)) malformed = true
    if (malformed) {
      this.resetStream(stream, ErrorCode.ProtocolError)
      return
    }
    stream.remoteClosed = true
    stream.onRemoteEnd()
  }

  protected isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || streamId > this.#lastId
  }

  protected onPeerTableSize(size: number): void {
    if (size >= DECODER_TABLE_BYTES) return
    this.blocks.disableTable()
    this.sender.tableClearOwed = true
  }

  protected onSettings(): void {}

  protected onStreamRemoved(): void {
    this.host.openStreams--
    if (this.#draining === 'last id sent' && this.streams.size === 0) this.finish('drained')
  }

  override lost(reason: string, cause?: Error): void {
    if (!this.closed) this.host.openStreams -= this.streams.size
    super.lost(reason, cause)
  }

  protected onSocketClosed(): void {
    this.host.forget(this)
  }

  // ---- requests wait while answers do

  /** More answers wait for the client than may: requests wait too. */
  get holdsRequests(): boolean {
    return this.sender.pendingBytes > this.limits.connectionHighWaterBytes || this.#held.size > 0
  }

  /** Held requests take memory too: their client gets no window for more. */
  protected get withholdsWindow(): boolean {
    return this.#held.size > 0
  }

  holdRequest(stream: ServerStream, message: Buffer): void {
    this.#held.push({ stream, message })
    this.assemblyBytes += message.length
    if (this.assemblyBytes > this.limits.assemblyBytesMax)
      this.fail(ErrorCode.EnhanceYourCalm, 'too many requests for a client that reads no answers')
  }

  protected onOutputDrained(): void {
    while (this.#held.size > 0 && this.sender.pendingBytes <= this.limits.connectionHighWaterBytes) {
      const { stream, message } = this.#held.shift()!
      this.assemblyBytes -= message.length
      stream.resume(message)
    }
  }

  // ---- pings

  /** grpc-go's policy: early pings are strikes, and what we send forgives them. */
  protected onPing(): void {
    const nowMs = performance.now()
    const { pingPolicy } = this.host
    const sinceMs = nowMs - this.#lastPingAtMs
    this.#lastPingAtMs = nowMs
    const { answerFrames } = this.guard
    if (answerFrames !== this.#answersAtLastPing) {
      this.#answersAtLastPing = answerFrames
      this.#pingStrikes = 0
      return
    }
    const idle = this.streams.size === 0 && !pingPolicy.permitWithoutStream
    if (sinceMs >= (idle ? IDLE_PING_INTERVAL_MS : pingPolicy.minTimeMs)) return
    if (++this.#pingStrikes > PING_STRIKES_MAX) this.fail(ErrorCode.EnhanceYourCalm, 'too_many_pings')
  }

  // ---- draining

  /**
   * Begins a graceful end (RFC 9113, 6.8): a GOAWAY that forbids nothing yet, then, when a ping has gone to the client and back, one
   * with the last stream that we have seen; the connection ends with its last stream.
   */
  drain(): void {
    if (this.closed || this.#draining !== 'no') return
    this.#draining = 'announced'
    writeGoAway(this.output, STREAM_ID_MAX, ErrorCode.NoError, 'graceful_stop')
    writePing(this.output, DRAIN_PING, 0)
  }

  protected onPingAck(payload: Buffer): void {
    if (this.#draining !== 'announced' || !payload.equals(DRAIN_PING)) return
    this.#draining = 'last id sent'
    writeGoAway(this.output, this.lastActedId, ErrorCode.NoError, '')
    if (this.streams.size === 0) this.finish('drained')
  }

  protected onGoAway(): void {}
}
