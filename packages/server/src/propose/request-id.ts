const SUFFIX_VALUES = 2 ** 48

/**
 * Ids of proposals: 16 bits of the member's id, then a 48-bit counter that starts at the process's start time
 * (40 bits of milliseconds, 8 bits zero), so that no member and no later run repeats one.
 *
 * On the hot path an id is its counter, a plain number; `prefix` and `full` give the rest.
 */
export class RequestIds {
  /** The low 16 bits of the member id, the high 16 bits of every id. */
  readonly prefix: number
  #suffix: number

  constructor(memberId: bigint, startWallMs: number) {
    this.prefix = Number(memberId & 0xffffn)
    this.#suffix = (startWallMs % 2 ** 40) * 256
  }

  /** The next id's counter. */
  next(): number {
    this.#suffix = (this.#suffix + 1) % SUFFIX_VALUES
    return this.#suffix
  }

  /** The whole id of a counter. */
  full(suffix: number): bigint {
    return (BigInt(this.prefix) << 48n) | BigInt(suffix)
  }

  /** The counter of `id` when this member issued it, else undefined. */
  suffixOf(id: bigint): number | undefined {
    return Number(id >> 48n) === this.prefix ? Number(id & 0xffffffffffffn) : undefined
  }
}
