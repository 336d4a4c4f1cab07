import { ApiError } from '@etcd-ts/api'

/** Someone who waits until an entry has been applied here, or cannot be any more. Called exactly once. */
export interface Waiter<Result = unknown> {
  /** Monotonic time after which `failed` is called with a timeout. */
  readonly deadlineMs: number
  applied(result: Result): void
  failed(error: unknown): void
}

/**
 * The calls that wait for their proposal to be applied, by request id.
 *
 * Proposals are registered in the order of their deadlines, so expiry looks at the oldest only.
 */
export class Proposals {
  readonly #waiting = new Map<number, Waiter>()

  get size(): number {
    return this.#waiting.size
  }

  register(requestId: number, waiter: Waiter): void {
    this.#waiting.set(requestId, waiter)
  }

  has(requestId: number): boolean {
    return this.#waiting.has(requestId)
  }

  /** Hands over what applying the entry gave; an id that nobody waits for is ignored. */
  resolve(requestId: number, result: unknown): void {
    const waiter = this.#waiting.get(requestId)
    if (waiter === undefined) return
    this.#waiting.delete(requestId)
    waiter.applied(result)
  }

  reject(requestId: number, error: unknown): void {
    const waiter = this.#waiting.get(requestId)
    if (waiter === undefined) return
    this.#waiting.delete(requestId)
    waiter.failed(error)
  }

  /** Gives up on every proposal whose deadline has passed; it may still be applied. */
  expire(nowMs: number, error: () => ApiError): void {
    for (const [requestId, waiter] of this.#waiting) {
      if (waiter.deadlineMs > nowMs) return
      this.#waiting.delete(requestId)
      waiter.failed(error())
    }
  }

  rejectAll(error: unknown): void {
    for (const requestId of [...this.#waiting.keys()]) this.reject(requestId, error)
  }
}
