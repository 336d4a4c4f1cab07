// What crash-child.ts writes and lmdb-crash.test.ts checks.
import assert from 'node:assert/strict'
import type { RowReader } from './backend.ts'

/** This many of the newest rows are there; older ones have been removed. */
export const WINDOW = 500
export const AT = Buffer.from('at')

export function rowKey(step: number): Uint8Array {
  const key = Buffer.alloc(8)
  key.writeUInt32BE(step, 4)
  return key
}

export function rowValue(step: number): Uint8Array {
  return Buffer.alloc(20 + ((step * 7919) % 900), step % 251)
}

/** The step that the backend is at; 0 for an empty one. */
export function stepOf(reader: RowReader): number {
  return Number(Buffer.from(reader.get('meta', AT) ?? '0').toString())
}

/** Checks that the rows are those of exactly the step that `meta`/at names. @returns it */
export function checkState(reader: RowReader): number {
  const step = stepOf(reader)
  const rows = reader.range('key')
  assert.equal(rows.length, Math.min(step, WINDOW))
  const first = step - rows.length + 1
  rows.forEach(([key, value], i) => {
    assert.deepEqual(Buffer.from(key), rowKey(first + i))
    assert.ok(rowValue(first + i).every((byte, at) => byte === value[at]))
    assert.equal(value.length, rowValue(first + i).length)
  })
  return step
}
