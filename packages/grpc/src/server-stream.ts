import type { Socket } from 'node:net'
import type { Deadlined } from './deadline-wheel.ts'
import { ErrorCode } from './frames.ts'
import { statusOf } from './grpc-error.ts'
import { CUT_MESSAGE, MessageStream } from './message-stream.ts'
import type { MethodEntry } from './method-table.ts'
import type { RequestHead } from './request-head.ts'
import { headerPairs, type Pair, plainBlock, plainOkTrailers, statusPairs } from './response-blocks.ts'
import type { ServerConnection } from './server-connection.ts'
import type { CancelReason, Metadata, StreamCall, UnaryCall } from './service.ts'
import { Code, type Status } from './status.ts'

const OK: Status = { code: Code.Ok, message: '' }
const DEADLINE_EXCEEDED: Status = { code: Code.DeadlineExceeded, message: 'context deadline exceeded' }
/** A unary call that ends before, or inside, its request: the code is etcd's, where streams have Internal. */
const NO_REQUEST: Status = { code: Code.Unknown, message: 'EOF' }
const CUT_REQUEST: Status = { code: Code.Unknown, message: 'unexpected EOF' }

/** One call on the server: what its service holds, and the stream that carries it. */
export class ServerStream extends MessageStream implements UnaryCall, StreamCall, Deadlined {
  declare readonly connection: ServerConnection
  readonly path: string
  readonly metadata: Metadata
  onCancel: ((reason: CancelReason) => void) | undefined = undefined
  onMessage: ((message: Uint8Array) => void) | undefined = undefined
  onHalfClose: (() => void) | undefined = undefined
  onDrain: (() => void) | undefined = undefined
  ended = false

  deadlineAtMs: number
  deadlineNext: Deadlined | undefined = undefined
  deadlinePrevious: Deadlined | undefined = undefined
  deadlineSlot = -1

  readonly #entry: MethodEntry
  #headers: Pair[] | undefined = undefined
  #trailers: Pair[] | undefined = undefined

  constructor(connection: ServerConnection, id: number, head: RequestHead, entry: MethodEntry) {
    super(
      connection,
      id,
      connection.sender.initialWindow,
      connection.limits.streamWindowBytes,
      connection.host.receiveBytesMax,
    )
    this.#entry = entry
    this.path = head.path
    this.metadata = head.metadata
    this.encoding = head.encoding
    this.contentLeft = head.contentLength
    this.deadlineAtMs = head.timeoutMs < 0 ? Infinity : performance.now() + head.timeoutMs
  }

  get socket(): Socket {
    return this.connection.socket
  }

  remainingMs(): number | undefined {
    if (this.deadlineAtMs === Infinity) return undefined
    return Math.max(0, this.deadlineAtMs - performance.now())
  }

  get bufferedBytes(): number {
    return this.pending === undefined ? 0 : this.pending.bytes
  }

  setHeader(name: string, value: string): void {
    this.#headers ??= []
    this.#headers.push([name, value])
  }

  setTrailer(name: string, value: string): void {
    this.#trailers ??= []
    this.#trailers.push([name, value])
  }

  // ---- requests

  /** Hands the call to its service: a stream at once, a unary call when its message has come. */
  open(): void {
    const { method } = this.#entry
    if (method.kind !== 'stream') return
    try {
      method.handle(this)
    } catch (error) {
      this.end(statusOf(error))
    }
  }

  protected onMessageBytes(message: Buffer): void {
    const entry = this.#entry
    const { method } = entry
    entry.messagesReceived++
    this.connection.host.receivedBytes += message.length
    try {
      if (method.kind === 'stream') {
        this.onMessage?.(message)
        return
      }
      this.wantsMessages = false
      if (this.connection.holdsRequests) this.connection.holdRequest(this, Buffer.from(message))
      else method.handle(this, message)
    } catch (error) {
      this.#finish(statusOf(error))
    }
  }

  /** Hands over a unary request that had to wait for the connection's output. */
  resume(message: Buffer): void {
    const { method } = this.#entry
    if (this.ended || method.kind !== 'unary') return
    try {
      method.handle(this, message)
    } catch (error) {
      this.#finish(statusOf(error))
    }
  }

  protected onMessageFault(status: Status): void {
    if (this.ended) return
    const { onCancel } = this
    this.#finish(status)
    if (this.#entry.kind === 'stream') onCancel?.('cancelled')
  }

  protected onCutMessage(): void {
    this.onMessageFault(this.#entry.kind === 'unary' ? CUT_REQUEST : CUT_MESSAGE)
  }

  protected onMessagesEnd(): void {
    if (this.ended) return
    if (this.#entry.kind === 'unary') {
      this.#finish(NO_REQUEST)
      return
    }
    try {
      this.onHalfClose?.()
    } catch (error) {
      this.#finish(statusOf(error))
    }
  }

  // ---- answers

  respond(bytes: Uint8Array, start = 0, end = bytes.length): void {
    if (this.ended) return
    const { connection } = this
    const { sender, blocks, host } = connection
    if (end - start > host.sendBytesMax) {
      this.#finish(tooLarge('grpc: ', end - start, host.sendBytesMax))
      return
    }
    this.#entry.messagesSent++
    host.sentBytes += end - start
    if (this.#headers === undefined && this.#trailers === undefined && sender.fitsAnswer(this, end - start)) {
      this.#markEnded(Code.Ok)
      sender.answer(this.id, blocks.takeHeaders(), bytes, start, end, blocks.takeOkTrailers())
      this.onLocalEnd()
      return
    }
    this.#sendHeaders()
    sender.message(this, bytes, start, end, false)
    this.#finish(OK)
  }

  fail(status: Status): void {
    this.#finish(status)
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    if (this.ended) return true
    const { host, sender, limits } = this.connection
    if (this.bufferedBytes > limits.streamBufferBytesMax) {
      this.connection.cancelStream(this, ErrorCode.InternalError)
      this.#cancel('disconnected')
      return true
    }
    if (end - start > host.sendBytesMax) {
      this.#finish(tooLarge('', end - start, host.sendBytesMax))
      return true
    }
    this.#sendHeaders()
    this.#entry.messagesSent++
    host.sentBytes += end - start
    return sender.message(this, bytes, start, end, false)
  }

  end(status: Status = OK): void {
    this.#finish(status)
  }

  #sendHeaders(): void {
    if (this.answered) return
    this.answered = true
    const { sender, blocks } = this.connection
    const block =
      this.#headers === undefined ? blocks.takeHeaders() : plainBlock([...headerPairs(200), ...this.#headers])
    sender.headers(this.id, block, block.length, false)
  }

  /** Ends the call with a status, in trailers or, where nothing has been sent, in a single header block. */
  #finish(status: Status): void {
    if (this.ended) return
    const { answered } = this
    this.#markEnded(status.code)
    const { sender, blocks } = this.connection
    if (status.code === Code.Ok && this.#trailers === undefined && answered) {
      sender.trailers(this, this.pending === undefined ? blocks.takeOkTrailers() : plainOkTrailers)
      return
    }
    const pairs = answered ? [] : [...headerPairs(200), ...(this.#headers ?? [])]
    pairs.push(...statusPairs(status), ...(this.#trailers ?? []))
    sender.trailers(this, plainBlock(pairs))
  }

  #markEnded(code: number): void {
    this.ended = true
    this.answered = true
    this.onCancel = undefined
    this.connection.host.deadlines.remove(this)
    this.#entry.countEnd(code)
    this.dropMessages()
  }

  /** The last frame is written. A client that has not finished its half is told that no more is wanted. */
  onLocalEnd(): void {
    this.localClosed = true
    if (!this.remoteClosed) {
      this.remoteClosed = true
      this.connection.endEarly(this.id)
    }
    this.connection.removeStream(this)
  }

  // ---- the caller goes

  onDeadline(): void {
    if (this.ended) return
    const { onCancel } = this
    this.#finish(DEADLINE_EXCEEDED)
    onCancel?.('deadline')
  }

  onReset(_code: number, byPeer: boolean): void {
    this.#cancel(byPeer ? 'cancelled' : 'disconnected')
  }

  onConnectionLost(): void {
    this.#cancel('disconnected')
  }

  #cancel(reason: CancelReason): void {
    if (this.ended) return
    const { onCancel } = this
    this.#markEnded(Code.Cancelled)
    onCancel?.(reason)
  }

  onSendDrained(): void {
    if (!this.ended) this.onDrain?.()
  }
}

function tooLarge(prefix: string, length: number, max: number): Status {
  return {
    code: Code.ResourceExhausted,
    message: `${prefix}trying to send message larger than max (${length} vs. ${max})`,
  }
}
