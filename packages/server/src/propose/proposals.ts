import { ApiError } from '@etcd-ts/api'

/** Someone who waits until an entry has been applied here, or cannot be any more. Called exactly once. */
export interface Waiter<Result = unknown> {
  /** Monotonic time after which `failed` is called with a timeout. */
  readonly deadlineMs: number
  /** Size of the entry, set when it is registered. */
  entryBytes: number
  /** Whether the caller is gone: what has not been proposed yet is not proposed any more. */
  readonly ended: boolean
  applied(result: Result): void
  failed(error: unknown): void
}

/** Calls that may wait for their entry to be applied, and the bytes of those entries; beyond either, calls are refused. */
const WAITING_MAX = 50_000
const WAITING_BYTES_MAX = 256 * 1024 * 1024

/**
 * The calls that wait for their proposal to be applied, by request id.
 *
 * Proposals are registered in the order of their deadlines, so expiry looks at the oldest only.
 */
export class Proposals {
  readonly #waiting = new Map<number, Waiter>()
  #bytes = 0

  get size(): number {
    return this.#waiting.size
  }

  /** Registers a waiter for an entry of `entryBytes`. @throws ApiError `tooManyRequests` at either limit */
  register(requestId: number, waiter: Waiter, entryBytes: number): void {
    if (this.#waiting.size >= WAITING_MAX || this.#bytes + entryBytes > WAITING_BYTES_MAX) {
      throw new ApiError('tooManyRequests')
    }
    waiter.entryBytes = entryBytes
    this.#bytes += entryBytes
    this.#waiting.set(requestId, waiter)
  }

  /** Hands over what applying the entry gave; an id that nobody waits for is ignored. */
  resolve(requestId: number, result: unknown): void {
    this.#take(requestId)?.applied(result)
  }

  reject(requestId: number, error: unknown): void {
    this.#take(requestId)?.failed(error)
  }

  /** Whether somebody still waits for the proposal. */
  isAwaited(requestId: number): boolean {
    return this.#waiting.get(requestId)?.ended === false
  }

  /** Gives up on every proposal whose deadline has passed; it may still be applied. */
  expire(nowMs: number, error: (deadlineMs: number) => ApiError): void {
    for (const [requestId, waiter] of this.#waiting) {
      if (waiter.deadlineMs > nowMs) return
      this.reject(requestId, error(waiter.deadlineMs))
    }
  }

  rejectAll(error: unknown): void {
    for (const requestId of this.#waiting.keys()) this.reject(requestId, error)
  }

  #take(requestId: number): Waiter | undefined {
    const waiter = this.#waiting.get(requestId)
    if (waiter === undefined) return undefined
    this.#waiting.delete(requestId)
    this.#bytes -= waiter.entryBytes
    return waiter
  }
}
