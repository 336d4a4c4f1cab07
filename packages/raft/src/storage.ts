import type { ConfState, Entry, HardState, Snapshot } from './messages.ts'

/**
 * The part of the log that raft has handed over: raft reads it back from here.
 *
 * The entries that are there are those of `[firstIndex, lastIndex]`; the term of `firstIndex - 1`, the last
 * entry that a snapshot stands for, is known as well. All answers are immediate: a driver keeps this in memory.
 */
export interface Storage {
  initialState(): { hardState: HardState; confState: ConfState }
  firstIndex(): number
  lastIndex(): number
  /** Term of the entry at `index`, which is within `[firstIndex - 1, lastIndex]`. */
  term(index: number): number
  /**
   * Entries of `[low, high)`, all of which are there; fewer, but at least one, if their encoded sizes
   * together exceed `sizeMax` bytes. The array is the caller's.
   */
  entries(low: number, high: number, sizeMax: number): Entry[]
  /** The newest snapshot; undefined if none can be had just now, and raft will ask again. */
  snapshot(): Snapshot | undefined
}
