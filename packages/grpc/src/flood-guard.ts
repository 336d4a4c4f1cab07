import { FLOOD_CREDIT_PER_ANSWER, FLOOD_CREDIT_PER_EARLY_END, type Limits } from './limits.ts'

/**
 * Bounds the frames that cost a peer nothing and us something: resets, pings, settings, empty frames. A peer has a
 * balance of credits; such frames are paid from it, answers that the peer takes and time fill it up again. A peer
 * whose balance is spent is flooding.
 */
export class FloodGuard {
  readonly #creditMax: number
  readonly #creditPerSecond: number
  #credit: number
  #refilledAtMs = performance.now()
  /** Frames of answers sent so far. */
  answerFrames = 0

  constructor(limits: Limits) {
    this.#creditMax = limits.floodCreditMax
    this.#creditPerSecond = limits.floodCreditPerSecond
    this.#credit = limits.floodCreditMax
  }

  /** Called for every frame of an answer. */
  earn(): void {
    this.answerFrames++
    if (this.#credit < this.#creditMax) this.#credit += FLOOD_CREDIT_PER_ANSWER
  }

  /** Called when a stream ends before the peer has finished its half: what it sends until it knows costs it nothing. */
  forgive(): void {
    if (this.#credit < this.#creditMax) this.#credit += FLOOD_CREDIT_PER_EARLY_END
  }

  /** Returns false when the peer cannot pay `cost`. */
  spend(cost: number): boolean {
    this.#credit -= cost
    return this.#credit >= 0 || this.#refill()
  }

  #refill(): boolean {
    const nowMs = performance.now()
    const earned = ((nowMs - this.#refilledAtMs) / 1000) * this.#creditPerSecond
    this.#credit = Math.min(this.#creditMax, this.#credit + Math.floor(earned))
    this.#refilledAtMs = nowMs
    return this.#credit >= 0
  }
}
