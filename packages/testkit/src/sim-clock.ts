import type { Clock, Timer } from '@etcd-ts/platform'

interface Pending {
  readonly dueMs: number
  readonly order: number
  readonly run: () => void
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
  readonly #pending = new Set<Pending>()

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
    const pending = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run }
    this.#pending.add(pending)
    return { cancel: () => this.#pending.delete(pending) }
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
      this.#pending.delete(next)
      next.run()
      await settle()
    }
    this.#nowMs = untilMs
    await settle()
  }

  #next(): Pending | undefined {
    let next: Pending | undefined
    for (const pending of this.#pending) {
      if (next === undefined || pending.dueMs < next.dueMs) next = pending
    }
    return next
  }
}

/** Resolves once the promise callbacks that are ready, and those they make ready, have run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
