import type { IncomingMessage, ServerResponse } from 'node:http'
import { posix } from 'node:path'
import type { Message } from '@etcd-ts/raft'
import { answerError, refusesMethod, targetOf } from '../http/answer.ts'
import { hexId } from '../membership/ids.ts'
import { headerOf, incompatibilityOf, parseHexId } from './compatibility.ts'
import { answerForbidden } from './forbidden.ts'
import type { StreamType } from './incoming-stream.ts'
import { checkMessage, decodeMessage } from './message-check.ts'
import type { PeerContext } from './peer-context.ts'
import type { Peer } from './peer.ts'
import { PROBING_PATH, answerProbe } from './probing.ts'
import { readRequestBody } from './request-body.ts'
import { SnapshotReceiver } from './snapshot-receiver.ts'
import type { PeerPorts } from './transport.ts'

const PIPELINE_PATH = '/raft'
const SNAPSHOT_PATH = '/raft/snapshot'
const STREAM_PREFIX = '/raft/stream/'

const streamTypes: Readonly<Record<string, StreamType>> = {
  '/raft/stream/msgapp': 'msgappv2',
  '/raft/stream/message': 'message',
}

/** What the requests of other members are checked against. */
export interface KnownMembers {
  peer(id: bigint): Peer | undefined
  /** Remembers a member that may be too new to be known. */
  learn(id: bigint, peerUrls: readonly string[]): void
}

/**
 * The serving half of the protocol.
 *
 * Two answers end the member that gets them, and are therefore never given for anything else: 410 to a request for a
 * stream and 403 to a post.
 */
export class PeerRequests {
  readonly #context: PeerContext
  readonly #ports: PeerPorts
  readonly #known: KnownMembers
  readonly #snapshots: SnapshotReceiver
  #isStopped = false

  constructor(context: PeerContext, ports: PeerPorts, known: KnownMembers) {
    this.#context = context
    this.#ports = ports
    this.#known = known
    this.#snapshots = new SnapshotReceiver(context, ports)
  }

  /** @returns whether the request is of the protocol */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const path = targetOf(request).pathname
    const isStream = path.startsWith(STREAM_PREFIX)
    if (path === PROBING_PATH) {
      answerProbe(response, this.#context.clock)
      return true
    }
    if (!isStream && path !== PIPELINE_PATH && path !== SNAPSHOT_PATH) return false
    // The other side may break off at any time.
    request.on('error', () => undefined)
    if (this.#isStopped) {
      request.socket.destroy()
      return true
    }
    if (refusesMethod(request, response, [isStream ? 'GET' : 'POST'])) return true
    const { local, logger } = this.#context
    if (isStream) response.setHeader('X-Server-Version', local.serverVersion)
    response.setHeader('X-Etcd-Cluster-ID', hexId(local.clusterId))
    const fault = incompatibilityOf(request.headers, local)
    if (fault !== undefined) {
      logger.warn('refused a request of another member', {
        error: fault,
        path,
        'remote-peer-id': headerOf(request.headers, 'x-server-from'),
        'remote-peer-server-version': headerOf(request.headers, 'x-server-version'),
        'remote-peer-cluster-id': headerOf(request.headers, 'x-etcd-cluster-id'),
      })
      answerError(response, 412, fault)
      return true
    }
    if (isStream) {
      this.#answerStream(path, request, response)
      return true
    }
    const senderId = parseHexId(headerOf(request.headers, 'x-server-from'))
    this.#learn(request, senderId)
    const answered =
      path === PIPELINE_PATH
        ? this.#answerPost(request, response, senderId)
        : this.#snapshots.answer(request, response, senderId)
    answered.catch((error: unknown) => {
      logger.warn('failed to answer another member', { path, error })
      request.socket.destroy()
    })
    return true
  }

  /** Breaks off what a removed member is sending. */
  forget(id: bigint): void {
    this.#snapshots.forget(id)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#snapshots.stop()
  }

  #learn(request: IncomingMessage, senderId: bigint | undefined): void {
    const urls = headerOf(request.headers, 'x-peerurls')
    if (senderId !== undefined && urls !== '') this.#known.learn(senderId, urls.split(','))
  }

  #answerStream(path: string, request: IncomingMessage, response: ServerResponse): void {
    const type = streamTypes[posix.dirname(path)]
    if (type === undefined || path.endsWith('/')) {
      answerError(response, 404, 'invalid path')
      return
    }
    const remoteId = parseHexId(posix.basename(path))
    if (remoteId === undefined) {
      answerError(response, 404, 'invalid from')
      return
    }
    if (this.#ports.isRemoved(remoteId)) {
      answerError(response, 410, 'removed member')
      return
    }
    const peer = this.#known.peer(remoteId)
    if (peer === undefined) {
      this.#learn(request, remoteId)
      answerError(response, 404, 'error sender not found')
      return
    }
    if (headerOf(request.headers, 'x-raft-to') !== hexId(this.#context.local.memberId)) {
      answerError(response, 412, 'to field mismatch')
      return
    }
    if (request.httpVersion !== '1.1' || response.socket === null) request.socket.destroy()
    else peer.attach(type, response, response.socket)
  }

  async #answerPost(
    request: IncomingMessage,
    response: ServerResponse,
    senderId: bigint | undefined,
  ): Promise<void> {
    const { clock } = this.#context
    let body: Uint8Array
    try {
      body = await readRequestBody(request, clock)
    } catch {
      answerError(response, 400, 'error reading raft message')
      return
    }
    let message: Message
    try {
      message = decodeMessage(body)
      checkMessage(message)
    } catch {
      if (senderId !== undefined) this.#context.metricsOf(senderId).receivedFailures++
      answerError(response, 400, 'error unmarshalling raft message')
      return
    }
    if (answerForbidden(message, this.#context, this.#ports, response)) return
    if (this.#known.peer(message.from) !== undefined)
      this.#context.metricsOf(message.from).receivedBytes += body.length
    try {
      this.#context.receive(message, senderId ?? message.from)
    } catch (error) {
      this.#context.logger.warn('failed to process Raft message', { error })
      response.once('finish', () => request.socket.destroy())
      answerError(response, 500, 'error processing raft message')
      return
    }
    response.writeHead(204).end()
  }
}
