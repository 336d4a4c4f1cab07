/**
 * What the operations of a store give. Key-value pairs are encoded mvccpb.KeyValue, ready to be sent; their bytes
 * never change and may be kept, though a small one may keep a megabyte of its neighbours alive.
 */

export interface RangeResult {
  readonly kind: 'range'
  /** Revision of the store when the range was read. */
  readonly revision: number
  /** Keys in the range at the asked revision, whatever limit and filters say. */
  readonly count: number
  /** Pairs were cut off by the limit. */
  readonly more: boolean
  readonly kvs: readonly Uint8Array[]
}

export interface PutResult {
  readonly kind: 'put'
  readonly revision: number
  readonly prevKv: Uint8Array | undefined
}

export interface DeleteRangeResult {
  readonly kind: 'deleteRange'
  readonly revision: number
  readonly deleted: number
  readonly prevKvs: readonly Uint8Array[]
}

export interface TxnResult {
  readonly kind: 'txn'
  readonly revision: number
  /** All compares held. */
  readonly succeeded: boolean
  /** Of the branch that ran, one for each operation. */
  readonly responses: readonly OperationResult[]
}

export type OperationResult = RangeResult | PutResult | DeleteRangeResult | TxnResult

/** One key's change by a transaction. */
export interface Change {
  readonly deleted: boolean
  /** The encoded pair; of a deletion it has only the key and the revision that deleted it. */
  readonly kv: Uint8Array
}

export interface HashKvResult {
  /** CRC-32C. */
  readonly hash: number
  /** The revision that the hash stands for. */
  readonly revision: number
  /** -1 when there was no compaction yet. Only hashes with the same one can be compared. */
  readonly compactRevision: number
}
