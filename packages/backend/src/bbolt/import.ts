import { type Bucket, bucketNames } from '../buckets.ts'
import { BackendError } from '../error.ts'
import { KEY_BYTES_MAX } from '../backend.ts'
import { BboltReader, type BboltRow, type BboltSource } from './reader.ts'

export interface ImportProgress {
  readonly rows: number
  /** Bytes of keys and values. */
  readonly bytes: number
  /** Bytes of the whole source, headers and free pages included. */
  readonly sourceBytes: number
}

/** What was found in a bbolt file. */
export interface Imported {
  readonly rows: number
  readonly bytes: number
  /** Buckets that a member does not have; they were left out. */
  readonly unknownBuckets: number
  /** Index and term of the last log entry that the rows contain, 0 when they do not say. */
  readonly consistentIndex: number
  readonly term: number
}

export interface ImportOptions {
  /** A bbolt file; what follows its last page (a digest) is left alone. */
  readonly source: string
  /** Where the data file is to be. A file there is replaced once the new one is whole and durable. */
  readonly target: string
  readonly signal?: AbortSignal
  onProgress?(progress: ImportProgress): void
}

/**
 * Makes a data file that `Backend.openReplacement` or an opening at its place takes, from a bbolt file.
 *
 * The target gets its name when it is whole and durable: an import that fails or is cut off leaves only a file whose name
 * begins with `tmp` beside it.
 *
 * @throws BackendError `foreignFile`, `damagedFile`, `keyTooLong`, `closed` when the signal says so, `transferFailed`
 */
export type BackendImporter = (options: ImportOptions) => Promise<Imported>

const CONSISTENT_INDEX = 'consistent_index'
const TERM = 'term'

function isBucket(name: string): name is Bucket {
  return (bucketNames as readonly string[]).includes(name)
}

function counterOf(value: Uint8Array): number {
  if (value.length !== 8) return 0
  const counter = Number(Buffer.from(value).readBigUInt64BE())
  return Number.isSafeInteger(counter) ? counter : 0
}

/** Reads the rows that a member keeps from a bbolt file, and takes note of what it finds. */
export class BboltRows {
  readonly #reader: BboltReader
  rows = 0
  bytes = 0
  #unknownBuckets = 0
  #consistentIndex = 0
  #term = 0

  /** @throws BackendError `foreignFile`, `damagedFile` */
  constructor(file: BboltSource) {
    this.#reader = new BboltReader(file)
  }

  /** All rows, bucket by bucket, in the order of their keys. The views are valid until the next row. */
  *all(): Generator<readonly [Bucket, BboltRow]> {
    for (const bucket of this.#reader.buckets()) {
      const { name } = bucket
      if (!isBucket(name)) {
        this.#unknownBuckets++
        continue
      }
      for (const row of this.#reader.rows(bucket)) {
        if (row.key.length > KEY_BYTES_MAX) {
          throw new BackendError('keyTooLong', `a key of ${row.key.length} bytes in the bucket ${name}`)
        }
        this.rows++
        this.bytes += row.key.length + row.value.length
        if (name === 'meta') this.#noteMeta(row)
        yield [name, row]
      }
    }
  }

  #noteMeta({ key, value }: BboltRow): void {
    const name = Buffer.from(key).toString('latin1')
    if (name === CONSISTENT_INDEX) this.#consistentIndex = counterOf(value)
    else if (name === TERM) this.#term = counterOf(value)
  }

  get imported(): Imported {
    return {
      rows: this.rows,
      bytes: this.bytes,
      unknownBuckets: this.#unknownBuckets,
      consistentIndex: this.#consistentIndex,
      term: this.#term,
    }
  }
}
