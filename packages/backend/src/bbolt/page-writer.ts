import { FIRST_PAGE, PAGE_BYTES, pagesFor } from './format.ts'
import type { OpenPage } from './open-page.ts'

export const CHUNK_BYTES = 128 * 1024

/** Takes pages in the order of the file. */
export interface PageWriter {
  /** The first page not yet used. */
  readonly nextPage: number
  /** @returns the number that the page got */
  write(page: OpenPage): number
}

/** Counts pages. */
export class PageCounter implements PageWriter {
  nextPage = FIRST_PAGE

  write(page: OpenPage): number {
    const number = this.nextPage
    this.nextPage += pagesFor(page.byteLength)
    return number
  }
}

/** Puts pages one behind the other into chunks of a fixed length. */
export class PageEncoder implements PageWriter {
  nextPage = FIRST_PAGE
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  #at = 0
  /** Chunks that are full. */
  readonly full: Uint8Array[] = []

  write(page: OpenPage): number {
    const number = this.nextPage
    const { byteLength } = page
    const pages = pagesFor(byteLength)
    const [head, data] = page.encode(number)
    this.append(head)
    this.append(data)
    this.#fill(pages * PAGE_BYTES - byteLength)
    this.nextPage += pages
    return number
  }

  append(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length;) {
      const length = Math.min(bytes.length - from, CHUNK_BYTES - this.#at)
      this.#chunk.set(bytes.subarray(from, from + length), this.#at)
      this.#advance(length)
      from += length
    }
  }

  /** Appends zeros. Pages begin at multiples of their size, and so do chunks: what fills a page up is within one. */
  #fill(length: number): void {
    this.#chunk.fill(0, this.#at, this.#at + length)
    this.#advance(length)
  }

  #advance(length: number): void {
    this.#at += length
    if (this.#at < CHUNK_BYTES) return
    this.full.push(this.#chunk)
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
    this.#at = 0
  }

  /** The last chunk, which need not be full. */
  end(): void {
    if (this.#at > 0) this.full.push(this.#chunk.subarray(0, this.#at))
    this.#at = 0
  }
}
