import { BackendError } from '../error.ts'
import { compareBytes } from '../key-order.ts'
import {
  BRANCH,
  BUCKET,
  BUCKET_HEADER_BYTES,
  ELEMENT_BYTES,
  FIRST_PAGE,
  LEAF,
  type Meta,
  PAGE_BYTES_MAX,
  PAGE_BYTES_MIN,
  PAGE_HEADER_BYTES,
  readMetaPage,
  readPageNumber,
} from './format.ts'

/** The bytes of a file, wherever they are. */
export interface BboltSource {
  readonly path: string
  size(): number
  /** Fills `out` from `position` on. @returns how many bytes there were, less than asked for at the end of the file */
  readAt(out: Uint8Array, position: number): number
}

/** A row as the reader holds it: views that are valid until the next one is asked for. */
export interface BboltRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** A bucket of the file: its name and the value that stands for it. */
export interface BboltBucket {
  readonly name: string
  readonly value: Uint8Array
}

const KEY_BYTES_MAX = 32_768
/** A page and those that continue it; two of the longest rows that a member takes are far below. */
const PAGE_RUN_BYTES_MAX = 1024 * 1024 * 1024
/** Levels of a tree; with two children to a branch this is more than any disk holds. */
const DEPTH_MAX = 64

/** A page on the way from the root to the current leaf. */
interface Step {
  readonly page: Page
  next: number
  /** Keys of this page are not below the one and below the other. */
  readonly from: Uint8Array | undefined
  readonly to: Uint8Array | undefined
}

/** A branch or leaf whose elements have been checked: their places are within it, their keys ascend. */
interface Page {
  readonly number: number
  readonly isLeaf: boolean
  readonly count: number
  readonly bytes: Buffer
}

/**
 * Reads a bbolt file in the order of its keys, holding one page of each level.
 *
 * The file may come from anybody: everything that it says of itself is checked before it is used. Each page is used once,
 * so nothing that it contains can make the reader run longer than the file is long.
 */
export class BboltReader {
  readonly #source: BboltSource
  readonly #meta: Meta
  /** One bit for each page that was met. */
  readonly #met: Uint8Array

  /** @throws BackendError `foreignFile`, `damagedFile` */
  constructor(source: BboltSource) {
    this.#source = source
    this.#meta = this.#readMeta()
    this.#met = new Uint8Array(Math.ceil(this.#meta.pageCount / 8))
  }

  /** The buckets, in the order of their names. The values are the caller's. @throws BackendError `damagedFile` */
  *buckets(): Generator<BboltBucket> {
    for (const { key, value } of this.#walk(this.#meta.rootPage, BUCKET)) {
      yield { name: Buffer.from(key).toString('latin1'), value: new Uint8Array(value) }
    }
  }

  /** The rows of a bucket. @throws BackendError `damagedFile` */
  *rows(bucket: BboltBucket): Generator<BboltRow> {
    const { value, name } = bucket
    if (value.length < BUCKET_HEADER_BYTES) throw this.#damaged(`the bucket ${name} has no root`)
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
    const root = readPageNumber(bytes, 0)
    if (root !== 0) {
      yield* this.#walk(root, 0)
      return
    }
    const page = this.#check(0, bytes.subarray(BUCKET_HEADER_BYTES), 0)
    if (!page.isLeaf) throw this.#damaged(`the page within the bucket ${name} is no leaf`)
    yield* this.#elements(page)
  }

  *#walk(root: number, flags: number): Generator<BboltRow> {
    // One for each level, used for one page after the other.
    const buffers: Buffer[] = []
    const rootPage = this.#read(root, flags, buffers, 0)
    const path: Step[] = [{ page: rootPage, next: 0, from: undefined, to: undefined }]
    for (let step = path[0]; step !== undefined; step = path.at(-1)) {
      const { page } = step
      if (page.count === 0 && path.length > 1) throw this.#damaged(`page ${page.number} is empty`)
      if (page.isLeaf) {
        this.#checkBounds(step)
        yield* this.#elements(page)
        path.pop()
      } else if (step.next === page.count) {
        path.pop()
      } else {
        if (step.next === 0) this.#checkBounds(step)
        path.push(this.#descend(step, flags, buffers, path.length))
      }
    }
  }

  #descend(step: Step, flags: number, buffers: Buffer[], depth: number): Step {
    const { page } = step
    if (depth === DEPTH_MAX) throw this.#damaged(`page ${page.number} is deeper than any tree`)
    const i = step.next++
    const child = readPageNumber(page.bytes, PAGE_HEADER_BYTES + i * ELEMENT_BYTES + 8)
    const to = step.next < page.count ? keyOf(page, step.next) : step.to
    return { page: this.#read(child, flags, buffers, depth), next: 0, from: keyOf(page, i), to }
  }

  #checkBounds({ page, from, to }: Step): void {
    if (page.count === 0) return
    const first = keyOf(page, 0)
    const last = keyOf(page, page.count - 1)
    if ((from !== undefined && compare(first, from) < 0) || (to !== undefined && compare(last, to) >= 0)) {
      throw this.#damaged(`the keys of page ${page.number} are not those that led to it`)
    }
  }

  *#elements(page: Page): Generator<BboltRow> {
    const { bytes, count } = page
    for (let i = 0, at = PAGE_HEADER_BYTES; i < count; i++, at += ELEMENT_BYTES) {
      const keyAt = at + bytes.readUInt32LE(at + 4)
      const valueAt = keyAt + bytes.readUInt32LE(at + 8)
      const end = valueAt + bytes.readUInt32LE(at + 12)
      yield { key: bytes.subarray(keyAt, valueAt), value: bytes.subarray(valueAt, end) }
    }
  }

  /** @param flags what the elements of leaves must have */
  #read(number: number, flags: number, buffers: Buffer[], depth: number): Page {
    const { pageBytes, pageCount } = this.#meta
    if (!(number >= FIRST_PAGE && number < pageCount)) throw this.#damaged(`there is no page ${number}`)
    const first = this.#readPages(number, 1, buffers, depth)
    if (readPageNumber(first, 0) !== number) throw this.#damaged(`page ${number} is another one`)
    const pages = first.readUInt32LE(12) + 1
    if (number + pages > pageCount || pages * pageBytes > PAGE_RUN_BYTES_MAX) {
      throw this.#damaged(`page ${number} is continued beyond the end`)
    }
    for (let page = number; page < number + pages; page++) {
      const bit = 1 << (page & 7)
      if ((this.#met[page >>> 3]! & bit) !== 0) throw this.#damaged(`page ${page} is used twice`)
      this.#met[page >>> 3]! |= bit
    }
    return this.#check(number, pages === 1 ? first : this.#readPages(number, pages, buffers, depth), flags)
  }

  #readPages(number: number, pages: number, buffers: Buffer[], depth: number): Buffer {
    const { pageBytes } = this.#meta
    const length = pages * pageBytes
    let buffer = buffers[depth]
    if (buffer === undefined || buffer.length < length) buffer = Buffer.allocUnsafeSlow(length)
    buffers[depth] = buffer
    const bytes = buffer.subarray(0, length)
    if (this.#source.readAt(bytes, number * pageBytes) < bytes.length) {
      throw this.#damaged(`page ${number} is cut off`)
    }
    return bytes
  }

  /** Checks that all elements lie within the page, one behind the other, and that their keys ascend. */
  #check(number: number, bytes: Buffer, flags: number): Page {
    if (bytes.length < PAGE_HEADER_BYTES) throw this.#damaged(`page ${number} has no header`)
    const kind = bytes.readUInt16LE(8)
    const count = bytes.readUInt16LE(10)
    const isLeaf = kind === LEAF
    if (!isLeaf && kind !== BRANCH) throw this.#damaged(`page ${number} is of kind ${kind}`)
    let free = PAGE_HEADER_BYTES + count * ELEMENT_BYTES
    if (free > bytes.length) throw this.#damaged(`page ${number} has no room for ${count} elements`)
    if (count === 0 && !isLeaf) throw this.#damaged(`page ${number} leads nowhere`)
    let lastAt = 0
    let lastLength = 0
    for (let i = 0, at = PAGE_HEADER_BYTES; i < count; i++, at += ELEMENT_BYTES) {
      if (isLeaf && bytes.readUInt32LE(at) !== flags) {
        throw this.#damaged(`element ${i} of page ${number} is of kind ${bytes.readUInt32LE(at)}`)
      }
      const keyAt = at + bytes.readUInt32LE(isLeaf ? at + 4 : at)
      const keyLength = bytes.readUInt32LE(isLeaf ? at + 8 : at + 4)
      const end = keyAt + keyLength + (isLeaf ? bytes.readUInt32LE(at + 12) : 0)
      if (keyAt < free || end > bytes.length) {
        throw this.#damaged(`element ${i} of page ${number} is outside of it`)
      }
      if (keyLength === 0 || keyLength > KEY_BYTES_MAX) {
        throw this.#damaged(`element ${i} of page ${number} has a key of ${keyLength} bytes`)
      }
      if (i > 0 && compareBytes(bytes, lastAt, lastLength, bytes, keyAt, keyLength) >= 0) {
        throw this.#damaged(`the keys of page ${number} do not ascend`)
      }
      free = end
      lastAt = keyAt
      lastLength = keyLength
    }
    return { number, isLeaf, count, bytes }
  }

  #readMeta(): Meta {
    const first = this.#metaAt(0)
    let metas: Meta[] = []
    if (typeof first === 'string') {
      // The second meta is one page further on, however long a page is.
      for (let pageBytes = PAGE_BYTES_MIN; pageBytes <= PAGE_BYTES_MAX; pageBytes *= 2) {
        const second = this.#metaAt(pageBytes)
        if (typeof second !== 'string' && second.pageBytes === pageBytes) metas = [second]
      }
      if (metas.length === 0) {
        const reason = first === 'not of a bbolt file' ? 'foreignFile' : 'damagedFile'
        throw new BackendError(reason, `${this.#source.path} is no whole bbolt file: its head is ${first}`)
      }
    } else {
      const second = this.#metaAt(first.pageBytes)
      metas = typeof second === 'string' || second.pageBytes !== first.pageBytes ? [first] : [first, second]
    }
    const newest = metas.reduce((a, b) => (b.transaction > a.transaction ? b : a))
    const { pageBytes, pageCount } = newest
    const isPageSize =
      pageBytes >= PAGE_BYTES_MIN && pageBytes <= PAGE_BYTES_MAX && (pageBytes & (pageBytes - 1)) === 0
    if (!isPageSize) throw this.#damaged(`its pages have ${pageBytes} bytes`)
    if (pageCount * pageBytes > this.#source.size()) {
      throw this.#damaged(`${this.#source.size()} bytes are less than its ${pageCount} pages`)
    }
    return newest
  }

  #metaAt(position: number): Meta | string {
    const bytes = Buffer.alloc(PAGE_HEADER_BYTES * 5)
    return readMetaPage(bytes.subarray(0, this.#source.readAt(bytes, position)))
  }

  #damaged(reason: string): BackendError {
    return new BackendError('damagedFile', `${this.#source.path} is damaged: ${reason}`)
  }
}

function keyOf({ bytes, isLeaf }: Page, i: number): Uint8Array {
  const at = PAGE_HEADER_BYTES + i * ELEMENT_BYTES
  const keyAt = at + bytes.readUInt32LE(isLeaf ? at + 4 : at)
  return bytes.subarray(keyAt, keyAt + bytes.readUInt32LE(isLeaf ? at + 8 : at + 4))
}

function compare(a: Uint8Array, b: Uint8Array): number {
  return compareBytes(a, 0, a.length, b, 0, b.length)
}
