// oxlint-disable-next-line no-restricted-imports -- LMDB does its own I/O, past any Disk that could be given to it
import { existsSync, renameSync, rmSync } from 'node:fs'
// oxlint-disable-next-line no-restricted-imports -- as above
import { chmod } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { DefragmentStep, RowVisitor } from './backend.ts'
import type { Bucket } from './buckets.ts'
import { CloserThread } from './closer-thread.ts'
import { ExportThread } from './bbolt/export-thread.ts'
import { BackendError } from './error.ts'
import { FILE_MODE, LmdbFile } from './lmdb-open.ts'
import {
  checkDataFile,
  lockFileOf,
  removeStrayLocks,
  removeTemporaryFiles,
  syncPath,
  syncPathNow,
  temporaryFileOf,
} from './lmdb-file.ts'
import { REMOVED, type RowBatch } from './row-batch.ts'
import type { PinnedExport, RowStore, StoreReplacement, StoreSnapshot } from './row-store.ts'

/**
 * The rows of a backend in an LMDB file, each bucket a table.
 *
 * Commits are LMDB transactions that the library runs on a thread of its own; the file is synced before a
 * commit's promise resolves. Reads happen here, straight from the map.
 */
export class LmdbStore implements RowStore {
  readonly #path: string
  #file: LmdbFile
  #sizes: { readonly size: number; readonly sizeInUse: number } | undefined

  readonly #exports = new Set<ExportThread>()

  /** @throws BackendError when there is a file at `path` that cannot be opened */
  constructor(path: string) {
    this.#path = path
    this.#file = openFile(path, () => {
      removeTemporaryFiles(path)
      removeStrayLocks(path)
    })
  }

  peek(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    return this.#file.peek(bucket, key)
  }

  scan(bucket: Bucket, from: Uint8Array, to: Uint8Array | undefined, visit: RowVisitor): void {
    this.#file.scan(bucket, from, to, visit)
  }

  snapshot(): StoreSnapshot {
    return this.#file.snapshot()
  }

  async commit(batch: RowBatch): Promise<void> {
    const { tables } = this.#file
    // The library puts the writes of one turn into one transaction, and gives all of them the same promise.
    let done: Promise<boolean> | undefined
    tables.forEach((table, bucket) => {
      batch.forEach(bucket, ({ bytes, keyAt, valueAt, valueLength }) => {
        const key = bytes.subarray(keyAt, valueAt)
        done =
          valueLength === REMOVED
            ? table.remove(key)
            : table.put(key, bytes.subarray(valueAt, valueAt + valueLength))
      })
    })
    try {
      await done
    } catch (error) {
      throw await reasonOf(error)
    }
    this.#sizes = undefined
  }

  size(): number {
    this.#sizes ??= this.#file.sizes()
    return this.#sizes.size
  }

  sizeInUse(): number {
    this.#sizes ??= this.#file.sizes()
    return this.#sizes.sizeInUse
  }

  /**
   * Copies what is in use into a new file, which takes the old one's name once it is whole and durable. The new
   * file is open before that, so that there is no moment without one to read; its lock file goes along.
   */
  async defragment(onStep: (step: DefragmentStep) => void): Promise<void> {
    const temporary = temporaryFileOf(this.#path)
    let next: LmdbFile | undefined
    let closer: CloserThread | undefined
    try {
      removeTemporaryFiles(this.#path)
      await this.#file.root.backup(temporary, true)
      await chmod(temporary, FILE_MODE)
      onStep('copied')
      await syncPath(temporary)
      onStep('synced')
      next = new LmdbFile(temporary)
      if (next.seedFreeList()) await syncPath(temporary)
      onStep('opened')
      closer = await CloserThread.open(this.#path)
      renameSync(temporary, this.#path)
    } catch (error) {
      closer?.close()
      await next?.root.close()
      removeTemporaryFiles(this.#path)
      throw error
    }
    this.#useInstead(next, closer)
    await this.#settle(temporary, () => onStep('renamed'))
    onStep('finished')
  }

  async pinExport(): Promise<PinnedExport> {
    const thread = new ExportThread(this.#path)
    this.#exports.add(thread)
    void thread.ended.then(() => this.#exports.delete(thread))
    await thread.pinned
    return thread
  }

  openReplacement(path: string): LmdbReplacement {
    if (!existsSync(path)) throw new BackendError('openFailed', `there is no data file ${path}`)
    return new LmdbReplacement(path, openFile(path))
  }

  async install(replacement: LmdbReplacement, swapped: () => void): Promise<void> {
    const { path } = replacement
    const closer = await CloserThread.open(this.#path)
    try {
      renameSync(path, this.#path)
    } catch (error) {
      closer.close()
      throw error
    }
    this.#useInstead(replacement.take(), closer)
    swapped()
    await this.#settle(path)
  }

  /** Reads and writes `next` from now on; its file has the store's name already. */
  #useInstead(next: LmdbFile, closer: CloserThread): void {
    this.#file.retire(closer)
    this.#file = next
    this.#sizes = undefined
  }

  /** Makes the new name of the file that was at `from` durable. */
  async #settle(from: string, onRenamed: () => void = () => undefined): Promise<void> {
    try {
      renameSync(lockFileOf(from), lockFileOf(this.#path))
      onRenamed()
      await syncPath(dirname(this.#path))
      if (dirname(from) !== dirname(this.#path)) await syncPath(dirname(from))
    } catch (cause) {
      // The name may still stand for the old file, where later commits would be missing after a power cut.
      throw new BackendError('writeFailed', `could not replace ${this.#path}`, { cause })
    }
  }

  async close(): Promise<void> {
    const closed = new BackendError('closed', 'the backend is closed')
    for (const thread of this.#exports) thread.close(closed)
    await Promise.all([...this.#exports].map((thread) => thread.ended))
    await this.#file.root.close()
  }
}

/** An open data file that is not in its place yet. */
class LmdbReplacement implements StoreReplacement {
  readonly path: string
  readonly #file: LmdbFile
  #isTaken = false

  constructor(path: string, file: LmdbFile) {
    this.path = path
    this.#file = file
  }

  peek(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    return this.#file.peek(bucket, key)
  }

  scan(bucket: Bucket, from: Uint8Array, to: Uint8Array | undefined, visit: RowVisitor): void {
    this.#file.scan(bucket, from, to, visit)
  }

  take(): LmdbFile {
    this.#isTaken = true
    return this.#file
  }

  async close(): Promise<void> {
    if (this.#isTaken) return
    this.#isTaken = true
    await this.#file.root.close()
    rmSync(lockFileOf(this.path), { force: true })
  }
}

/** @throws BackendError */
function openFile(path: string, prepare: () => void = () => undefined): LmdbFile {
  try {
    prepare()
    checkDataFile(path)
    const file = new LmdbFile(path)
    if (file.seedFreeList()) syncPathNow(path)
    return file
  } catch (cause) {
    if (cause instanceof BackendError) throw cause
    const reason = isDamage(cause) ? 'damagedFile' : 'openFailed'
    throw new BackendError(reason, `cannot open ${path}: ${String(cause)}`, { cause })
  }
}

/** What LMDB says of a file that contradicts itself: MDB_PAGE_NOTFOUND to MDB_INVALID. */
function isDamage(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? Number(error.code) : 0
  return (code <= -30793 && code >= -30797) || String(error).includes('MDB_')
}

/** The library's error for a failed commit only says where the reason can be had. */
async function reasonOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<unknown> }
  if (commitError === undefined) return error
  return commitError.then(
    () => error,
    (reason: unknown) => reason,
  )
}
