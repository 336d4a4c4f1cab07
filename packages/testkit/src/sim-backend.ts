import { basename, dirname, join } from 'node:path'
import {
  type Backend,
  BackendError,
  type BackendImporter,
  BboltRows,
  type Bucket,
  BufferedBackend,
  type BufferedBackendOptions,
  type DefragmentStep,
  REMOVED,
  type Row,
  type RowBatch,
  type RowStore,
  type RowVisitor,
  type StoreReader,
  type StoreReplacement,
  type StoreSnapshot,
  bucketNames,
} from '@etcd-ts/backend'
import type { Clock, Disk, Random } from '@etcd-ts/platform'
import { SimCrashError } from './sim-disk.ts'

/** A call of the data file, as fault injection sees it. */
export interface SimBackendCall {
  /** 1 for the first call of this process. */
  readonly number: number
  readonly operation: SimBackendOperation
}

export type SimBackendOperation = 'open' | 'commit' | 'defragment' | 'install' | 'close'

/** What goes wrong with a call. */
export type SimBackendFault =
  /** It fails and leaves everything as it was. */
  | { readonly code: 'EIO' | 'ENOSPC' }
  /** A commit takes as long as this. */
  | { readonly latencyMs: number }
  /** A commit says that it is durable, and is not until the next one. */
  | { readonly lies: true }
  /** A commit is not atomic: if the process ends before another one, half of it may be there. */
  | { readonly tears: true }

export interface SimBackendOptions {
  /** Needed for faults with latency. */
  readonly clock?: Clock
}

interface SimRow {
  /** The key as a string of one character per byte, which compares as the bytes do. */
  readonly order: string
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Rows in ascending order of their keys; never changed, only replaced. */
type SimTable = readonly SimRow[]

/** A table for each bucket, by the bucket's place in `bucketNames`. */
type SimTables = readonly SimTable[]

/** What outlives processes. */
interface SimFile {
  durable: SimTables
  /** What the disk may hold instead if the process ends now. */
  atStake: SimTables | undefined
  /** The file does not shrink by itself. */
  sizeBytes: number
}

const PAGE_BYTES = 4096
const ROW_OVERHEAD_BYTES = 16
const DEFRAGMENT_STEPS: readonly DefragmentStep[] = ['copied', 'synced', 'opened', 'renamed', 'finished']

const emptyTables: SimTables = bucketNames.map(() => [])

/**
 * The data file of a backend, in memory: a commit is atomic, and durable exactly when its promise has resolved.
 *
 * One object is the file as one process sees it. `end` ends that process, by a kill or a loss of power alike: a commit that
 * was under way is there or not, as chance will have it, every later call on behalf of the process throws `SimCrashError`,
 * and the file for the next process is what `end` returns.
 */
export class SimBackendFile {
  readonly #options: SimBackendOptions
  readonly #file: SimFile
  #isDead = false
  #calls = 0
  #crashAtCall = Infinity
  #faultFor: ((call: SimBackendCall) => SimBackendFault | undefined) | undefined

  constructor(options: SimBackendOptions = {}, file: SimFile = newFile()) {
    this.#options = options
    this.#file = file
  }

  /** How many calls this process has made, failed ones included. */
  get calls(): number {
    return this.#calls
  }

  /** Lets the process die in the middle of the `call`-th call, counted from 1, which throws. */
  crashAtCall(call: number): void {
    this.#crashAtCall = call
  }

  /** Asks `faultFor` at each call what goes wrong with it; undefined for nothing. */
  injectFaults(faultFor: ((call: SimBackendCall) => SimBackendFault | undefined) | undefined): void {
    this.#faultFor = faultFor
  }

  /** Opens the backend of this process. Replacements of its rows are on `disk`, as `simImporter` leaves them. */
  open(options: BufferedBackendOptions, disk?: Disk): Backend {
    this.#call('open')
    return new BufferedBackend(this.#openStore(disk), options)
  }

  /** The rows of a bucket that the next process would surely find. */
  durableRows(bucket: Bucket): Row[] {
    return tableOf(this.#file.durable, bucket).map(({ key, value }) => [key.slice(), value.slice()])
  }

  /** Ends the process. @returns the file for the next one */
  end(random: Random): SimBackendFile {
    this.#isDead = true
    const { atStake } = this.#file
    if (atStake !== undefined && random.below(2) === 0) this.#file.durable = atStake
    this.#file.atStake = undefined
    return new SimBackendFile(this.#options, this.#file)
  }

  #openStore(disk: Disk | undefined): RowStore {
    const file = this.#file
    let tables = file.durable
    const reader = (of: () => SimTables): StoreReader => ({
      peek: (bucket, key) => {
        this.#checkAlive()
        return findRow(tableOf(of(), bucket), key)?.value
      },
      scan: (bucket, from, to, visit) => {
        this.#checkAlive()
        scanTable(tableOf(of(), bucket), from, to, visit)
      },
    })
    return {
      ...reader(() => tables),
      commit: async (batch) => {
        const next = withBatch(tables, batch)
        const fault = this.#call('commit', next)
        const lies = fault !== undefined && 'lies' in fault
        const tears = fault !== undefined && 'tears' in fault
        file.atStake = lies ? undefined : next
        await this.#pause(fault)
        file.atStake = tears ? withHalf(tables, next) : undefined
        if (!lies) file.durable = next
        tables = next
        file.sizeBytes = Math.max(file.sizeBytes, sizeOf(next))
      },
      snapshot: (): StoreSnapshot => {
        const pinned = tables
        return { ...reader(() => pinned), close: () => undefined }
      },
      size: () => file.sizeBytes,
      sizeInUse: () => sizeOf(tables),
      defragment: async (onStep) => {
        for (const step of DEFRAGMENT_STEPS) {
          await this.#pause(this.#call('defragment'))
          onStep(step)
        }
        file.sizeBytes = sizeOf(tables)
      },
      openReplacement: (path) => {
        this.#checkAlive()
        if (disk === undefined || !disk.exists(path)) {
          throw new BackendError('openFailed', `there is no data file ${path}`)
        }
        return new SimReplacement(path, readTables(disk, path))
      },
      install: async (replacement, swapped) => {
        const { path, tables: next } = replacement as SimReplacement
        const fault = this.#call('install', next)
        tables = next
        file.atStake = next
        swapped()
        await this.#pause(fault)
        file.durable = next
        file.atStake = undefined
        file.sizeBytes = sizeOf(next)
        disk?.unlink(path)
      },
      close: async () => {
        await this.#pause(this.#call('close'))
      },
    }
  }

  #checkAlive(): void {
    if (this.#isDead) throw new SimCrashError('the process of this backend has ended')
  }

  /** Counts a call, lets it fail if it is to fail, and ends the process behind it if it is to end. */
  #call(operation: SimBackendOperation, atStake?: SimTables): SimBackendFault | undefined {
    this.#checkAlive()
    const number = ++this.#calls
    const fault = this.#faultFor?.({ number, operation })
    if (fault !== undefined && 'code' in fault) {
      throw Object.assign(new Error(`${fault.code}: ${operation} of the backend`), { code: fault.code })
    }
    if (number < this.#crashAtCall) return fault
    this.#isDead = true
    if (atStake !== undefined) this.#file.atStake = atStake
    throw new SimCrashError(`the process ended with call ${number}, ${operation} of the backend`)
  }

  async #pause(fault: SimBackendFault | undefined): Promise<void> {
    if (fault !== undefined && 'latencyMs' in fault) {
      if (this.#options.clock === undefined) throw new Error('a backend with latency needs a clock')
      await this.#options.clock.sleep(fault.latencyMs)
    } else {
      await Promise.resolve()
    }
    this.#checkAlive()
  }
}

/** Rows that are to take the place of a file's own. */
class SimReplacement implements StoreReplacement {
  readonly path: string
  readonly tables: SimTables

  constructor(path: string, tables: SimTables) {
    this.path = path
    this.tables = tables
  }

  peek(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    return findRow(tableOf(this.tables, bucket), key)?.value
  }

  scan(bucket: Bucket, from: Uint8Array, to: Uint8Array | undefined, visit: RowVisitor): void {
    scanTable(tableOf(this.tables, bucket), from, to, visit)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/**
 * Imports on a simulated disk: the data file that it makes is the bbolt file itself, checked, and whole and durable before
 * it has its name.
 */
export function simImporter(disk: Disk): BackendImporter {
  return async (options) => {
    const { source, target, signal } = options
    const input = disk.open(source, 'read')
    const rows = new BboltRows(input)
    for (const _row of rows.all()) if (signal?.aborted === true) break
    input.close()
    if (signal?.aborted === true) throw new BackendError('closed', 'the import was given up')
    const { imported } = rows
    options.onProgress?.({ rows: imported.rows, bytes: imported.bytes, sourceBytes: imported.bytes })
    const draft = join(dirname(target), `tmp.import.${basename(target)}`)
    disk.writeFile(draft, disk.readFile(source))
    const output = disk.open(draft, 'write')
    await output.datasync()
    output.close()
    disk.rename(draft, target)
    await disk.syncDirectory(dirname(target))
    return imported
  }
}

function readTables(disk: Disk, path: string): SimTables {
  const file = disk.open(path, 'read')
  const tables = new Map<Bucket, SimRow[]>(bucketNames.map((bucket) => [bucket, []]))
  for (const [bucket, { key, value }] of new BboltRows(file).all()) {
    tables.get(bucket)!.push({ order: orderOf(key), key: new Uint8Array(key), value: new Uint8Array(value) })
  }
  file.close()
  return bucketNames.map((bucket) => tables.get(bucket)!)
}

function newFile(): SimFile {
  return { durable: emptyTables, atStake: undefined, sizeBytes: sizeOf(emptyTables) }
}

function tableOf(tables: SimTables, bucket: Bucket): SimTable {
  return tables[bucketNames.indexOf(bucket)] ?? []
}

function orderOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
}

/** Place of the first row that is not below `order`. */
function lowerBound(table: SimTable, order: string): number {
  let low = 0
  let high = table.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (table[middle]!.order < order) low = middle + 1
    else high = middle
  }
  return low
}

function findRow(table: SimTable, key: Uint8Array): SimRow | undefined {
  const order = orderOf(key)
  const row = table[lowerBound(table, order)]
  return row?.order === order ? row : undefined
}

function scanTable(table: SimTable, from: Uint8Array, to: Uint8Array | undefined, visit: RowVisitor): void {
  const end = to === undefined ? table.length : lowerBound(table, orderOf(to))
  for (let at = lowerBound(table, orderOf(from)); at < end; at++) {
    const { key, value } = table[at]!
    if (!visit(key, value)) return
  }
}

function withBatch(tables: SimTables, batch: RowBatch): SimTables {
  return bucketNames.map((_, bucket) => {
    const old = tables[bucket] ?? []
    const merged: SimRow[] = []
    let at = 0
    let changed = false
    batch.forEach(bucket, ({ bytes, keyAt, keyLength, valueAt, valueLength }) => {
      const key = new Uint8Array(bytes.subarray(keyAt, keyAt + keyLength))
      const order = orderOf(key)
      while (at < old.length && old[at]!.order < order) merged.push(old[at++]!)
      if (old[at]?.order === order) at++
      changed = true
      if (valueLength === REMOVED) return
      merged.push({ order, key, value: new Uint8Array(bytes.subarray(valueAt, valueAt + valueLength)) })
    })
    if (!changed) return old
    while (at < old.length) merged.push(old[at++]!)
    return merged
  })
}

/** What a commit without atomicity may leave: of each table the first half of what was put and nothing of what was removed. */
function withHalf(before: SimTables, after: SimTables): SimTables {
  return after.map((table, i) => {
    const old = new Map(before[i]?.map((row) => [row.order, row]))
    const added = table.filter((row) => old.get(row.order) !== row)
    const half = [...old.values(), ...added.slice(0, Math.ceil(added.length / 2))]
    return [...new Map(half.map((row) => [row.order, row])).values()].sort((a, b) =>
      a.order < b.order ? -1 : 1,
    )
  })
}

function sizeOf(tables: SimTables): number {
  let sizeBytes = 2 * PAGE_BYTES
  for (const table of tables) {
    let tableBytes = 0
    for (const { key, value } of table) tableBytes += key.length + value.length + ROW_OVERHEAD_BYTES
    sizeBytes += Math.ceil(tableBytes / PAGE_BYTES) * PAGE_BYTES
  }
  return sizeBytes
}
