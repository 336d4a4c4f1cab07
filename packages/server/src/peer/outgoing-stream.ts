import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock, Timer } from '@etcd-ts/platform'
import type { Message } from '@etcd-ts/raft'
import type { PeerMetrics } from '../metrics/index.ts'
import { FrameBuffer } from './frame-buffer.ts'

/** A connection on which nothing moves for this long is given up, in either direction. */
export const IDLE_TIMEOUT_MS = 5000
const LINK_HEARTBEAT_MS = IDLE_TIMEOUT_MS / 3
/** Messages that wait for the connection to take them; the next ones are dropped. */
const QUEUED_MESSAGES_MAX = 4096
const QUEUED_BYTES_MAX = 32 * 1024 * 1024
/** The connection is given at most so much at once, and has to take it within `IDLE_TIMEOUT_MS`. */
const WRITE_BYTES_MAX = 256 * 1024

const LAST_CHUNK = '0\r\n\r\n'

/** Makes the frames of one type of stream. */
export interface FrameEncoder {
  linkHeartbeat(out: FrameBuffer): void
  encode(message: Message, out: FrameBuffer): void
}

export interface OutgoingStreamOptions {
  readonly encoder: FrameEncoder
  readonly clock: Clock
  readonly metrics: PeerMetrics
  /** @param lostMessages some messages were not given to the system, and are gone */
  readonly onClosed: (lostMessages: boolean, error: string) => void
}

/**
 * The sending end of a stream: the endless answer to another member's request for it.
 *
 * What is sent within one turn goes out in one write. While the connection has not taken that, later messages wait in
 * the next one, up to a bound. Chunks of HTTP are made here, and written past the response object.
 */
export class OutgoingStream {
  readonly #options: OutgoingStreamOptions
  readonly #socket: Socket
  readonly #buffer = new FrameBuffer()
  #queuedMessages = 0
  /** What of the taken chunk the connection has not been given yet. */
  #pieces: Uint8Array[] = []
  #isWriting = false
  #writeStartMs = 0
  #isScheduled = false
  #isClosed = false
  #timer: Timer

  /** @param response to which nothing has been written; its header goes out at once */
  constructor(response: ServerResponse, socket: Socket, options: OutgoingStreamOptions) {
    this.#options = options
    this.#socket = socket
    response.writeHead(200)
    response.flushHeaders()
    response.on('close', () => this.#closed('the connection was closed'))
    response.on('error', () => socket.destroy())
    this.#timer = this.#armHeartbeat()
  }

  /** @returns false when the message was dropped because too much waits already */
  send(message: Message, sizeBound: number): boolean {
    if (this.#isClosed) return false
    const queuedBytes = this.#buffer.sizeBytes
    if (
      this.#queuedMessages >= QUEUED_MESSAGES_MAX ||
      (queuedBytes > 0 && queuedBytes + sizeBound > QUEUED_BYTES_MAX)
    ) {
      return false
    }
    this.#options.encoder.encode(message, this.#buffer)
    this.#queuedMessages++
    this.#schedule()
    return true
  }

  /** Ends the answer as a server does that has no more to say; what waits is discarded. */
  close(): void {
    if (this.#isClosed) return
    const isClean = !this.#isWriting
    this.#closed('the stream was closed')
    if (isClean) {
      this.#socket.write(LAST_CHUNK, 'latin1')
      this.#socket.destroySoon()
    } else {
      this.#socket.destroy()
    }
  }

  #armHeartbeat(): Timer {
    return this.#options.clock.setTimer(LINK_HEARTBEAT_MS, () => {
      this.#timer = this.#armHeartbeat()
      const { clock, encoder } = this.#options
      if (this.#isWriting && clock.monotonicMs() - this.#writeStartMs > IDLE_TIMEOUT_MS) {
        this.#closed('i/o timeout')
        this.#socket.destroy()
        return
      }
      // Behind an unfinished write a heartbeat would only make the queue longer.
      if (this.#isWriting) return
      encoder.linkHeartbeat(this.#buffer)
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isWriting) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      if (!this.#isClosed && !this.#isWriting) this.#flush()
    })
  }

  #flush(): void {
    this.#options.metrics.sentBytes += this.#buffer.sizeBytes
    this.#queuedMessages = 0
    this.#pieces = this.#buffer.takeChunk()
    this.#writeSome()
  }

  #writeSome(): void {
    this.#isWriting = true
    this.#writeStartMs = this.#options.clock.monotonicMs()
    const socket = this.#socket
    const pieces = this.#takePieces()
    const last = pieces.pop()
    socket.cork()
    for (const piece of pieces) socket.write(piece)
    if (last !== undefined) socket.write(last, this.#onWritten)
    socket.uncork()
  }

  /** The next pieces that fit into one write together, or the beginning of one that does not by itself. */
  #takePieces(): Uint8Array[] {
    const pieces = this.#pieces
    let count = 0
    let sizeBytes = 0
    for (; count < pieces.length; count++) {
      sizeBytes += pieces[count]?.length ?? 0
      if (sizeBytes > WRITE_BYTES_MAX) break
    }
    const first = pieces[0]
    if (count === 0 && first !== undefined) {
      pieces[0] = first.subarray(WRITE_BYTES_MAX)
      return [first.subarray(0, WRITE_BYTES_MAX)]
    }
    return pieces.splice(0, count)
  }

  readonly #onWritten = (error?: Error | null): void => {
    this.#isWriting = false
    // The socket closes by itself then, and so does this stream.
    if ((error !== undefined && error !== null) || this.#isClosed) return
    if (this.#pieces.length > 0) {
      this.#writeSome()
      return
    }
    this.#buffer.recycle()
    if (this.#buffer.sizeBytes > 0) this.#flush()
  }

  #closed(error: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer.cancel()
    const lostMessages = this.#queuedMessages > 0 || this.#isWriting
    this.#pieces = []
    this.#options.onClosed(lostMessages, error)
  }
}
