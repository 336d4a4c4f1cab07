/**
 * What a request must be, whatever the state of the store: checked before it is proposed, so that every member may
 * rely on it.
 */
import { ApiError, etcdserverpb } from '@etcd-ts/api'

const { SortOrder, SortTarget } = etcdserverpb

/** @throws ApiError `emptyKey`, `invalidSortOption` */
export function checkRange(request: etcdserverpb.RangeRequest): void {
  if (request.key.length === 0) throw new ApiError('emptyKey')
  const { sortOrder, sortTarget } = request
  if (sortOrder < SortOrder.NONE || sortOrder > SortOrder.DESCEND) throw new ApiError('invalidSortOption')
  if (sortTarget < SortTarget.KEY || sortTarget > SortTarget.VALUE) throw new ApiError('invalidSortOption')
}

/** @throws ApiError `emptyKey`, `valueProvided`, `leaseProvided` */
export function checkPut(request: etcdserverpb.PutRequest): void {
  if (request.key.length === 0) throw new ApiError('emptyKey')
  if (request.ignoreValue && request.value.length > 0) throw new ApiError('valueProvided')
  if (request.ignoreLease && request.lease !== 0n) throw new ApiError('leaseProvided')
}

/** @throws ApiError `emptyKey` */
export function checkDeleteRange(request: etcdserverpb.DeleteRangeRequest): void {
  if (request.key.length === 0) throw new ApiError('emptyKey')
}

/**
 * Checks a txn and all that is in it.
 *
 * @param opsMax compares or operations in one list; what a txn uses is missing for those nested in it
 * @throws ApiError `tooManyOps`, `emptyKey`, `keyNotFound` (an operation that is none), `duplicateKey`, and those of the
 * checks of its operations
 */
export function checkTxn(request: etcdserverpb.TxnRequest, opsMax: number): void {
  checkShape(request, opsMax)
  checkOverlaps(request.success)
  checkOverlaps(request.failure)
}

function checkShape({ compare, success, failure }: etcdserverpb.TxnRequest, opsMax: number): void {
  const ops = Math.max(compare.length, success.length, failure.length)
  if (ops > opsMax) throw new ApiError('tooManyOps')
  for (const { key } of compare) if (key.length === 0) throw new ApiError('emptyKey')
  for (const operation of success) checkOperation(operation, opsMax - ops)
  for (const operation of failure) checkOperation(operation, opsMax - ops)
}

function checkOperation({ request }: etcdserverpb.RequestOp, opsMax: number): void {
  switch (request?.case) {
    case 'requestRange':
      checkRange(request.value)
      break
    case 'requestPut':
      checkPut(request.value)
      break
    case 'requestDeleteRange':
      checkDeleteRange(request.value)
      break
    case 'requestTxn':
      checkShape(request.value, opsMax)
      break
    case undefined:
      throw new ApiError('keyNotFound')
  }
}

/** Bytes as a string whose order is theirs. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

interface Deletion {
  readonly from: string
  /** Exclusive. A range to the end of all keys is here the empty one that its zero byte says, as in etcd. */
  readonly to: string
}

interface Writes {
  readonly puts: Set<string>
  readonly deletions: Deletion[]
}

/**
 * Refuses a list of operations in which one key is put twice, or put and lies in a range that is deleted. Of the two
 * branches of a nested txn only one runs, so these may put the same key. Deletions of a nested txn count for the puts
 * of its own list and for nested ones behind it, but not for those before it, as in etcd.
 */
function checkOverlaps(operations: readonly etcdserverpb.RequestOp[]): Writes {
  const writes: Writes = { puts: new Set(), deletions: [] }
  for (const { request } of operations) {
    if (request?.case !== 'requestDeleteRange') continue
    const from = textOf(request.value.key)
    const { rangeEnd } = request.value
    writes.deletions.push({ from, to: rangeEnd.length === 0 ? `${from}\0` : textOf(rangeEnd) })
  }
  for (const { request } of operations) {
    if (request?.case !== 'requestTxn') continue
    const success = checkOverlaps(request.value.success)
    const failure = checkOverlaps(request.value.failure)
    for (const key of success.puts) addPut(writes, key)
    for (const key of failure.puts) {
      if (success.puts.has(key)) refuseDeleted(writes, key)
      else addPut(writes, key)
    }
    writes.deletions.push(...success.deletions, ...failure.deletions)
  }
  for (const { request } of operations) {
    if (request?.case === 'requestPut') addPut(writes, textOf(request.value.key))
  }
  return writes
}

function addPut(writes: Writes, key: string): void {
  if (writes.puts.has(key)) throw new ApiError('duplicateKey')
  refuseDeleted(writes, key)
  writes.puts.add(key)
}

function refuseDeleted({ deletions }: Writes, key: string): void {
  for (const { from, to } of deletions) if (from <= key && key < to) throw new ApiError('duplicateKey')
}
