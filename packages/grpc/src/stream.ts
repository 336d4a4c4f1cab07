import type { Connection } from './connection.ts'

/** Part of a stream's DATA that waits for a window or for the socket. */
export class PendingOutput {
  /** Chunks in order; the first `offset` bytes of the first are sent already. */
  readonly chunks: Buffer[] = []
  offset = 0
  bytes = 0
  /** Header block that follows the last byte and ends the stream. */
  trailers: Uint8Array | undefined
  /** END_STREAM goes onto the last byte: a client that half-closes. */
  endStream = false
  /** `write` answered false and `onDrain` is owed. */
  awaited = false
  /** When bytes last moved. */
  movedAtMs = performance.now()
}

/**
 * One HTTP/2 stream, as the connection sees it. Its two halves close independently; the connection drops it from its
 * map when both are closed.
 */
export abstract class Stream {
  /** 0 until a client's stream is opened. */
  id: number
  readonly connection: Connection
  /** What we may send. */
  sendWindow: number
  /** What the peer may send. */
  receiveWindow: number
  /** Bytes taken off `receiveWindow` and not given back yet. */
  owedWindow = 0
  localClosed = false
  remoteClosed = false
  pending: PendingOutput | undefined = undefined
  /** Response headers have been sent. */
  answered = false
  /** In the connection's send queue. */
  queued = false
  /** Bytes of `content-length` still to come, or -1 when none was announced. */
  contentLeft = -1

  constructor(connection: Connection, id: number, sendWindow: number, receiveWindow: number) {
    this.connection = connection
    this.id = id
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }

  /** Payload of a DATA frame; the bytes are valid until this returns. */
  abstract onData(bytes: Buffer, start: number, end: number): void

  /** The peer has ended its half; no call of `onData` follows. */
  abstract onRemoteEnd(): void

  /** The peer has reset the stream, or it was reset by us for the peer's fault; both halves are closed. */
  abstract onReset(code: number, byPeer: boolean): void

  /** The connection is gone; both halves are closed. */
  abstract onConnectionLost(reason: string): void

  /** Waiting bytes have fallen to the low-water mark after `write` had answered false. */
  abstract onSendDrained(): void

  /** Nothing waits any more, and the local half is closed. */
  abstract onLocalEnd(): void
}
