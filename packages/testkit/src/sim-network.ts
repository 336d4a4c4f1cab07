import type { Clock } from '@etcd-ts/platform'
import type { SeededRandom } from './seeded-random.ts'

/** How one directed link treats what is sent over it. Probabilities are in `[0, 1]`. */
export interface LinkOptions {
  readonly delayMinMs: number
  readonly delayMaxMs: number
  readonly lossProbability: number
  readonly duplicateProbability: number
}

const PERFECT: LinkOptions = { delayMinMs: 0, delayMaxMs: 0, lossProbability: 0, duplicateProbability: 0 }

/**
 * Messages between named nodes over directed links that delay, lose, duplicate and (since each message draws its own
 * delay) reorder them. Messages are handed over as they are: a test that wants bytes sends bytes.
 */
export class SimNetwork<M> {
  readonly #clock: Clock
  readonly #random: SeededRandom
  readonly #receivers = new Map<string, (message: M, from: string) => void>()
  readonly #links = new Map<string, LinkOptions>()
  readonly #cut = new Set<string>()
  #options: LinkOptions = PERFECT

  constructor(clock: Clock, random: SeededRandom) {
    this.#clock = clock
    this.#random = random
  }

  /** Makes `node` reachable; a node that is not attached loses what is sent to it. */
  attach(node: string, receive: (message: M, from: string) => void): void {
    this.#receivers.set(node, receive)
  }

  detach(node: string): void {
    this.#receivers.delete(node)
  }

  isAttached(node: string): boolean {
    return this.#receivers.has(node)
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(link(from, to))
  }

  /** Sets how every link without options of its own behaves from now on. */
  setDefault(options: Partial<LinkOptions>): void {
    this.#options = { ...PERFECT, ...options }
  }

  /** Sets how the link from `from` to `to` behaves from now on. */
  setLink(from: string, to: string, options: Partial<LinkOptions>): void {
    this.#links.set(link(from, to), { ...PERFECT, ...options })
  }

  /** Loses all messages from `from` to `to`, those under way included, until `heal`. */
  cut(from: string, to: string): void {
    this.#cut.add(link(from, to))
  }

  /** Cuts both directions between every node of `one` and every node of `other`. */
  partition(one: readonly string[], other: readonly string[]): void {
    for (const a of one) {
      for (const b of other) {
        this.cut(a, b)
        this.cut(b, a)
      }
    }
  }

  /** Undoes every cut. */
  heal(): void {
    this.#cut.clear()
  }

  /** @param isOnce whether the message never arrives twice, whatever the link does to others */
  send(from: string, to: string, message: M, isOnce = false): void {
    const options = this.#links.get(link(from, to)) ?? this.#options
    const copies = this.#random.chance(options.duplicateProbability) && !isOnce ? 2 : 1
    for (let i = 0; i < copies; i++) {
      if (this.#random.chance(options.lossProbability)) continue
      const spreadMs = options.delayMaxMs - options.delayMinMs
      const delayMs = options.delayMinMs + (spreadMs > 0 ? this.#random.below(spreadMs + 1) : 0)
      this.#clock.setTimer(delayMs, () => this.#deliver(from, to, message))
    }
  }

  #deliver(from: string, to: string, message: M): void {
    if (!this.#cut.has(link(from, to))) this.#receivers.get(to)?.(message, from)
  }
}

function link(from: string, to: string): string {
  return `${from} → ${to}`
}
