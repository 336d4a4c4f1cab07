export {
  type Backend,
  type BackendSnapshot,
  type DefragmentStep,
  KEY_BYTES_MAX,
  type Row,
  type RowReader,
  type RowSlot,
  type RowVisitor,
} from './backend.ts'
export { type Bucket, bucketNames } from './buckets.ts'
export {
  BATCH_INTERVAL_MS,
  BATCH_LIMIT,
  BufferedBackend,
  type BufferedBackendOptions,
} from './buffered-backend.ts'
export { BackendError, type BackendErrorReason } from './error.ts'
export { type LmdbBackendOptions, openLmdbBackend } from './lmdb-backend.ts'
export { type PendingRow, REMOVED, type RowBatch } from './row-batch.ts'
export type { RowStore, StoreReader, StoreSnapshot } from './row-store.ts'
