import { bucketNames } from '../buckets.ts'
import type { StoreReader } from '../row-store.ts'
import { BUCKET, PAGE_BYTES, writeMetaPage } from './format.ts'
import { PageTree } from './page-tree.ts'
import { PageCounter, PageEncoder, type PageWriter } from './page-writer.ts'

/** Where things are in a bbolt file: what its first bytes say of the rest. */
export interface BboltLayout {
  readonly rootPage: number
  readonly pageCount: number
}

export function sizeOf(layout: BboltLayout): number {
  return layout.pageCount * PAGE_BYTES
}

/** Transaction of the first meta; the second one has the one before. */
const TRANSACTION = 2n
const SLICE_ROWS_MAX = 2000

/**
 * Writes the trees of all buckets, those of the rows first, then the one that holds the buckets.
 *
 * Yields now and then, for as long as `isHeld` says so; no cursor is open meanwhile.
 *
 * @returns the root page
 */
function* writeTrees(reader: StoreReader, pages: PageWriter, isHeld: () => boolean): Generator<void, number> {
  const root = new PageTree(pages)
  for (const bucket of bucketNames) {
    const tree = new PageTree(pages)
    for (let from: Uint8Array | undefined = new Uint8Array(0); from !== undefined;) {
      const start: Uint8Array = from
      let rows = 0
      from = undefined
      reader.scan(bucket, start, undefined, (key, value) => {
        if (rows++ === SLICE_ROWS_MAX || isHeld()) {
          from = new Uint8Array(key)
          return false
        }
        tree.add(0, key, value)
        return true
      })
      yield
    }
    root.add(BUCKET, Buffer.from(bucket), tree.finishBucket())
  }
  return root.finish()
}

/** Finds out how the rows of `reader` lie in a bbolt file. Yields every few thousand rows. */
export function* measureBbolt(reader: StoreReader): Generator<void, BboltLayout> {
  const pages = new PageCounter()
  const rootPage = yield* writeTrees(reader, pages, () => false)
  return { rootPage, pageCount: pages.nextPage }
}

/** The bytes of the bbolt file that `layout` was measured for, in the same rows; each chunk is the receiver's. */
export function* encodeBbolt(reader: StoreReader, layout: BboltLayout): Generator<Uint8Array> {
  const pages = new PageEncoder()
  const meta = Buffer.alloc(PAGE_BYTES)
  for (const page of [0, 1]) {
    writeMetaPage(meta, page, { ...layout, pageBytes: PAGE_BYTES, transaction: TRANSACTION - BigInt(page) })
    pages.append(meta)
  }
  const trees = writeTrees(reader, pages, () => pages.full.length > 0)
  for (;;) {
    const { done, value: rootPage } = trees.next()
    if (done === true) {
      if (rootPage !== layout.rootPage || pages.nextPage !== layout.pageCount) {
        throw new Error('the rows changed between measuring and writing them')
      }
      pages.end()
    }
    yield* pages.full.splice(0)
    if (done === true) return
  }
}
