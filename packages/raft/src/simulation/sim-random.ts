/** Chance that replays: the same seed gives the same sequence on every machine (sfc32, 128 bits of state). */
export class SimRandom {
  #a = 0x9e3779b9
  #b = 0x243f6a88
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.#c = seed >>> 0
    for (let i = 0; i < 16; i++) this.below(1)
  }

  /** A whole number in `[0, bound)`. */
  below(bound: number): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return Math.floor(((sum >>> 0) / 2 ** 32) * bound)
  }

  /** A whole number in `[low, high]`. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** True in `percent` of all cases. */
  chance(percent: number): boolean {
    return this.below(10_000) < percent * 100
  }

  /** One of `choices`, of which there is at least one. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }

  fork(): SimRandom {
    return new SimRandom(this.below(2 ** 32))
  }
}
