import type { Entry } from './messages.ts'

const TWO_TO_35 = 2 ** 35
const TWO_TO_42 = 2 ** 42
const TWO_TO_49 = 2 ** 49

/** Bytes of `value`, a whole number from 0 to 2^53, as a protobuf varint. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value < 0x1000_0000) return 4
  if (value < TWO_TO_35) return 5
  if (value < TWO_TO_42) return 6
  return value < TWO_TO_49 ? 7 : 8
}

/** Bytes of `entry` on the wire: `type` 1, `term` 2, `index` 3 always written, `data` 4 when there is some. */
export function entrySize(entry: Entry): number {
  const scalars = 4 + varintSize(entry.term) + varintSize(entry.index)
  const { data } = entry
  return data === undefined ? scalars : scalars + 1 + varintSize(data.length) + data.length
}

export function entriesSize(entries: readonly Entry[]): number {
  let size = 0
  for (let i = 0; i < entries.length; i++) size += entrySize(entries[i]!)
  return size
}

/** Bytes of what the proposers brought, which the limits on inflight and uncommitted data count. */
export function payloadsSize(entries: readonly Entry[]): number {
  let size = 0
  for (let i = 0; i < entries.length; i++) size += entries[i]!.data?.length ?? 0
  return size
}

/**
 * How many entries of `[from, to)` fit into `sizeMax` bytes together; at least one, so that an entry larger
 * than any limit still gets through.
 */
export function countWithin(entries: readonly Entry[], from: number, to: number, sizeMax: number): number {
  if (from >= to) return 0
  if (sizeMax === Infinity) return to - from
  let size = entrySize(entries[from]!)
  let at = from + 1
  for (; at < to; at++) {
    size += entrySize(entries[at]!)
    if (size > sizeMax) break
  }
  return at - from
}
