import { ApiError, type etcdserverpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import type { Clock, Random } from '@etcd-ts/platform'
import { CompactionStopped, SCHEDULED, compactRows } from './compaction.ts'
import { HistoryHash, ScanStopped, hashBackend, scanInSlices, visibleAt } from './hash.ts'
import { KeyIndex } from './key-index.ts'
import { KeyValueReader, deletedKeyValue } from './key-value.ts'
import { type LeaseIndex, noLeases } from './lease-index.ts'
import { readRange, toBound } from './range.ts'
import { type Restored, attachLeases, restoreRows } from './restore.ts'
import type { Change, DeleteRangeResult, HashKvResult, PutResult, RangeResult, TxnResult } from './results.ts'
import { isTombstoneKey, readMain, revisionKey } from './revision-key.ts'
import { Rows } from './rows.ts'
import { Turns } from './turns.ts'
import { type TxnView, checkTxnRevisions, isReadOnlyTxn, readTxn, writeTxn } from './txn.ts'
import { WriteTxn } from './write-txn.ts'

export interface MvccStoreOptions {
  /** Where the rows are. The store does not close it. */
  readonly backend: Backend
  readonly clock: Clock
  /** For a secret of the key table; nothing that others see depends on it. */
  readonly random: Random
  /** The lessor; without one there are no leases. */
  readonly leases?: LeaseIndex
  /** Rows that a compaction looks at between two pauses. */
  readonly compactionBatchRows?: number
  readonly compactionPauseMs?: number
  /** Memory for rows that were written or read lately. */
  readonly cacheBytes?: number
  /** A compaction has removed everything it had to. */
  onCompacted?(compaction: Compacted): void
  /** A compaction failed in the background, which it can only do if an invariant is broken: the member must stop. */
  onFailed(error: unknown): void
}

/** A compaction that is done. */
export interface Compacted {
  readonly revision: number
  readonly tookMs: number
  readonly removedRows: number
  /** The longest time that other work had to wait while the index was compacted. */
  readonly indexPauseMs: number
}

/** Takes the changes of a revision, in the order they were made, when the transaction that made them has ended. */
export type ChangeListener = (revision: number, changes: readonly Change[]) => void

export const COMPACTION_BATCH_ROWS = 1000
export const COMPACTION_PAUSE_MS = 10
const CACHE_BYTES = 32 * 1024 * 1024
/** So many hashes taken by compactions are remembered. */
const REMEMBERED_HASHES_MAX = 10

/**
 * Keys with all their revisions since the last compaction, over a backend.
 *
 * Every write is one revision of the whole store and takes effect at once; the backend makes it durable later,
 * together with the index of the log entry that it came from. Calls that write come from apply alone, one after the
 * other: the same calls give the same store on every member, bytes and hashes included.
 */
export class MvccStore {
  readonly #backend: Backend
  readonly #clock: Clock
  readonly #leases: LeaseIndex
  readonly #options: MvccStoreOptions
  readonly #turns = new Turns()
  #rows: Rows
  #txn: WriteTxn
  /** Ends what works on the present rows in the background: when they are replaced, or the store closes. */
  #present = new AbortController()
  #isClosing = false
  #revision: number
  #compacted: number
  #scheduled: number
  #finished: number
  #compactions: Promise<void> = Promise.resolve()
  #installing: Promise<void> = Promise.resolve()
  /** In the order of their revisions. */
  #hashes: HashKvResult[] = []
  #listener: ChangeListener | undefined

  /**
   * Reads the index of all keys from `backend`, and goes on with a compaction that was interrupted.
   *
   * @throws DamagedRowsError when the rows in the backend are not those of a store
   */
  static async open(options: MvccStoreOptions): Promise<MvccStore> {
    const { backend, clock, random, leases = noLeases } = options
    const index = new KeyIndex(random.bytes(8))
    const restored = await restoreRows(backend, index, clock, new AbortController().signal)
    attachLeases(index, leases)
    return new MvccStore(index, options, restored)
  }

  private constructor(index: KeyIndex, options: MvccStoreOptions, restored: Restored) {
    this.#backend = options.backend
    this.#clock = options.clock
    this.#leases = options.leases ?? noLeases
    this.#options = options
    this.#rows = new Rows(options.backend, index, options.cacheBytes ?? CACHE_BYTES)
    this.#txn = new WriteTxn(this.#rows, this.#leases)
    this.#revision = restored.revision
    this.#compacted = Math.max(restored.scheduled, restored.finished)
    this.#scheduled = restored.scheduled
    this.#finished = restored.finished
    this.#resumeCompaction()
  }

  /**
   * Replaces everything by the rows of the data file at `path`, which must be newer than the present ones: what a member
   * does that gets the state of another one. The present rows are read until the index of the new ones is there; then
   * backend and store change over in one turn of the event loop. Nobody may write meanwhile.
   *
   * Compactions of the old rows end, and a compaction that the new rows are in the middle of goes on. Hashes that are being
   * taken are taken of the new rows.
   *
   * @param swapped runs in the turn of the change. The store and the backend show the new rows already; what else mirrors
   * rows has to be exchanged here, leases above all: keys are attached to those that are there afterwards
   * @throws DamagedRowsError, BackendError: the store goes on with the rows that it had, unless it is `writeFailed`
   * @throws ApiError `stopped` when the store is closed meanwhile
   */
  install(path: string, swapped: () => void = () => undefined): Promise<void> {
    const installing = this.#install(path, swapped)
    this.#installing = installing.catch(() => undefined)
    return installing
  }

  async #install(path: string, swapped: () => void): Promise<void> {
    const { signal } = this.#present
    const index = new KeyIndex(this.#options.random.bytes(8))
    const replacement = this.#backend.openReplacement(path)
    try {
      const restored = await restoreRows(replacement, index, this.#clock, signal)
      if (this.#isClosing) throw new ScanStopped()
      await this.#backend.install(replacement, () => {
        this.#adopt(index, restored)
        swapped()
        attachLeases(index, this.#leases)
        this.#resumeCompaction()
      })
    } catch (error) {
      await replacement.close()
      throw error instanceof ScanStopped ? new ApiError('stopped') : error
    }
  }

  #adopt(index: KeyIndex, restored: Restored): void {
    this.#present.abort()
    this.#present = new AbortController()
    if (this.#isClosing) this.#present.abort()
    this.#rows = new Rows(this.#backend, index, this.#options.cacheBytes ?? CACHE_BYTES)
    this.#txn = new WriteTxn(this.#rows, this.#leases)
    this.#revision = restored.revision
    this.#compacted = Math.max(restored.scheduled, restored.finished)
    this.#scheduled = restored.scheduled
    this.#finished = restored.finished
    this.#hashes = []
  }

  #resumeCompaction(): void {
    if (this.#scheduled > this.#finished) void this.#compactLater(this.#scheduled, this.#finished, false)
  }

  /** The newest revision; 1 in a store that nothing was written to. */
  get revision(): number {
    return this.#revision
  }

  /** Revisions below this one cannot be read; -1 before the first compaction. */
  get compactedRevision(): number {
    return this.#compacted
  }

  /** Keys that can be read at the newest revision. */
  get keyCount(): number {
    return this.#rows.index.liveKeys
  }

  /** Memory of the index, in bytes. */
  get indexBytes(): number {
    return this.#rows.index.byteLength
  }

  /** Calls `listener` with the changes of each revision from now on; undefined for nobody. */
  setChangeListener(listener: ChangeListener | undefined): void {
    this.#listener = listener
  }

  /** Reads a range. @throws ApiError `futureRevision`, `compacted` */
  range(request: etcdserverpb.RangeRequest): RangeResult {
    return readRange(request, this.#rows, this.#revision, this.#compacted)
  }

  /** Writes a key. @throws ApiError `leaseNotFound`, `keyNotFound`; nothing is written then */
  put(request: etcdserverpb.PutRequest): PutResult {
    const txn = this.#begin()
    const result = txn.put(request)
    this.#end(txn)
    return result
  }

  deleteRange(request: etcdserverpb.DeleteRangeRequest): DeleteRangeResult {
    const txn = this.#begin()
    const result = txn.deleteRange(request)
    this.#end(txn)
    return result
  }

  /** Deletes those of `keys` that exist, in the given order and as one revision: what revoking a lease does. */
  deleteKeys(keys: readonly Uint8Array[]): void {
    const txn = this.#begin()
    for (const key of keys) txn.deleteKey(key)
    this.#end(txn)
  }

  /**
   * Runs a txn that `checkTxn` has let pass.
   *
   * @throws ApiError `keyNotFound`, `leaseNotFound`, `futureRevision`, `compacted`. Nothing has been written then, with
   * one exception, which `checkTxnRevisions` all but excludes: a range at the top level of a txn that also writes
   */
  txn(request: etcdserverpb.TxnRequest): TxnResult {
    const view = this.#view()
    if (isReadOnlyTxn(request)) return readTxn(request, view)
    const txn = this.#begin()
    const { result, rangeError } = writeTxn(request, txn, view)
    this.#end(txn)
    if (rangeError !== undefined) throw rangeError
    return result
  }

  /**
   * What a member asks before it proposes a txn that names revisions. Its store must be as new as the newest that its
   * client may have heard of (a read index tells), or it refuses revisions that others have.
   *
   * @throws ApiError `futureRevision`, `compacted`
   */
  checkTxnRevisions(request: etcdserverpb.TxnRequest): void {
    checkTxnRevisions(request, this.#view())
  }

  #view(): TxnView {
    return { rows: this.#rows, leases: this.#leases, current: this.#revision, compacted: this.#compacted }
  }

  #begin(): WriteTxn {
    this.#txn.begin(this.#revision, this.#compacted, this.#listener !== undefined)
    return this.#txn
  }

  #end(txn: WriteTxn): void {
    if (txn.changed === 0) return
    this.#revision = txn.revision
    if (txn.changes !== undefined) this.#listener?.(this.#revision, txn.changes)
  }

  /**
   * Makes revisions below `revision` unreadable, at once, and removes in the background what only they could read.
   *
   * @returns resolves when that is done and durable, in this run of the program
   * @throws ApiError `compacted`, `futureRevision`
   */
  compact(revision: bigint): Promise<void> {
    if (revision <= this.#compacted) throw new ApiError('compacted')
    if (revision > this.#revision) throw new ApiError('futureRevision')
    const target = Number(revision)
    const previous = this.#compacted
    const previousIsDone = this.#scheduled === this.#finished
    this.#compacted = target
    this.#scheduled = target
    this.#backend.put('meta', SCHEDULED, revisionKey(target))
    const { signal } = this.#present
    const done = this.#compactLater(target, previous, previousIsDone).catch(async (error: unknown) => {
      // Rows that replaced those that it was asked for were asked to be compacted, too.
      if (!(error instanceof CompactionStopped) || !signal.aborted || this.#isClosing) throw error
      await this.#compactions
      if (this.#isClosing) throw error
    })
    done.catch(() => undefined) // who asked need not wait
    return done
  }

  /** @param remember the hash stands for the whole history since `previous` */
  #compactLater(revision: number, previous: number, remember: boolean): Promise<void> {
    const { compactionBatchRows, compactionPauseMs } = this.#options
    const { signal } = this.#present
    const rows = this.#rows
    const done = this.#compactions.then(async () => {
      const startedMs = this.#clock.monotonicMs()
      const { hash, removedRows, indexPauseMs } = await compactRows(rows, revision, previous, this.#turns, {
        clock: this.#clock,
        batchRows: compactionBatchRows ?? COMPACTION_BATCH_ROWS,
        pauseMs: compactionPauseMs ?? COMPACTION_PAUSE_MS,
        signal,
      })
      if (rows !== this.#rows) throw new CompactionStopped()
      this.#finished = revision
      if (remember) this.#remember(hash)
      const tookMs = this.#clock.monotonicMs() - startedMs
      this.#options.onCompacted?.({ revision, tookMs, removedRows, indexPauseMs })
    })
    this.#compactions = done.catch((error: unknown) => {
      if (!(error instanceof CompactionStopped)) this.#options.onFailed(error)
    })
    return done
  }

  #remember(hash: HashKvResult): void {
    this.#hashes.push(hash)
    if (this.#hashes.length > REMEMBERED_HASHES_MAX) this.#hashes.shift()
  }

  /**
   * The hash of the history up to `revision`, 0 for the newest one.
   *
   * @throws ApiError `futureRevision`, `compacted` (as a rejection)
   */
  async hashKv(revision: bigint): Promise<HashKvResult> {
    // A compaction can be at revision 0 too, but here that stands for the newest one.
    const remembered = this.#hashes.find((hash) => BigInt(hash.revision) === revision)
    if (remembered !== undefined && revision !== 0n) return remembered
    for (;;) {
      try {
        return await this.#turns.run(() => this.#hashHistory(revision))
      } catch (error) {
        if (!(error instanceof ScanStopped)) throw error
        if (this.#isClosing) throw new ApiError('stopped')
      }
    }
  }

  /** The hashes that the latest ten compactions since the start took of what was there before, oldest first. */
  compactionHashes(): readonly HashKvResult[] {
    return this.#hashes
  }

  async #hashHistory(asked: bigint): Promise<HashKvResult> {
    const compacted = this.#compacted
    if (asked > 0n && asked < compacted) throw new ApiError('compacted')
    if (asked > this.#revision) throw new ApiError('futureRevision')
    const revision = asked === 0n ? this.#revision : toBound(asked)
    const { index } = this.#rows
    const hash = new HistoryHash(index, revision, compacted, visibleAt(index, revision))
    // Nothing has a negative revision, nor has anything a hash at one: that of no rows.
    const end = revisionKey(Math.max(0, revision + 1))
    const { signal } = this.#present
    const add = (key: Uint8Array, value: Uint8Array): void => hash.add(key, value)
    await scanInSlices(this.#backend, 'key', end, this.#clock, add, signal)
    return { hash: hash.value, revision, compactRevision: compacted }
  }

  /** The hash of everything in the backend; members with the same keys may differ in it. */
  hash(): Promise<number> {
    return hashBackend(this.#backend, this.#clock)
  }

  /**
   * Reads what changed from a revision on, whole revisions at a time, oldest first.
   *
   * @param changesMax after this many changes no further revision is begun
   * @returns the revision to go on from
   * @throws ApiError `compacted` when not all changes since `from` are there any more
   */
  readChanges(from: number, changesMax: number, visit: ChangeListener): number {
    if (from < this.#compacted) throw new ApiError('compacted')
    const reader = new KeyValueReader()
    const found: { revision: number; changes: Change[] }[] = []
    let count = 0
    let next = this.#revision + 1
    this.#rows.scan(from, this.#revision, (key, value) => {
      if (value.length === 0) return true // a revision that a restored backup skipped
      const revision = readMain(key)
      let current = found.at(-1)
      if (current?.revision !== revision) {
        if (count >= changesMax) {
          next = revision
          return false
        }
        current = { revision, changes: [] }
        found.push(current)
      }
      count++
      if (isTombstoneKey(key)) {
        reader.readKey(value)
        const deleted = value.subarray(reader.keyAt, reader.keyAt + reader.keyLength)
        current.changes.push({ deleted: true, kv: deletedKeyValue(deleted, revision) })
      } else {
        current.changes.push({ deleted: false, kv: new Uint8Array(value) })
      }
      return true
    })
    // Not from within the scan: who looks at changes may read the store.
    for (const { revision, changes } of found) visit(revision, changes)
    return next
  }

  /** Stops work in the background; a compaction goes on when the store is opened again. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#present.abort()
    await this.#installing
    await this.#compactions
    await this.#turns.run(() => undefined)
  }
}
