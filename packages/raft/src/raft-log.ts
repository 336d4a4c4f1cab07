import { countWithin, entriesSize } from './entry-size.ts'
import { broken } from './invariant.ts'
import type { Logger } from './logger.ts'
import { type Entry, EntryType, NO_LIMIT, type Snapshot } from './messages.ts'
import type { Storage } from './storage.ts'
import { Unstable } from './unstable.ts'

/** Answer of `RaftLog.term` for an index that is compacted away or not there yet. No entry has a negative term. */
export const TERM_UNKNOWN = -1

/** Where a log agrees with another one at the latest: see `RaftLog.findConflictByTerm`. */
export interface LogPosition {
  readonly index: number
  /** 0 if it is not known. */
  readonly term: number
}

/**
 * One member's log: what storage has, followed by what is not yet acknowledged as written.
 *
 * Always `applied <= applying <= committed <= lastIndex`. Entries up to `applying` have been handed to the
 * state machine, those up to `applied` it has acknowledged.
 */
export class RaftLog {
  readonly storage: Storage
  readonly unstable: Unstable
  committed: number
  applying: number
  applied: number
  /** The most that may be handed over and not acknowledged as applied, in encoded bytes. */
  readonly #applyingSizeMax: number
  #applyingSize = 0
  /** Set while more waits to be applied than may be handed over. */
  #isApplyingPaused = false
  readonly #logger: Logger

  constructor(storage: Storage, logger: Logger, applyingSizeMax = NO_LIMIT) {
    this.storage = storage
    this.#logger = logger
    this.unstable = new Unstable(storage.lastIndex() + 1, logger)
    // What a snapshot stands for is committed and applied; the hard state may say more, the driver too.
    const snapshotIndex = storage.firstIndex() - 1
    this.committed = snapshotIndex
    this.applying = snapshotIndex
    this.applied = snapshotIndex
    this.#applyingSizeMax = applyingSizeMax
  }

  describe(): string {
    const { unstable } = this
    return `committed=${this.committed}, applied=${this.applied}, applying=${this.applying}, unstable.offset=${unstable.offset}, unstable.offsetInProgress=${unstable.offsetInProgress}, len(unstable.Entries)=${unstable.entries.length}`
  }

  get firstIndex(): number {
    const snapshot = this.unstable.snapshot
    return snapshot === undefined ? this.storage.firstIndex() : snapshot.metadata.index + 1
  }

  get lastIndex(): number {
    return this.unstable.lastIndex ?? this.storage.lastIndex()
  }

  get lastTerm(): number {
    const last = this.lastIndex
    const term = this.term(last)
    if (term === TERM_UNKNOWN) broken(`unexpected error when getting the last term at ${last}`)
    return term
  }

  /** Term of the entry at `index`, or `TERM_UNKNOWN`. */
  term(index: number): number {
    const unstable = this.unstable.term(index)
    if (unstable !== undefined) return unstable
    // The entry that a snapshot ends with is gone, but its term is not.
    if (index + 1 < this.firstIndex || index > this.lastIndex) return TERM_UNKNOWN
    return this.storage.term(index)
  }

  /** The same for texts and comparisons: 0 where the term is not known. */
  termOrZero(index: number): number {
    return Math.max(this.term(index), 0)
  }

  matchesTerm(index: number, term: number): boolean {
    return this.term(index) === term
  }

  /** Whether a log that ends with an entry of `index` and `term` holds all that this one has committed (section 5.4.1). */
  isUpToDate(index: number, term: number): boolean {
    const { lastTerm } = this
    return term > lastTerm || (term === lastTerm && index >= this.lastIndex)
  }

  /** Appends entries that the leader made itself. @returns the new last index */
  append(entries: readonly Entry[]): number {
    if (entries.length === 0) return this.lastIndex
    const after = entries[0]!.index - 1
    if (after < this.committed) broken(`after(${after}) is out of range [committed(${this.committed})]`)
    this.unstable.truncateAndAppend(entries)
    return this.lastIndex
  }

  /**
   * Appends a leader's `entries`, which follow the entry of `prevIndex` and `prevTerm`, and moves the commit
   * index as far as the leader's and the entries allow. What is there already is not written again.
   *
   * @returns the last index now known to equal the leader's, or undefined if the logs differ before it
   */
  maybeAppend(
    prevIndex: number,
    prevTerm: number,
    entries: readonly Entry[],
    leaderCommit: number,
  ): number | undefined {
    if (!this.matchesTerm(prevIndex, prevTerm)) return undefined
    const conflict = this.#findConflict(entries)
    if (conflict !== undefined) {
      if (conflict <= this.committed) {
        broken(`entry ${conflict} conflict with committed entry [committed(${this.committed})]`)
      }
      const known = conflict - prevIndex - 1
      this.append(known === 0 ? entries : entries.slice(known))
    }
    const last = prevIndex + entries.length
    this.commitTo(Math.min(leaderCommit, last))
    return last
  }

  /** Index of the first of `entries` that is not in this log, or is there with another term. */
  #findConflict(entries: readonly Entry[]): number | undefined {
    for (let i = 0; i < entries.length; i++) {
      const { index, term } = entries[i]!
      if (this.matchesTerm(index, term)) continue
      if (index <= this.lastIndex) {
        this.#logger.info?.(
          `found conflict at index ${index} [existing term: ${this.termOrZero(index)}, conflicting term: ${term}]`,
        )
      }
      return index
    }
    return undefined
  }

  /**
   * The largest index up to `index` where this log's term is at most `term`: beyond it a log that has `term`
   * at `index` cannot agree with this one. Where this log ends or begins, anything may agree.
   */
  findConflictByTerm(index: number, term: number): LogPosition {
    for (let at = index; at > 0; at--) {
      const ours = this.term(at)
      if (ours === TERM_UNKNOWN) return { index: at, term: 0 }
      if (ours <= term) return { index: at, term: ours }
    }
    return { index: 0, term: 0 }
  }

  /** Moves the commit index forward, never back. @throws InvariantError beyond the last index: entries were lost */
  commitTo(index: number): void {
    if (index <= this.committed) return
    const { lastIndex } = this
    if (index > lastIndex) {
      broken(
        `tocommit(${index}) is out of range [lastIndex(${lastIndex})]. Was the raft log corrupted, truncated, or lost?`,
      )
    }
    this.committed = index
  }

  /** Entries from `low` on, up to `sizeMax` encoded bytes but at least one if there is one. */
  entries(low: number, sizeMax: number): Entry[] {
    const last = this.lastIndex
    return low > last ? [] : this.slice(low, last + 1, sizeMax)
  }

  /** Entries of `[low, high)`, up to `sizeMax` encoded bytes but at least one; the array is the caller's. */
  slice(low: number, high: number, sizeMax: number): Entry[] {
    if (low > high) broken(`invalid slice ${low} > ${high}`)
    const { firstIndex, lastIndex, unstable } = this
    if (low < firstIndex || high > lastIndex + 1) {
      broken(`slice[${low},${high}) out of bound [${firstIndex},${lastIndex}]`)
    }
    if (low === high) return []
    if (low >= unstable.offset) return this.#unstableWithin(low, high, sizeMax)
    const cut = Math.min(high, unstable.offset)
    const stored = this.storage.entries(low, cut, sizeMax)
    if (cut === high || stored.length < cut - low) return stored
    if (sizeMax === NO_LIMIT) return stored.concat(unstable.slice(cut, high))
    const left = sizeMax - entriesSize(stored)
    if (left <= 0) return stored
    const rest = this.#unstableWithin(cut, high, left)
    // At least one entry is promised of the whole, not of its second part.
    if (rest.length === 1 && entriesSize(rest) > left) return stored
    return stored.concat(rest)
  }

  #unstableWithin(low: number, high: number, sizeMax: number): Entry[] {
    const { entries, offset } = this.unstable
    const count = countWithin(entries, low - offset, high - offset, sizeMax)
    return this.unstable.slice(low, low + count)
  }

  /** Whether a snapshot waits to be installed or is being installed; until then nothing after it can be applied. */
  get hasPendingSnapshot(): boolean {
    return this.unstable.snapshot !== undefined
  }

  /** The last index that may be applied; entries that may still be lost count only if `allowUnstable`. */
  #appliableTo(allowUnstable: boolean): number {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1)
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    if (this.#isApplyingPaused || this.hasPendingSnapshot) return false
    return this.applying < this.#appliableTo(allowUnstable)
  }

  /** The committed entries that are next to be applied, as many as may be handed over at once. */
  nextCommitted(allowUnstable: boolean): Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) return []
    const room = this.#applyingSizeMax - this.#applyingSize
    if (room <= 0) {
      broken(`applying entry size (${this.#applyingSizeMax}-${this.#applyingSize})=${room} not positive`)
    }
    return this.slice(this.applying + 1, this.#appliableTo(allowUnstable) + 1, room)
  }

  /** The entries up to `index`, of `size` encoded bytes together, have been handed to the state machine. */
  acceptApplying(index: number, size: number, allowUnstable: boolean): void {
    if (index > this.committed) {
      broken(
        `applying(${index}) is out of range [prevApplying(${this.applying}), committed(${this.committed})]`,
      )
    }
    this.applying = index
    this.#applyingSize += size
    // If the size limit cut the entries short, the next one does not fit either.
    this.#isApplyingPaused =
      this.#applyingSize >= this.#applyingSizeMax || index < this.#appliableTo(allowUnstable)
  }

  /** The state machine has applied everything up to `index`; `size` of it was handed over by `acceptApplying`. */
  appliedTo(index: number, size: number): void {
    if (index > this.committed || index < this.applied) {
      broken(`applied(${index}) is out of range [prevApplied(${this.applied}), committed(${this.committed})]`)
    }
    this.applied = index
    this.applying = Math.max(this.applying, index)
    this.#applyingSize = Math.max(this.#applyingSize - size, 0)
    this.#isApplyingPaused = this.#applyingSize >= this.#applyingSizeMax
  }

  /** Whether committed entries that are not applied yet change the configuration. */
  hasUnappliedConfChange(): boolean {
    const end = this.committed + 1
    let low = this.applied + 1
    while (low < end) {
      const page = this.slice(low, end, this.#applyingSizeMax)
      for (const entry of page) if (entry.type !== EntryType.EntryNormal) return true
      low += page.length
    }
    return false
  }

  snapshot(): Snapshot | undefined {
    return this.unstable.snapshot ?? this.storage.snapshot()
  }

  /** Replaces the whole log by `snapshot`. */
  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata
    this.#logger.info?.(
      `log [${this.describe()}] starts to restore snapshot [index: ${index}, term: ${term}]`,
    )
    this.committed = index
    this.unstable.restore(snapshot)
  }
}
