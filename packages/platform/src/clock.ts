/** A pending call of a function; `cancel` is idempotent and a fired timer ignores it. */
export interface Timer {
  cancel(): void
}

/**
 * Time as the rest of the program may see it.
 *
 * Code that must be simulated takes a `Clock` and never reads `Date`, `performance` or a timer itself.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch; may jump in either direction. For people, ids and logs only. */
  wallMs(): number
  /** Milliseconds since an arbitrary start, with fractions; never goes back. For every duration and deadline. */
  monotonicMs(): number
  /** Calls `run` once, `delayMs` milliseconds from now or later. Does not keep the process alive. */
  setTimer(delayMs: number, run: () => void): Timer
  /** Calls `run` once, after the events that have already arrived have been handled. Cheaper than a timer. */
  soon(run: () => void): void
  /** Resolves to true after `delayMs`, or to false at once when `signal` aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<boolean>
}

/** The machine's own clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, run) {
    const handle = setTimeout(run, delayMs)
    handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
  soon: (run) => void setImmediate(run),
  sleep(delayMs, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve(false)
        return
      }
      const onAbort = (): void => {
        clearTimeout(handle)
        resolve(false)
      }
      const handle = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve(true)
      }, delayMs)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  },
}
