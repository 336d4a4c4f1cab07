import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '@etcd-ts/platform'
import { raftpb } from '@etcd-ts/api'
import type { Message } from '@etcd-ts/raft'
import type { PeerMetrics } from '../metrics/index.ts'
import { isFromCluster, type LocalIdentity, requestHeaders } from './compatibility.ts'
import { Deadline } from './deadline.ts'
import { BAD_CERTIFICATE, peerErrorText, saysBadCertificate } from './dial-error.ts'
import { IDLE_TIMEOUT_MS } from './outgoing-stream.ts'
import { type DialLimits, type PeerAddress, dialPeer } from './peer-address.ts'
import type { PeerStatus } from './peer-status.ts'
import type { PeerTls } from './peer-tls.ts'
import { readShortBody } from './short-body.ts'
import type { UrlPicker } from './url-picker.ts'

const POSTERS = 4
const QUEUED_MESSAGES_MAX = 64
const QUEUED_BYTES_MAX = 64 * 1024 * 1024
/** Members close a connection that has been idle for `IDLE_TIMEOUT_MS`; it must not be used just then. */
const KEPT_IDLE_MS = IDLE_TIMEOUT_MS - 1000

export interface PipelineOptions {
  readonly local: LocalIdentity
  readonly picker: UrlPicker
  readonly tls: PeerTls | undefined
  readonly limits: DialLimits
  readonly clock: Clock
  readonly metrics: PeerMetrics
  /** Absent for members that are not known well enough to have one. */
  readonly status: PeerStatus | undefined
  readonly onUnreachable: () => void
  readonly onRemoved: () => void
}

/** Posts messages one by one, a few at the same time: for members to which there is no stream. */
export class Pipeline {
  readonly #options: PipelineOptions
  readonly #agents = new Map<PeerAddress, PipelineAgent>()
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  readonly #posting = new Set<ClientRequest>()
  #isStopped = false

  constructor(options: PipelineOptions) {
    this.#options = options
  }

  /** @returns false when the message was dropped because too much waits already */
  send(message: Message): boolean {
    const size = raftpb.Message.encodedSize(message)
    if (this.#isStopped || this.#queue.length >= QUEUED_MESSAGES_MAX) return false
    if (this.#queuedBytes > 0 && this.#queuedBytes + size > QUEUED_BYTES_MAX) return false
    this.#queue.push(raftpb.Message.encode(message))
    this.#queuedBytes += size
    this.#postNext()
    return true
  }

  stop(): void {
    this.#isStopped = true
    this.#queue = []
    for (const request of this.#posting) request.destroy()
    for (const agent of this.#agents.values()) agent.destroy()
  }

  #postNext(): void {
    while (this.#posting.size < POSTERS && this.#queue.length > 0 && !this.#isStopped) {
      const address = this.#options.picker.pick()
      const body = this.#queue.shift()
      if (body === undefined) return
      this.#queuedBytes -= body.length
      if (address === undefined) this.#options.onUnreachable()
      else this.#post(body, address)
    }
  }

  #post(body: Uint8Array, address: PeerAddress): void {
    const { local, clock, metrics, status } = this.#options
    const request = httpRequest({
      method: 'POST',
      path: '/raft',
      headers: {
        Host: address.authority,
        ...requestHeaders(local),
        'Content-Type': 'application/protobuf',
        'Content-Length': body.length,
      },
      agent: this.#agentOf(address),
    })
    this.#posting.add(request)
    const deadline = new Deadline(clock, IDLE_TIMEOUT_MS + this.#options.limits.connectTimeoutMs, () => {
      request.destroy(new Error('i/o timeout'))
    })
    const done = (error: unknown): void => {
      if (!this.#posting.delete(request)) return
      deadline.cancel()
      if (this.#isStopped) return
      if (error === undefined) {
        metrics.sentBytes += body.length
        status?.activate()
      } else {
        request.destroy()
        this.#options.picker.failed(address)
        status?.deactivate('post to peer', peerErrorText(error))
        metrics.sentFailures++
        this.#options.onUnreachable()
      }
      this.#postNext()
    }
    request.once('error', done)
    request.once('response', (response) => {
      readPostAnswer(response, local, this.#options.onRemoved).then(done, done)
    })
    request.end(body)
  }

  #agentOf(address: PeerAddress): PipelineAgent {
    let agent = this.#agents.get(address)
    if (agent === undefined) {
      for (const [other, outdated] of this.#agents) {
        if (this.#options.picker.all.includes(other)) continue
        outdated.destroy()
        this.#agents.delete(other)
      }
      agent = new PipelineAgent(address, this.#options)
      this.#agents.set(address, agent)
    }
    return agent
  }
}

/**
 * What the other member made of a post: undefined when it took it, else why not.
 *
 * @param onRemoved called when the answer is that this member has been removed
 */
export async function readPostAnswer(
  response: IncomingMessage,
  local: LocalIdentity,
  onRemoved: () => void,
): Promise<Error | undefined> {
  const body = await readShortBody(response)
  if (saysBadCertificate(response.headers)) return new Error(BAD_CERTIFICATE)
  switch (response.statusCode) {
    case 204:
      return undefined
    case 412:
      return new Error(body)
    case 403:
      // Anything may listen at an outdated address, and a proxy's refusal must not end this member.
      if (!isFromCluster(response.headers, local)) break
      onRemoved()
      return new Error('the member has been permanently removed from the cluster')
    case undefined:
    default:
  }
  return new Error(`unexpected http status ${response.statusCode} while posting`)
}

/** Keeps a few connections to one address. */
class PipelineAgent extends Agent {
  readonly #address: PeerAddress
  readonly #options: PipelineOptions

  constructor(address: PeerAddress, options: PipelineOptions) {
    super({ keepAlive: true, maxSockets: POSTERS, maxFreeSockets: POSTERS, timeout: KEPT_IDLE_MS })
    this.#address = address
    this.#options = options
  }

  override createConnection(): Socket {
    const { tls, limits, clock } = this.#options
    return dialPeer(this.#address, tls, limits, clock)
  }
}
