/**
 * Answers of the KV calls, written straight from stored bytes: a key-value pair goes out as it lies in the
 * store, so a range neither decodes nor encodes it. Field numbers as in `proto/etcdserverpb/rpc.proto`:
 *
 *     ResponseHeader       1 cluster_id, 2 member_id, 3 revision, 4 raft_term
 *     RangeResponse        1 header, 2 kvs*, 3 more, 4 count
 *     PutResponse          1 header, 2 prev_kv
 *     DeleteRangeResponse  1 header, 2 deleted, 3 prev_kvs*
 *     TxnResponse          1 header, 2 succeeded, 3 responses*: 1 range, 2 put, 3 delete_range, 4 txn
 */
import { sizeOfVarint, writeVarint } from '@etcd-ts/api'
import type { DeleteRangeResult, OperationResult, PutResult, RangeResult, TxnResult } from '@etcd-ts/mvcc'

const TAG_1_BYTES = 0x0a
const TAG_2_BYTES = 0x12
const TAG_3_BYTES = 0x1a
const TAG_2_VARINT = 0x10
const TAG_3_VARINT = 0x18
const TAG_4_VARINT = 0x20

const SCRATCH_BYTES = 64 * 1024
/** A scratch buffer that one large answer grew beyond this is given back afterwards. */
const SCRATCH_KEPT_BYTES = 4 * 1024 * 1024

function fieldSize(length: number): number {
  return 1 + sizeOfVarint(length) + length
}

function numberFieldSize(value: number): number {
  return value === 0 ? 0 : 1 + sizeOfVarint(value)
}

function pairsSize(pairs: readonly Uint8Array[]): number {
  let size = 0
  for (let i = 0; i < pairs.length; i++) size += fieldSize((pairs[i] as Uint8Array).length)
  return size
}

/**
 * Writes answers into one buffer that it reuses: `bytes[0, length)` holds the answer until the next call.
 */
export class ResponseWriter {
  /** `cluster_id` and `member_id`, encoded; the same in every header. */
  readonly #identity: Uint8Array
  bytes: Uint8Array = Buffer.allocUnsafe(SCRATCH_BYTES)
  length = 0
  #at = 0

  constructor(clusterId: bigint, memberId: bigint) {
    const out: number[] = []
    const push = (tag: number, id: bigint): void => {
      if (id === 0n) return
      out.push(tag)
      let rest = id
      for (; rest >= 128n; rest >>= 7n) out.push(Number(rest & 127n) | 128)
      out.push(Number(rest))
    }
    push(0x08, clusterId)
    push(TAG_2_VARINT, memberId)
    this.#identity = Uint8Array.from(out)
  }

  /** Writes an answer that is nothing but its header. */
  header(revision: number, term: number): void {
    this.#begin(this.#headerFieldSize(revision, term))
    this.#writeHeader(revision, term)
    this.length = this.#at
  }

  put(result: PutResult, term: number): void {
    const prev = result.prevKv
    this.#begin(
      this.#headerFieldSize(result.revision, term) + (prev === undefined ? 0 : fieldSize(prev.length)),
    )
    this.#writeHeader(result.revision, term)
    if (prev !== undefined) this.#writeBytes(TAG_2_BYTES, prev)
    this.length = this.#at
  }

  range(result: RangeResult, term: number): void {
    this.#begin(this.#headerFieldSize(result.revision, term) + rangeBodySize(result))
    this.#writeHeader(result.revision, term)
    this.#writeRangeBody(result)
    this.length = this.#at
  }

  deleteRange(result: DeleteRangeResult, term: number): void {
    this.#begin(this.#headerFieldSize(result.revision, term) + deleteBodySize(result))
    this.#writeHeader(result.revision, term)
    this.#writeDeleteBody(result)
    this.length = this.#at
  }

  txn(result: TxnResult, term: number): void {
    this.#begin(this.#headerFieldSize(result.revision, term) + txnBodySize(result))
    this.#writeHeader(result.revision, term)
    this.#writeTxnBody(result)
    this.length = this.#at
  }

  #begin(size: number): void {
    if (size > this.bytes.length || (this.bytes.length > SCRATCH_KEPT_BYTES && size <= SCRATCH_KEPT_BYTES)) {
      this.bytes = Buffer.allocUnsafe(Math.max(size, SCRATCH_BYTES))
    }
    this.#at = 0
  }

  #headerContentSize(revision: number, term: number): number {
    return this.#identity.length + numberFieldSize(revision) + numberFieldSize(term)
  }

  #headerFieldSize(revision: number, term: number): number {
    return fieldSize(this.#headerContentSize(revision, term))
  }

  #writeHeader(revision: number, term: number): void {
    this.bytes[this.#at++] = TAG_1_BYTES
    this.bytes[this.#at++] = this.#headerContentSize(revision, term) // below 128: two ids, two varints
    for (let i = 0; i < this.#identity.length; i++) this.bytes[this.#at++] = this.#identity[i] as number
    this.#writeNumber(TAG_3_VARINT, revision)
    this.#writeNumber(TAG_4_VARINT, term)
  }

  #writeVarint(value: number): void {
    this.#at = writeVarint(this.bytes, this.#at, value)
  }

  #writeNumber(tag: number, value: number): void {
    if (value === 0) return
    this.bytes[this.#at++] = tag
    this.#writeVarint(value)
  }

  #writeBytes(tag: number, value: Uint8Array): void {
    this.bytes[this.#at++] = tag
    this.#writeVarint(value.length)
    this.bytes.set(value, this.#at)
    this.#at += value.length
  }

  #writeRangeBody(result: RangeResult): void {
    const { kvs } = result
    for (let i = 0; i < kvs.length; i++) this.#writeBytes(TAG_2_BYTES, kvs[i] as Uint8Array)
    this.#writeNumber(TAG_3_VARINT, result.more ? 1 : 0)
    this.#writeNumber(TAG_4_VARINT, result.count)
  }

  #writeDeleteBody(result: DeleteRangeResult): void {
    this.#writeNumber(TAG_2_VARINT, result.deleted)
    for (const pair of result.prevKvs) this.#writeBytes(TAG_3_BYTES, pair)
  }

  #writeTxnBody(result: TxnResult): void {
    this.#writeNumber(TAG_2_VARINT, result.succeeded ? 1 : 0)
    for (const operation of result.responses) {
      const content = operationContentSize(operation)
      const tag = operationTags[operation.kind]
      this.bytes[this.#at++] = TAG_3_BYTES
      this.#writeVarint(fieldSize(content))
      this.bytes[this.#at++] = tag
      this.#writeVarint(content)
      this.#writeInnerHeader(operation)
      if (operation.kind === 'range') this.#writeRangeBody(operation)
      else if (operation.kind === 'deleteRange') this.#writeDeleteBody(operation)
      else if (operation.kind === 'txn') this.#writeTxnBody(operation)
      else if (operation.prevKv !== undefined) this.#writeBytes(TAG_2_BYTES, operation.prevKv)
    }
  }

  /** Inside a txn a header has a revision only, and that of a nested txn not even this. */
  #writeInnerHeader(operation: OperationResult): void {
    const revision = innerRevision(operation)
    this.bytes[this.#at++] = TAG_1_BYTES
    this.bytes[this.#at++] = numberFieldSize(revision)
    this.#writeNumber(TAG_3_VARINT, revision)
  }
}

function innerRevision(operation: OperationResult): number {
  return operation.kind === 'txn' ? 0 : operation.revision
}

const operationTags = { range: 0x0a, put: 0x12, deleteRange: 0x1a, txn: 0x22 } as const

function rangeBodySize(result: RangeResult): number {
  return pairsSize(result.kvs) + (result.more ? 2 : 0) + numberFieldSize(result.count)
}

function deleteBodySize(result: DeleteRangeResult): number {
  return numberFieldSize(result.deleted) + pairsSize(result.prevKvs)
}

function operationContentSize(operation: OperationResult): number {
  const header = fieldSize(numberFieldSize(innerRevision(operation)))
  switch (operation.kind) {
    case 'range':
      return header + rangeBodySize(operation)
    case 'put':
      return header + (operation.prevKv === undefined ? 0 : fieldSize(operation.prevKv.length))
    case 'deleteRange':
      return header + deleteBodySize(operation)
    case 'txn':
      return header + txnBodySize(operation)
  }
}

function txnBodySize(result: TxnResult): number {
  let size = result.succeeded ? 2 : 0
  for (const operation of result.responses) size += fieldSize(fieldSize(operationContentSize(operation)))
  return size
}
