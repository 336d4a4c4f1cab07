import type { RowSlot } from './backend.ts'
import { bucketNames } from './buckets.ts'
import { compareBytes } from './key-order.ts'

/** `valueLength` of a row that says its key was removed. */
export const REMOVED = -1

/** One write: a row, or with `valueLength` REMOVED the removal of one. */
export interface PendingRow extends RowSlot {
  /** Of two writes of one key the one with the higher number counts. */
  readonly order: number
}

/** Compares the keys of two rows. */
export function compareKeys(a: PendingRow, b: PendingRow): number {
  return compareBytes(a.bytes, a.keyAt, a.keyLength, b.bytes, b.keyAt, b.keyLength)
}

/** Compares the key of `row` to `key`. */
export function compareToKey(row: PendingRow, key: Uint8Array): number {
  return compareBytes(row.bytes, row.keyAt, row.keyLength, key, 0, key.length)
}

/**
 * Rows in the order they came, put into the order of their keys when somebody reads. Rows that come in order
 * already, as revisions do, cost one comparison each; rewritten keys keep their newest row only.
 */
export class RowList {
  #rows: PendingRow[] = []
  /** This many rows at the front are in strictly ascending order. */
  #sorted = 0

  push(row: PendingRow): void {
    this.#rows.push(row)
  }

  /** The rows in strictly ascending order of their keys. */
  sorted(): readonly PendingRow[] {
    const rows = this.#rows
    while (this.#sorted < rows.length) {
      const last = rows[this.#sorted - 1]
      const difference = last === undefined ? -1 : compareKeys(last, rows[this.#sorted]!)
      if (difference < 0) this.#sorted++
      else if (difference === 0) rows.splice(this.#sorted - 1, 1)
      else this.#sort()
    }
    return rows
  }

  #sort(): void {
    const rows = this.#rows.sort((a, b) => compareKeys(a, b) || a.order - b.order)
    let kept = 0
    for (let i = 0; i < rows.length; i++) {
      if (i + 1 < rows.length && compareKeys(rows[i]!, rows[i + 1]!) === 0) continue
      rows[kept++] = rows[i]!
    }
    rows.length = kept
    this.#sorted = kept
  }

  /** Place of the first row whose key is not below `key`. */
  lowerBound(key: Uint8Array): number {
    const rows = this.sorted()
    let low = 0
    let high = rows.length
    // Nearly all reads are of rows older than anything pending.
    if (high > 0 && compareToKey(rows[0]!, key) > 0) return 0
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareToKey(rows[middle]!, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  find(key: Uint8Array): PendingRow | undefined {
    if (this.#rows.length === 0) return undefined
    const row = this.sorted()[this.lowerBound(key)]
    return row !== undefined && compareToKey(row, key) === 0 ? row : undefined
  }
}

/**
 * The writes that will be committed together.
 *
 * Removals are kept apart from rows: those of one bucket come in two runs of ascending keys (a compaction
 * removes old revisions while new ones are written), which one list would have to sort over and over.
 */
export class RowBatch {
  readonly puts: readonly RowList[] = bucketNames.map(() => new RowList())
  readonly removals: readonly RowList[] = bucketNames.map(() => new RowList())
  count = 0
  bytes = 0

  add(bucket: number, row: PendingRow): void {
    if (row.valueLength === REMOVED) this.removals[bucket]!.push(row)
    else this.puts[bucket]!.push(row)
    this.count++
    this.bytes += row.keyLength + Math.max(0, row.valueLength)
  }

  /** What this batch says of `key`: a row, a removal, or undefined for nothing. */
  find(bucket: number, key: Uint8Array): PendingRow | undefined {
    const put = this.puts[bucket]!.find(key)
    const removal = this.removals[bucket]!.find(key)
    if (put === undefined || removal === undefined) return put ?? removal
    return put.order > removal.order ? put : removal
  }

  /** Hands what this batch says of each key of `bucket` to `visit`, in order of the keys. */
  forEach(bucket: number, visit: (row: PendingRow) => void): void {
    const puts = this.puts[bucket]!.sorted()
    const removals = this.removals[bucket]!.sorted()
    let p = 0
    let r = 0
    while (p < puts.length || r < removals.length) {
      const put = puts[p]
      const removal = removals[r]
      const difference = put === undefined ? 1 : removal === undefined ? -1 : compareKeys(put, removal)
      if (difference <= 0) p++
      if (difference >= 0) r++
      if (difference < 0 || (difference === 0 && put!.order > removal!.order)) visit(put!)
      else visit(removal!)
    }
  }
}
