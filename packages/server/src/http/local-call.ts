import {
  Code,
  type CancelReason,
  type Metadata,
  type Method,
  type Status,
  type StreamCall,
  type UnaryCall,
} from '@etcd-ts/grpc'
import type { Clock, Timer } from '@etcd-ts/platform'

/** A timer cannot wait longer; a deadline beyond that is none. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** Who made a call: where its answer goes. */
export interface LocalCaller {
  /**
   * One message of the answer; a view that is valid until the function returns.
   *
   * @returns false to ask the service to stop until `LocalCall.drained`
   */
  onMessage(message: Uint8Array): boolean
  /** Bytes of the answer that are still on their way. */
  bufferedBytes(): number
  /**
   * Nothing follows; not called after `cancel`.
   *
   * @param byService false when the deadline has passed
   */
  onEnd(status: Status, byService: boolean): void
  /** The service takes messages again, or for the first time. */
  onResume(): void
}

export interface LocalCallOptions {
  /** `/package.Service/Method`. */
  readonly path: string
  readonly metadata: Metadata
  /** Milliseconds that the call may take; undefined for any time. */
  readonly timeoutMs: number | undefined
  readonly clock: Clock
}

/** A call of a service by a caller in the same process: what the service sees, and the caller's side of it. */
export class LocalCall implements UnaryCall, StreamCall {
  readonly path: string
  readonly metadata: Metadata
  readonly socket = undefined
  /** Response metadata, in the order set. */
  readonly headers: (readonly [name: string, value: string])[] = []
  /** Trailing metadata, in the order set. */
  readonly trailers: (readonly [name: string, value: string])[] = []

  onCancel: ((reason: CancelReason) => void) | undefined
  onMessage: ((message: Uint8Array) => void) | undefined
  onHalfClose: (() => void) | undefined
  onDrain: (() => void) | undefined

  readonly #caller: LocalCaller
  readonly #clock: Clock
  readonly #deadlineMs: number | undefined
  readonly #timer: Timer | undefined
  readonly #held: Uint8Array[] = []
  #started = false
  #halfClosed = false
  #paused = false
  #ended = false

  constructor(caller: LocalCaller, { path, metadata, timeoutMs, clock }: LocalCallOptions) {
    this.path = path
    this.metadata = metadata
    this.#caller = caller
    this.#clock = clock
    if (timeoutMs === undefined || timeoutMs > TIMER_MS_MAX) return
    this.#deadlineMs = clock.monotonicMs() + timeoutMs
    this.#timer = clock.setTimer(timeoutMs, () => this.#expire())
  }

  // What the service sees.

  get ended(): boolean {
    return this.#ended
  }

  get bufferedBytes(): number {
    return this.#caller.bufferedBytes()
  }

  remainingMs(): number | undefined {
    return this.#deadlineMs === undefined ? undefined : this.#deadlineMs - this.#clock.monotonicMs()
  }

  setHeader(name: string, value: string): void {
    this.headers.push([name, value])
  }

  setTrailer(name: string, value: string): void {
    this.trailers.push([name, value])
  }

  respond(bytes: Uint8Array, start = 0, end = bytes.length): void {
    if (this.#ended) return
    this.#caller.onMessage(bytes.subarray(start, end))
    this.#end({ code: Code.Ok, message: '' }, true)
  }

  fail(status: Status): void {
    this.#end(status, true)
  }

  write(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    return this.#ended || this.#caller.onMessage(bytes.subarray(start, end))
  }

  end(status: Status = { code: Code.Ok, message: '' }): void {
    this.#end(status, true)
  }

  pause(paused: boolean): void {
    if (this.#paused === paused || this.#ended) return
    this.#paused = paused
    this.#deliverHeld()
    if (!this.paused) this.#caller.onResume()
  }

  // The caller's side.

  /** Ends the call if its deadline has passed, which a timer may be late to see. @returns whether it has ended */
  expireIfDue(): boolean {
    const remainingMs = this.remainingMs()
    if (remainingMs !== undefined && remainingMs <= 0) this.#expire()
    return this.#ended
  }

  /** Hands a unary call and its request to the method. */
  startUnary(method: Method & { kind: 'unary' }, request: Uint8Array): void {
    if (this.#ended) return
    this.#guard(() => method.handle(this, request))
  }

  /** Hands a streaming call to the method; its messages follow. */
  startStream(method: Method & { kind: 'stream' }): void {
    if (this.#ended) return
    this.#started = true
    this.#guard(() => method.handle(this))
    this.#deliverHeld()
    if (!this.paused) this.#caller.onResume()
  }

  /** Whether the service takes no messages now; what is delivered all the same is held back. */
  get paused(): boolean {
    return this.#paused || !this.#started
  }

  /** Gives the service a message of a streaming call. The bytes are the call's from now on. */
  deliver(message: Uint8Array): void {
    this.#held.push(message)
    this.#deliverHeld()
  }

  /** Tells the service that no message follows. */
  halfClose(): void {
    this.#halfClosed = true
    this.#deliverHeld()
  }

  /** Tells the service that it may write again. */
  drained(): void {
    if (!this.#ended) this.onDrain?.()
  }

  /** Ends the call because its caller is gone. */
  cancel(reason: CancelReason): void {
    if (this.#ended) return
    this.#close()
    this.onCancel?.(reason)
  }

  #deliverHeld(): void {
    while (!this.paused && !this.#ended) {
      const message = this.#held.shift()
      if (message !== undefined) {
        this.#guard(() => this.onMessage?.(message))
      } else {
        if (this.#halfClosed) {
          this.#halfClosed = false
          this.#guard(() => this.onHalfClose?.())
        }
        return
      }
    }
  }

  /** What a service throws is the end of this call and of nothing else. */
  #guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fail({ code: Code.Unknown, message: error instanceof Error ? error.message : String(error) })
    }
  }

  #expire(): void {
    if (this.#ended) return
    this.#end({ code: Code.DeadlineExceeded, message: 'context deadline exceeded' }, false)
    this.onCancel?.('deadline')
  }

  #end(status: Status, byService: boolean): void {
    if (this.#ended) return
    this.#close()
    this.#caller.onEnd(status, byService)
  }

  #close(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#held.length = 0
  }
}
