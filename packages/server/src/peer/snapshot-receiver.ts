import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Message, MessageType } from '@etcd-ts/raft'
import { answerError } from '../http/answer.ts'
import { hexId } from '../membership/ids.ts'
import { ChunkReader } from './chunk-reader.ts'
import { answerForbidden } from './forbidden.ts'
import { MESSAGE_BYTES_MAX, ProtocolError, checkSender, decodeMessage } from './message-check.ts'
import type { PeerContext } from './peer-context.ts'
import { requestChunks } from './request-body.ts'
import type { PeerPorts } from './transport.ts'

/** Between an answer and the end of its connection. */
const LINGER_MS = 500

/** Takes in the snapshots that other members post, one of each member at a time. */
export class SnapshotReceiver {
  readonly #context: PeerContext
  readonly #ports: PeerPorts
  readonly #transfers = new Map<bigint, Transfer>()

  constructor(context: PeerContext, ports: PeerPorts) {
    this.#context = context
    this.#ports = ports
  }

  /** @throws Error when there is nobody left to answer */
  async answer(
    request: IncomingMessage,
    response: ServerResponse,
    senderId: bigint | undefined,
  ): Promise<void> {
    const { clock } = this.#context
    const chunks = requestChunks(request, clock)
    // Read to its end or not, the body is of no use after an answer of failure; the answer gets time to arrive.
    response.once('finish', () => {
      if (response.statusCode !== 204) clock.setTimer(LINGER_MS, () => request.destroy())
    })
    let message: Message
    let rest: Uint8Array
    try {
      ;({ message, rest } = await readHead(chunks))
      checkSender(message)
      if (message.from !== senderId) throw new ProtocolError(`message of ${hexId(message.from)}`)
    } catch (error) {
      answerError(response, 400, `failed to decode raft message (${textOf(error)})`)
      return
    }
    if (message.type !== MessageType.MsgSnap || message.snapshot === undefined) {
      answerError(response, 400, 'wrong raft message type')
      return
    }
    if (answerForbidden(message, this.#context, this.#ports, response)) return
    if (this.#transfers.has(message.from)) {
      answerError(response, 500, 'failed to save KV snapshot (another one of this member is being received)')
      return
    }
    const saved = this.#save(message, rest, chunks)
    this.#transfers.set(message.from, { request, saved: saved.catch(() => undefined) })
    try {
      await saved
      response.writeHead(204).end()
    } catch (error) {
      answerError(response, 500, `failed to save KV snapshot (${textOf(error)})`)
    } finally {
      this.#transfers.delete(message.from)
    }
  }

  /** Breaks off what a member is sending. */
  forget(id: bigint): void {
    this.#transfers.get(id)?.request.destroy()
  }

  /** Breaks all off, and resolves once nothing of it goes on. */
  async stop(): Promise<void> {
    const transfers = [...this.#transfers.values()]
    for (const { request } of transfers) request.destroy()
    await Promise.all(transfers.map((transfer) => transfer.saved))
  }

  async #save(message: Message, rest: Uint8Array, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { clock, logger } = this.#context
    const metrics = this.#context.metricsOf(message.from)
    const counters = metrics.snapshotsReceived
    const fields = {
      'remote-snapshot-sender-id': hexId(message.from),
      'incoming-snapshot-index': message.snapshot?.metadata.index,
    }
    const startMs = clock.monotonicMs()
    let sizeBytes = 0
    const count = (chunk: Uint8Array): void => {
      sizeBytes += chunk.length
      metrics.receivedBytes += chunk.length
    }
    counters.inFlight++
    logger.info('receiving database snapshot', fields)
    try {
      await this.#ports.receiveSnapshot(message, counted(rest, chunks, count))
      counters.successes++
      counters.seconds.observe((clock.monotonicMs() - startMs) / 1000)
      logger.info('received and saved database snapshot', { ...fields, bytes: sizeBytes })
    } catch (error) {
      counters.failures++
      logger.warn('failed to save incoming database snapshot', { ...fields, error })
      throw error
    } finally {
      counters.inFlight--
    }
  }
}

interface Transfer {
  readonly request: IncomingMessage
  readonly saved: Promise<void>
}

interface Head {
  readonly message: Message
  /** What came behind the message in the same chunk. */
  readonly rest: Uint8Array
}

/** Reads the message that the body begins with. */
async function readHead(chunks: AsyncGenerator<Uint8Array>): Promise<Head> {
  const reader = new ChunkReader()
  let sizeBytes = -1
  for (;;) {
    if (sizeBytes < 0 && reader.need(8)) sizeBytes = reader.takeUint64(MESSAGE_BYTES_MAX)
    if (sizeBytes >= 0 && reader.need(sizeBytes)) break
    const chunk = await chunks.next()
    if (chunk.done === true) throw new ProtocolError('unexpected EOF')
    reader.push(chunk.value)
  }
  const end = reader.at + sizeBytes
  const message = decodeMessage(reader.bytes, reader.at, end)
  reader.at = end
  return { message, rest: reader.takeRest() }
}

async function* counted(
  first: Uint8Array,
  chunks: AsyncIterable<Uint8Array>,
  count: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  if (first.length > 0) {
    count(first)
    yield first
  }
  for await (const chunk of chunks) {
    count(chunk)
    yield chunk
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
