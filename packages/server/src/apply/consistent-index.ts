import type { RowReader, Backend } from '@etcd-ts/backend'

/** The last entry whose effects a backend holds: rows `consistent_index` and `term` of `meta`, 8 bytes big-endian each. */
export interface ConsistentIndex {
  readonly index: number
  readonly term: number
}

const INDEX = Buffer.from('consistent_index')
const TERM = Buffer.from('term')

/** @returns zeros for a backend that nothing was applied to */
export function readConsistentIndex(backend: RowReader): ConsistentIndex {
  return { index: counter(backend, INDEX), term: counter(backend, TERM) }
}

/** Belongs into the backend's commit hook: a batch then says what it holds, and a restart applies no entry twice. */
export function writeConsistentIndex(backend: Backend, { index, term }: ConsistentIndex): void {
  if (index === 0) return
  backend.put('meta', INDEX, bytesOf(index))
  backend.put('meta', TERM, bytesOf(term))
}

function counter(backend: RowReader, name: Buffer): number {
  const bytes = backend.get('meta', name)
  return bytes === undefined ? 0 : Number(Buffer.from(bytes).readBigUInt64BE())
}

function bytesOf(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
