import { type Database, type RangeOptions, type RootDatabase, type Transaction, open } from 'lmdb'
import type { RowVisitor } from './backend.ts'
import type { CloserThread } from './closer-thread.ts'
import { type Bucket, bucketIndex, bucketNames } from './buckets.ts'
import type { StoreReader, StoreSnapshot } from './row-store.ts'

/** Address space for the map: it costs nothing until the file grows into it, and a map cannot grow while in use. */
const MAP_BYTES = 2 ** 40
export const FILE_MODE = 0o600
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
  readonly free: Stats & { readonly entryCount: number }
}

/** A transaction that is committed before the call returns, and not synced. */
const COMMIT_UNSYNCED = 0x10002
/** No row has such a key: it is removed by the transaction that puts it. */
const PASSING_KEY = Uint8Array.of(0)

function pagesOf(stats: Stats): number {
  return stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages
}

export interface LmdbFileOptions {
  /** Commits do not wait for the disk. */
  readonly noSync?: boolean
  /** Nothing is created, and no transaction that writes is begun. */
  readonly readOnly?: boolean
}

/** An open data file. */
export class LmdbFile implements StoreReader {
  readonly root: RootDatabase<Uint8Array, Uint8Array>
  readonly tables: readonly Table[]
  /** Snapshots that still read from it. */
  #snapshots = 0
  /** Set when it is replaced by a newer file; closes with its last snapshot. */
  #closer: CloserThread | undefined

  /** @param options `noSync`: the caller syncs the file when it is complete */
  constructor(path: string, options: LmdbFileOptions = {}) {
    this.root = open<Uint8Array, Uint8Array>(path, { ...rootOptions, ...options })
    this.tables = bucketNames.map((name) => this.root.openDB<Uint8Array, Uint8Array>(name, tableOptions))
  }

  /**
   * Makes the list of free pages not empty, for which a few pages are rewritten. With an empty one the library (3.5.6) does
   * not survive a commit that frees more pages than fit into one entry of it: it looks for free pages in the very entry that
   * it is about to write. Only files that were copied or just made have an empty list.
   *
   * @returns whether anything was written; that is not synced
   */
  seedFreeList(): boolean {
    const { free } = this.root.getStats() as FileStats
    if (free.entryCount > 0) return false
    const table = this.tables[bucketIndex.meta]!
    // The library takes what says how to commit; its declaration does not say so.
    const root = this.root as unknown as { transactionSync(write: () => void, flags: number): void }
    root.transactionSync(() => {
      table.putSync(PASSING_KEY, PASSING_KEY)
      table.removeSync(PASSING_KEY)
    }, COMMIT_UNSYNCED)
    return true
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

  /** Closes once no snapshot needs the file, `closer` last. */
  retire(closer: CloserThread): void {
    this.#closer = closer
    this.#closeIfDone()
  }

  #closeIfDone(): void {
    const closer = this.#closer
    if (closer === undefined || this.#snapshots > 0) return
    // Nothing was written to it for a long time: there is nothing to wait for and nothing that could fail.
    void this.root.close().then(() => closer.close())
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
