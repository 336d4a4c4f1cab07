import { countWithin } from './entry-size.ts'
import { broken } from './invariant.ts'
import { type ConfState, type Entry, type HardState, NONE, type Snapshot, emptySnapshot } from './messages.ts'
import type { Storage } from './storage.ts'

/** Why a request to `MemoryStorage` cannot be served. */
export type StorageErrorReason = 'compacted' | 'unavailable' | 'snapshotOutOfDate'

const storageErrorText: Record<StorageErrorReason, string> = {
  compacted: 'requested index is unavailable due to compaction',
  unavailable: 'requested entry at index is unavailable',
  snapshotOutOfDate: 'requested index is older than the existing snapshot',
}

export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly reason: StorageErrorReason

  constructor(reason: StorageErrorReason) {
    super(storageErrorText[reason])
    this.reason = reason
  }
}

/**
 * The log in memory, over whatever makes it durable.
 *
 * Compaction is cheap: what it drops is counted, and the array is shortened when half of it is dropped, so
 * that a dropped entry costs one copied pointer at most, while no more is kept than twice what is needed.
 */
export class MemoryStorage implements Storage {
  #hardState: HardState = { term: 0, vote: NONE, commit: 0 }
  #snapshot: Snapshot = emptySnapshot()
  /** `#entries[#dropped + i]` has the index `#baseIndex + 1 + i`. */
  #entries: Entry[] = []
  #dropped = 0
  /** The entry before the first one: compacted away or replaced by a snapshot. */
  #baseIndex = 0
  #baseTerm = 0

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.#hardState, confState: this.#snapshot.metadata.confState }
  }

  setHardState(state: HardState): void {
    this.#hardState = state
  }

  firstIndex(): number {
    return this.#baseIndex + 1
  }

  lastIndex(): number {
    return this.#baseIndex + this.#entries.length - this.#dropped
  }

  /** @throws StorageError `compacted` before `firstIndex - 1`, `unavailable` after `lastIndex` */
  term(index: number): number {
    if (index === this.#baseIndex) return this.#baseTerm
    if (index < this.#baseIndex) throw new StorageError('compacted')
    const entry = this.#entries[this.#at(index)]
    if (entry === undefined) throw new StorageError('unavailable')
    return entry.term
  }

  /** @throws StorageError `compacted` if `low` is before `firstIndex` */
  entries(low: number, high: number, sizeMax: number): Entry[] {
    if (low <= this.#baseIndex) throw new StorageError('compacted')
    if (high > this.lastIndex() + 1) {
      broken(`entries' hi(${high}) is out of bound lastindex(${this.lastIndex()})`)
    }
    const from = this.#at(low)
    const count = countWithin(this.#entries, from, this.#at(high), sizeMax)
    return this.#entries.slice(from, from + count)
  }

  snapshot(): Snapshot {
    return this.#snapshot
  }

  /** Appends `entries`; they replace what is there from their first index on. Those before `firstIndex` are skipped. */
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    const first = entries[0]!.index
    const skipped = Math.max(this.#baseIndex + 1 - first, 0)
    if (skipped >= entries.length) return
    const at = this.#at(first + skipped)
    if (at > this.#entries.length) {
      broken(`missing log entry [last: ${this.lastIndex()}, append at: ${first}]`)
    }
    if (at < this.#entries.length) this.#entries.length = at
    for (let i = skipped; i < entries.length; i++) this.#entries.push(entries[i]!)
  }

  /** Replaces everything by `snapshot`. @throws StorageError `snapshotOutOfDate` if there is one as new */
  applySnapshot(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata
    if (index <= this.#snapshot.metadata.index) throw new StorageError('snapshotOutOfDate')
    this.#snapshot = snapshot
    this.#entries = []
    this.#dropped = 0
    this.#baseIndex = index
    this.#baseTerm = term
  }

  /**
   * Makes `data` the snapshot at `index`, whose entry is still there; drops no entries.
   *
   * @param confState the configuration in force at `index`; undefined keeps that of the snapshot before
   * @throws StorageError `snapshotOutOfDate` if there is one as new
   */
  createSnapshot(index: number, confState: ConfState | undefined, data: Uint8Array | undefined): Snapshot {
    if (index <= this.#snapshot.metadata.index) throw new StorageError('snapshotOutOfDate')
    if (index > this.lastIndex()) {
      broken(`snapshot ${index} is out of bound lastindex(${this.lastIndex()})`)
    }
    this.#snapshot = {
      data,
      metadata: {
        confState: confState ?? this.#snapshot.metadata.confState,
        index,
        term: this.term(index),
      },
    }
    return this.#snapshot
  }

  /** Drops the entries up to and with `index`. @throws StorageError `compacted` if they are gone already */
  compact(index: number): void {
    if (index <= this.#baseIndex) throw new StorageError('compacted')
    if (index > this.lastIndex()) broken(`compact ${index} is out of bound lastindex(${this.lastIndex()})`)
    this.#baseTerm = this.term(index)
    this.#dropped += index - this.#baseIndex
    this.#baseIndex = index
    if (2 * this.#dropped >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#dropped)
      this.#dropped = 0
    }
  }

  #at(index: number): number {
    return this.#dropped + index - this.#baseIndex - 1
  }
}
