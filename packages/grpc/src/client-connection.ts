import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { ClientCall } from './client-call.ts'
import { Connection } from './connection.ts'
import type { DeadlineWheel } from './deadline-wheel.ts'
import { dialErrorMessage, handshakeFailed, lostMessage } from './dial-error.ts'
import { Fifo } from './fifo.ts'
import { ErrorCode, errorCodeName, Setting, STREAM_ID_MAX } from './frames.ts'
import { encodeTimeout } from './grpc-timeout.ts'
import { HpackDecoder } from './hpack/decoder.ts'
import { fieldBytesMax, HpackEncoder, writePlainField, writeSecretField } from './hpack/encoder.ts'
import { FIELD_OVERHEAD_BYTES } from './hpack/header-field.ts'
import type { Limits } from './limits.ts'
import type { KeepaliveProbe } from './liveness.ts'
import type { Metadata } from './service.ts'
import { Code, type Status } from './status.ts'

/** What a connection needs of its client. */
export interface ClientSettings {
  readonly authority: string
  readonly userAgent: string
  readonly limits: Limits
  readonly deadlines: DeadlineWheel
  readonly receiveBytesMax: number
  readonly sendBytesMax: number
  readonly probe: KeepaliveProbe | undefined
  receivedBytes: number
  /** The server's SETTINGS have come. */
  onReady(connection: ClientConnection): void
  /** The connection takes no further calls. */
  onUnusable(connection: ClientConnection): void
  forget(connection: ClientConnection): void
}

/** Metadata whose values must not enter compression tables. */
const secretNames: ReadonlySet<string> = new Set(['authorization', 'token'])

const FIXED_FIELDS_BYTES = 512

/** A header block that came out of the encoder, while its table is as it was. */
interface KnownBlock {
  readonly epoch: number
  readonly bytes: Buffer
}

/** Blocks of more paths than this are not remembered. */
const KNOWN_BLOCKS_MAX = 256

/** The client's end of a connection. */
export class ClientConnection extends Connection<ClientCall> {
  readonly settings: ClientSettings
  /** The status of calls that the connection's loss has ended. */
  lostStatus: Status = { code: Code.Unavailable, message: 'error reading from server: EOF' }
  #lossKnown = false
  readonly #scheme: string
  readonly #decoder: HpackDecoder
  readonly #encoder = new HpackEncoder()
  readonly #known = new Map<string, KnownBlock>()
  readonly #waiting = new Fifo<ClientCall>()
  #nextId = 1
  #usable = true
  #scratch = Buffer.alloc(1024)
  /** A server opens no streams. */
  protected readonly lastActedId = 0
  protected readonly withholdsWindow = false

  constructor(socket: Socket, settings: ClientSettings) {
    super(socket, settings.limits, false, settings.probe)
    this.settings = settings
    this.#scheme = socket instanceof TLSSocket ? 'https' : 'http'
    this.#decoder = new HpackDecoder(settings.limits.headerListBytesMax)
    if (socket instanceof TLSSocket) socket.once('secureConnect', () => this.#checkAlpn(socket))
    this.writeOpening([
      [Setting.EnablePush, 0],
      [Setting.InitialWindowSize, settings.limits.streamWindowBytes],
      [Setting.MaxHeaderListSize, settings.limits.headerListBytesMax],
    ])
  }

  #checkAlpn(socket: TLSSocket): void {
    if (socket.alpnProtocol === 'h2') return
    this.#loseWith(handshakeFailed('credentials: cannot check peer: missing selected ALPN property'))
    socket.destroy()
  }

  /** True while new calls may be opened. */
  get usable(): boolean {
    return this.#usable && !this.closed
  }

  // ---- opening calls

  open(call: ClientCall): void {
    if (call.deadlineAtMs !== Infinity) this.settings.deadlines.add(call)
    if (this.streams.size < this.peerStreamsMax) this.#start(call)
    else this.#waiting.push(call)
  }

  #start(call: ClientCall): void {
    if (this.#nextId > STREAM_ID_MAX - 2) this.#becomeUnusable()
    const id = this.#nextId
    this.#nextId += 2
    const length = this.#writeRequestHead(call)
    if (length < 0) {
      this.#nextId = id
      call.refused({
        code: Code.Internal,
        message: `header list size to send violates the maximum size (${this.peerHeaderListMax} bytes) set by server`,
      })
      return
    }
    call.id = id
    this.addStream(call)
    this.sender.headers(id, this.#scratch, length, false)
    call.onOpened()
  }

  /** Writes a request's header block into the scratch buffer; returns its length, or -1 if the server forbids it. */
  #writeRequestHead(call: ClientCall): number {
    const { metadata } = call.options
    const extra = this.#metadataBytes(metadata)
    if (FIXED_FIELDS_BYTES + extra > this.peerHeaderListMax) return -1
    this.#makeScratch(FIXED_FIELDS_BYTES + 2 * call.path.length + extra)
    let at = this.#writeFixedFields(call.path)
    const out = this.#scratch
    if (call.deadlineAtMs !== Infinity)
      at = writePlainField(out, at, 'grpc-timeout', encodeTimeout(call.deadlineAtMs - performance.now()))
    if (metadata === undefined) return at
    for (const [name, value] of metadata.entries())
      at = secretNames.has(name)
        ? writeSecretField(out, at, name, value)
        : writePlainField(out, at, name, value)
    return at
  }

  #metadataBytes(metadata: Metadata | undefined): number {
    let bytes = 0
    if (metadata !== undefined)
      for (const [name, value] of metadata.entries())
        bytes += fieldBytesMax(name, value) + FIELD_OVERHEAD_BYTES
    return bytes
  }

  #makeScratch(bytes: number): void {
    const { authority, userAgent } = this.settings
    const needed = bytes + 2 * (authority.length + userAgent.length)
    if (this.#scratch.length < needed) this.#scratch = Buffer.alloc(needed * 2)
  }

  #writeFixedFields(path: string): number {
    const encoder = this.#encoder
    const known = this.#known.get(path)
    if (known !== undefined && known.epoch === encoder.table.epoch) return known.bytes.copy(this.#scratch)
    const out = this.#scratch
    const from = encoder.begin(out, 0)
    const { epoch } = encoder.table
    let at = encoder.write(out, from, ':method', 'POST')
    at = encoder.write(out, at, ':scheme', this.#scheme)
    at = encoder.write(out, at, ':path', path)
    at = encoder.write(out, at, ':authority', this.settings.authority)
    at = encoder.write(out, at, 'content-type', 'application/grpc')
    at = encoder.write(out, at, 'user-agent', this.settings.userAgent)
    at = encoder.write(out, at, 'te', 'trailers')
    // A block that changed the table would not mean the same a second time.
    if (epoch === encoder.table.epoch) this.#remember(path, epoch, out, from, at)
    return at
  }

  #remember(path: string, epoch: number, out: Buffer, from: number, to: number): void {
    if (this.#known.size >= KNOWN_BLOCKS_MAX) this.#known.clear()
    this.#known.set(path, { epoch, bytes: Buffer.from(out.subarray(from, to)) })
  }

  /** Ends a call's stream, or its wait for one. */
  abandon(call: ClientCall): void {
    if (call.id !== 0) this.cancelStream(call, ErrorCode.Cancel)
    else this.sender.forget(call)
  }

  protected onStreamRemoved(): void {
    while (this.#waiting.size > 0 && this.streams.size < this.peerStreamsMax && !this.closed) {
      const call = this.#waiting.shift()!
      if (!call.ended) this.#start(call)
    }
    if (!this.#usable && this.streams.size === 0) this.finish('no calls left')
  }

  protected onSettings(): void {
    this.settings.onReady(this)
  }

  // ---- answers

  protected onHeaderBlock(
    streamId: number,
    buffer: Buffer,
    start: number,
    end: number,
    endStream: boolean,
    _selfDependent: boolean,
  ): void {
    this.#decoder.decode(buffer, start, end)
    const call = this.streams.get(streamId)
    if (call === undefined) {
      if (this.isIdle(streamId)) this.fail(ErrorCode.ProtocolError, 'HEADERS on an idle stream')
    } else if (call.remoteClosed) this.resetStream(call, ErrorCode.StreamClosed)
    else call.onHeaderBlock(this.#decoder, endStream)
  }

  protected isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || streamId >= this.#nextId
  }

  protected onPeerTableSize(size: number): void {
    this.#encoder.limitTable(Math.min(size, 4096))
  }

  protected onPing(): void {}
  protected onPingAck(): void {}
  protected onOutputDrained(): void {}

  protected onGoAway(lastStreamId: number, code: number, debug: string): void {
    this.#becomeUnusable()
    const calm = code === ErrorCode.EnhanceYourCalm && debug === 'too_many_pings'
    const reason = `received prior goaway: code: ${errorCodeName(code)}, debug data: ${JSON.stringify(debug)}`
    this.#lossKnown = true
    this.lostStatus = {
      code: Code.Unavailable,
      message: `closing transport due to: connection error: desc = "error reading from server: EOF", ${reason}`,
    }
    const refusal: Status = {
      code: Code.Unavailable,
      message: calm ? this.lostStatus.message : `the connection is draining: ${reason}`,
    }
    this.#refuseWaiting(refusal)
    for (const stream of this.streams.values())
      if (stream.id > lastStreamId) {
        this.cancelStream(stream, ErrorCode.RefusedStream)
        stream.refused(refusal)
      }
    if (this.streams.size === 0) this.finish('no calls left')
  }

  #refuseWaiting(status: Status): void {
    for (let call = this.#waiting.shift(); call !== undefined; call = this.#waiting.shift())
      call.refused(status)
  }

  #becomeUnusable(): void {
    if (!this.#usable) return
    this.#usable = false
    this.settings.onUnusable(this)
  }

  // ---- the end

  /** Ends the connection from our side, and every call with it. */
  shutDown(): void {
    this.#lossKnown = true
    this.lostStatus = { code: Code.Cancelled, message: 'grpc: the client connection is closing' }
    this.fail(ErrorCode.NoError, '')
    this.socket.destroy()
  }

  #loseWith(message: string): void {
    this.#lossKnown = true
    this.lostStatus = { code: Code.Unavailable, message }
    this.lost(message)
  }

  override lost(reason: string, cause?: Error): void {
    if (this.closed) return
    const message = this.#lostMessage(reason, cause)
    if (message !== undefined) this.lostStatus = { code: Code.Unavailable, message }
    super.lost(reason, cause)
    this.#becomeUnusable()
    this.#refuseWaiting(this.lostStatus)
  }

  /** @returns undefined when the status of the loss is already known */
  #lostMessage(reason: string, cause: Error | undefined): string | undefined {
    if (cause !== undefined) return this.handshaken ? lostMessage(cause) : dialErrorMessage(cause)
    if (this.#lossKnown || (this.handshaken && reason === 'EOF')) return undefined
    return `connection error: desc = "${this.handshaken ? reason : `error reading server preface: ${reason}`}"`
  }

  protected onSocketClosed(): void {
    this.settings.forget(this)
  }
}
