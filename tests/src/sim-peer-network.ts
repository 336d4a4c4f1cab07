/** The network between simulated members: messages, snapshots with their databases, and questions over HTTP. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Clock } from '@etcd-ts/platform'
import { type Message, MessageType } from '@etcd-ts/raft'
import type { Member, MemberPorts } from '@etcd-ts/server'
import { type LinkOptions, type SeededRandom, SimNetwork, type SimProcess } from '@etcd-ts/testkit'

type TransportOptions = Parameters<MemberPorts['openTransport']>[0]
type PeerTransport = ReturnType<MemberPorts['openTransport']>
type SnapshotBody = Parameters<PeerTransport['sendSnapshot']>[1]
type PeerHttp = MemberPorts['peerHttp']
type PeerRequest = Parameters<PeerHttp['request']>[0]
type PeerResponse = Awaited<ReturnType<PeerHttp['request']>>

/** How often a member looks which of the others it reaches. */
const PROBE_MS = 100
/** How often the two ends of a transfer or a request see whether the other is still there. */
const WATCH_MS = 20

interface Packet {
  readonly clusterId: bigint
  readonly fromId: bigint
  readonly toId: bigint
  readonly message: Message
}

/** Where a member can be reached: its process, as others see it. */
interface Station {
  readonly address: string
  readonly process: SimProcess
  transport: SimPeerTransport | undefined
  member: Member | undefined
}

/**
 * Connects processes by the addresses of their peer URLs. A member is reached while its process is alive and the links to it
 * are not cut; what is under way between two processes when one of them ends is lost.
 */
export class SimPeerNetwork {
  readonly clock: Clock
  readonly random: SeededRandom
  readonly #links: SimNetwork<Packet>
  readonly #stations = new Map<string, Station>()
  /** How many databases were sent whole, and how many not. */
  readonly transfers = { whole: 0, broken: 0 }
  /** Milliseconds between two pieces of a database, at most. */
  pieceDelayMsMax = 20

  constructor(clock: Clock, random: SeededRandom) {
    this.clock = clock
    this.random = random
    this.#links = new SimNetwork(clock, random.fork())
  }

  setLinks(options: Partial<LinkOptions>): void {
    this.#links.setDefault(options)
  }

  cut(from: string, to: string): void {
    this.#links.cut(from, to)
  }

  partition(one: readonly string[], other: readonly string[]): void {
    this.#links.partition(one, other)
  }

  heal(): void {
    this.#links.heal()
  }

  /** Whether something sent from one address to the other arrives now. */
  reaches(from: string, to: string): boolean {
    return this.#links.isAttached(to) && !this.#links.isCut(from, to)
  }

  /** Gives a process its place. */
  attach(address: string, process: SimProcess): StationPorts {
    const station: Station = { address, process, transport: undefined, member: undefined }
    this.#stations.set(address, station)
    this.#links.attach(address, (packet, from) =>
      process.whenAwake(() => station.transport?.arrived(packet, from)),
    )
    process.onDeath(() => {
      this.#links.detach(address)
      this.#stations.delete(address)
    })
    return {
      openTransport: (options) => {
        station.transport = new SimPeerTransport(this, station, options)
        return station.transport
      },
      peerHttp: { request: (request) => this.#request(station, request) },
      answers: (member) => {
        station.member = member
      },
    }
  }

  station(address: string): Station | undefined {
    return this.#stations.get(address)
  }

  send(from: string, to: string, packet: Packet): void {
    // Raft takes proposals to come once: no transport sends a message again by itself.
    this.#links.send(from, to, packet, packet.message.type === MessageType.MsgProp)
  }

  async #request({ address, process }: Station, request: PeerRequest): Promise<PeerResponse> {
    const { host, pathname, search } = new URL(request.url)
    const giveUpMs = process.clock.monotonicMs() + request.timeoutMs
    const pause = (): Promise<boolean> => process.clock.sleep(this.random.below(WATCH_MS))
    await pause()
    const answering = this.#stations.get(host)
    if (answering?.member === undefined || !this.reaches(address, host)) {
      throw new Error(`${host} is not reached`)
    }
    const { member } = answering
    let response: PeerResponse | undefined
    answering.process.whenAwake(() => {
      void answer(member, request, `${pathname}${search}`).then((value) => {
        response = value
      })
    })
    while (process.clock.monotonicMs() < giveUpMs) {
      await pause()
      if (this.#stations.get(host) !== answering) throw new Error(`${host} has gone`)
      if (response !== undefined && this.reaches(host, address)) return response
    }
    throw new Error(`${host} did not answer in time`)
  }
}

/** What a member is given for its place in the network. */
export interface StationPorts extends Pick<MemberPorts, 'openTransport' | 'peerHttp'> {
  /** From now on `member` answers what others ask over HTTP. */
  answers(member: Member): void
}

interface Peer {
  readonly address: string
  activeSinceMs: number | undefined
}

class SimPeerTransport implements PeerTransport {
  readonly #network: SimPeerNetwork
  readonly #station: Station
  readonly #options: TransportOptions
  readonly #peers = new Map<bigint, Peer>()
  #isStopped = false

  constructor(network: SimPeerNetwork, station: Station, options: TransportOptions) {
    this.#network = network
    this.#station = station
    this.#options = options
    void this.#probe()
  }

  get memberId(): bigint {
    return this.#options.memberId
  }

  addPeer(id: bigint, peerUrls: readonly string[]): void {
    if (!this.#peers.has(id)) this.updatePeer(id, peerUrls)
  }

  addRemote(id: bigint, peerUrls: readonly string[]): void {
    this.addPeer(id, peerUrls)
  }

  updatePeer(id: bigint, peerUrls: readonly string[]): void {
    this.#peers.set(id, { address: new URL(peerUrls[0] ?? '').host, activeSinceMs: undefined })
  }

  removePeer(id: bigint): void {
    this.#peers.delete(id)
  }

  removeAllPeers(): void {
    this.#peers.clear()
  }

  activeSinceMs(id: bigint): number | undefined {
    return this.#peers.get(id)?.activeSinceMs
  }

  stop(): Promise<void> {
    this.#isStopped = true
    return Promise.resolve()
  }

  get isOver(): boolean {
    return this.#isStopped || !this.#station.process.isAlive
  }

  async #probe(): Promise<void> {
    const { clock } = this.#station.process
    while (!this.isOver) {
      for (const peer of this.#peers.values()) {
        if (!this.#isConnected(peer.address)) peer.activeSinceMs = undefined
        else peer.activeSinceMs ??= clock.monotonicMs()
      }
      await clock.sleep(PROBE_MS)
    }
  }

  #isConnected(address: string): boolean {
    const own = this.#station.address
    return this.#network.reaches(own, address) && this.#network.reaches(address, own)
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) this.#send(message)
  }

  #send(message: Message): void {
    const { memberId, clusterId, ports } = this.#options
    const peer = this.#peers.get(message.to)
    if (peer === undefined || this.#isStopped) return
    if (message.type === MessageType.MsgSnap) throw new Error('a snapshot has a way of its own')
    const own = this.#station.address
    if (!this.#network.reaches(own, peer.address)) {
      this.#station.process.clock.soon(() => ports.reportUnreachable(message.to))
      return
    }
    this.#network.send(own, peer.address, {
      clusterId,
      fromId: memberId,
      toId: message.to,
      message: copyOf(message),
    })
  }

  /** A packet has come. */
  arrived({ clusterId, fromId, toId, message }: Packet, from: string): void {
    const { memberId, clusterId: ownClusterId, ports } = this.#options
    if (this.isOver || clusterId !== ownClusterId || toId !== memberId) return
    if (ports.isRemoved(fromId)) {
      this.#network.station(from)?.transport?.toldOfRemoval(fromId)
      return
    }
    // Where a member can be reached stands in the headers of all its requests.
    this.addRemote(fromId, [`http://${from}`])
    // What arrives twice is another object each time, as over any wire.
    ports.receive(copyOf(message))
  }

  /** Another member has answered a message of `memberId` that this is a member no more. */
  toldOfRemoval(memberId: bigint): void {
    if (!this.isOver && memberId === this.memberId) this.#options.ports.removedFromCluster()
  }

  sendSnapshot(message: Message, database: SnapshotBody): void {
    const { ports } = this.#options
    const report = (isDelivered: boolean): void => {
      this.#network.transfers[isDelivered ? 'whole' : 'broken']++
      if (!this.isOver) ports.reportSnapshot(message.to, isDelivered)
    }
    this.#transfer(copyOf(message), database).then(
      () => report(true),
      () => report(false),
    )
  }

  /** @throws when either end is gone or refuses, or the way is cut */
  async #transfer(message: Message, database: SnapshotBody): Promise<void> {
    const { clock, random, pieceDelayMsMax } = this.#network
    const pieces = new Pieces()
    try {
      await clock.sleep(random.below(pieceDelayMsMax))
      const address = this.#peers.get(message.to)?.address ?? ''
      const target = this.#network.station(address)
      const receiver = target?.transport
      if (receiver?.memberId !== message.to) throw new Error(`${address} is not there`)
      const isHere = (): boolean =>
        !this.isOver && !receiver.isOver && this.#isConnected(address) && this.#peers.has(message.to)
      if (!isHere()) throw new Error(`${address} is not reached`)
      let outcome: { readonly error?: unknown } | undefined
      receiver.#options.ports.receiveSnapshot(message, pieces).then(
        () => (outcome = {}),
        (error: unknown) => (outcome = { error }),
      )
      let sizeBytes = 0
      for await (const piece of database.chunks()) {
        await clock.sleep(random.below(pieceDelayMsMax))
        if (!isHere()) throw new Error('the connection broke')
        sizeBytes += piece.length
        pieces.push(piece.slice())
      }
      if (sizeBytes !== database.sizeBytes)
        throw new Error('the database is not of the size that it was to have')
      pieces.end()
      while (outcome === undefined) {
        await clock.sleep(WATCH_MS)
        if (!isHere()) throw new Error('the connection broke')
      }
      if ('error' in outcome) throw outcome.error
    } catch (error) {
      pieces.break(error)
      throw error
    } finally {
      database.close()
    }
  }
}

/** A body that arrives piece by piece. */
class Pieces implements AsyncIterable<Uint8Array> {
  readonly #pieces: Uint8Array[] = []
  #isWhole = false
  #error: unknown
  #wake: (() => void) | undefined

  push(piece: Uint8Array): void {
    this.#pieces.push(piece)
    this.#wake?.()
  }

  end(): void {
    this.#isWhole = true
    this.#wake?.()
  }

  break(error: unknown): void {
    this.#error = error
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error
      const piece = this.#pieces.shift()
      if (piece !== undefined) {
        yield piece
      } else if (this.#isWhole) {
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}

/** Asks a member what others ask over HTTP. */
function answer(member: Member, asked: PeerRequest, target: string): Promise<PeerResponse> {
  const request = new IncomingMessage(new Socket())
  request.method = asked.method ?? 'GET'
  request.url = target
  for (const [name, value] of Object.entries(asked.headers ?? {})) request.headers[name.toLowerCase()] = value
  if (asked.body !== undefined) request.push(asked.body)
  request.push(null)
  return new Promise((resolve) => {
    const response = new CapturedResponse(request, resolve)
    if (member.answerPeer(request, response)) return
    response.statusCode = 404
    response.end('404 page not found\n')
  })
}

/** A response that goes to whoever asked, and to no socket. */
class CapturedResponse extends ServerResponse {
  readonly #ended: (response: PeerResponse) => void

  constructor(request: IncomingMessage, ended: (response: PeerResponse) => void) {
    super(request)
    this.#ended = ended
  }

  override end(body?: unknown): this {
    const headers: Record<string, string | undefined> = {}
    for (const name of this.getHeaderNames()) headers[name] = String(this.getHeader(name))
    this.#ended({
      status: this.statusCode,
      headers,
      body: Buffer.from(typeof body === 'string' ? body : ''),
    })
    return this
  }
}

function copyOf(message: Message): Message {
  return { ...message, entries: message.entries.map((entry) => ({ ...entry })) }
}
