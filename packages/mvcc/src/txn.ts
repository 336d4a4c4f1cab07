import { ApiError, etcdserverpb } from '@etcd-ts/api'
import { isOpenEnd } from './key-index.ts'
import { KeyValueReader } from './key-value.ts'
import type { LeaseIndex } from './lease-index.ts'
import { readRange, toBound } from './range.ts'
import type { OperationResult, RangeResult, TxnResult } from './results.ts'
import type { Rows } from './rows.ts'
import type { WriteTxn } from './write-txn.ts'

const { CompareResult, CompareTarget } = etcdserverpb
const EMPTY = new Uint8Array(0)
const reader = new KeyValueReader()

/** Which branch of a txn runs, and of each txn nested in that branch, in order. */
interface Path {
  readonly succeeded: boolean
  readonly operations: readonly etcdserverpb.RequestOp[]
  readonly nested: readonly Path[]
}

/** What a txn sees of the store before it does anything. */
export interface TxnView {
  readonly rows: Rows
  readonly leases: LeaseIndex
  readonly current: number
  readonly compacted: number
}

/** Whether a txn holds ranges only, so that it need not go through the log; one that holds a txn does not count. */
export function isReadOnlyTxn(request: etcdserverpb.TxnRequest): boolean {
  return request.success.every(isRange) && request.failure.every(isRange)
}

function isRange({ request }: etcdserverpb.RequestOp): boolean {
  return request?.case === 'requestRange'
}

/** Evaluates all compares on the way through `request`; nested ones too see the state before the txn. */
function choosePath(request: etcdserverpb.TxnRequest, view: TxnView): Path {
  const succeeded = request.compare.every((compare) => holds(compare, view))
  const operations = succeeded ? request.success : request.failure
  const nested: Path[] = []
  for (const operation of operations) {
    if (operation.request?.case === 'requestTxn') nested.push(choosePath(operation.request.value, view))
  }
  return { succeeded, operations, nested }
}

function holds(compare: etcdserverpb.Compare, { rows, current }: TxnView): boolean {
  const { key, rangeEnd, target } = compare
  const { index } = rows
  let ids: readonly number[]
  if (rangeEnd.length === 0) {
    const id = index.find(key)
    ids = id !== 0 && index.table.isLive(id) ? [id] : []
  } else {
    index.collect(key, rangeEnd, current, Infinity)
    ids = index.ids
  }
  if (ids.length > 0) return ids.every((id) => holdsFor(id, compare, rows))
  return target === CompareTarget.VALUE ? false : holdsBy(compare.result, -sign(givenNumber(compare)))
}

function holdsFor(id: number, compare: etcdserverpb.Compare, rows: Rows): boolean {
  const { index } = rows
  let difference = 0
  switch (compare.target) {
    case CompareTarget.VERSION:
      difference = sign(index.versionOf(id) - givenNumber(compare))
      break
    case CompareTarget.CREATE:
      difference = sign(index.createdOf(id) - givenNumber(compare))
      break
    case CompareTarget.MOD:
      difference = sign(index.mainOf(id) - givenNumber(compare))
      break
    case CompareTarget.VALUE: {
      const row = rows.newest(id)
      reader.read(row)
      const given = compare.targetUnion?.case === 'value' ? compare.targetUnion.value : EMPTY
      difference = Buffer.compare(row.subarray(reader.valueAt, reader.valueAt + reader.valueLength), given)
      break
    }
    case CompareTarget.LEASE: {
      reader.read(rows.newest(id))
      const given = compare.targetUnion?.case === 'lease' ? compare.targetUnion.value : 0n
      difference = reader.lease < given ? -1 : reader.lease > given ? 1 : 0
      break
    }
  }
  return holdsBy(compare.result, difference)
}

function sign(difference: number): number {
  return difference < 0 ? -1 : difference > 0 ? 1 : 0
}

/** The number that a compare gives for its target; 0 when it gives one for another target. */
function givenNumber({ target, targetUnion }: etcdserverpb.Compare): number {
  switch (target) {
    case CompareTarget.VERSION:
      return targetUnion?.case === 'version' ? toBound(targetUnion.value) : 0
    case CompareTarget.CREATE:
      return targetUnion?.case === 'createRevision' ? toBound(targetUnion.value) : 0
    case CompareTarget.MOD:
      return targetUnion?.case === 'modRevision' ? toBound(targetUnion.value) : 0
    case CompareTarget.LEASE:
      return targetUnion?.case === 'lease' ? toBound(targetUnion.value) : 0
    default:
      return 0
  }
}

/** @param difference of what is stored and what is given */
function holdsBy(result: etcdserverpb.CompareResult, difference: number): boolean {
  switch (result) {
    case CompareResult.EQUAL:
      return difference === 0
    case CompareResult.NOT_EQUAL:
      return difference !== 0
    case CompareResult.GREATER:
      return difference > 0
    case CompareResult.LESS:
      return difference < 0
    default:
      return true
  }
}

function checkPuts({ operations, nested }: Path, view: TxnView): void {
  let next = 0
  for (const { request } of operations) {
    if (request?.case === 'requestTxn') checkPuts(nested[next++]!, view)
    else if (request?.case === 'requestPut') checkPut(request.value, view)
  }
}

function checkPut({ key, lease, ignoreValue, ignoreLease }: etcdserverpb.PutRequest, view: TxnView): void {
  if (ignoreValue || ignoreLease) {
    const id = view.rows.index.find(key)
    if (id === 0 || !view.rows.index.table.isLive(id)) throw new ApiError('keyNotFound')
  }
  if (lease !== 0n && !view.leases.has(lease)) throw new ApiError('leaseNotFound')
}

/** @param depth ranges in fewer txns than this are not checked */
/**
 * Refuses a put that builds on what is stored under its key, when an operation before it deletes just that. Only a
 * deletion without an upper end can: `checkTxn` takes its end literally, as etcd does, and does not see that it meets
 * the put. Such an entry brings etcd down.
 */
function checkKept({ operations, nested }: Path, deletions: etcdserverpb.DeleteRangeRequest[]): void {
  let next = 0
  for (const { request } of operations) {
    if (request?.case === 'requestTxn') checkKept(nested[next++]!, deletions)
    else if (request?.case === 'requestDeleteRange') deletions.push(request.value)
    else if (request?.case === 'requestPut' && (request.value.ignoreValue || request.value.ignoreLease)) {
      for (const deletion of deletions)
        if (covers(deletion, request.value.key)) throw new ApiError('keyNotFound')
    }
  }
}

function covers({ key: from, rangeEnd: to }: etcdserverpb.DeleteRangeRequest, key: Uint8Array): boolean {
  if (to.length === 0) return Buffer.compare(from, key) === 0
  return Buffer.compare(from, key) <= 0 && (isOpenEnd(to) || Buffer.compare(key, to) < 0)
}

function checkRanges({ operations, nested }: Path, view: TxnView, depth: number): void {
  let next = 0
  for (const { request } of operations) {
    if (request?.case === 'requestTxn') checkRanges(nested[next++]!, view, depth - 1)
    else if (request?.case === 'requestRange' && depth <= 0) {
      const error = rangeError(request.value, view)
      if (error !== undefined) throw error
    }
  }
}

/** A negative revision is no way to ask for the newest one here, as it is in a range by itself. */
function rangeError(
  { revision }: etcdserverpb.RangeRequest,
  { current, compacted }: TxnView,
): ApiError | undefined {
  if (revision === 0n) return undefined
  if (revision > current) return new ApiError('futureRevision')
  return revision < compacted ? new ApiError('compacted') : undefined
}

/**
 * Checks the revisions of all ranges that `request` would read if it ran now. A member does this before it proposes
 * the txn, because in the log it comes too late for those at the top level: see `writeTxn`. A txn that would fail
 * before its ranges are looked at is let pass, so that it fails where the others do.
 *
 * @throws ApiError `futureRevision`, `compacted`
 */
export function checkTxnRevisions(request: etcdserverpb.TxnRequest, view: TxnView): void {
  const path = choosePath(request, view)
  try {
    checkPuts(path, view)
  } catch (error) {
    if (error instanceof ApiError) return
    throw error
  }
  checkRanges(path, view, 0)
}

/** Runs a txn that only reads. @throws ApiError `futureRevision`, `compacted` */
export function readTxn(request: etcdserverpb.TxnRequest, view: TxnView): TxnResult {
  const { rows, current, compacted } = view
  const path = choosePath(request, view)
  checkRanges(path, view, 0)
  const responses: RangeResult[] = []
  for (const operation of path.operations) {
    if (operation.request?.case !== 'requestRange') throw new Error('a txn that only reads has a write in it')
    responses.push(readRange(operation.request.value, rows, current, compacted))
  }
  return { kind: 'txn', revision: current, succeeded: path.succeeded, responses }
}

/** What came of a txn that may write. */
export interface WrittenTxn {
  readonly result: TxnResult
  /** A range could not be read. The writes have been made all the same. */
  readonly rangeError: ApiError | undefined
}

/**
 * Runs a txn in `txn`, which has begun and is ended by the caller.
 *
 * Everything that can fail it is checked before anything is written - except for the revisions of ranges at its
 * top level. Members that have no client waiting for the answer leave these ranges out, and cannot fail on them; so
 * nobody may, or members would differ (etcd issue 18667).
 *
 * @throws ApiError `keyNotFound`, `leaseNotFound`, `futureRevision`, `compacted`; nothing has been written then
 */
export function writeTxn(request: etcdserverpb.TxnRequest, txn: WriteTxn, view: TxnView): WrittenTxn {
  const path = choosePath(request, view)
  checkPuts(path, view)
  checkRanges(path, view, 1)
  checkKept(path, [])
  let failed: ApiError | undefined
  const run = ({ succeeded, operations, nested }: Path, isTop: boolean): TxnResult => {
    const responses: OperationResult[] = []
    let next = 0
    for (const operation of operations) {
      const inner = operation.request
      switch (inner?.case) {
        case 'requestPut':
          responses.push(txn.put(inner.value))
          break
        case 'requestDeleteRange':
          responses.push(txn.deleteRange(inner.value))
          break
        case 'requestTxn':
          responses.push(run(nested[next++]!, false))
          break
        case 'requestRange': {
          const error = isTop ? rangeError(inner.value, view) : undefined
          failed ??= error
          if (error === undefined) responses.push(txn.range(inner.value))
          break
        }
        case undefined: // refused before it was proposed
          break
      }
    }
    return { kind: 'txn', revision: txn.revision, succeeded, responses }
  }
  return { result: run(path, true), rangeError: failed }
}
