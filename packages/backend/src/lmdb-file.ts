/**
 * The data file before LMDB opens it. LMDB maps the file and trusts it: what it meets in a foreign or cut-off
 * file ends the process. So the two pages that describe the file are read and checked first.
 *
 *     offset in the file           page 0 and page 1 begin with the same layout, little-endian
 *      0   24 bytes   page header
 *     24    4 bytes   magic 0xBEEFC0DE
 *     28    4 bytes   version, 2 in the low 16 bits
 *     48    4 bytes   page size
 *    136    8 bytes   root page of the table of buckets, all ones while there is none
 *    152    8 bytes   transaction; the page with the higher one counts
 *
 * A bbolt file, as etcd itself writes it, has the magic 0xED0CDAED at offset 16.
 */
// oxlint-disable-next-line no-restricted-imports -- LMDB does its own I/O, past any Disk that could be given to it
import { closeSync, existsSync, fstatSync, fsyncSync, openSync, readSync, readdirSync, rmSync } from 'node:fs'
// oxlint-disable-next-line no-restricted-imports -- as above
import { open } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BackendError } from './error.ts'

const BBOLT_MAGIC = 0xed0cdaed
const BBOLT_MAGIC_AT = 16
const LMDB_MAGIC = 0xbeefc0de
const LMDB_VERSION = 2
const MAGIC_AT = 24
const VERSION_AT = 28
const PAGE_SIZE_AT = 48
const ROOT_AT = 136
const TRANSACTION_AT = 152
const HEAD_BYTES = 160
const NO_PAGE = 0xffff_ffff_ffff_ffffn
const PAGE_BYTES_MIN = 512
const PAGE_BYTES_MAX = 65_536

/** What LMDB calls the lock file of the data file at `path`. */
export function lockFileOf(path: string): string {
  return `${path}-lock`
}

/** Name of the file that a defragmentation writes next to the data file at `path`. */
export function temporaryFileOf(path: string): string {
  return `${path}.tmp.defragment`
}

/** Removes what interrupted defragmentations left next to the data file at `path`, in a folder that exists. */
export function removeTemporaryFiles(path: string): void {
  const folder = dirname(path)
  const prefix = `${basename(path)}.tmp.`
  for (const name of readdirSync(folder)) {
    if (name.startsWith(prefix)) rmSync(join(folder, name), { force: true })
  }
}

/** Removes lock files of data files that are gone: installed, or deleted, by a process that ended meanwhile. */
export function removeStrayLocks(path: string): void {
  const folder = dirname(path)
  const names = readdirSync(folder)
  const files = new Set(names)
  for (const name of names) {
    const [, file] = /^(.*)-lock$/.exec(name) ?? []
    if (file === undefined || files.has(file) || name === lockFileOf(basename(path))) continue
    rmSync(join(folder, name), { force: true })
  }
}

interface Head {
  readonly pageSize: number
  readonly rootPage: bigint
  readonly transaction: bigint
}

function readHead(file: number, at: number): Head | 'bbolt' | undefined {
  const bytes = Buffer.alloc(HEAD_BYTES)
  if (readSync(file, bytes, 0, HEAD_BYTES, at) < HEAD_BYTES) return undefined
  if (bytes.readUInt32LE(BBOLT_MAGIC_AT) === BBOLT_MAGIC) return 'bbolt'
  if (bytes.readUInt32LE(MAGIC_AT) !== LMDB_MAGIC || bytes.readUInt16LE(VERSION_AT) !== LMDB_VERSION) {
    return undefined
  }
  return {
    pageSize: bytes.readUInt32LE(PAGE_SIZE_AT),
    rootPage: bytes.readBigUInt64LE(ROOT_AT),
    transaction: bytes.readBigUInt64LE(TRANSACTION_AT),
  }
}

/**
 * Checks that LMDB can open the data file at `path`, or create it.
 *
 * @throws BackendError `bboltFile`, `foreignFile`, `damagedFile`
 */
export function checkDataFile(path: string): void {
  if (!existsSync(path)) return
  const file = openSync(path, 'r')
  try {
    const sizeBytes = fstatSync(file).size
    if (sizeBytes === 0) return
    const first = readHead(file, 0)
    if (first === 'bbolt') {
      throw new BackendError('bboltFile', `${path} is a database of etcd (bbolt): it must be imported first`)
    }
    if (first === undefined)
      throw new BackendError('foreignFile', `${path} is not a database of this program`)
    const { pageSize } = first
    const isPageSize =
      pageSize >= PAGE_BYTES_MIN && pageSize <= PAGE_BYTES_MAX && (pageSize & (pageSize - 1)) === 0
    const second = isPageSize ? readHead(file, pageSize) : undefined
    if (second === undefined || second === 'bbolt' || second.pageSize !== pageSize) {
      throw new BackendError('damagedFile', `${path} is damaged: its two heads do not fit together`)
    }
    const newest = second.transaction > first.transaction ? second : first
    const pages = BigInt(Math.floor(sizeBytes / pageSize))
    const isCutOff = newest.rootPage !== NO_PAGE && newest.rootPage >= pages
    if (isCutOff || newest.rootPage === 0n) {
      throw new BackendError('damagedFile', `${path} is damaged: ${sizeBytes} bytes do not reach its root`)
    }
  } finally {
    closeSync(file)
  }
}

/** Makes the contents of a file, or the entries of a directory, durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** `syncPath`, blocking. */
export function syncPathNow(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
