import type { HardState } from '../messages.ts'
import {
  type MemberStore,
  type StoreWrite,
  type StoredState,
  applyWrite,
  emptyState,
  holdsEntry,
  isBlank,
} from './member-store.ts'
import type { Plant } from './plants.ts'
import type { SimRandom } from './sim-random.ts'

/**
 * An append-only log: what is written after the last sync survives a crash in part, as a prefix of the writes
 * whose last one may be torn between two entries.
 */
export class MemoryStore implements MemberStore {
  readonly #durable: StoredState = emptyState()
  readonly #random: SimRandom
  readonly #plant: Plant | undefined
  #unsynced: StoreWrite[] = []
  #written = 0
  synced = 0

  constructor(random: SimRandom, plant: Plant | undefined) {
    this.#random = random
    this.#plant = plant
  }

  get durableState(): HardState {
    return this.#durable.hardState
  }

  open(): StoredState {
    return { ...this.#durable, entries: [...this.#durable.entries] }
  }

  write(write: StoreWrite): number {
    this.#unsynced.push(write)
    return ++this.#written
  }

  sync(upTo: number): void {
    this.synced = Math.max(this.synced, upTo)
    if (this.#plant === 'syncSkipped' && this.#random.chance(2)) return
    const count = this.#unsynced.length - (this.#written - upTo)
    for (const write of this.#unsynced.splice(0, Math.max(count, 0))) applyWrite(this.#durable, write)
  }

  crash(random: SimRandom): void {
    const kept = random.below(this.#unsynced.length + 1)
    // A group is founded by one write, which is there or is not: a driver has to see to that.
    const torn = isBlank(this.#durable) && kept === 0 ? undefined : this.#unsynced[kept]?.entries
    for (const write of this.#unsynced.slice(0, kept)) applyWrite(this.#durable, write)
    if (torn !== undefined) {
      applyWrite(this.#durable, { entries: torn.slice(0, random.below(torn.length + 1)) })
    }
    this.#unsynced = []
    this.#written = 0
    this.synced = 0
  }

  holds(index: number, term: number): boolean {
    return holdsEntry(this.#durable, index, term)
  }
}
