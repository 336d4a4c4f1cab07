import type { Message } from './messages.ts'

/** How a leader makes sure that it still leads before it tells a reader its commit index. */
export type ReadOnlyOption =
  /** A round of heartbeats: right whatever clocks do. */
  | 'safe'
  /** Its lease: right as long as no clock runs much faster than another. Requires the quorum check. */
  | 'leaseBased'

/** A read that may go ahead once `index` is applied; `requestCtx` is what the reader asked with. */
export interface ReadState {
  readonly index: number
  readonly requestCtx: Uint8Array
}

/** A read request that a quorum has confirmed. */
export interface ConfirmedRead {
  readonly request: Message
  readonly index: number
}

interface PendingRead extends ConfirmedRead {
  readonly key: string
  readonly round: number
  /** `round` as heartbeats carry it. */
  readonly context: Uint8Array
  readonly acks: Map<bigint, boolean>
}

/**
 * Reads that wait for a round of heartbeats, oldest first, in one term of one leader. A round that a quorum
 * answers confirms its own read and all older ones: their indexes are no newer.
 *
 * Heartbeats carry the number of the round, which followers send back as it is. What the reader asked with
 * would not do: a request that arrives twice would start two rounds that look the same, and late answers to
 * the first one, from before another leader was elected, would confirm the second.
 */
export class PendingReads {
  #queue: PendingRead[] = []
  readonly #byKey = new Map<string, PendingRead>()
  #rounds = 0

  /** What heartbeats carry: the newest round, so that one whose heartbeats were lost gets another chance. */
  get newestContext(): Uint8Array | undefined {
    return this.#queue.at(-1)?.context
  }

  /**
   * Starts a round for `request`, unless one is under way for it already.
   *
   * @param self this leader, whose own answer is no question
   * @returns what the heartbeats of its round have to carry
   */
  add(request: Message, index: number, self: bigint): Uint8Array {
    const key = keyOf(request)
    const known = this.#byKey.get(key)
    if (known !== undefined) return known.context
    const round = ++this.#rounds
    const read: PendingRead = {
      key,
      request,
      index,
      round,
      context: contextOf(round),
      acks: new Map([[self, true]]),
    }
    this.#byKey.set(key, read)
    this.#queue.push(read)
    return read.context
  }

  /** Member `from` answered the round of `context`. @returns all who did, undefined if no read waits for it */
  acknowledge(from: bigint, context: Uint8Array): ReadonlyMap<bigint, boolean> | undefined {
    return this.#queue[this.#positionOf(context)]?.acks.set(from, true)
  }

  /** Takes out the read of the round of `context` and all older ones. */
  take(context: Uint8Array): readonly ConfirmedRead[] {
    const taken = this.#queue.splice(0, this.#positionOf(context) + 1)
    for (const { key } of taken) this.#byKey.delete(key)
    return taken
  }

  /** Rounds in the queue follow each other. @returns -1 if this one is not there */
  #positionOf(context: Uint8Array): number {
    const first = this.#queue[0]
    if (first === undefined || context.length !== CONTEXT_LENGTH) return -1
    const view = new DataView(context.buffer, context.byteOffset, CONTEXT_LENGTH)
    const at = view.getFloat64(0) - first.round
    return at >= 0 && at < this.#queue.length ? at : -1
  }
}

const CONTEXT_LENGTH = 8

function contextOf(round: number): Uint8Array {
  const context = new Uint8Array(CONTEXT_LENGTH)
  new DataView(context.buffer).setFloat64(0, round)
  return context
}

function keyOf({ from, entries }: Message): string {
  let key = `${from}/`
  for (const byte of entries[0]?.data ?? []) key += String.fromCharCode(byte)
  return key
}
