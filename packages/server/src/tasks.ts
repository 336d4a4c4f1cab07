import type { Clock, Timer } from '@etcd-ts/platform'

/** The work that a member has under way beside its loop: what comes again and again, and what its end waits for. */
export class Tasks {
  /** Aborts when the member stops. */
  readonly signal: AbortSignal
  readonly #stopping = new AbortController()
  readonly #clock: Clock
  readonly #failed: (error: unknown) => void
  readonly #running = new Set<Promise<void>>()
  readonly #timers = new Set<Timer>()

  /** @param failed told of what work that comes again and again throws */
  constructor(clock: Clock, failed: (error: unknown) => void) {
    this.#clock = clock
    this.#failed = failed
    this.signal = this.#stopping.signal
  }

  get isStopped(): boolean {
    return this.#stopping.signal.aborted
  }

  /** Runs `run` every `intervalMs` until the member stops. */
  every(intervalMs: number, run: () => void): void {
    const timer = this.#clock.setTimer(intervalMs, () => {
      this.#timers.delete(timer)
      try {
        run()
      } catch (error) {
        this.#failed(error)
      }
      if (!this.isStopped) this.every(intervalMs, run)
    })
    this.#timers.add(timer)
  }

  /** Has `settled` wait for `work`. */
  track(work: Promise<void>): void {
    this.#running.add(work)
    void work.finally(() => this.#running.delete(work))
  }

  stop(): void {
    this.#stopping.abort()
    for (const timer of this.#timers) timer.cancel()
  }

  /** Resolves when all tracked work has ended, however. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running)
  }
}
