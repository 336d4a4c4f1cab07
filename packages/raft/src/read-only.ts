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

interface PendingRead {
  readonly key: string
  readonly request: Message
  readonly index: number
  readonly acks: Map<bigint, boolean>
}

/** A read request that a quorum has confirmed. */
export interface ConfirmedRead {
  readonly request: Message
  readonly index: number
}

/**
 * Reads that wait for a round of heartbeats, oldest first. A round that a quorum answers confirms its own
 * read and all older ones: their indexes are no newer.
 */
export class PendingReads {
  #queue: PendingRead[] = []
  readonly #byKey = new Map<string, PendingRead>()

  /** The context that heartbeats carry meanwhile, that of the newest read. */
  get newestContext(): Uint8Array | undefined {
    return this.#queue.at(-1)?.request.entries[0]?.data
  }

  /** Adds a request of commit index `index`; one whose context is already waiting is not added again. */
  add(request: Message, index: number, self: bigint): void {
    const key = keyOf(request.entries[0]?.data)
    if (this.#byKey.has(key)) return
    const read: PendingRead = { key, request, index, acks: new Map([[self, true]]) }
    this.#byKey.set(key, read)
    this.#queue.push(read)
  }

  /** Member `from` answered the round of `context`. @returns everyone who did, undefined if no read waits for it */
  acknowledge(from: bigint, context: Uint8Array): ReadonlyMap<bigint, boolean> | undefined {
    return this.#byKey.get(keyOf(context))?.acks.set(from, true)
  }

  /** Takes out the read of `context` and all older ones. */
  take(context: Uint8Array): readonly ConfirmedRead[] {
    const last = this.#byKey.get(keyOf(context))
    if (last === undefined) return []
    const taken = this.#queue.splice(0, this.#queue.indexOf(last) + 1)
    for (const { key } of taken) this.#byKey.delete(key)
    return taken
  }
}

function keyOf(context: Uint8Array | undefined): string {
  let key = ''
  if (context !== undefined) for (const byte of context) key += String.fromCharCode(byte)
  return key
}
