export { checkDeleteRange, checkPut, checkRange, checkTxn } from './checks.ts'
export type { LeaseIndex } from './lease-index.ts'
export type {
  Change,
  DeleteRangeResult,
  HashKvResult,
  OperationResult,
  PutResult,
  RangeResult,
  TxnResult,
} from './results.ts'
export { DamagedRowsError } from './restore.ts'
export {
  type ChangeListener,
  COMPACTION_BATCH_ROWS,
  COMPACTION_PAUSE_MS,
  type Compacted,
  MvccStore,
  type MvccStoreOptions,
} from './store.ts'
export { isReadOnlyTxn } from './txn.ts'
