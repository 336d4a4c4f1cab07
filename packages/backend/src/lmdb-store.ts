// oxlint-disable-next-line no-restricted-imports -- LMDB does its own I/O, past any Disk that could be given to it
import { renameSync } from 'node:fs'
// oxlint-disable-next-line no-restricted-imports -- as above
import { chmod } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Database, type RangeOptions, type RootDatabase, type Transaction, open } from 'lmdb'
import type { DefragmentStep, RowVisitor } from './backend.ts'
import { type Bucket, bucketIndex, bucketNames } from './buckets.ts'
import { BackendError } from './error.ts'
import { checkDataFile, lockFileOf, removeTemporaryFiles, syncPath, temporaryFileOf } from './lmdb-file.ts'
import { REMOVED, type RowBatch } from './row-batch.ts'
import type { RowStore, StoreReader, StoreSnapshot } from './row-store.ts'

/** Address space for the map: it costs nothing until the file grows into it, and a map cannot grow while in use. */
const MAP_BYTES = 2 ** 40
const FILE_MODE = 0o600
/** Pages that describe the file. */
const META_PAGES = 2

type Table = Database<Uint8Array, Uint8Array>

/** The library takes the options of `get` here too; its declaration does not say so. */
interface ReadableTable extends Table {
  getBinaryFast(key: Uint8Array, options?: { transaction: Transaction }): Buffer | undefined
}

/** Keys and values are bytes as they are; nothing is encoded, and nothing is copied on the way out. */
const keyEncoder = {
  writeKey(key: Uint8Array, target: Uint8Array, at: number): number {
    const { length } = key
    for (let i = 0; i < length; i++) target[at + i] = key[i]!
    return at + length
  },
  readKey(target: Buffer, start: number, end: number): Uint8Array {
    return target.subarray(start, end)
  },
}

const encoder = {
  encode: (value: Uint8Array): Uint8Array => value,
  /** `bytes` is a large buffer that the library uses again and again; only `length` of it is the value. */
  decode: (bytes: Uint8Array, length: number): Uint8Array =>
    new Uint8Array(bytes.buffer, bytes.byteOffset, length),
}

const rootOptions = {
  noSubdir: true,
  mapSize: MAP_BYTES,
  maxDbs: bucketNames.length + 1,
  // Off: a commit's promise then means durable, and a start after a crash finds the newest durable commit.
  overlappingSync: false,
  permissionsMode: FILE_MODE,
  encoding: 'binary' as const,
  compression: false,
  cache: false,
}

const tableOptions = { keyEncoder, encoder, compression: false, cache: false }

interface Stats {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

interface FileStats extends Stats {
  readonly pageSize: number
  readonly lastPageNumber: number
  readonly root: Stats
  readonly free: Stats
}

function pagesOf(stats: Stats): number {
  return stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages
}

/** An open data file. */
class LmdbFile implements StoreReader {
  readonly root: RootDatabase<Uint8Array, Uint8Array>
  readonly tables: readonly Table[]
  /** Snapshots that still read from it. */
  #snapshots = 0
  /** Replaced by a newer file; closes with its last snapshot. */
  #retired = false

  constructor(path: string) {
    this.root = open<Uint8Array, Uint8Array>(path, rootOptions)
    this.tables = bucketNames.map((name) => this.root.openDB<Uint8Array, Uint8Array>(name, tableOptions))
  }

  peek(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    return peekIn(this.tables[bucketIndex[bucket]]!, key, undefined)
  }

  scan(bucket: Bucket, from: Uint8Array, to: Uint8Array | undefined, visit: RowVisitor): void {
    scanTable(this.tables[bucketIndex[bucket]]!, from, to, undefined, visit)
  }

  snapshot(): StoreSnapshot {
    const transaction = this.root.useReadTransaction()
    this.#snapshots++
    return {
      peek: (bucket, key) => peekIn(this.tables[bucketIndex[bucket]]!, key, transaction),
      scan: (bucket, from, to, visit) =>
        scanTable(this.tables[bucketIndex[bucket]]!, from, to, transaction, visit),
      close: () => {
        transaction.done()
        this.#snapshots--
        this.#closeIfDone()
      },
    }
  }

  sizes(): { readonly size: number; readonly sizeInUse: number } {
    let pages = META_PAGES
    let stats = this.root.getStats() as FileStats
    pages += pagesOf(stats.root) + pagesOf(stats.free)
    for (const table of this.tables) {
      stats = table.getStats() as FileStats
      pages += pagesOf(stats)
    }
    return { size: (stats.lastPageNumber + 1) * stats.pageSize, sizeInUse: pages * stats.pageSize }
  }

  /** Closes once no snapshot needs the file. */
  retire(): void {
    this.#retired = true
    this.#closeIfDone()
  }

  #closeIfDone(): void {
    // Nothing was written to it for a long time: there is nothing to wait for and nothing that could fail.
    if (this.#retired && this.#snapshots === 0) void this.root.close()
  }
}

function peekIn(table: Table, key: Uint8Array, transaction: Transaction | undefined): Uint8Array | undefined {
  const bytes = (table as ReadableTable).getBinaryFast(
    key,
    transaction === undefined ? undefined : { transaction },
  )
  return bytes === undefined ? undefined : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

function scanTable(
  table: Table,
  from: Uint8Array,
  to: Uint8Array | undefined,
  transaction: Transaction | undefined,
  visit: RowVisitor,
): void {
  const options: RangeOptions = { start: from }
  if (to !== undefined) options.end = to
  if (transaction !== undefined) options.transaction = transaction
  for (const { key, value } of table.getRange(options)) {
    if (!visit(key, value)) break
  }
}

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

  /** @throws BackendError when there is a file at `path` that cannot be opened */
  constructor(path: string) {
    this.#path = path
    try {
      removeTemporaryFiles(path)
      checkDataFile(path)
      this.#file = new LmdbFile(path)
    } catch (cause) {
      if (cause instanceof BackendError) throw cause
      const reason = isDamage(cause) ? 'damagedFile' : 'openFailed'
      throw new BackendError(reason, `cannot open ${path}: ${String(cause)}`, { cause })
    }
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
    try {
      removeTemporaryFiles(this.#path)
      await this.#file.root.backup(temporary, true)
      await chmod(temporary, FILE_MODE)
      onStep('copied')
      await syncPath(temporary)
      onStep('synced')
      next = new LmdbFile(temporary)
      onStep('opened')
      renameSync(temporary, this.#path)
    } catch (error) {
      await next?.root.close()
      removeTemporaryFiles(this.#path)
      throw error
    }
    this.#file.retire()
    this.#file = next
    this.#sizes = undefined
    try {
      renameSync(lockFileOf(temporary), lockFileOf(this.#path))
      onStep('renamed')
      await syncPath(dirname(this.#path))
    } catch (cause) {
      // The name may still stand for the old file, where later commits would be missing after a power cut.
      throw new BackendError('writeFailed', `could not replace ${this.#path}`, { cause })
    }
    onStep('finished')
  }

  close(): Promise<void> {
    return this.#file.root.close()
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
