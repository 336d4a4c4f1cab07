import { randomBytes, randomInt } from 'node:crypto'

/** Chance as the rest of the program may see it; a simulation passes a seeded one. */
export interface Random {
  /** A whole number in `[0, bound)`; `bound` is at most 2^48. */
  below(bound: number): number
  /** `length` fresh bytes, owned by the caller. */
  bytes(length: number): Uint8Array
}

/** Unpredictable randomness of the operating system. */
export const systemRandom: Random = {
  below: (bound) => randomInt(bound),
  bytes: (length) => randomBytes(length),
}
