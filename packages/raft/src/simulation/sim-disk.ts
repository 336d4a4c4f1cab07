import { type Entry, type HardState, NONE, type Snapshot } from '../messages.ts'
import type { SimRandom } from './sim-random.ts'

/** What a member finds when it starts. `entries` have no gap and reach down to the snapshot's index or below it. */
export interface DiskImage {
  hardState: HardState
  snapshot: Snapshot | undefined
  entries: Entry[]
}

/** One write to the log. A `checkpoint` is a snapshot that replaces no entries. */
export interface DiskWrite {
  readonly hardState?: HardState | undefined
  readonly entries?: readonly Entry[]
  readonly snapshot?: Snapshot | undefined
  readonly checkpoint?: Snapshot
}

/**
 * An append-only log: what is written after the last sync survives a crash in part, as a prefix of the writes
 * whose last one may be torn between two entries.
 */
export class SimDisk {
  readonly durable: DiskImage = {
    hardState: { term: 0, vote: NONE, commit: 0 },
    snapshot: undefined,
    entries: [],
  }
  #unsynced: DiskWrite[] = []
  #written = 0

  get isBlank(): boolean {
    const { hardState, snapshot, entries } = this.durable
    return hardState.term === 0 && snapshot === undefined && entries.length === 0
  }

  /** @returns the number of the write, for `sync` */
  write(write: DiskWrite): number {
    this.#unsynced.push(write)
    return ++this.#written
  }

  /** Makes everything up to write number `upTo` durable. */
  sync(upTo: number): void {
    const count = this.#unsynced.length - (this.#written - upTo)
    for (const write of this.#unsynced.splice(0, Math.max(count, 0))) this.#persist(write)
  }

  crash(random: SimRandom): void {
    const kept = random.below(this.#unsynced.length + 1)
    // A group is founded by one write, which is there or is not: a driver has to see to that.
    const torn = this.isBlank && kept === 0 ? undefined : this.#unsynced[kept]?.entries
    for (const write of this.#unsynced.slice(0, kept)) this.#persist(write)
    if (torn !== undefined) this.#persist({ entries: torn.slice(0, random.below(torn.length + 1)) })
    this.#unsynced = []
  }

  /** Whether the entry of `index` and `term`, or a snapshot that includes it, would survive a crash. */
  holds(index: number, term: number): boolean {
    const { snapshot, entries } = this.durable
    if (snapshot !== undefined && snapshot.metadata.index >= index) return true
    const first = entries[0]?.index ?? 0
    return entries[index - first]?.term === term
  }

  #persist({ hardState, entries, snapshot, checkpoint }: DiskWrite): void {
    const image = this.durable
    if (snapshot !== undefined) {
      image.snapshot = snapshot
      image.entries = []
    }
    if (checkpoint !== undefined) image.snapshot = checkpoint
    const first = entries?.[0]?.index
    if (entries !== undefined && first !== undefined) {
      const keep = image.entries.length === 0 ? 0 : first - image.entries[0]!.index
      image.entries = [...image.entries.slice(0, Math.max(keep, 0)), ...entries]
    }
    if (hardState !== undefined) image.hardState = hardState
  }
}
