import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '@etcd-ts/platform'
import { type Message, NONE, isLocalTarget } from '@etcd-ts/raft'
import type { Logger } from '../log/index.ts'
import { hexId } from '../membership/ids.ts'
import type { Counters } from '../metrics/index.ts'
import type { LocalIdentity } from './compatibility.ts'
import { ProtocolError } from './message-check.ts'
import { HANDSHAKE_TIMEOUT_MS } from './peer-address.ts'
import type { PeerContext } from './peer-context.ts'
import { type KnownMembers, PeerRequests } from './peer-requests.ts'
import type { PeerTls } from './peer-tls.ts'
import { Peer } from './peer.ts'
import { Pipeline } from './pipeline.ts'
import { systemPeerHttp } from './system-peer-http.ts'
import type { PeerPorts, PeerTransport, SnapshotBody } from './transport.ts'
import { UrlPicker } from './url-picker.ts'

const DIAL_TIMEOUT_MS = 1000
/** Anybody who knows the cluster's id may have itself remembered as a member that is not known yet. */
const REMOTES_MAX = 64

export interface HttpPeerTransportOptions extends LocalIdentity {
  readonly electionTimeoutMs: number
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Pick<Counters, 'network'>
  readonly tls?: PeerTls | undefined
  readonly ports: PeerPorts
}

/**
 * etcd's own protocol between members: streams and posts over HTTP/1.1 at the peer URLs.
 *
 * It sends by connections that it opens, and by those that other members open to the peer listener, whose requests
 * `handle` answers.
 */
export class HttpPeerTransport implements PeerTransport {
  readonly #options: HttpPeerTransportOptions
  readonly #context: PeerContext
  readonly #requests: PeerRequests
  readonly #peers = new Map<bigint, Peer>()
  readonly #remotes = new Map<bigint, Pipeline>()
  readonly #unreachable = new Set<bigint>()
  readonly #transfers = new Set<Promise<void>>()
  #isStopped = false
  #isRemoved = false

  constructor(options: HttpPeerTransportOptions) {
    this.#options = options
    const { memberId, clusterId, serverVersion, minClusterVersion, advertisePeerUrls } = options
    const local = { memberId, clusterId, serverVersion, minClusterVersion, advertisePeerUrls }
    const { tls, clock, logger, ports } = options
    this.#context = {
      local,
      tls,
      clock,
      logger,
      limits: {
        connectTimeoutMs: DIAL_TIMEOUT_MS + options.electionTimeoutMs,
        handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
      },
      http: systemPeerHttp(tls, clock),
      metricsOf: (id) => options.metrics.network.peer(hexId(id)),
      receive: (message, remoteId) => this.#receive(message, remoteId),
      reportUnreachable: (id) => this.#reportUnreachable(id),
      removedFromCluster: (byId) => this.#removedFromCluster(byId),
    }
    const known: KnownMembers = {
      peer: (id) => this.#peers.get(id),
      learn: (id, peerUrls) => this.addRemote(id, peerUrls),
    }
    this.#requests = new PeerRequests(this.#context, ports, known)
  }

  addPeer(id: bigint, peerUrls: readonly string[]): void {
    if (this.#isStopped || !this.#isOther(id) || this.#peers.has(id)) return
    this.#dropRemote(id)
    this.#peers.set(id, new Peer(id, peerUrls, this.#context))
    this.#options.logger.info('added remote peer', {
      'remote-peer-id': hexId(id),
      'remote-peer-urls': peerUrls,
    })
  }

  addRemote(id: bigint, peerUrls: readonly string[]): void {
    if (this.#isStopped || !this.#isOther(id) || this.#peers.has(id) || this.#remotes.has(id)) return
    if (this.#options.ports.isRemoved(id) || this.#remotes.size >= REMOTES_MAX) return
    const { local, tls, limits, clock } = this.#context
    const picker = new UrlPicker(peerUrls)
    if (picker.pick() === undefined) return
    const pipeline = new Pipeline({
      local,
      picker,
      tls,
      limits,
      clock,
      metrics: this.#context.metricsOf(id),
      status: undefined,
      onUnreachable: () => this.#reportUnreachable(id),
      onRemoved: () => this.#removedFromCluster(id),
    })
    this.#remotes.set(id, pipeline)
    this.#options.logger.info('added new remote peer', {
      'remote-peer-id': hexId(id),
      'remote-peer-urls': peerUrls,
    })
  }

  updatePeer(id: bigint, peerUrls: readonly string[]): void {
    this.#peers.get(id)?.update(peerUrls)
  }

  removePeer(id: bigint): void {
    this.#dropRemote(id)
    this.#requests.forget(id)
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    this.#peers.delete(id)
    peer.stop()
    this.#options.logger.info('removed remote peer', { 'removed-remote-peer-id': hexId(id) })
  }

  removeAllPeers(): void {
    for (const id of this.#peers.keys()) this.removePeer(id)
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      // What raft's driver wants suppressed is addressed to nobody.
      if (message.to === NONE) continue
      const peer = this.#peers.get(message.to)
      if (peer !== undefined) peer.send(message)
      else this.#sendToRemote(message)
    }
  }

  sendSnapshot(message: Message, database: SnapshotBody): void {
    const { to } = message
    const peer = this.#peers.get(to)
    if (peer === undefined || this.#isStopped) {
      database.close()
      this.#options.clock.soon(() => this.#options.ports.reportSnapshot(to, false))
      return
    }
    const transfer = peer.sendSnapshot(message, database).then((isDelivered) => {
      this.#transfers.delete(transfer)
      if (!this.#isStopped) this.#options.ports.reportSnapshot(to, isDelivered)
    })
    this.#transfers.add(transfer)
  }

  activeSinceMs(id: bigint): number | undefined {
    return this.#peers.get(id)?.status.sinceMs
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const id of this.#remotes.keys()) this.#dropRemote(id)
    this.removeAllPeers()
    await Promise.all([...this.#transfers, this.#requests.stop()])
  }

  /**
   * Answers a request on the peer listener if it is one of this protocol.
   *
   * @returns whether it was
   */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    return this.#requests.handle(request, response)
  }

  #sendToRemote(message: Message): void {
    if (this.#remotes.get(message.to)?.send(message) === false) this.#reportUnreachable(message.to)
  }

  #dropRemote(id: bigint): void {
    this.#remotes.get(id)?.stop()
    this.#remotes.delete(id)
  }

  #isOther(id: bigint): boolean {
    return id !== NONE && id !== this.#options.memberId && !isLocalTarget(id)
  }

  #receive(message: Message, remoteId: bigint): void {
    if (this.#isStopped) return
    const { from, to } = message
    if (to !== this.#options.memberId) throw new ProtocolError(`message to ${hexId(to)}`)
    const isKnown = from === remoteId || this.#peers.has(from) || this.#remotes.has(from)
    if (!isKnown || from === this.#options.memberId) throw new ProtocolError(`message of ${hexId(from)}`)
    this.#options.ports.receive(message)
  }

  #reportUnreachable(id: bigint): void {
    if (this.#unreachable.has(id)) return
    this.#unreachable.add(id)
    this.#options.clock.soon(() => {
      this.#unreachable.delete(id)
      if (!this.#isStopped) this.#options.ports.reportUnreachable(id)
    })
  }

  #removedFromCluster(byId: bigint): void {
    if (this.#isRemoved || this.#isStopped) return
    this.#isRemoved = true
    this.#options.logger.error('the member has been permanently removed from the cluster', {
      'local-member-id': hexId(this.#options.memberId),
      'remote-peer-id': hexId(byId),
    })
    this.#options.ports.removedFromCluster()
  }
}
