import { decodeConfChange, decodeConfChangeV2 } from '../conf-change-codec.ts'
import { MemoryStorage } from '../memory-storage.ts'
import {
  type ConfState,
  type Entry,
  EntryType,
  type HardState,
  type Message,
  type Snapshot,
} from '../messages.ts'
import { RawNode } from '../raw-node.ts'
import type { RaftConfig } from '../raft-config.ts'
import { CaseError } from './output.ts'

/** A log whose snapshot is always the newest state of the node. */
class LatestSnapshotStorage extends MemoryStorage {
  latest: () => Snapshot = () => super.snapshot()

  override snapshot(): Snapshot {
    return this.latest()
  }
}

/** What a node is made of, before it has an id and a log. */
export type NodeOptions = Omit<RaftConfig, 'id' | 'storage'>

/** A raft node with its log in memory and a state machine that joins all payloads. */
export class CaseNode {
  readonly id: bigint
  readonly options: NodeOptions
  readonly storage: MemoryStorage
  readonly raw: RawNode
  /** State after each applied entry, the first one being what the node started from. */
  readonly #history: Snapshot[]
  readonly appendWork: Message[] = []
  readonly applyWork: Message[] = []

  /** @param start the snapshot to start from; undefined for a node that knows nothing */
  constructor(id: bigint, options: NodeOptions, empty: Snapshot, start: Snapshot | undefined) {
    this.id = id
    this.options = options
    const storage = new LatestSnapshotStorage()
    if (start !== undefined) {
      if (start.metadata.index <= 1) throw new CaseError('index must be specified as > 1 due to bootstrap')
      storage.applySnapshot(start)
    }
    this.#history = [start ?? empty]
    this.storage = storage
    storage.latest = () => this.latest
    this.raw = new RawNode({ ...options, id, storage })
  }

  get latest(): Snapshot {
    return this.#history.at(-1)!
  }

  append(hardState: HardState | undefined, entries: readonly Entry[], snapshot: Snapshot | undefined): void {
    if (hardState !== undefined) this.storage.setHardState(hardState)
    if (snapshot === undefined) {
      this.storage.append(entries)
      return
    }
    if (entries.length > 0) throw new CaseError("can't apply snapshot and entries at the same time")
    this.storage.applySnapshot(snapshot)
  }

  apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { payload, confState } = this.#applyOne(entry)
      const { data, metadata } = this.latest
      this.#history.push({
        data: joined(data, payload),
        metadata: { index: entry.index, term: entry.term, confState: confState ?? metadata.confState },
      })
    }
  }

  #applyOne(entry: Entry): { payload: Uint8Array | undefined; confState?: ConfState } {
    if (entry.type === EntryType.EntryNormal) return { payload: entry.data }
    const change =
      entry.type === EntryType.EntryConfChange ? decodeConfChange(entry.data) : decodeConfChangeV2(entry.data)
    return { payload: change.context, confState: this.raw.applyConfChange(change) }
  }
}

function joined(a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array {
  return Uint8Array.from([...(a ?? []), ...(b ?? [])])
}
