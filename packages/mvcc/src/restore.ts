import type { RowReader } from '@etcd-ts/backend'
import type { Clock } from '@etcd-ts/platform'
import { FINISHED, SCHEDULED } from './compaction.ts'
import { ScanStopped, scanInSlices } from './hash.ts'
import type { KeyIndex } from './key-index.ts'
import { KeyValueReader } from './key-value.ts'
import type { LeaseIndex } from './lease-index.ts'
import { checkRevisionKey, isTombstoneKey, readMain, readSub } from './revision-key.ts'

/** What a backend says about the store in it. */
export interface Restored {
  readonly revision: number
  /** Revision of the newest compaction that was asked for, -1 for none. */
  readonly scheduled: number
  /** Revision of the newest compaction that was done, -1 for none. */
  readonly finished: number
}

/** The rows of a backend contradict each other or cannot be read: nothing can be said about the data. */
export class DamagedRowsError extends Error {
  override readonly name = 'DamagedRowsError'
}

function compactionRevision(reader: RowReader, name: Uint8Array): number {
  const row = reader.get('meta', name)
  if (row === undefined) return -1
  checkRevisionKey(row)
  return readMain(row)
}

/**
 * Builds `index`, which is empty, from the rows of a backend.
 *
 * @throws DamagedRowsError, ScanStopped
 */
export async function restoreRows(
  reader: RowReader,
  index: KeyIndex,
  clock: Clock,
  signal: AbortSignal,
): Promise<Restored> {
  try {
    const newest = await restoreIndex(reader, index, clock, signal)
    const scheduled = compactionRevision(reader, SCHEDULED)
    const finished = compactionRevision(reader, FINISHED)
    // A compaction may have removed the newest row, a deletion; and one that was not finished may be at the newest.
    return { revision: Math.max(1, newest, scheduled, finished), scheduled, finished }
  } catch (cause) {
    if (cause instanceof ScanStopped) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DamagedRowsError(`cannot read the stored keys: ${reason}`, { cause })
  }
}

/** @returns the newest revision */
async function restoreIndex(
  rows: RowReader,
  index: KeyIndex,
  clock: Clock,
  signal: AbortSignal,
): Promise<number> {
  const reader = new KeyValueReader()
  let main = 0
  const visit = (key: Uint8Array, value: Uint8Array): void => {
    checkRevisionKey(key)
    main = readMain(key)
    const sub = readSub(key)
    reader.read(value) // a row without a value stands for a revision that a restored backup skipped
    const found = index.find(value, reader.keyAt, reader.keyLength)
    const id = found === 0 ? index.add(value, reader.keyAt, reader.keyLength) : found
    if (isTombstoneKey(key)) {
      index.tombstone(id, main, sub)
      index.table.setLease(id, 0n)
    } else {
      index.put(id, main, sub, reader.createRevision, reader.version)
      if (reader.lease !== 0n || index.table.hasLease(id)) index.table.setLease(id, reader.lease)
    }
  }
  await scanInSlices(rows, 'key', undefined, clock, visit, signal)
  return main
}

/** Tells the lessor which keys hang on its leases. */
export function attachLeases(index: KeyIndex, leases: LeaseIndex): void {
  const { table } = index
  for (let id = 1; id < table.idEnd; id++) {
    if (!table.hasLease(id)) continue
    const lease = table.lease(id)
    if (leases.has(lease)) leases.attach(lease, index.keyOf(id))
    else table.setLease(id, 0n)
  }
}
