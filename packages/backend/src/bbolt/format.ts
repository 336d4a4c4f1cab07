/**
 * The bbolt file format, version 2; docs/formats/bbolt.md has all of it. Numbers are little-endian.
 *
 *     page            16 bytes of header, then its content; page `n` begins at `n` times the page size
 *       0   8 bytes   its own number
 *       8   2 bytes   kind: 1 branch, 2 leaf, 4 meta, 16 free list
 *      10   2 bytes   count of elements
 *      12   4 bytes   further pages that continue this one, without headers of their own
 *
 *     element of a branch                         element of a leaf
 *       0   4 bytes   where its key is              0   4 bytes   1: the value is a bucket
 *       4   4 bytes   length of the key             4   4 bytes   where its key is, the value behind it
 *       8   8 bytes   page that the key leads to    8   4 bytes   length of the key
 *                                                  12   4 bytes   length of the value
 *     "where" counts from the first byte of the element itself.
 *
 *     meta            in pages 0 and 1, behind the header
 *       0   4 bytes   magic 0xED0CDAED
 *       4   4 bytes   version, 2
 *       8   4 bytes   page size
 *      16   8 bytes   root page of the bucket of buckets
 *      32   8 bytes   page of the free list, all ones for none
 *      40   8 bytes   count of pages that were ever used
 *      48   8 bytes   transaction; the valid meta with the higher one counts
 *      56   8 bytes   FNV-1a of the 56 bytes before
 *
 *     value that is a bucket
 *       0   8 bytes   root page, 0 when the only page (a leaf) follows at 16
 */
export const PAGE_BYTES = 4096
export const PAGE_HEADER_BYTES = 16
export const ELEMENT_BYTES = 16
export const BUCKET_HEADER_BYTES = 16
const META_BYTES = 64
const META_SUMMED_BYTES = 56

export const BRANCH = 1
export const LEAF = 2
const META = 4
/** Flag of a leaf's element. */
export const BUCKET = 1

const MAGIC = 0xed0cdaed
const VERSION = 2
const NO_FREE_LIST = 0xffff_ffff_ffff_ffffn
/** The first page behind the two metas. */
export const FIRST_PAGE = 2
export const PAGE_BYTES_MIN = 512
export const PAGE_BYTES_MAX = 65_536

export interface Meta {
  readonly pageBytes: number
  readonly rootPage: number
  readonly pageCount: number
  readonly transaction: bigint
}

const FNV_OFFSET = 0xcbf29ce484222325n
const FNV_PRIME = 0x100000001b3n
const MASK_64 = 0xffff_ffff_ffff_ffffn

function fnv1a(bytes: Uint8Array): bigint {
  let sum = FNV_OFFSET
  for (const byte of bytes) sum = ((sum ^ BigInt(byte)) * FNV_PRIME) & MASK_64
  return sum
}

/** Writes page `page`, 0 or 1, which `out` has room for. */
export function writeMetaPage(out: Buffer, page: number, meta: Meta): void {
  out.fill(0, 0, PAGE_BYTES)
  out.writeUInt32LE(page, 0)
  out.writeUInt16LE(META, 8)
  const at = PAGE_HEADER_BYTES
  out.writeUInt32LE(MAGIC, at)
  out.writeUInt32LE(VERSION, at + 4)
  out.writeUInt32LE(meta.pageBytes, at + 8)
  out.writeBigUInt64LE(BigInt(meta.rootPage), at + 16)
  out.writeBigUInt64LE(NO_FREE_LIST, at + 32)
  out.writeBigUInt64LE(BigInt(meta.pageCount), at + 40)
  out.writeBigUInt64LE(meta.transaction, at + 48)
  out.writeBigUInt64LE(fnv1a(out.subarray(at, at + META_SUMMED_BYTES)), at + META_SUMMED_BYTES)
}

/** The meta in `page`, of which at least the first 80 bytes are there; what is wrong with it, if anything is. */
export function readMetaPage(page: Buffer): Meta | string {
  if (page.length < PAGE_HEADER_BYTES + META_BYTES) return 'cut off'
  const meta = page.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + META_BYTES)
  if (meta.readUInt32LE(0) !== MAGIC) return 'not of a bbolt file'
  if (meta.readUInt32LE(4) !== VERSION) return `of version ${meta.readUInt32LE(4)}`
  if (meta.readBigUInt64LE(META_SUMMED_BYTES) !== fnv1a(meta.subarray(0, META_SUMMED_BYTES))) {
    return 'not what its checksum says'
  }
  return {
    pageBytes: meta.readUInt32LE(8),
    rootPage: readPageNumber(meta, 16),
    pageCount: readPageNumber(meta, 40),
    transaction: meta.readBigUInt64LE(48),
  }
}

/** A page number; Infinity for one that no file can have. */
export function readPageNumber(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4)
  return high > 0xffff ? Infinity : high * 0x1_0000_0000 + bytes.readUInt32LE(at)
}

/** @param high below 2^53 */
export function writePageNumber(bytes: Buffer, page: number, at: number): void {
  bytes.writeUInt32LE(page % 0x1_0000_0000, at)
  bytes.writeUInt32LE(Math.floor(page / 0x1_0000_0000), at + 4)
}

/** How many pages `bytes` bytes take. */
export function pagesFor(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES)
}
