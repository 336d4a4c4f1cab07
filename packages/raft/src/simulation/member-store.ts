import { type Entry, type HardState, NONE, type Snapshot } from '../messages.ts'
import type { SimRandom } from './sim-random.ts'

/** What a member finds when it starts. `entries` have no gap and reach down to the snapshot's index or below it. */
export interface StoredState {
  hardState: HardState
  snapshot: Snapshot | undefined
  entries: Entry[]
}

/** One write to the log. A `checkpoint` is a snapshot that replaces no entries. */
export interface StoreWrite {
  readonly hardState?: HardState | undefined
  readonly entries?: readonly Entry[]
  readonly snapshot?: Snapshot | undefined
  readonly checkpoint?: Snapshot
}

/**
 * Where a member keeps what must survive it: several processes, one after the other. A write counts once `synced` has
 * reached its number; a crash may lose the others, as a whole or in part.
 */
export interface MemberStore {
  /** Opens it for the next process. @throws StoreDamage when it holds less than it should, and knows that */
  open(): StoredState
  /** @returns the number of the write, for `sync`; the first one of a process is 1 */
  write(write: StoreWrite): number
  /** Begins to make everything up to write number `upTo` durable. */
  sync(upTo: number): void
  /** The number of the last write that is durable. */
  readonly synced: number
  /** Ends the process. */
  crash(random: SimRandom): void
  /** Whether the entry of `index` and `term`, or a snapshot that includes it, would survive a crash. */
  holds(index: number, term: number): boolean
  /** The vote and the term that would survive a crash. */
  readonly durableState: HardState
}

/** The store has found that something which it had made durable is gone. */
export class StoreDamage extends Error {
  override readonly name = 'StoreDamage'
}

export function emptyState(): StoredState {
  return { hardState: { term: 0, vote: NONE, commit: 0 }, snapshot: undefined, entries: [] }
}

export function isBlank({ hardState, snapshot, entries }: StoredState): boolean {
  return hardState.term === 0 && snapshot === undefined && entries.length === 0
}

/** Changes `state` as `write` does. */
export function applyWrite(state: StoredState, write: StoreWrite): void {
  const { hardState, entries, snapshot, checkpoint } = write
  if (snapshot !== undefined) {
    state.snapshot = snapshot
    state.entries = []
  }
  if (checkpoint !== undefined) state.snapshot = checkpoint
  const first = entries?.[0]?.index
  if (entries !== undefined && first !== undefined) {
    const keep = state.entries.length === 0 ? 0 : first - state.entries[0]!.index
    state.entries.length = Math.min(Math.max(keep, 0), state.entries.length)
    state.entries.push(...entries)
  }
  if (hardState !== undefined) state.hardState = hardState
}

/** Whether `state` has the entry of `index` and `term`, or a snapshot that includes it. */
export function holdsEntry({ snapshot, entries }: StoredState, index: number, term: number): boolean {
  if (snapshot !== undefined && snapshot.metadata.index >= index) return true
  const first = entries[0]?.index ?? 0
  return entries[index - first]?.term === term
}
