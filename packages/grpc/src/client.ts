import type { Socket } from 'node:net'
import { type CallListener, type CallOptions, ClientCall } from './client-call.ts'
import { ClientConnection, type ClientSettings } from './client-connection.ts'
import { DeadlineWheel } from './deadline-wheel.ts'
import { GrpcError } from './grpc-error.ts'
import { clientLimits, type Limits, RECEIVE_MESSAGE_BYTES_MAX, SEND_MESSAGE_BYTES_MAX } from './limits.ts'
import { MetadataList } from './metadata.ts'
import type { Metadata } from './service.ts'
import { Code, type Status } from './status.ts'
import { Sweeper } from './sweeper.ts'

export interface ClientKeepalive {
  /** Quiet time after which the client pings. */
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly permitWithoutStream?: boolean
}

export interface GrpcClientOptions {
  /** Makes a socket to the server; it may still be connecting. A TLS socket must offer ALPN `h2`. */
  readonly connect: () => Socket
  /** `:authority` of every call: host and port. */
  readonly authority: string
  readonly maxRecvMessageBytes?: number
  readonly maxSendMessageBytes?: number
  readonly userAgent?: string
  readonly keepalive?: ClientKeepalive
  readonly limits?: Partial<Limits>
}

/** A call that streams in at least one direction. Handlers may be set until the next turn of the event loop. */
export interface ClientStream {
  onHeaders: ((metadata: Metadata) => void) | undefined
  /** The message is a view, valid until the handler returns. */
  onMessage: ((message: Uint8Array) => void) | undefined
  /** `write` may be called again. */
  onDrain: (() => void) | undefined
  /** The last event: OK too is a status. */
  onEnd: ((status: Status, trailers: Metadata, unprocessed: boolean) => void) | undefined
  /** Sends one message; false: stop until `onDrain`. The bytes are copied or sent before this returns. */
  write(bytes: Uint8Array, start?: number, end?: number): boolean
  /** No more messages follow. */
  halfClose(): void
  /** Ends the call with status Cancelled. */
  cancel(): void
  /** Stops or restarts delivery; the server is held back by flow control. */
  pause(paused: boolean): void
  readonly bufferedBytes: number
}

const USER_AGENT = 'grpc-node-etcd-ts/0.1.0'

/** One timer for the calls of all clients. */
const deadlines = new DeadlineWheel()

/**
 * Calls one server over one connection, which is made by the first call and again by the first call after it was lost.
 * Nothing is retried: an error's `unprocessed` says that a call may be.
 */
export class GrpcClient {
  readonly #settings: ClientSettings
  readonly #connect: () => Socket
  readonly #sweeper: Sweeper
  #connection: ClientConnection | undefined
  #closed = false
  #readyWaiters: { resolve: () => void; reject: (error: GrpcError) => void }[] = []

  constructor(options: GrpcClientOptions) {
    const { keepalive } = options
    const limits = { ...clientLimits, ...options.limits }
    this.#connect = options.connect
    this.#sweeper = new Sweeper(limits.sweepIntervalMs)
    this.#settings = {
      authority: options.authority,
      userAgent: options.userAgent ?? USER_AGENT,
      limits,
      deadlines,
      receiveBytesMax: options.maxRecvMessageBytes ?? RECEIVE_MESSAGE_BYTES_MAX,
      sendBytesMax: options.maxSendMessageBytes ?? SEND_MESSAGE_BYTES_MAX,
      probe:
        keepalive === undefined
          ? undefined
          : {
              intervalMs: keepalive.intervalMs,
              timeoutMs: keepalive.timeoutMs,
              withoutStreams: keepalive.permitWithoutStream ?? false,
            },
      receivedBytes: 0,
      onReady: () => this.#settle(undefined),
      onUnusable: (connection) => this.#onUnusable(connection),
      forget: (connection) => this.#sweeper.delete(connection),
    }
  }

  /** True while a connection stands and its server has greeted. */
  get connected(): boolean {
    return this.#connection?.usable === true && this.#connection.handshaken
  }

  /**
   * Makes the connection, unless there is one.
   * @throws GrpcError Unavailable when it cannot be made
   */
  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const connection = this.#use()
      if (connection === undefined) reject(closedError())
      else if (connection.handshaken) resolve()
      else this.#readyWaiters.push({ resolve, reject })
    })
  }

  /**
   * Sends one request and resolves with its one answer (a copy).
   * @throws GrpcError with the call's status
   */
  unary(path: string, request: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const call = this.#open(path, options, new UnaryListener(resolve, reject))
      call?.writeLast(request)
    })
  }

  /** Opens a streaming call. Its failures, even immediate ones, come through `onEnd` in a later turn. */
  stream(path: string, options: CallOptions = {}): ClientStream {
    const stream = new OpenStream()
    stream.call = this.#open(path, options, stream)
    return stream
  }

  /** Ends every call with status Cancelled, and the connection. */
  close(): void {
    this.#closed = true
    this.#connection?.shutDown()
    this.#connection = undefined
  }

  #open(path: string, options: CallOptions, listener: CallListener): ClientCall | undefined {
    const refusal = earlyStatus(options) ?? (this.#closed ? closedError() : undefined)
    const connection = refusal === undefined ? this.#use() : undefined
    if (connection === undefined) {
      const status = refusal ?? closedError()
      queueMicrotask(() => listener.onEnd?.(status, MetadataList.empty, true))
      return undefined
    }
    const call = new ClientCall(connection, path, options, listener)
    connection.open(call)
    return call
  }

  #use(): ClientConnection | undefined {
    if (this.#closed) return undefined
    if (this.#connection?.usable !== true) {
      this.#connection = new ClientConnection(this.#connect(), this.#settings)
      this.#sweeper.add(this.#connection)
    }
    return this.#connection
  }

  #onUnusable(connection: ClientConnection): void {
    if (this.#connection === connection) this.#connection = undefined
    const { code, message } = connection.lostStatus
    if (!connection.handshaken) this.#settle(new GrpcError(code, message, { unprocessed: true }))
  }

  #settle(error: GrpcError | undefined): void {
    const waiters = this.#readyWaiters
    this.#readyWaiters = []
    for (const { resolve, reject } of waiters) {
      if (error === undefined) resolve()
      else reject(error)
    }
  }
}

function closedError(): GrpcError {
  return new GrpcError(Code.Cancelled, 'grpc: the client connection is closing', { unprocessed: true })
}

/** The status of a call that ends before it begins. */
function earlyStatus(options: CallOptions): Status | undefined {
  if (options.signal?.aborted === true) return { code: Code.Cancelled, message: 'context canceled' }
  if (options.deadlineMs !== undefined && options.deadlineMs <= 0)
    return { code: Code.DeadlineExceeded, message: 'context deadline exceeded' }
  return undefined
}

/** Turns a call into a promise. */
class UnaryListener implements CallListener {
  readonly #resolve: (answer: Uint8Array) => void
  readonly #reject: (error: GrpcError) => void
  #answer: Uint8Array | undefined

  constructor(resolve: (answer: Uint8Array) => void, reject: (error: GrpcError) => void) {
    this.#resolve = resolve
    this.#reject = reject
  }

  onMessage(message: Uint8Array): void {
    this.#answer ??= Uint8Array.prototype.slice.call(message)
  }

  onEnd(status: Status, trailers: Metadata, unprocessed: boolean): void {
    if (status.code !== Code.Ok) this.#reject(errorOf(status, trailers, unprocessed))
    else if (this.#answer === undefined)
      this.#reject(
        new GrpcError(
          Code.Internal,
          'cardinality violation: received no response message from non-server-streaming RPC',
        ),
      )
    else this.#resolve(this.#answer)
  }
}

function errorOf(status: Status, metadata: Metadata, unprocessed: boolean): GrpcError {
  const { code, message, details } = status
  return new GrpcError(code, message, {
    metadata,
    unprocessed,
    ...(details === undefined ? {} : { details }),
  })
}

class OpenStream implements ClientStream {
  onHeaders: ((metadata: Metadata) => void) | undefined
  onMessage: ((message: Uint8Array) => void) | undefined
  onDrain: (() => void) | undefined
  onEnd: ((status: Status, trailers: Metadata, unprocessed: boolean) => void) | undefined
  call: ClientCall | undefined

  write(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    return this.call === undefined || this.call.write(bytes, start, end)
  }

  halfClose(): void {
    this.call?.halfClose()
  }

  cancel(): void {
    this.call?.cancel()
  }

  pause(paused: boolean): void {
    this.call?.pause(paused)
  }

  get bufferedBytes(): number {
    return this.call?.bufferedBytes ?? 0
  }
}
