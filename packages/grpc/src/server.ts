import type { Socket } from 'node:net'
import { DeadlineWheel } from './deadline-wheel.ts'
import { defaultLimits, type Limits, RECEIVE_MESSAGE_BYTES_MAX, SEND_MESSAGE_BYTES_MAX } from './limits.ts'
import type { KeepaliveProbe } from './liveness.ts'
import { type MethodStats, MethodTable } from './method-table.ts'
import { type PingPolicy, ServerConnection, type ServerHost } from './server-connection.ts'
import type { ServiceTable } from './service.ts'
import { Sweeper } from './sweeper.ts'

export interface ServerKeepalive {
  /** Clients must not ping more often. */
  readonly minTimeMs?: number
  /** Whether clients may ping while they have no call open. */
  readonly permitWithoutStream?: boolean
  /** Quiet time after which the server pings. */
  readonly intervalMs?: number
  /** Time for the client to answer. */
  readonly timeoutMs?: number
}

export interface GrpcServerOptions {
  readonly services: ServiceTable
  /** Largest message taken; 4 MiB by default, as in grpc-go. */
  readonly maxRecvMessageBytes?: number
  readonly maxSendMessageBytes?: number
  /** Calls that one connection may have open; without it only `limits.streamsMax` holds, and is not advertised. */
  readonly maxConcurrentStreams?: number
  readonly keepalive?: ServerKeepalive
  /** Overrides of single limits. */
  readonly limits?: Partial<Limits>
}

export interface GrpcServerStats {
  readonly openConnections: number
  readonly openStreams: number
  /** Bytes of messages, without their prefixes. */
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly methods: ReadonlyMap<string, MethodStats>
}

/** What connections see of their server. */
class Host implements ServerHost {
  readonly methods: MethodTable
  readonly limits: Limits
  readonly deadlines = new DeadlineWheel()
  readonly receiveBytesMax: number
  readonly sendBytesMax: number
  readonly concurrentStreamsMax: number
  readonly probe: KeepaliveProbe
  readonly pingPolicy: PingPolicy
  receivedBytes = 0
  sentBytes = 0
  openStreams = 0
  readonly forget: (connection: ServerConnection) => void

  constructor(options: GrpcServerOptions, forget: (connection: ServerConnection) => void) {
    const keepalive = options.keepalive ?? {}
    this.methods = new MethodTable(options.services)
    this.receiveBytesMax = options.maxRecvMessageBytes ?? RECEIVE_MESSAGE_BYTES_MAX
    this.limits = {
      ...defaultLimits,
      assemblyBytesMax: Math.max(defaultLimits.assemblyBytesMax, 4 * this.receiveBytesMax),
      ...options.limits,
    }
    this.sendBytesMax = options.maxSendMessageBytes ?? SEND_MESSAGE_BYTES_MAX
    this.concurrentStreamsMax = options.maxConcurrentStreams ?? Infinity
    this.probe = {
      intervalMs: keepalive.intervalMs ?? 7_200_000,
      timeoutMs: keepalive.timeoutMs ?? 20_000,
      withoutStreams: true,
    }
    this.pingPolicy = {
      minTimeMs: keepalive.minTimeMs ?? 5_000,
      permitWithoutStream: keepalive.permitWithoutStream ?? false,
    }
    this.forget = forget
  }
}

/** Serves gRPC on connections that others have accepted. */
export class GrpcServer {
  readonly #host: Host
  readonly #connections = new Set<ServerConnection>()
  readonly #sweeper: Sweeper
  #closing: Promise<void> | undefined
  #onAllClosed: (() => void) | undefined

  constructor(options: GrpcServerOptions) {
    this.#host = new Host(options, (connection) => this.#forget(connection))
    this.#sweeper = new Sweeper(this.#host.limits.sweepIntervalMs)
  }

  /**
   * Serves a connection that is known to speak HTTP/2 (by `sniff`, or by ALPN `h2`). Its socket belongs to the server from
   * here on, errors included.
   */
  handle(socket: Socket): void {
    if (this.#closing !== undefined || socket.destroyed) {
      socket.destroy()
      return
    }
    const connection = new ServerConnection(socket, this.#host)
    this.#connections.add(connection)
    this.#sweeper.add(connection)
  }

  get stats(): GrpcServerStats {
    const { openStreams, receivedBytes, sentBytes, methods } = this.#host
    return {
      openConnections: this.#connections.size,
      openStreams,
      receivedBytes,
      sentBytes,
      methods: methods.entries,
    }
  }

  /**
   * Ends all connections: clients are told to go, open calls may end within `graceMs`, what is left is cut off.
   * @returns when every socket is closed
   */
  close(graceMs: number): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#onAllClosed = resolve
      if (this.#connections.size === 0) {
        resolve()
        return
      }
      for (const connection of this.#connections) connection.drain()
      setTimeout(() => {
        for (const connection of this.#connections) connection.socket.destroy()
      }, graceMs).unref()
    })
    return this.#closing
  }

  #forget(connection: ServerConnection): void {
    this.#connections.delete(connection)
    this.#sweeper.delete(connection)
    if (this.#connections.size === 0) this.#onAllClosed?.()
  }
}
