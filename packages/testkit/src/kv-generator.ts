import {
  type ByteString,
  type Compare,
  CompareResult,
  CompareTarget,
  type DeleteRangeCall,
  type KvCall,
  type PutCall,
  type RangeCall,
  type TxnCall,
  type TxnOperation,
  prefixEnd,
} from './kv-types.ts'
import type { SeededRandom } from './seeded-random.ts'

/** What the generator must know of the store to ask for revisions that are interesting. */
export interface KvState {
  readonly revision: number
  readonly compactRevision: number
}

export interface KvGeneratorOptions {
  /** Whether ranges may carry sort orders and targets outside of the enums, which crash servers before 3.6. */
  readonly unknownSorts?: boolean
  /** Whether now and then a request is larger than the server's limits allow. */
  readonly oversized?: boolean
}

// Few keys, so that calls meet; among them neighbours, prefixes of each other, and the edges of byte order.
const KEYS: readonly ByteString[] = [
  'a',
  'a\0',
  'aa',
  'ab',
  'abc',
  'b',
  'ba',
  'c',
  'd',
  'e',
  '\0',
  '\xff',
  '\xff\xff',
  '\u0080',
]
const UNKNOWN_LEASES = [1n, 7n, -5n, 0x7fff_ffff_ffff_ffffn, -0x8000_0000_0000_0000n]
const EXTREMES = [
  0x7fff_ffff_ffff_ffffn,
  -0x8000_0000_0000_0000n,
  9_007_199_254_740_993n,
  -1n,
  -9_007_199_254_740_993n,
]

/**
 * Random calls of the KV service: every option of every call, correct and incorrect requests mixed. The same random
 * sequence and the same states give the same calls.
 */
export class KvGenerator {
  readonly #random: SeededRandom
  readonly #options: KvGeneratorOptions
  #values = 0

  constructor(random: SeededRandom, options: KvGeneratorOptions = {}) {
    this.#random = random
    this.#options = options
  }

  next(state: KvState): KvCall {
    const random = this.#random
    if (this.#options.oversized && random.chance(0.002)) return this.#oversized()
    switch (
      random.weighted([
        [36, 'put'],
        [28, 'range'],
        [10, 'deleteRange'],
        [24, 'txn'],
        [2, 'compact'],
      ] as const)
    ) {
      case 'put':
        return this.#put()
      case 'range':
        return this.#range(state)
      case 'deleteRange':
        return this.#deleteRange(0.5)
      case 'txn':
        return random.chance(0.02) ? this.#longTxn(state) : this.#txn(state, 0)
      case 'compact':
        return { kind: 'compact', revision: this.#compactRevision(state), physical: random.chance(0.5) }
    }
  }

  #key(): ByteString {
    return this.#random.chance(0.01) ? '' : this.#random.pick(KEYS)
  }

  #keyAndEnd(rangeProbability: number): { key: ByteString; rangeEnd?: ByteString } {
    const random = this.#random
    const key = this.#key()
    if (!random.chance(rangeProbability)) return random.chance(0.1) ? { key, rangeEnd: '' } : { key }
    switch (random.below(6)) {
      case 0:
        return { key, rangeEnd: '\0' }
      case 1:
        return { key: '\0', rangeEnd: '\0' }
      case 2:
        return { key, rangeEnd: prefixEnd(key) }
      default: {
        // Half of these are turned around, and so may be empty ranges.
        const other = random.pick(KEYS)
        const [low, high] = key < other ? [key, other] : [other, key]
        return random.chance(0.8) ? { key: low, rangeEnd: high } : { key: high, rangeEnd: low }
      }
    }
  }

  #value(): ByteString {
    const random = this.#random
    switch (random.below(8)) {
      case 0:
        return ''
      case 1:
        return random.pick(['same', 'x', 'y', '\0', '\xff\xfe'])
      case 2:
        return Buffer.from(random.bytes(random.below(300))).toString('latin1')
      default:
        return `value ${this.#values++}`
    }
  }

  #put(): PutCall {
    const random = this.#random
    const ignoreValue = random.chance(0.06)
    const ignoreLease = random.chance(0.06)
    const put: PutCall = {
      kind: 'put',
      key: this.#key(),
      prevKv: random.chance(0.3),
      ignoreValue,
      ignoreLease,
    }
    return {
      ...put,
      ...(!ignoreValue || random.chance(0.1) ? { value: this.#value() } : {}),
      ...(random.chance(0.03) ? { lease: random.pick(UNKNOWN_LEASES) } : {}),
    }
  }

  #deleteRange(rangeProbability: number): DeleteRangeCall {
    return { kind: 'deleteRange', ...this.#keyAndEnd(rangeProbability), prevKv: this.#random.chance(0.4) }
  }

  #range(state: KvState): RangeCall {
    const random = this.#random
    const range: RangeCall = { kind: 'range', ...this.#keyAndEnd(0.75), serializable: random.chance(0.4) }
    const sorts: readonly (readonly [number, number])[] = this.#options.unknownSorts
      ? [[-1, 7], [0, 9], [3, 0], [0, 5]]
      : [] // prettier-ignore
    const [sortOrder, sortTarget] =
      sorts.length > 0 && random.chance(0.02)
        ? random.pick(sorts)
        : [random.chance(0.5) ? random.below(3) : 0, random.chance(0.5) ? random.below(5) : 0]
    return {
      ...range,
      sortOrder,
      sortTarget,
      ...(random.chance(0.4)
        ? { limit: random.chance(0.1) ? random.pick(EXTREMES) : BigInt(random.below(6)) }
        : {}),
      ...(random.chance(0.3) ? { revision: this.#revision(state) } : {}),
      ...(random.chance(0.15) ? { keysOnly: true } : {}),
      ...(random.chance(0.1) ? { countOnly: true } : {}),
      ...(random.chance(0.08) ? { minModRevision: this.#bound(state) } : {}),
      ...(random.chance(0.08) ? { maxModRevision: this.#bound(state) } : {}),
      ...(random.chance(0.08) ? { minCreateRevision: this.#bound(state) } : {}),
      ...(random.chance(0.08) ? { maxCreateRevision: this.#bound(state) } : {}),
    }
  }

  /** Mostly one that can be read; some too old, in the future, negative or beyond what a double holds. */
  #revision(state: KvState): bigint {
    const random = this.#random
    if (random.chance(0.06)) return random.pick(EXTREMES)
    const oldest = Math.max(1, state.compactRevision)
    const low = random.chance(0.15) ? Math.max(0, oldest - 3) : oldest
    const high = random.chance(0.15) ? state.revision + 3 : state.revision
    return BigInt(random.between(low, Math.max(low, high)))
  }

  #bound(state: KvState): bigint {
    const random = this.#random
    if (random.chance(0.1)) return random.pick(EXTREMES)
    return BigInt(Math.max(0, state.revision - random.below(60)))
  }

  #compactRevision(state: KvState): bigint {
    const random = this.#random
    switch (random.below(8)) {
      case 0:
        return BigInt(state.compactRevision)
      case 1:
        return BigInt(state.revision + 1)
      case 2:
        return random.pick([0n, ...EXTREMES])
      case 3:
        return BigInt(state.revision)
      default: {
        const oldest = Math.max(0, state.compactRevision)
        return BigInt(random.between(oldest, Math.max(oldest, state.revision)))
      }
    }
  }

  #txn(state: KvState, depth: number): TxnCall {
    const random = this.#random
    const compares = Array.from({ length: random.below(depth === 0 ? 4 : 2) }, () => this.#compare(state))
    const branch = (): TxnOperation[] =>
      Array.from({ length: random.below(4) }, () => this.#operation(state, depth))
    // Now and then nothing but ranges: such a txn is a read.
    const reads = (): TxnOperation[] => Array.from({ length: random.below(3) }, () => this.#range(state))
    const readOnly = depth === 0 && random.chance(0.1)
    return {
      kind: 'txn',
      compare: compares,
      success: readOnly ? reads() : branch(),
      failure: readOnly ? reads() : branch(),
    }
  }

  #operation(state: KvState, depth: number): TxnOperation {
    const random = this.#random
    if (random.chance(0.003)) return { kind: 'empty' }
    switch (
      random.weighted([
        [45, 'put'],
        [25, 'range'],
        [18, 'deleteRange'],
        [depth < 3 ? 12 : 0, 'txn'],
      ] as const)
    ) {
      case 'put':
        return this.#put()
      case 'range':
        return this.#range(state)
      case 'deleteRange':
        return this.#deleteRange(0.15)
      case 'txn':
        return this.#txn(state, depth + 1)
    }
  }

  /** A txn around the limit of 128 operations, in one level or in two. */
  #longTxn(state: KvState): TxnCall {
    const random = this.#random
    const puts = (count: number): TxnOperation[] =>
      Array.from({ length: count }, (_, i) => ({ kind: 'put', key: `long ${i}`, value: this.#value() }))
    const range = (): TxnOperation => ({ kind: 'range', key: random.pick(KEYS) })
    const length = random.between(126, 130)
    switch (random.below(3)) {
      case 0:
        return { kind: 'txn', compare: [], success: puts(length), failure: [] }
      case 1:
        return {
          kind: 'txn',
          compare: [],
          success: [this.#deleteRange(0)],
          failure: Array.from({ length }, range),
        }
      default: {
        const inner: TxnCall = { kind: 'txn', compare: [], success: puts(length - 120), failure: [] }
        const others = Array.from({ length: 119 }, range)
        return { kind: 'txn', compare: [this.#compare(state)], success: [...others, inner], failure: [inner] }
      }
    }
  }

  #compare(state: KvState): Compare {
    const random = this.#random
    const target = random.chance(0.01) ? 9 : random.pick(Object.values(CompareTarget))
    const result = random.chance(0.01) ? 7 : random.pick(Object.values(CompareResult))
    const operand = random.chance(0.05) ? {} : this.#operand(target, state)
    return { ...this.#keyAndEnd(0.2), result, target, ...operand }
  }

  #operand(target: number, state: KvState): { number?: bigint; value?: ByteString } {
    const random = this.#random
    if (target === CompareTarget.value)
      return { value: random.pick(['', 'same', 'x', `value ${this.#values >> 1}`]) }
    if (random.chance(0.05)) return { number: random.pick(EXTREMES) }
    if (target === CompareTarget.create || target === CompareTarget.mod) return { number: this.#bound(state) }
    return { number: BigInt(random.below(4)) }
  }

  #oversized(): KvCall {
    const random = this.#random
    // Below the limit of a received message but above that of a proposal, and above both.
    const length = random.pick([1_600_000, 2_300_000])
    const put: PutCall = { kind: 'put', key: random.pick(KEYS), value: 'z'.repeat(length) }
    return random.chance(0.5) ? put : { kind: 'txn', compare: [], success: [put], failure: [] }
  }
}
