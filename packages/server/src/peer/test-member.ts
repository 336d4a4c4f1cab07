import { type Server, createServer } from 'node:http'
import { type Socket, createServer as createTcpServer } from 'node:net'
import { systemClock } from '@etcd-ts/platform'
import { type Message, type MessageType, newMessage } from '@etcd-ts/raft'
import { type Scope, freeAfter } from '@etcd-ts/testkit'
import { type Logger, silentLogger } from '../log/index.ts'
import { answerNotFound } from '../http/answer.ts'
import { createMetrics } from '../metrics/index.ts'
import { HttpPeerTransport, type HttpPeerTransportOptions } from './http-peer-transport.ts'

/** Waits for something that another event will bring about. */
export class Signal {
  #waiting: (() => void)[] = []

  notify(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}

/** A transport on a listener of its own, for a member that only writes down what it is told. */
export class TestMember {
  readonly received: Message[] = []
  readonly unreachable: bigint[] = []
  readonly snapshotReports: [id: bigint, isDelivered: boolean][] = []
  readonly snapshots: { message: Message; bytes: Buffer }[] = []
  readonly removedIds = new Set<bigint>()
  readonly logged: string[] = []
  readonly metrics = createMetrics()
  readonly changed = new Signal()
  removed = 0
  /** Replaces how a snapshot is taken in. */
  takeSnapshot: ((database: AsyncIterable<Uint8Array>) => Promise<void>) | undefined
  readonly url: string
  readonly transport: HttpPeerTransport
  readonly server: Server
  readonly sockets = new Set<Socket>()

  private constructor(server: Server, url: string, options: Partial<HttpPeerTransportOptions>) {
    this.server = server
    this.url = url
    const told = (): void => this.changed.notify()
    this.transport = new HttpPeerTransport({
      memberId: 1n,
      clusterId: 0xabcn,
      serverVersion: '3.5.33',
      minClusterVersion: '3.0.0',
      advertisePeerUrls: [url],
      electionTimeoutMs: 1000,
      clock: systemClock,
      logger: this.#logger(),
      metrics: this.metrics,
      ports: {
        receive: (message) => {
          this.received.push(message)
          told()
        },
        receiveSnapshot: async (message, database) => {
          if (this.takeSnapshot !== undefined) return this.takeSnapshot(database)
          const chunks: Uint8Array[] = []
          for await (const chunk of database) chunks.push(chunk)
          this.snapshots.push({ message, bytes: Buffer.concat(chunks) })
        },
        isRemoved: (id) => this.removedIds.has(id),
        reportUnreachable: (id) => {
          this.unreachable.push(id)
          told()
        },
        reportSnapshot: (id, isDelivered) => {
          this.snapshotReports.push([id, isDelivered])
          told()
        },
        removedFromCluster: () => {
          this.removed++
          told()
        },
      },
      ...options,
    })
  }

  /** Serves at a port of its own until the end of `scope`. */
  static async start(
    scope: Scope,
    memberId: bigint,
    options: Partial<HttpPeerTransportOptions> = {},
    port = 0,
  ): Promise<TestMember> {
    const server = createServer({ requestTimeout: 0 })
    const url = await listen(server, port)
    const member = new TestMember(server, url, { memberId, ...options })
    server.on('connection', (socket) => {
      member.sockets.add(socket)
      socket.once('close', () => member.sockets.delete(socket))
    })
    server.on('request', (request, response) => {
      if (!member.transport.handle(request, response)) answerNotFound(response)
    })
    freeAfter(scope, () => member.stop())
    return member
  }

  async stop(): Promise<void> {
    await this.transport.stop()
    this.server.closeAllConnections()
    this.server.close()
  }

  /** Resolves once the log has said it so often. */
  async untilLogged(text: string, times = 1): Promise<void> {
    await this.changed.until(() => this.logged.filter((line) => line.includes(text)).length >= times)
  }

  #logger(): Logger {
    const write = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      const { error } = fields ?? {}
      this.logged.push(`${message} ${JSON.stringify(fields)} ${error instanceof Error ? error.message : ''}`)
      this.changed.notify()
    }
    const logger: Logger = {
      ...silentLogger,
      info: write,
      warn: write,
      error: write,
      debug: write,
      child: () => logger,
    }
    return logger
  }
}

/** Two members that know each other, with all four streams between them. */
export async function startPair(
  scope: Scope,
  options: Partial<HttpPeerTransportOptions> = {},
): Promise<readonly [TestMember, TestMember]> {
  const a = await TestMember.start(scope, 1n, options)
  const b = await TestMember.start(scope, 2n, options)
  a.transport.addPeer(2n, [b.url])
  b.transport.addPeer(1n, [a.url])
  await Promise.all([a, b].map((member) => member.untilLogged('established TCP streaming connection', 4)))
  return [a, b]
}

/** Listens on the loopback interface. @returns the URL */
export async function listen(
  server: { listen(port: number, host: string, then: () => void): unknown; address(): unknown },
  port = 0,
): Promise<string> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const address = server.address()
  const bound = typeof address === 'object' && address !== null && 'port' in address ? address.port : 0
  return `http://127.0.0.1:${String(bound)}`
}

/** A TCP server for the answers that no member gives. */
export async function serveRaw(
  scope: Scope,
  onConnection: (socket: Socket) => void,
  port = 0,
): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    onConnection(socket)
  })
  freeAfter(scope, () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return listen(server, port)
}

export function messageFrom(from: bigint, to: bigint, type: MessageType, index = 0): Message {
  const message = newMessage(type, to)
  message.from = from
  message.index = index
  message.term = 1
  return message
}
