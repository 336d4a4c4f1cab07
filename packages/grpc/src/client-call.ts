import type { ClientConnection } from './client-connection.ts'
import type { Deadlined } from './deadline-wheel.ts'
import { ErrorCode } from './frames.ts'
import type { HpackDecoder } from './hpack/decoder.ts'
import { CUT_MESSAGE, MessageStream } from './message-stream.ts'
import { foreignStatus, readResponseHead, resetStatus } from './response-head.ts'
import { MetadataList } from './metadata.ts'
import type { Metadata } from './service.ts'
import { Code, type Status } from './status.ts'

export interface CallOptions {
  readonly metadata?: Metadata
  /** Time for the whole call, from now. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

/** What a call tells its owner. */
export interface CallListener {
  onHeaders?: ((metadata: Metadata) => void) | undefined
  /** The message is a view, valid until this returns. */
  onMessage?: ((message: Uint8Array) => void) | undefined
  /** `write` may be called again. */
  onDrain?: (() => void) | undefined
  /** The last event, OK included. `unprocessed`: the server has certainly not seen the call. */
  onEnd?: ((status: Status, trailers: Metadata, unprocessed: boolean) => void) | undefined
}

const CANCELLED: Status = { code: Code.Cancelled, message: 'context canceled' }
const DEADLINE_EXCEEDED: Status = { code: Code.DeadlineExceeded, message: 'context deadline exceeded' }

/** One call on the client. It may have to wait for its stream until the server allows one more. */
export class ClientCall extends MessageStream implements Deadlined {
  declare readonly connection: ClientConnection
  readonly path: string
  readonly options: CallOptions
  ended = false

  deadlineAtMs: number
  deadlineNext: Deadlined | undefined = undefined
  deadlinePrevious: Deadlined | undefined = undefined
  deadlineSlot = -1

  readonly #listener: CallListener
  readonly #onAbort: (() => void) | undefined
  #halfClosed = false
  /** Half-closed before there was a stream, and before any message. */
  #endOwed = false
  /** What the trailers said. */
  #finalStatus: { status: Status; trailers: Metadata } | undefined

  constructor(connection: ClientConnection, path: string, options: CallOptions, listener: CallListener) {
    super(connection, 0, 0, connection.limits.streamWindowBytes, connection.settings.receiveBytesMax)
    this.path = path
    this.options = options
    this.#listener = listener
    this.deadlineAtMs = options.deadlineMs === undefined ? Infinity : performance.now() + options.deadlineMs
    if (options.signal !== undefined) {
      this.#onAbort = () => this.cancel()
      options.signal.addEventListener('abort', this.#onAbort, { once: true })
    }
  }

  /** The call has its stream: its headers are written, waiting messages may follow. */
  onOpened(): void {
    this.connection.sender.addStreamWindow(this, this.connection.sender.initialWindow)
    if (this.#endOwed) this.connection.sender.endStream(this)
  }

  /** @returns false when the call should send no more until `onDrain` */
  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.ended || this.#halfClosed) return true
    const { sender, settings } = this.connection
    if (end - start > settings.sendBytesMax) {
      this.#stop({
        code: Code.ResourceExhausted,
        message: `trying to send message larger than max (${end - start} vs. ${settings.sendBytesMax})`,
      })
      return true
    }
    return sender.message(this, bytes, start, end, false)
  }

  /** Sends the only message of a call and half-closes it. */
  writeLast(bytes: Uint8Array): void {
    if (this.ended) return
    if (bytes.length > this.connection.settings.sendBytesMax) this.write(bytes, 0, bytes.length)
    else {
      this.#halfClosed = true
      this.connection.sender.message(this, bytes, 0, bytes.length, true)
    }
  }

  halfClose(): void {
    if (this.ended || this.#halfClosed) return
    this.#halfClosed = true
    if (this.id !== 0 || this.pending !== undefined) this.connection.sender.endStream(this)
    else this.#endOwed = true
  }

  cancel(): void {
    this.#stop(CANCELLED)
  }

  get bufferedBytes(): number {
    return this.pending === undefined ? 0 : this.pending.bytes
  }

  // ---- the answer

  onHeaderBlock(decoder: HpackDecoder, endStream: boolean): void {
    const { connection } = this
    if (decoder.overflowed) {
      this.#stop({ code: Code.Internal, message: 'peer header list size exceeded limit' })
      return
    }
    const head = readResponseHead(decoder.fields, decoder.count, this.answered)
    if (head === undefined || (this.answered && !endStream)) {
      connection.resetStream(this, ErrorCode.ProtocolError)
      return
    }
    // Informational answers precede the real one (RFC 9113, 8.1).
    if (!this.answered && head.httpStatus < 200 && !endStream) return
    const first = !this.answered
    this.answered = true
    if (first && (head.httpStatus !== 200 || !head.isGrpc)) {
      this.#stop(foreignStatus(head))
      return
    }
    if (!endStream) {
      this.encoding = head.encoding
      this.#listener.onHeaders?.(head.metadata)
      return
    }
    this.remoteClosed = true
    if (head.status === undefined) this.onMessagesEnd()
    else this.#endAfterMessages(head.status, head.metadata)
  }

  override onData(bytes: Buffer, start: number, end: number): void {
    if (this.answered) super.onData(bytes, start, end)
    else this.connection.resetStream(this, ErrorCode.ProtocolError)
  }

  /** Trailers overtake nothing: while delivery is paused they wait behind the messages. */
  #endAfterMessages(status: Status, trailers: Metadata): void {
    this.#finalStatus = { status, trailers }
    this.onRemoteEnd()
  }

  protected onMessageBytes(message: Buffer): void {
    this.connection.settings.receivedBytes += message.length
    this.#listener.onMessage?.(message)
  }

  protected onMessageFault(status: Status): void {
    this.#stop(status)
  }

  protected onCutMessage(): void {
    // A server that failed inside an answer says why.
    if (this.#finalStatus !== undefined && this.#finalStatus.status.code !== Code.Ok) this.onMessagesEnd()
    else this.#stop(CUT_MESSAGE)
  }

  protected onMessagesEnd(): void {
    const final = this.#finalStatus
    if (final !== undefined) this.#end(final.status, final.trailers, false)
    else
      this.#end(
        { code: Code.Internal, message: 'server closed the stream without sending trailers' },
        MetadataList.empty,
        false,
      )
    if (this.localClosed) this.connection.removeStream(this)
    // The server has answered before it had heard everything: what is left to send is of no use.
    else this.connection.cancelStream(this, ErrorCode.NoError)
  }

  onLocalEnd(): void {
    this.localClosed = true
    if (this.remoteClosed) this.connection.removeStream(this)
  }

  // ---- the end

  onReset(code: number, byPeer: boolean): void {
    const refused = byPeer && code === ErrorCode.RefusedStream
    this.#end(resetStatus(code), MetadataList.empty, refused)
  }

  onConnectionLost(): void {
    this.#end(this.connection.lostStatus, MetadataList.empty, false)
  }

  /** The server will not process this call: it may be sent elsewhere. */
  refused(status: Status): void {
    this.#end(status, MetadataList.empty, true)
  }

  onDeadline(): void {
    this.#stop(DEADLINE_EXCEEDED)
  }

  onSendDrained(): void {
    if (!this.ended) this.#listener.onDrain?.()
  }

  /** Ends the call from our side. */
  #stop(status: Status): void {
    if (this.ended) return
    this.connection.abandon(this)
    this.#end(status, MetadataList.empty, false)
  }

  #end(status: Status, trailers: Metadata, unprocessed: boolean): void {
    if (this.ended) return
    this.ended = true
    this.connection.settings.deadlines.remove(this)
    if (this.#onAbort !== undefined) this.options.signal!.removeEventListener('abort', this.#onAbort)
    this.dropMessages()
    this.#listener.onEnd?.(status, trailers, unprocessed)
  }
}
