import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock, Timer } from '@etcd-ts/platform'
import type { Logger } from '../log/index.ts'
import { hexId } from '../membership/ids.ts'
import type { PeerMetrics } from '../metrics/index.ts'
import { isFromCluster, type LocalIdentity, requestHeaders, supportsStreams } from './compatibility.ts'
import { Deadline } from './deadline.ts'
import { BAD_CERTIFICATE, peerErrorText, saysBadCertificate } from './dial-error.ts'
import { IDLE_TIMEOUT_MS } from './outgoing-stream.ts'
import { type DialLimits, type PeerAddress, dialPeer } from './peer-address.ts'
import type { PeerStatus } from './peer-status.ts'
import type { PeerTls } from './peer-tls.ts'
import { readShortBody } from './short-body.ts'
import type { UrlPicker } from './url-picker.ts'

const REDIAL_MS = 100

/** How a stream ends that the other member ended. */
const END = new Error('EOF')

interface Attempt {
  isOver: boolean
  /** The other member has begun to send. */
  established: boolean
}

/** `msgappv2` carries appends alone, `message` whatever else there is. */
export type StreamType = 'msgappv2' | 'message'

/** Logged as etcd does. */
export const streamTitles: Readonly<Record<StreamType, string>> = {
  msgappv2: 'stream MsgApp v2',
  message: 'stream Message',
}

const endpoints: Readonly<Record<StreamType, string>> = { msgappv2: 'msgapp', message: 'message' }

/** What reads the chunks of a stream. @throws ProtocolError when it cannot be read any further */
export interface FrameDecoder {
  push(chunk: Uint8Array): void
}

export interface IncomingStreamOptions {
  readonly type: StreamType
  readonly local: LocalIdentity
  readonly remoteId: bigint
  readonly picker: UrlPicker
  readonly status: PeerStatus
  readonly tls: PeerTls | undefined
  readonly limits: DialLimits
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: PeerMetrics
  readonly newDecoder: () => FrameDecoder
  readonly onRemoved: () => void
}

/**
 * The receiving end of a stream: asks the other member for it, again and again, and reads what it sends for as long as
 * the connection lasts.
 */
export class IncomingStream {
  readonly #options: IncomingStreamOptions
  #socket: Socket | undefined
  #timer: Timer | undefined
  #lastDialMs = -Infinity
  #isStopped = false
  #lastFault = ''

  constructor(options: IncomingStreamOptions) {
    this.#options = options
    this.#dial()
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#socket?.destroy()
  }

  #dialLater(): void {
    if (this.#isStopped) return
    const { clock } = this.#options
    const delayMs = Math.max(0, this.#lastDialMs + REDIAL_MS - clock.monotonicMs())
    this.#timer = clock.setTimer(delayMs, () => this.#dial())
  }

  #dial(): void {
    const { type, local, remoteId, picker, tls, limits, clock } = this.#options
    this.#lastDialMs = clock.monotonicMs()
    const address = picker.pick()
    if (address === undefined) {
      this.#dialLater()
      return
    }
    const request = httpRequest({
      path: `/raft/stream/${endpoints[type]}/${hexId(local.memberId)}`,
      headers: { Host: address.authority, ...requestHeaders(local), 'X-Raft-To': hexId(remoteId) },
      createConnection: () => (this.#socket = dialPeer(address, tls, limits, clock)),
    })
    this.#follow(request, address)
    request.end()
  }

  /** Sees one attempt through to its end, whatever that is, and then makes the next one. */
  #follow(request: ClientRequest, address: PeerAddress): void {
    const { clock, picker } = this.#options
    const attempt: Attempt = { isOver: false, established: false }
    let deadline: Deadline | undefined
    const fail = (error: unknown): void => {
      if (attempt.isOver) return
      attempt.isOver = true
      deadline?.cancel()
      request.destroy()
      this.#socket?.destroy()
      if (this.#isStopped) return
      this.#dialLater()
      if (attempt.established) {
        this.#reportLoss(error)
        return
      }
      picker.failed(address)
      this.#reportDial(peerErrorText(error))
    }
    const alive = (): void => {
      if (deadline !== undefined) deadline.renew()
      else if (!attempt.isOver)
        deadline = new Deadline(clock, IDLE_TIMEOUT_MS, () => fail(new Error('i/o timeout')))
    }
    request.on('error', fail)
    request.once('finish', alive)
    request.once('upgrade', () => fail(new Error('unexpected upgrade')))
    request.once('response', (response) => {
      alive()
      response.on('error', fail)
      const fault = this.#faultOf(response)
      if (fault === undefined) this.#read(response, attempt, alive, fail)
      else if (response.statusCode !== 412) fail(new Error(fault))
      else readShortBody(response).then((body) => fail(new Error(body)), fail)
    })
  }

  /** Why the answer is not a stream; it may also be the news that this member has been removed. */
  #faultOf(response: IncomingMessage): string | undefined {
    const { statusCode, headers } = response
    if (saysBadCertificate(headers)) return BAD_CERTIFICATE
    if (!supportsStreams(headers)) return 'unsupported stream type'
    if (statusCode === 200) return undefined
    if (statusCode === 410 && isFromCluster(headers, this.#options.local)) {
      this.#options.onRemoved()
      return 'the member has been permanently removed from the cluster'
    }
    if (statusCode === 404) return 'remote member not found: the peer does not know this member'
    return `unhandled http status ${statusCode}`
  }

  #read(
    response: IncomingMessage,
    attempt: Attempt,
    alive: () => void,
    fail: (error: unknown) => void,
  ): void {
    const { status, metrics, logger, newDecoder } = this.#options
    const decoder = newDecoder()
    attempt.established = true
    this.#lastFault = ''
    status.activate()
    logger.info('established TCP streaming connection with remote peer', this.#fields())
    response.on('data', (chunk: Buffer) => {
      if (attempt.isOver || this.#isStopped) return
      alive()
      metrics.receivedBytes += chunk.length
      try {
        decoder.push(chunk)
      } catch (error) {
        metrics.receivedFailures++
        fail(error)
      }
    })
    response.once('end', () => fail(END))
    response.once('close', () => fail(new Error('the connection was closed')))
  }

  #fields(): Readonly<Record<string, string>> {
    const { type, local, remoteId } = this.#options
    return {
      'stream-reader-type': streamTitles[type],
      'local-member-id': hexId(local.memberId),
      'remote-peer-id': hexId(remoteId),
    }
  }

  #reportLoss(error: unknown): void {
    const { type, status, logger } = this.#options
    logger.warn('lost TCP streaming connection with remote peer', {
      ...this.#fields(),
      error: peerErrorText(error),
    })
    // A member that ends a stream has made another one, or stops: it is not a failure.
    if (error !== END) status.deactivate(`read ${streamTitles[type]}`, peerErrorText(error))
  }

  /** Logs a fault once, although it may come again with every attempt. */
  #reportDial(fault: string): void {
    const { type, status, logger } = this.#options
    status.deactivate(`dial ${streamTitles[type]}`, fault)
    if (fault === this.#lastFault) return
    this.#lastFault = fault
    logger.warn('failed to establish a stream with remote peer', { ...this.#fields(), error: fault })
  }
}
