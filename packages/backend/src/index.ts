export {
  type Backend,
  type BackendReplacement,
  type BackendSnapshot,
  type BboltExport,
  type DefragmentStep,
  KEY_BYTES_MAX,
  type Row,
  type RowReader,
  type RowSlot,
  type RowVisitor,
} from './backend.ts'
export {
  type BackendImporter,
  BboltRows,
  type ImportOptions,
  type ImportProgress,
  type Imported,
} from './bbolt/import.ts'
export { importBbolt } from './bbolt/import-thread.ts'
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
export type { PinnedExport, RowStore, StoreReader, StoreReplacement, StoreSnapshot } from './row-store.ts'
