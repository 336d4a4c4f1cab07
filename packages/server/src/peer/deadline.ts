import type { Clock, Timer } from '@etcd-ts/platform'

/**
 * Ends what shows no sign of life for a while. Cheap to renew: the timer stays where it is, and looks at the time of
 * the last sign when it fires.
 */
export class Deadline {
  readonly #clock: Clock
  readonly #idleMs: number
  readonly #onExpired: () => void
  #lastMs: number
  #timer: Timer | undefined

  constructor(clock: Clock, idleMs: number, onExpired: () => void) {
    this.#clock = clock
    this.#idleMs = idleMs
    this.#onExpired = onExpired
    this.#lastMs = clock.monotonicMs()
    this.#arm(idleMs)
  }

  renew(): void {
    this.#lastMs = this.#clock.monotonicMs()
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimer(delayMs, () => {
      if (this.#remainingMs() > 0) this.#arm(this.#remainingMs())
      else {
        // After a pause of this process timers come before the signs of life that have arrived meanwhile.
        this.#clock.soon(() => this.#expire())
      }
    })
  }

  #expire(): void {
    if (this.#timer === undefined) return
    if (this.#remainingMs() > 0) {
      this.#arm(this.#remainingMs())
      return
    }
    this.#timer = undefined
    this.#onExpired()
  }

  #remainingMs(): number {
    return this.#lastMs + this.#idleMs - this.#clock.monotonicMs()
  }
}
