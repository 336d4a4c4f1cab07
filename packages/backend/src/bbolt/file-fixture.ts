// What the tests of this package share: bbolt files in memory.
import { BackendError } from '../error.ts'
import type { StoreReader } from '../row-store.ts'
import { encodeBbolt, measureBbolt, sizeOf } from './encode.ts'
import { BboltReader } from './reader.ts'
import { sourceOf } from './source.ts'

export type Rows = [key: string, value: string][]

/** All rows of a file, by bucket, as text of one character a byte. @throws BackendError */
export function readAll(file: Uint8Array): Map<string, Rows> {
  const reader = new BboltReader(sourceOf(file))
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
  const buckets = new Map<string, Rows>()
  for (const bucket of reader.buckets()) {
    const rows: Rows = []
    for (const { key, value } of reader.rows(bucket)) rows.push([text(key), text(value)])
    buckets.set(bucket.name, rows)
  }
  return buckets
}

/** What is wrong with a file, or undefined. @throws any other error than those of a file */
export function faultOf(file: Uint8Array): string | undefined {
  try {
    readAll(file)
    return undefined
  } catch (error) {
    if (error instanceof BackendError && (error.reason === 'damagedFile' || error.reason === 'foreignFile')) {
      return error.message
    }
    throw error
  }
}

export function encodeAll(reader: StoreReader): Buffer {
  const measuring = measureBbolt(reader)
  let step = measuring.next()
  while (step.done !== true) step = measuring.next()
  const file = Buffer.concat([...encodeBbolt(reader, step.value)])
  if (file.length !== sizeOf(step.value)) throw new Error('the file is not as long as it was said to be')
  return file
}

/** Rows in memory, as a store would give them. */
export function storeOf(buckets: ReadonlyMap<string, Rows>): StoreReader {
  const tables = new Map(
    [...buckets].map(([name, rows]) => [
      name,
      rows
        .map(([key, value]) => [Buffer.from(key, 'latin1'), Buffer.from(value, 'latin1')] as const)
        .sort(([a], [b]) => Buffer.compare(a, b)),
    ]),
  )
  return {
    peek: () => undefined,
    scan(bucket, from, _to, visit) {
      const rows = tables.get(bucket) ?? []
      let low = 0
      let high = rows.length
      while (low < high) {
        const middle = (low + high) >>> 1
        if (Buffer.compare(rows[middle]![0], from) < 0) low = middle + 1
        else high = middle
      }
      for (; low < rows.length; low++) if (!visit(...rows[low]!)) return
    },
  }
}
