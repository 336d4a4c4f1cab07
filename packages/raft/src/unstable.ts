import { broken } from './invariant.ts'
import type { Logger } from './logger.ts'
import type { Entry, Snapshot } from './messages.ts'

/**
 * The end of the log that is not known to be on disk: entries from `offset` on, and perhaps a snapshot that
 * replaces everything before them.
 *
 * What was handed to the driver to be written but is not acknowledged yet is "in progress": the entries
 * before `offsetInProgress`. It stays here until acknowledged, and can still be replaced by a new leader's.
 */
export class Unstable {
  snapshot: Snapshot | undefined
  isSnapshotInProgress = false
  /** `entries[i]` has the index `offset + i`. */
  entries: Entry[] = []
  offset: number
  offsetInProgress: number
  readonly #logger: Logger

  constructor(offset: number, logger: Logger) {
    this.offset = offset
    this.offsetInProgress = offset
    this.#logger = logger
  }

  /** The last index, if it is known here. */
  get lastIndex(): number | undefined {
    if (this.entries.length > 0) return this.offset + this.entries.length - 1
    return this.snapshot?.metadata.index
  }

  /** Term of the entry at `index`, if it is known here. */
  term(index: number): number | undefined {
    if (index < this.offset) {
      const metadata = this.snapshot?.metadata
      return metadata?.index === index ? metadata.term : undefined
    }
    return this.entries[index - this.offset]?.term
  }

  /** Whether there are entries that the driver has not been given. */
  get hasNextEntries(): boolean {
    return this.offset + this.entries.length > this.offsetInProgress
  }

  /** The entries that the driver has not been given; the array is the caller's. */
  nextEntries(): Entry[] {
    return this.hasNextEntries ? this.entries.slice(this.offsetInProgress - this.offset) : []
  }

  /** The snapshot, if the driver has not been given it. */
  get nextSnapshot(): Snapshot | undefined {
    return this.isSnapshotInProgress ? undefined : this.snapshot
  }

  /** The driver has been given everything. */
  acceptInProgress(): void {
    this.offsetInProgress = this.offset + this.entries.length
    if (this.snapshot !== undefined) this.isSnapshotInProgress = true
  }

  /**
   * Everything up to `index` is on disk, provided that what is here at `index` is what was written, of `term`:
   * another leader may have replaced it since.
   */
  stableTo(index: number, term: number): void {
    const ours = this.term(index)
    if (ours === undefined) {
      this.#logger.info?.(`entry at index ${index} missing from unstable log; ignoring`)
      return
    }
    if (index < this.offset) {
      this.#logger.info?.(`entry at index ${index} matched unstable snapshot; ignoring`)
      return
    }
    if (ours !== term) {
      this.#logger.info?.(
        `entry at (index,term)=(${index},${term}) mismatched with entry at (${index},${ours}) in unstable log; ignoring`,
      )
      return
    }
    const stable = index + 1 - this.offset
    this.entries = stable === this.entries.length ? [] : this.entries.slice(stable)
    this.offset = index + 1
    this.offsetInProgress = Math.max(this.offsetInProgress, this.offset)
  }

  snapshotStableTo(index: number): void {
    if (this.snapshot?.metadata.index !== index) return
    this.snapshot = undefined
    this.isSnapshotInProgress = false
  }

  /** Replaces the whole log by `snapshot`. */
  restore(snapshot: Snapshot): void {
    this.offset = snapshot.metadata.index + 1
    this.offsetInProgress = this.offset
    this.entries = []
    this.snapshot = snapshot
    this.isSnapshotInProgress = false
  }

  /** Appends `entries`, of which there is at least one; they replace what is here from their first index on. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const from = entries[0]!.index
    if (from <= this.offset && from !== this.offset + this.entries.length) {
      this.#logger.info?.(`replace the unstable entries from index ${from}`)
      this.entries = []
      this.offset = from
      this.offsetInProgress = from
    } else if (from < this.offset + this.entries.length) {
      this.#logger.info?.(`truncate the unstable entries before index ${from}`)
      this.entries.length = from - this.offset
      this.offsetInProgress = Math.min(this.offsetInProgress, from)
    } else if (from > this.offset + this.entries.length) {
      broken(`entries from index ${from} leave a gap after ${this.offset + this.entries.length - 1}`)
    }
    for (let i = 0; i < entries.length; i++) this.entries.push(entries[i]!)
  }

  /** Entries of `[low, high)`, all of which are here; the array is the caller's. */
  slice(low: number, high: number): Entry[] {
    if (low > high) broken(`invalid unstable.slice ${low} > ${high}`)
    const end = this.offset + this.entries.length
    if (low < this.offset || high > end) {
      broken(`unstable.slice[${low},${high}) out of bound [${this.offset},${end}]`)
    }
    return this.entries.slice(low - this.offset, high - this.offset)
  }
}
