import {
  type IncomingMessage,
  type Server as HttpServer,
  type ServerOptions,
  type ServerResponse,
  createServer,
} from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { GrpcServer, type ServiceTable, sniff } from '@etcd-ts/grpc'
import type { Disk } from '@etcd-ts/platform'
import { COMPAT_VERSION, type EndpointUrl, type ServerConfig, isSecure } from './config/index.ts'
import { answerNotFound } from './http/answer.ts'
import { clientHttpHandler, handleMetrics } from './http/client-http.ts'
import { Gateway } from './http/gateway.ts'
import { handleHealth } from './http/health.ts'
import { Listener } from './listen/listener.ts'
import { clientListenerTls, peerListenerTls } from './listen/tls.ts'
import type { Logger } from './log/index.ts'
import type { Member } from './member.ts'
import { fillFromGrpc } from './metrics/fill.ts'
import type { ServerMetrics } from './metrics/index.ts'

/** Beyond the largest request, what gRPC messages may hold in framing. */
const GRPC_OVERHEAD_BYTES = 512 * 1024
/** A connection that has not said what it speaks by then is closed. */
const SNIFF_TIMEOUT_MS = 10_000
/** What calls in progress get to end in when the member stops. */
const DRAIN_MS = 1000

/** The listeners of a member, bound at once and served once the member is ready. */
export interface Listeners {
  readonly client: readonly Listener[]
  readonly clientHttp: readonly Listener[]
  readonly peer: readonly Listener[]
  readonly metrics: readonly Listener[]
}

/** Binds every address of the configuration. @throws Error in etcd's words when one cannot be bound */
export async function openListeners(config: ServerConfig, disk: Disk): Promise<Listeners> {
  const opened: Listener[] = []
  const clientTls = clientListenerTls(config, disk)
  const peerTls = peerListenerTls(config, disk)
  const openAll = async (urls: readonly EndpointUrl[], tls: typeof clientTls): Promise<Listener[]> => {
    const listeners: Listener[] = []
    for (const url of urls) {
      // One address may be listed as http and as https: the plain listener then serves both.
      const twin = urls.find((other) => other.host === url.host && isSecure(other) !== isSecure(url))
      if (twin !== undefined && isSecure(url)) continue
      const listener = await Listener.open(url, tls, twin !== undefined)
      opened.push(listener)
      listeners.push(listener)
    }
    return listeners
  }
  try {
    return {
      peer: await openAll(config.listenPeerUrls, peerTls),
      client: await openAll(config.listenClientUrls, clientTls),
      clientHttp: await openAll(config.listenClientHttpUrls, clientTls),
      metrics: await openAll(config.listenMetricsUrls, clientTls),
    }
  } catch (error) {
    for (const listener of opened) listener.close()
    throw error
  }
}

function addressOf(socket: Socket): string {
  const { remoteAddress = '', remotePort = 0 } = socket
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`
}

function isHttp2(socket: Socket): boolean {
  return socket instanceof TLSSocket && socket.alpnProtocol === 'h2'
}

/** Answers one request of another member. @returns false when the path is another one */
export type PeerHandler = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * What serves the connections of a member: those of other members from the start, those of clients once it is ready.
 * `close` ends them.
 */
export class Frontend {
  readonly #listeners: Listeners
  readonly #member: Member
  readonly #config: ServerConfig
  readonly #grpc: GrpcServer
  readonly #peerGrpc: GrpcServer
  readonly #clientServers: HttpServer[] = []
  #peerServer: HttpServer | undefined
  readonly #logger: Logger

  constructor(
    listeners: Listeners,
    member: Member,
    config: ServerConfig,
    metrics: ServerMetrics,
    logger: Logger,
  ) {
    this.#listeners = listeners
    this.#member = member
    this.#config = config
    this.#logger = logger
    this.#grpc = grpcServer(member.services, config)
    this.#peerGrpc = grpcServer(member.services, config)
    for (const listener of Object.values(listeners).flat() as Listener[]) {
      listener.onRejected = (error, socket) =>
        logger.warn('rejected connection', { 'remote-addr': addressOf(socket), error })
    }
    metrics.beforeRender = () => {
      member.fillMetrics()
      fillFromGrpc(metrics, [this.#grpc, this.#peerGrpc])
    }
  }

  /** Answers other members. */
  servePeers(handlers: readonly PeerHandler[]): void {
    // The body of a snapshot takes as long as it takes; the transport ends one that stalls.
    const http = createHttpServer(
      (request, response) => {
        if (!handlers.some((handle) => handle(request, response))) answerNotFound(response)
      },
      { requestTimeout: 0 },
    )
    this.#peerServer = http
    for (const listener of this.#listeners.peer)
      listener.serve((socket) => split(listener, socket, this.#peerGrpc, http))
  }

  /** Answers clients, and says which addresses are served now. */
  serveClients(metrics: ServerMetrics): void {
    const member = this.#member
    const config = this.#config
    const onError = (error: unknown): void =>
      this.#logger.error('failed to answer an HTTP request', { error: String(error) })
    const gateway = new Gateway(member.services, {
      maxConcurrentCalls: config.maxConcurrentStreams,
      maxRequestMessageBytes: config.maxRequestBytes + GRPC_OVERHEAD_BYTES,
    })
    const render = (): ReturnType<ServerMetrics['render']> => metrics.render()
    const clientHttp = createHttpServer(
      clientHttpHandler(
        {
          health: member.health,
          version: { serverVersion: COMPAT_VERSION, clusterVersion: () => member.cluster.version },
          metrics: render,
          debugVars: () => member.debugVars(),
          gateway: config.enableGrpcGateway
            ? (request, response) => gateway.handle(request, response)
            : undefined,
          hostWhitelist: config.hostWhitelist,
          cors: config.cors,
        },
        onError,
      ),
    )
    const metricsHttp = createHttpServer((request, response) => {
      void answerMetricsListener(member, render, request, response).catch(onError)
    })

    this.#clientServers.push(clientHttp, metricsHttp)

    const splitClient = config.listenClientHttpUrls.length === 0
    const listeners = this.#listeners
    for (const listener of listeners.metrics)
      listener.serve((socket) => metricsHttp.emit('connection', socket))
    for (const listener of listeners.clientHttp)
      listener.serve((socket) => clientHttp.emit('connection', socket))
    for (const listener of listeners.client) {
      listener.serve((socket) => {
        if (splitClient) split(listener, socket, this.#grpc, clientHttp)
        else this.#grpc.handle(socket)
      })
    }
    this.#logReady()
  }

  #logReady(): void {
    const { client, clientHttp } = this.#listeners
    this.#logger.info('ready to serve client requests')
    for (const listener of [...client, ...clientHttp]) {
      if (isSecure(listener.url))
        this.#logger.info('serving client traffic securely', { address: listener.address })
      else {
        this.#logger.info('serving client traffic insecurely; this is strongly discouraged!', {
          address: listener.address,
        })
      }
    }
  }

  /** Accepts clients no more, lets their calls in progress end for a moment, then closes their connections. */
  async closeClients(): Promise<void> {
    const { client, clientHttp, metrics } = this.#listeners
    for (const listener of [...client, ...clientHttp, ...metrics]) listener.close()
    for (const server of this.#clientServers) server.closeAllConnections()
    await this.#grpc.close(DRAIN_MS)
  }

  /** Closes the connections of other members, which are needed for as long as the member runs. */
  async closePeers(): Promise<void> {
    for (const listener of this.#listeners.peer) listener.close()
    this.#peerServer?.closeAllConnections()
    await this.#peerGrpc.close(0)
  }
}

function createHttpServer(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  options: ServerOptions = {},
): HttpServer {
  return createServer({ ...options, headersTimeout: SNIFF_TIMEOUT_MS }, handle)
}

function grpcServer(services: ServiceTable, config: ServerConfig): GrpcServer {
  return new GrpcServer({
    services,
    maxRecvMessageBytes: config.maxRequestBytes + GRPC_OVERHEAD_BYTES,
    maxConcurrentStreams: config.maxConcurrentStreams,
    keepalive: {
      minTimeMs: config.grpcKeepAliveMinTimeMs,
      permitWithoutStream: false,
      intervalMs: config.grpcKeepAliveIntervalMs,
      timeoutMs: config.grpcKeepAliveTimeoutMs,
    },
  })
}

/** HTTP/2 goes to gRPC, HTTP/1.1 to the HTTP server of the same address. */
function split(listener: Listener, socket: Socket, grpc: GrpcServer, http: HttpServer): void {
  if (socket instanceof TLSSocket) {
    if (isHttp2(socket)) grpc.handle(socket)
    else http.emit('connection', socket)
    return
  }
  sniff(socket, {
    timeoutMs: SNIFF_TIMEOUT_MS,
    onHttp2: (connection) => grpc.handle(connection),
    ...(listener.alsoTls ? { onTls: (connection: Socket) => listener.startTls(connection) } : {}),
    onHttp1: (connection) => {
      http.emit('connection', connection)
      connection.resume()
    },
  })
}

async function answerMetricsListener(
  member: Member,
  metrics: ServerMetrics['render'],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (await handleMetrics(metrics, request, response)) return
  if (await handleHealth(member.health, request, response)) return
  answerNotFound(response)
}
