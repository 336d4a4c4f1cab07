/** How many calls may run at once, and the calls that wait for their turn. */
export class CallSlots {
  readonly #runningMax: number
  readonly #waitingMax: number
  readonly #waiting: (() => void)[] = []
  #running = 0
  #looping = false

  constructor(runningMax: number, waitingMax: number) {
    this.#runningMax = runningMax
    this.#waitingMax = waitingMax
  }

  /**
   * Calls `run`, now or when it is its turn; each run ends in one `release`.
   *
   * @returns false, and never calls it, when too many wait already
   */
  take(run: () => void): boolean {
    if (this.#running >= this.#runningMax && this.#waiting.length >= this.#waitingMax) return false
    this.#waiting.push(run)
    this.#runWaiting()
    return true
  }

  /** Gives a slot back; the call that has waited longest gets it. */
  release(): void {
    this.#running--
    this.#runWaiting()
  }

  // A run may release at once: that is one more turn of this loop, not one more level of the stack.
  #runWaiting(): void {
    if (this.#looping) return
    this.#looping = true
    while (this.#running < this.#runningMax) {
      const run = this.#waiting.shift()
      if (run === undefined) break
      this.#running++
      run()
    }
    this.#looping = false
  }
}
