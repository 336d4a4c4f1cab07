/**
 * Bytes written as a string of one character (U+0000 to U+00FF) per byte: what Buffer calls latin1. Such strings compare
 * as the bytes do, can be map keys, and can be read in a failure's message; only the test kit uses them.
 */
export type ByteString = string

export interface KeyValue {
  readonly key: ByteString
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly value: ByteString
  readonly lease: bigint
}

/** Numbers of `RangeRequest.SortOrder`. */
export const SortOrder = { none: 0, ascend: 1, descend: 2 } as const
/** Numbers of `RangeRequest.SortTarget`. */
export const SortTarget = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const
/** Numbers of `Compare.CompareResult`. */
export const CompareResult = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const
/** Numbers of `Compare.CompareTarget`. */
export const CompareTarget = { version: 0, create: 1, mod: 2, value: 3, lease: 4 } as const

export interface RangeCall {
  readonly kind: 'range'
  readonly key: ByteString
  readonly rangeEnd?: ByteString
  readonly limit?: bigint
  readonly revision?: bigint
  readonly sortOrder?: number
  readonly sortTarget?: number
  readonly serializable?: boolean
  readonly keysOnly?: boolean
  readonly countOnly?: boolean
  readonly minModRevision?: bigint
  readonly maxModRevision?: bigint
  readonly minCreateRevision?: bigint
  readonly maxCreateRevision?: bigint
}

export interface PutCall {
  readonly kind: 'put'
  readonly key: ByteString
  readonly value?: ByteString
  readonly lease?: bigint
  readonly prevKv?: boolean
  readonly ignoreValue?: boolean
  readonly ignoreLease?: boolean
}

export interface DeleteRangeCall {
  readonly kind: 'deleteRange'
  readonly key: ByteString
  readonly rangeEnd?: ByteString
  readonly prevKv?: boolean
}

export interface Compare {
  readonly key: ByteString
  readonly rangeEnd?: ByteString
  readonly result: number
  readonly target: number
  /** The operand for every target but value; which member of the oneof carries it follows from the target. */
  readonly number?: bigint
  /** The operand for target value. */
  readonly value?: ByteString
}

export interface TxnCall {
  readonly kind: 'txn'
  readonly compare: readonly Compare[]
  readonly success: readonly TxnOperation[]
  readonly failure: readonly TxnOperation[]
}

/** An operation of a txn; `empty` is one whose oneof is not set. */
export type TxnOperation = RangeCall | PutCall | DeleteRangeCall | TxnCall | { readonly kind: 'empty' }

export interface CompactCall {
  readonly kind: 'compact'
  readonly revision: bigint
  readonly physical?: boolean
}

export type KvCall = RangeCall | PutCall | DeleteRangeCall | TxnCall | CompactCall

export interface RangeResult {
  readonly kind: 'range'
  readonly revision: number
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
  readonly count: number
}

export interface PutResult {
  readonly kind: 'put'
  readonly revision: number
  readonly prevKv: KeyValue | undefined
}

export interface DeleteRangeResult {
  readonly kind: 'deleteRange'
  readonly revision: number
  readonly deleted: number
  readonly prevKvs: readonly KeyValue[]
}

export interface TxnResult {
  readonly kind: 'txn'
  /** Of the outer txn; a nested one has an empty header, which reads as 0. */
  readonly revision: number
  readonly succeeded: boolean
  readonly responses: readonly TxnOperationResult[]
}

export type TxnOperationResult = RangeResult | PutResult | DeleteRangeResult | TxnResult

export interface CompactResult {
  readonly kind: 'compact'
  readonly revision: number
}

export type KvResult = TxnOperationResult | CompactResult

/** A refusal: a gRPC code number and the server's text. */
export interface KvError {
  readonly kind: 'error'
  readonly code: number
  readonly message: string
}

/** What a call gives: its result, or why it was refused. */
export type KvAnswer = KvResult | KvError

/** The end of the range of all keys that begin with `prefix`, as clients compute it. */
export function prefixEnd(prefix: ByteString): ByteString {
  for (let i = prefix.length - 1; i >= 0; i--) {
    const byte = prefix.charCodeAt(i)
    if (byte < 0xff) return prefix.slice(0, i) + String.fromCharCode(byte + 1)
  }
  return '\0'
}

/** Whether `key` lies in `[from, rangeEnd)`, with the protocol's special ends: absent or empty, and one zero byte. */
export function inRange(key: ByteString, from: ByteString, rangeEnd: ByteString | undefined): boolean {
  if (rangeEnd === undefined || rangeEnd === '') return key === from
  return key >= from && (rangeEnd === '\0' || key < rangeEnd)
}
