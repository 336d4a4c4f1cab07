import type { Clock, Timer } from '@etcd-ts/platform'

/** A clock for tests on which nobody waits: whoever sleeps has slept. Its timers never fire. */
export class FastClock implements Clock {
  #nowMs = 0
  /** How long was slept, each time. */
  readonly slept: number[] = []

  wallMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  setTimer(_delayMs: number, _run: () => void): Timer {
    return {
      cancel() {
        // It never fires.
      },
    }
  }

  soon(run: () => void): void {
    setImmediate(run)
  }

  /** A sleep that something may interrupt is a limit, which is not reached. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<boolean> {
    if (signal !== undefined) {
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(false), { once: true })
      })
    }
    this.#nowMs += delayMs
    this.slept.push(delayMs)
    return Promise.resolve(true)
  }
}
