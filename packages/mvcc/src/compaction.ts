import type { Clock } from '@etcd-ts/platform'
import { HistoryHash, leftBy } from './hash.ts'
import { KeyValueReader } from './key-value.ts'
import type { HashKvResult } from './results.ts'
import { isTombstoneKey, readMain, readSub, revisionKey } from './revision-key.ts'
import type { Rows } from './rows.ts'
import { type Turns, yieldTurn } from './turns.ts'

/** Rows of the bucket `meta`: the revision of the newest compaction that was asked for, and of the newest done. */
export const SCHEDULED = Buffer.from('scheduledCompactRev')
export const FINISHED = Buffer.from('finishedCompactRev')

const KEYS_PER_SLICE = 10_000
const PAGES_PER_SLICE = 10

export interface CompactionOptions {
  readonly clock: Clock
  /** Rows looked at between two pauses. */
  readonly batchRows: number
  readonly pauseMs: number
  readonly signal: AbortSignal
}

/** A compaction stopped because its rows were replaced or the store is closing; it goes on with what comes then. */
export class CompactionStopped extends Error {
  override readonly name = 'CompactionStopped'
}

/** What a compaction did. */
export interface CompactionDone {
  /** Of the history up to the revision, as it was before. */
  readonly hash: HashKvResult
  readonly removedRows: number
  /** The longest time that other work had to wait for the index. */
  readonly indexPauseMs: number
}

/**
 * Removes the rows that a compaction at `revision` makes unreadable, a batch at a time, then what the index has of
 * them, and records that it is done. While it looks at rows nobody else does: each batch takes a turn of its own.
 *
 * @param previous the compaction before this one, -1 for none
 * @throws CompactionStopped
 */
export async function compactRows(
  rows: Rows,
  revision: number,
  previous: number,
  turns: Turns,
  options: CompactionOptions,
): Promise<CompactionDone> {
  const { backend, index } = rows
  const { clock, batchRows, pauseMs, signal } = options
  const reader = new KeyValueReader()
  const removed: Uint8Array[] = []
  let removedRows = 0
  const checkRunning = (): void => {
    if (signal.aborted) throw new CompactionStopped()
  }
  const hash = await turns.run(() => {
    checkRunning()
    return new HistoryHash(index, revision, previous, leftBy(index, revision))
  })
  const end = revisionKey(revision + 1)
  let from: Uint8Array | undefined = new Uint8Array(0)

  const isUnreadable = (key: Uint8Array, value: Uint8Array): boolean => {
    reader.readKey(value)
    const id = index.find(value, reader.keyAt, reader.keyLength)
    const main = readMain(key)
    // Deletions before the compaction go with what they ended.
    return (
      id === 0 ||
      (isTombstoneKey(key) && main < revision) ||
      !index.survives(id, main, readSub(key), revision)
    )
  }

  const removeBatch = (): void => {
    checkRunning()
    const start = from!
    let seen = 0
    from = undefined
    backend.scan('key', start, end, (key, value) => {
      if (seen++ === batchRows) {
        from = new Uint8Array(key)
        return false
      }
      hash.add(key, value)
      if (isUnreadable(key, value)) removed.push(new Uint8Array(key))
      return true
    })
    for (const key of removed) backend.delete('key', key)
    removedRows += removed.length
    removed.length = 0
  }

  while (from !== undefined) {
    await turns.run(removeBatch)
    if (from !== undefined && !(await clock.sleep(pauseMs, signal))) throw new CompactionStopped()
  }
  const indexPauseMs = await turns.run(() => compactIndex(rows, revision, clock, checkRunning))
  checkRunning()
  backend.put('meta', FINISHED, revisionKey(revision))
  await backend.commit()
  return { hash: { hash: hash.value, revision, compactRevision: previous }, removedRows, indexPauseMs }
}

/** @returns the longest time that it took without a pause */
async function compactIndex(
  { index }: Rows,
  revision: number,
  clock: Clock,
  checkRunning: () => void,
): Promise<number> {
  let longestMs = 0
  let startedMs = clock.monotonicMs()
  const pause = async (): Promise<void> => {
    longestMs = Math.max(longestMs, clock.monotonicMs() - startedMs)
    await yieldTurn(clock)
    checkRunning()
    startedMs = clock.monotonicMs()
  }
  for (let id = 1; id !== 0;) {
    id = index.compact(id, KEYS_PER_SLICE, revision)
    await pause()
  }
  for (let place = index.tidy(0, PAGES_PER_SLICE); place !== 0;) {
    await pause()
    place = index.tidy(place, PAGES_PER_SLICE)
  }
  return longestMs
}
