import { type Entry, type Message, MessageType } from '../messages.ts'
import type { SimRandom } from './sim-random.ts'

/** How bad a network is, in percent and rounds. */
export interface NetworkOptions {
  lossPercent: number
  duplicatePercent: number
  delayMax: number
  /** How many messages take up to sixty times as long, so that they arrive in another term, after a crash, or a change. */
  stragglerPercent: number
  /** How many answers to heartbeats arrive twice, some of them late. */
  echoPercent: number
}

interface InFlight {
  readonly due: number
  readonly order: number
  readonly message: Message
}

/** Messages under way. What arrives is a copy, as over any wire. */
export class SimNetwork {
  readonly options: NetworkOptions
  readonly #random: SimRandom
  readonly #lost: (message: Message) => void
  #inFlight: InFlight[] = []
  #cut = new Set<string>()
  #now = 0
  #order = 0

  /** @param lost is told of messages whose sender can know that they did not get through */
  constructor(options: NetworkOptions, random: SimRandom, lost: (message: Message) => void) {
    this.options = options
    this.#random = random
    this.#lost = lost
  }

  send(message: Message): void {
    const random = this.#random
    const { lossPercent, delayMax, stragglerPercent, echoPercent } = this.options
    const isEcho = message.type === MessageType.MsgHeartbeatResp && random.chance(echoPercent)
    const duplicatePercent = isEcho ? 100 : this.options.duplicatePercent
    // What is under way already when a link is cut still arrives.
    if (this.#cut.has(`${message.from}>${message.to}`) || random.chance(lossPercent)) {
      this.#lost(message)
      return
    }
    const copies = random.chance(duplicatePercent) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      const isLate = random.chance(isEcho && i === 1 ? 50 : stragglerPercent)
      const delay = random.between(1, delayMax) * (isLate ? random.between(5, 60) : 1)
      this.#inFlight.push({ due: this.#now + delay, order: this.#order++, message: copyOf(message) })
    }
  }

  /** Cuts what goes from `from` to `to`. */
  cut(from: bigint, to: bigint): void {
    this.#cut.add(`${from}>${to}`)
  }

  /** Cuts the links between `group` and `others`, at random in one direction only. */
  partition(group: readonly bigint[], others: readonly bigint[]): void {
    const random = this.#random
    const direction = random.below(3)
    for (const a of group) {
      for (const b of others) {
        if (direction !== 1) this.cut(a, b)
        if (direction !== 2) this.cut(b, a)
      }
    }
  }

  /** Loses all that is under way. */
  clear(): void {
    const lost = this.#inFlight
    this.#inFlight = []
    for (const { message } of lost) this.#lost(message)
  }

  heal(): void {
    this.#cut = new Set()
  }

  /** One round passes. @returns what arrives in it, in order; what is for members that stand still has to wait */
  advance(standsStill: (id: bigint) => boolean): Message[] {
    this.#now++
    const arrives = ({ due, message }: InFlight): boolean => due <= this.#now && !standsStill(message.to)
    const arrived = this.#inFlight.filter(arrives)
    this.#inFlight = this.#inFlight.filter((one) => !arrives(one))
    arrived.sort((a, b) => a.due - b.due || a.order - b.order)
    return arrived.map(({ message }) => message)
  }
}

function copyOf(message: Message): Message {
  return {
    ...message,
    entries: message.entries.map((entry): Entry => ({ ...entry })),
    // Between members an append never has one, a snapshot always.
    snapshot: message.type === MessageType.MsgSnap ? message.snapshot : undefined,
  }
}
