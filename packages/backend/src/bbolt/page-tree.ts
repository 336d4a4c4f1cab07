import { BRANCH, BUCKET_HEADER_BYTES, LEAF, PAGE_BYTES, writePageNumber } from './format.ts'
import { OpenPage } from './open-page.ts'
import type { PageWriter } from './page-writer.ts'

/** A bucket no longer than this lies in the value that stands for it. */
const INLINE_BYTES_MAX = PAGE_BYTES / 4
/** A branch has at least two children. */
const CHILDREN_MIN = 2
const EMPTY = new Uint8Array(0)

/**
 * Builds the tree of one bucket from its rows, in their order, holding one page of each level: a page goes out as soon as
 * it is full, its number and first key up into the level above. So children come before their parents in the file.
 */
export class PageTree {
  readonly #pages: PageWriter
  readonly #leaf = new OpenPage(LEAF)
  /** The branches above, lowest first. */
  readonly #branches: OpenPage[] = []

  constructor(pages: PageWriter) {
    this.#pages = pages
  }

  add(flags: number, key: Uint8Array, value: Uint8Array): void {
    const leaf = this.#leaf
    // Long rows share a page by twos, as bbolt has them: less of their last page is wasted.
    if (leaf.count >= 2 && leaf.growsWith(key, value)) this.#flush(leaf, 0)
    leaf.add(flags, key, value)
  }

  /** Writes what is left. @returns the value that stands for the bucket */
  finishBucket(): Buffer {
    const header = Buffer.alloc(BUCKET_HEADER_BYTES)
    if (this.#branches.length === 0 && this.#leaf.byteLength <= INLINE_BYTES_MAX) {
      return Buffer.concat([header, ...this.#leaf.encode(0)])
    }
    writePageNumber(header, this.finish(), 0)
    return header
  }

  /** Writes what is left. @returns the root page */
  finish(): number {
    if (this.#branches.length === 0) return this.#pages.write(this.#leaf)
    this.#flush(this.#leaf, 0)
    // What goes up may fill the highest branch, and put one above it.
    let level = 0
    for (; level < this.#branches.length - 1; level++) this.#flush(this.#branches[level]!, level + 1)
    return this.#pages.write(this.#branches[level]!)
  }

  /** Writes a page and tells the level above of it. */
  #flush(page: OpenPage, level: number): void {
    const key = page.firstKey()
    this.#addChild(level, this.#pages.write(page), key)
    page.clear()
  }

  #addChild(level: number, page: number, key: Buffer): void {
    const branch = (this.#branches[level] ??= new OpenPage(BRANCH))
    if (branch.count > CHILDREN_MIN && branch.growsWith(key, EMPTY)) {
      const last = branch.takeLast()
      this.#flush(branch, level + 1)
      branch.add(last.page, last.key, EMPTY)
    }
    branch.add(page, key, EMPTY)
  }
}
