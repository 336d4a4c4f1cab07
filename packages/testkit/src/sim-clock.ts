import type { Clock, Timer } from '@etcd-ts/platform'

interface Pending {
  readonly dueMs: number
  readonly order: number
  /** Undefined once it is cancelled. */
  run: (() => void) | undefined
}

function isBefore(a: Pending, b: Pending): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)
}

/**
 * A clock that stands still until a test moves it.
 *
 * Timers fire in the order of their due time, and in the order they were set when that is equal. Wall time moves along
 * with monotonic time; `stepWall` makes it jump, as an operator or NTP would.
 */
export class SimClock implements Clock {
  #nowMs = 0
  #wallOffsetMs: number
  #order = 0
  /** A heap: each comes before those at twice its place plus one and two. */
  readonly #pending: Pending[] = []

  /** @param wallStartMs what `wallMs` says at the beginning */
  constructor(wallStartMs = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = wallStartMs
  }

  wallMs(): number {
    return Math.floor(this.#nowMs + this.#wallOffsetMs)
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  /** Moves wall time by `deltaMs` (either way) and leaves monotonic time and timers alone. */
  stepWall(deltaMs: number): void {
    this.#wallOffsetMs += deltaMs
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const pending: Pending = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run }
    this.#push(pending)
    return {
      cancel: () => {
        pending.run = undefined
      },
    }
  }

  soon(run: () => void): void {
    this.setTimer(0, run)
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve(false)
        return
      }
      const timer = this.setTimer(delayMs, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve(true)
      })
      const onAbort = (): void => {
        timer.cancel()
        resolve(false)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Milliseconds until the next timer is due, or undefined when none is set. */
  untilNextMs(): number | undefined {
    const next = this.#next()
    return next === undefined ? undefined : next.dueMs - this.#nowMs
  }

  /**
   * Moves time on by `deltaMs` and fires what falls due, each timer at its own instant. Promise callbacks that a timer
   * releases run before the next timer fires, so a loop that sleeps again is woken again within one call.
   */
  async advance(deltaMs: number): Promise<void> {
    const untilMs = this.#nowMs + deltaMs
    for (;;) {
      const next = this.#next()
      if (next === undefined || next.dueMs > untilMs) break
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      this.#pop()
      next.run?.()
      await settle()
    }
    this.#nowMs = untilMs
    await settle()
  }

  #next(): Pending | undefined {
    while (this.#pending[0] !== undefined && this.#pending[0].run === undefined) this.#pop()
    return this.#pending[0]
  }

  #push(pending: Pending): void {
    const heap = this.#pending
    let at = heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(pending, heap[above]!)) break
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = pending
  }

  #pop(): void {
    const heap = this.#pending
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++
      if (below >= heap.length || !isBefore(heap[below]!, last)) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = last
  }
}

/** Resolves once the promise callbacks that are ready, and those they make ready, have run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
