import type { Socket } from 'node:net'

const BUFFER_BYTES = 64 * 1024

/**
 * Connections that may hold unflushed output at one time. The next one flushes them all at once, so the buffers in use
 * are bounded even when one event is told to thousands of connections.
 */
const UNFLUSHED_MAX = 64

/** Bytes left in the socket from which it counts as blocked; at least Node's mark, so `drain` is sure to come. */
const BLOCKED_BYTES = 64 * 1024

const NONE = Buffer.alloc(0)
const pool: Buffer[] = []
/**
 * The bytes that one connection writes in one turn of the event loop. Frames are written in place with
 * `reserve` and `at`; when the turn's callback is over, they leave in one socket write. `process.nextTick` runs after each
 * callback from the event loop, and after the promise jobs that follow from it, so everything that one read, or one
 * finished fsync, has answered shares that write.
 */
export class Output {
  static #unflushed: Output[] = []
  static #scheduled = false

  static #flushAll(this: void): void {
    Output.#scheduled = false
    const outputs = Output.#unflushed
    Output.#unflushed = []
    for (const output of outputs) {
      output.#listed = false
      output.flush()
    }
  }

  buffer: Buffer = NONE
  /** Next free byte of `buffer`. */
  at = 0
  /** True while the socket holds much that the kernel has not taken: only control frames should be added. */
  blocked = false
  /** Called when the socket has drained. */
  onDrain: (() => void) | undefined

  readonly #socket: Socket
  /** A TLS socket keeps the bytes it was given until they are encrypted. */
  readonly #keepsBytes: boolean
  #listed = false

  constructor(socket: Socket, keepsBytes: boolean) {
    this.#socket = socket
    this.#keepsBytes = keepsBytes
    socket.on('drain', () => {
      this.blocked = false
      this.onDrain?.()
    })
  }

  /** Bytes that have been written here and not taken by the kernel. */
  get backlogBytes(): number {
    return this.at + this.#socket.writableLength
  }

  /** Makes room for `bytes` (at most 64 KiB) at `at`, which it returns. */
  reserve(bytes: number): number {
    if (this.buffer.length - this.at < bytes) this.#makeRoom()
    return this.at
  }

  #makeRoom(): void {
    if (this.at > 0) this.flush()
    this.buffer = pool.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
    if (this.#listed) return
    if (Output.#unflushed.length >= UNFLUSHED_MAX) Output.#flushAll()
    this.#listed = true
    Output.#unflushed.push(this)
    if (Output.#scheduled) return
    Output.#scheduled = true
    process.nextTick(Output.#flushAll)
  }

  /** Hands what has been written to the socket. */
  flush(): void {
    const { buffer, at } = this
    if (buffer === NONE) return
    this.buffer = NONE
    this.at = 0
    const socket = this.#socket
    if (at === 0 || socket.destroyed || socket.writableEnded) {
      release(buffer)
      return
    }
    if (this.#keepsBytes) {
      socket.write(Buffer.from(buffer.subarray(0, at)))
      release(buffer)
    } else {
      socket.write(at === buffer.length ? buffer : buffer.subarray(0, at))
      // With nothing left in the socket the kernel has the bytes; otherwise the buffer is the socket's for good.
      if (socket.writableLength === 0) release(buffer)
    }
    this.blocked = socket.writableLength >= BLOCKED_BYTES
  }
}

function release(buffer: Buffer): void {
  if (pool.length < UNFLUSHED_MAX) pool.push(buffer)
}
