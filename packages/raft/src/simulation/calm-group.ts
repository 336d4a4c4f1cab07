import { MemoryStorage } from '../memory-storage.ts'
import type { AnyConfChange } from '../conf-change.ts'
import { confChangeOf } from '../conf-change-codec.ts'
import type { ConfState, Entry, Message } from '../messages.ts'
import type { RaftConfig } from '../raft-config.ts'
import { RawNode } from '../raw-node.ts'
import type { ReadState } from '../read-only.ts'

/** A member of a `CalmGroup`, with what came out of it. */
export interface CalmMember {
  readonly node: RawNode
  readonly storage: MemoryStorage
  readonly applied: Entry[]
  readonly reads: ReadState[]
  readonly log: string[]
  confState: ConfState | undefined
}

export type CalmOptions = Partial<Omit<RaftConfig, 'id' | 'storage'>>

/** Members without asynchronous storage writes whose messages all arrive, unless a test takes them out. */
export class CalmGroup {
  readonly members = new Map<bigint, CalmMember>()
  /** Under way. */
  messages: Message[] = []
  /** Messages for which this is true are lost. */
  isLost: (message: Message) => boolean = () => false

  /** Founds a group of members `1n` to `count`. */
  constructor(count: number, options: CalmOptions = {}) {
    const peers = Array.from({ length: count }, (_, at) => ({ id: BigInt(at + 1) }))
    for (const { id } of peers) this.add(id, options).node.bootstrap(peers)
  }

  /** A member that knows nothing, or what is in `storage`. */
  add(id: bigint, options: CalmOptions = {}, storage = new MemoryStorage()): CalmMember {
    const log: string[] = []
    const keep = (text: string): void => void log.push(text)
    const node = new RawNode({
      electionTicks: 10,
      heartbeatTicks: 1,
      random: { below: () => 0 },
      logger: { debug: keep, info: keep, warn: keep, error: keep },
      ...options,
      id,
      storage,
    })
    const member: CalmMember = { node, storage, applied: [], reads: [], log, confState: undefined }
    this.members.set(id, member)
    return member
  }

  member(id: bigint): CalmMember {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`no member ${id}`)
    return member
  }

  node(id: bigint): RawNode {
    return this.member(id).node
  }

  /** Makes `id` the leader. */
  elect(id: bigint): RawNode {
    this.settle()
    this.node(id).campaign()
    this.settle()
    return this.node(id)
  }

  /** Goes on until nobody has anything left to do. */
  settle(): void {
    for (;;) {
      let isBusy = false
      for (const member of this.members.values()) isBusy = this.#handle(member) || isBusy
      const messages = this.messages
      this.messages = []
      for (const message of messages) {
        isBusy = true
        if (!this.isLost(message)) this.members.get(message.to)?.node.step(message)
      }
      if (!isBusy) return
    }
  }

  #handle(member: CalmMember): boolean {
    const { node, storage, applied, reads } = member
    if (!node.hasReady()) return false
    const ready = node.ready()
    if (ready.hardState !== undefined) storage.setHardState(ready.hardState)
    if (ready.snapshot !== undefined) storage.applySnapshot(ready.snapshot)
    storage.append(ready.entries)
    this.messages.push(...ready.messages)
    reads.push(...ready.readStates)
    for (const entry of ready.committedEntries) {
      applied.push(entry)
      const change: AnyConfChange | undefined = confChangeOf(entry)
      if (change !== undefined) member.confState = node.applyConfChange(change)
    }
    node.advance()
    return true
  }
}
