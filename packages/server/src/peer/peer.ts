import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Message, MessageType } from '@etcd-ts/raft'
import { AppendDecoder, AppendEncoder, messageSizeBound } from './append-stream.ts'
import { IncomingStream, type StreamType, streamTitles } from './incoming-stream.ts'
import { MessageDecoder, MessageEncoder } from './message-stream.ts'
import { OutgoingStream } from './outgoing-stream.ts'
import { PeerStatus } from './peer-status.ts'
import type { PeerContext } from './peer-context.ts'
import { Pipeline } from './pipeline.ts'
import { Prober } from './probing.ts'
import { postSnapshot } from './snapshot-post.ts'
import type { SnapshotBody } from './transport.ts'
import { UrlPicker } from './url-picker.ts'
import { hexId } from '../membership/ids.ts'
import type { PeerMetrics } from '../metrics/index.ts'

/** Dropped messages are logged at most so often. */
const DROP_REPORT_INTERVAL_MS = 10_000

/**
 * Another member of the cluster, and all ways to it: two streams from it, two to it, which it asks for, and posts for
 * when there is no stream.
 */
export class Peer {
  readonly id: bigint
  readonly status: PeerStatus
  readonly metrics: PeerMetrics
  readonly #context: PeerContext
  readonly #picker: UrlPicker
  readonly #pipeline: Pipeline
  readonly #incoming: readonly IncomingStream[]
  #prober: Prober
  #appends: OutgoingStream | undefined
  #messages: OutgoingStream | undefined
  readonly #givenUp = new AbortController()
  #dropReportedMs = -Infinity

  constructor(id: bigint, urls: readonly string[], context: PeerContext) {
    this.id = id
    this.#context = context
    this.#picker = new UrlPicker(urls)
    this.metrics = context.metricsOf(id)
    this.metrics.known = true
    this.status = new PeerStatus(hexId(id), context.clock, context.logger, this.metrics)
    const onRemoved = (): void => context.removedFromCluster(id)
    const common = {
      local: context.local,
      picker: this.#picker,
      status: this.status,
      tls: context.tls,
      limits: context.limits,
      clock: context.clock,
      logger: context.logger,
      metrics: this.metrics,
      onRemoved,
    }
    const receive = (message: Message): void => context.receive(message, id)
    const newDecoders = {
      msgappv2: () => new AppendDecoder(context.local.memberId, id, receive),
      message: () => new MessageDecoder(receive),
    }
    this.#pipeline = new Pipeline({ ...common, onUnreachable: () => context.reportUnreachable(id) })
    this.#incoming = (['msgappv2', 'message'] as const).map(
      (type) => new IncomingStream({ ...common, type, remoteId: id, newDecoder: newDecoders[type] }),
    )
    this.#prober = this.#newProber()
  }

  /** Replaces the URLs; connections that are up stay up. */
  update(urls: readonly string[]): void {
    this.#picker.update(urls)
    this.#prober.stop()
    this.#prober = this.#newProber()
  }

  send(message: Message): void {
    if (this.#trySend(message)) return
    this.metrics.sentFailures++
    this.#context.reportUnreachable(this.id)
    const { clock, logger } = this.#context
    if (clock.monotonicMs() - this.#dropReportedMs < DROP_REPORT_INTERVAL_MS) return
    this.#dropReportedMs = clock.monotonicMs()
    logger.warn('dropped internal Raft message since sending buffer is full (overloaded network)', {
      'message-type': message.type,
      'remote-peer-id': hexId(this.id),
      'remote-peer-active': this.status.sinceMs !== undefined,
    })
  }

  #trySend(message: Message): boolean {
    if (message.type === MessageType.MsgApp && this.#appends !== undefined)
      return this.#appends.send(message, messageSizeBound(message))
    if (this.#messages !== undefined) return this.#messages.send(message, messageSizeBound(message))
    return this.#pipeline.send(message)
  }

  /** Answers the other member's request for a stream: from now on messages to it go this way. */
  attach(type: StreamType, response: ServerResponse, socket: Socket): void {
    const { clock, logger, local } = this.#context
    const previous = type === 'msgappv2' ? this.#appends : this.#messages
    const fields = {
      'stream-writer-type': streamTitles[type],
      'local-member-id': hexId(local.memberId),
      'remote-peer-id': hexId(this.id),
    }
    const stream: OutgoingStream = new OutgoingStream(response, socket, {
      encoder: type === 'msgappv2' ? new AppendEncoder() : new MessageEncoder(),
      clock,
      metrics: this.metrics,
      onClosed: (lostMessages, error) => {
        const isCurrent = this.#appends === stream || this.#messages === stream
        if (isCurrent) {
          if (type === 'msgappv2') this.#appends = undefined
          else this.#messages = undefined
          logger.warn('lost TCP streaming connection with remote peer', { ...fields, error })
          this.status.deactivate(`write ${streamTitles[type]}`, error)
        }
        if (!lostMessages || this.#givenUp.signal.aborted) return
        this.metrics.sentFailures++
        this.#context.reportUnreachable(this.id)
      },
    })
    if (type === 'msgappv2') this.#appends = stream
    else this.#messages = stream
    previous?.close()
    this.status.activate()
    logger.info('established TCP streaming connection with remote peer', fields)
  }

  /** @returns whether the other member has the snapshot; the database is closed in any case */
  async sendSnapshot(message: Message, database: SnapshotBody): Promise<boolean> {
    const { local, tls, limits, clock, logger } = this.#context
    const address = this.#picker.pick()
    const fields = {
      'snapshot-index': message.snapshot?.metadata.index,
      'remote-peer-id': hexId(this.id),
      bytes: database.sizeBytes,
    }
    if (address === undefined) {
      database.close()
      return false
    }
    const counters = this.metrics.snapshotsSent
    const startMs = clock.monotonicMs()
    counters.inFlight++
    logger.info('sending database snapshot', fields)
    try {
      await postSnapshot(message, database, {
        local,
        address,
        tls,
        limits,
        clock,
        signal: this.#givenUp.signal,
        onRemoved: () => this.#context.removedFromCluster(this.id),
        onSent: (sizeBytes) => (this.metrics.sentBytes += sizeBytes),
      })
      this.status.activate()
      counters.successes++
      counters.seconds.observe((clock.monotonicMs() - startMs) / 1000)
      logger.info('sent database snapshot', fields)
      return true
    } catch (error) {
      counters.failures++
      this.metrics.sentFailures++
      if (this.#givenUp.signal.aborted) return false
      logger.warn('failed to send database snapshot', { ...fields, error })
      this.#picker.failed(address)
      this.status.deactivate('post snapshot', error instanceof Error ? error.message : String(error))
      this.#context.reportUnreachable(this.id)
      return false
    } finally {
      counters.inFlight--
    }
  }

  stop(): void {
    this.metrics.known = false
    this.#givenUp.abort()
    this.#prober.stop()
    for (const stream of this.#incoming) stream.stop()
    const streams = [this.#appends, this.#messages]
    this.#appends = undefined
    this.#messages = undefined
    for (const stream of streams) stream?.close()
    this.#pipeline.stop()
    this.status.end()
  }

  #newProber(): Prober {
    const { http, clock, logger } = this.#context
    return new Prober({
      id: hexId(this.id),
      picker: this.#picker,
      metrics: this.metrics,
      http,
      clock,
      logger,
    })
  }
}
