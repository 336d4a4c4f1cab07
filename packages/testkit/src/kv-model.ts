import { Crc32c } from './crc32c.ts'
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type DeleteRangeCall,
  type DeleteRangeResult,
  type KeyValue,
  type KvAnswer,
  type KvCall,
  type KvError,
  type PutCall,
  type PutResult,
  type RangeCall,
  type RangeResult,
  SortOrder,
  SortTarget,
  type TxnCall,
  type TxnOperation,
  type TxnOperationResult,
  type TxnResult,
  inRange,
} from './kv-types.ts'

/** One version of one key; without `kv` it is a tombstone. */
interface Version {
  readonly main: number
  readonly sub: number
  readonly kv: KeyValue | undefined
}

/** What differs between servers that the model can stand for, and limits that flags set. */
export interface KvModelOptions {
  /** `--max-txn-ops`. */
  readonly txnOperationsMax?: number
  /** `--max-request-bytes`. The model adds up keys and values only: keep clear of the limit by a few hundred bytes. */
  readonly requestBytesMax?: number
  /** Whether sort orders and targets outside of the enums are refused (from 3.6 on) or ignored. */
  readonly refusesUnknownSort?: boolean
}

const InvalidArgument = 3
const NotFound = 5
const OutOfRange = 11

function refusal(code: number, text: string): KvError {
  return { kind: 'error', code, message: `etcdserver: ${text}` }
}

const emptyKey = refusal(InvalidArgument, 'key is not provided')
const keyNotFound = refusal(InvalidArgument, 'key not found')
const valueProvided = refusal(InvalidArgument, 'value is provided')
const leaseProvided = refusal(InvalidArgument, 'lease is provided')
const tooManyOps = refusal(InvalidArgument, 'too many operations in txn request')
const duplicateKey = refusal(InvalidArgument, 'duplicate key given in txn request')
const invalidSortOption = refusal(InvalidArgument, 'invalid sort option')
const requestTooLarge = refusal(InvalidArgument, 'request is too large')
const leaseNotFound = refusal(NotFound, 'requested lease not found')
const compacted = refusal(OutOfRange, 'mvcc: required revision has been compacted')
const futureRev = refusal(OutOfRange, 'mvcc: required revision is a future revision')

/**
 * What the KV service of a single member must answer, one call after the other.
 *
 * It is a reference: every rule is written out where it applies, everything is kept in plain lists, and nothing is
 * shared with the packages it checks. Linearizable and serializable reads are the same here.
 */
export class KvModel {
  /** The store's revision; a new store is at 1. */
  revision = 1
  /** The revision of the last compaction, -1 before the first. */
  compactRevision = -1
  /** The leases that exist. */
  readonly leases = new Set<bigint>()
  readonly #versions = new Map<string, Version[]>()
  readonly #txnOperationsMax: number
  readonly #requestBytesMax: number
  readonly #refusesUnknownSort: boolean

  constructor(options: KvModelOptions = {}) {
    this.#txnOperationsMax = options.txnOperationsMax ?? 128
    this.#requestBytesMax = options.requestBytesMax ?? 1_572_864
    this.#refusesUnknownSort = options.refusesUnknownSort ?? true
  }

  /** Answers a call and changes the state accordingly. */
  call(call: KvCall): KvAnswer {
    switch (call.kind) {
      case 'range':
        return (
          this.#checkRange(call) ?? this.#checkRangeRevision(call, false) ?? this.#range(call, this.revision)
        )
      case 'put':
      case 'deleteRange':
      case 'txn':
        return this.#write(call)
      case 'compact':
        return this.#compact(call.revision)
    }
  }

  /** The live pairs in key order. */
  dump(): KeyValue[] {
    return this.#liveAt(this.revision, '\0', '\0')
  }

  // Checks before consensus: they look at the request alone.

  #checkOperation(operation: TxnOperation, operationsMax: number): KvError | undefined {
    switch (operation.kind) {
      case 'range':
        return this.#checkRange(operation)
      case 'put':
        if (operation.key === '') return emptyKey
        if (operation.ignoreValue && (operation.value ?? '') !== '') return valueProvided
        if (operation.ignoreLease && (operation.lease ?? 0n) !== 0n) return leaseProvided
        return undefined
      case 'deleteRange':
        return operation.key === '' ? emptyKey : undefined
      case 'txn':
        return this.#checkTxn(operation, operationsMax)
      case 'empty':
        return keyNotFound
    }
  }

  #checkRange(range: RangeCall): KvError | undefined {
    if (range.key === '') return emptyKey
    if (!this.#refusesUnknownSort) return undefined
    const order = range.sortOrder ?? 0
    const target = range.sortTarget ?? 0
    const known = order >= 0 && order <= SortOrder.descend && target >= 0 && target <= SortTarget.value
    return known ? undefined : invalidSortOption
  }

  #checkTxn(txn: TxnCall, operationsMax: number): KvError | undefined {
    const count = Math.max(txn.compare.length, txn.success.length, txn.failure.length)
    if (count > operationsMax) return tooManyOps
    if (txn.compare.some((compare) => compare.key === '')) return emptyKey
    for (const operation of [...txn.success, ...txn.failure]) {
      const error = this.#checkOperation(operation, operationsMax - count)
      if (error !== undefined) return error
    }
    return undefined
  }

  // Execution.

  #write(call: PutCall | DeleteRangeCall | TxnCall): KvAnswer {
    const invalid =
      this.#checkOperation(call, this.#txnOperationsMax) ??
      (call.kind === 'txn' ? checkOverlap(call) : undefined)
    if (invalid !== undefined) return invalid
    if (call.kind === 'txn' && isReadOnly(call)) {
      const path = this.#choosePath(call)
      return this.#checkPathRanges(path) ?? this.#runPath(path, new Writes(this.revision), this.revision)
    }
    if (sizeOf(call) > this.#requestBytesMax) return requestTooLarge

    const path = call.kind === 'txn' ? this.#choosePath(call) : undefined
    const refused =
      path === undefined
        ? this.#checkWrite(call as PutCall | DeleteRangeCall)
        : (this.#checkPathPuts(path) ?? this.#checkPathRanges(path))
    if (refused !== undefined) return refused

    const writes = new Writes(this.revision)
    const result =
      path === undefined
        ? this.#run(call as PutCall | DeleteRangeCall, writes)
        : this.#runPath(path, writes, 0)
    if (writes.failed) {
      this.#undo()
      return keyNotFound
    }
    if (writes.count > 0) this.revision += 1
    return { ...result, revision: this.revision }
  }

  /** Decides every compare, nested ones included, on the state before the txn. */
  #choosePath(txn: TxnCall): Path {
    const succeeded = txn.compare.every((compare) => this.#holds(compare))
    const operations = (succeeded ? txn.success : txn.failure).map((operation) =>
      operation.kind === 'txn'
        ? this.#choosePath(operation)
        : (operation as Exclude<TxnOperation, { kind: 'empty' }>),
    )
    return { kind: 'path', succeeded, operations: operations as Path['operations'] }
  }

  #holds(compare: Compare): boolean {
    const kvs = this.#liveAt(this.revision, compare.key, compare.rangeEnd)
    if (kvs.length > 0) return kvs.every((kv) => compareHolds(compare, kv))
    // No key: the value is unlike anything, every number is 0.
    if (compare.target === CompareTarget.value) return false
    return compareHolds(compare, {
      key: '',
      createRevision: 0,
      modRevision: 0,
      version: 0,
      value: '',
      lease: 0n,
    })
  }

  #checkWrite(call: PutCall | DeleteRangeCall): KvError | undefined {
    if (call.kind === 'deleteRange') return undefined
    if (this.#lacksLease(call)) return leaseNotFound
    return this.#lacksKey(call) ? keyNotFound : undefined
  }

  #checkPathPuts(path: Path): KvError | undefined {
    for (const operation of path.operations) {
      let error: KvError | undefined
      if (operation.kind === 'path') error = this.#checkPathPuts(operation)
      else if (operation.kind === 'put') {
        if (this.#lacksKey(operation)) error = keyNotFound
        else if (this.#lacksLease(operation)) error = leaseNotFound
      }
      if (error !== undefined) return error
    }
    return undefined
  }

  #checkPathRanges(path: Path): KvError | undefined {
    for (const operation of path.operations) {
      let error: KvError | undefined
      if (operation.kind === 'path') error = this.#checkPathRanges(operation)
      else if (operation.kind === 'range') error = this.#checkRangeRevision(operation, true)
      if (error !== undefined) return error
    }
    return undefined
  }

  #lacksLease(put: PutCall): boolean {
    return (put.lease ?? 0n) !== 0n && !this.leases.has(put.lease ?? 0n)
  }

  #lacksKey(put: PutCall): boolean {
    return (
      (put.ignoreValue === true || put.ignoreLease === true) &&
      this.#live(put.key, this.revision) === undefined
    )
  }

  #checkRangeRevision(range: RangeCall, inTxn: boolean): KvError | undefined {
    const revision = range.revision ?? 0n
    if (revision > BigInt(this.revision)) return futureRev
    if (revision === 0n || (revision < 0n && !inTxn)) return undefined
    return revision < BigInt(this.compactRevision) ? compacted : undefined
  }

  #runPath(path: Path, writes: Writes, headerRevision: number): TxnResult {
    const responses: TxnOperationResult[] = []
    for (const operation of path.operations) {
      responses.push(
        operation.kind === 'path' ? this.#runPath(operation, writes, 0) : this.#run(operation, writes),
      )
    }
    return { kind: 'txn', revision: headerRevision, succeeded: path.succeeded, responses }
  }

  #run(
    operation: RangeCall | PutCall | DeleteRangeCall,
    writes: Writes,
  ): RangeResult | PutResult | DeleteRangeResult {
    switch (operation.kind) {
      case 'range':
        return this.#range(operation, writes.revision)
      case 'put':
        return this.#put(operation, writes)
      case 'deleteRange':
        return this.#deleteRange(operation, writes)
    }
  }

  #put(put: PutCall, writes: Writes): PutResult {
    const before = this.#live(put.key, writes.revision)
    // Only a delete up to the open end, which the overlap check lets pass, can have taken the key away since. It brings
    // etcd down; here the txn fails and leaves nothing.
    if (before === undefined && (put.ignoreValue || put.ignoreLease)) writes.failed = true
    const { main, sub } = writes.next()
    const kv: KeyValue = {
      key: put.key,
      createRevision: before?.createRevision ?? main,
      modRevision: main,
      version: (before?.version ?? 0) + 1,
      value: put.ignoreValue ? (before?.value ?? '') : (put.value ?? ''),
      lease: put.ignoreLease ? (before?.lease ?? 0n) : (put.lease ?? 0n),
    }
    this.#append(put.key, { main, sub, kv })
    return { kind: 'put', revision: main, prevKv: put.prevKv ? before : undefined }
  }

  #deleteRange(call: DeleteRangeCall, writes: Writes): DeleteRangeResult {
    const kvs = this.#liveAt(writes.revision, call.key, call.rangeEnd)
    for (const kv of kvs) this.#append(kv.key, { ...writes.next(), kv: undefined })
    return {
      kind: 'deleteRange',
      revision: writes.revision,
      deleted: kvs.length,
      prevKvs: call.prevKv ? kvs : [],
    }
  }

  /** @param current the revision that counts as newest: within a txn that has written, one more than the store's */
  #range(range: RangeCall, current: number): RangeResult {
    const asked = range.revision ?? 0n
    const all = this.#liveAt(asked > 0n ? Number(asked) : current, range.key, range.rangeEnd)
    if (range.countOnly) return { kind: 'range', revision: current, kvs: [], more: false, count: all.length }

    const order = range.sortOrder ?? SortOrder.none
    const target = range.sortTarget ?? SortTarget.key
    const limit =
      range.limit !== undefined && range.limit > 0n ? Number(range.limit) : Number.POSITIVE_INFINITY
    const bounds = [
      range.minModRevision,
      range.maxModRevision,
      range.minCreateRevision,
      range.maxCreateRevision,
    ]
    const filtered = bounds.some((bound) => (bound ?? 0n) !== 0n)

    let kvs = all
    // Without an order and filters no more pairs are read than the limit needs, so the sort sees only those.
    if (order === SortOrder.none && !filtered) kvs = kvs.slice(0, limit + 1)
    kvs = kvs.filter((kv) => passes(kv, range))
    if (order !== SortOrder.none || target !== SortTarget.key) {
      const sign = order === SortOrder.descend ? -1 : 1
      kvs = kvs.toSorted((a, b) => sign * compareBy(target, a, b))
    }
    const more = kvs.length > limit
    kvs = kvs.slice(0, limit)
    if (range.keysOnly) kvs = kvs.map((kv) => ({ ...kv, value: '' }))
    return { kind: 'range', revision: current, kvs, more, count: all.length }
  }

  #compact(revision: bigint): KvAnswer {
    if (revision <= BigInt(this.compactRevision)) return compacted
    if (revision > BigInt(this.revision)) return futureRev
    this.compactRevision = Number(revision)
    for (const [key, versions] of this.#versions) {
      const newest = versions.findLast((version) => version.main <= this.compactRevision)
      const kept = versions.filter(
        (version) => version.main > this.compactRevision || (version === newest && version.kv !== undefined),
      )
      if (kept.length === 0) this.#versions.delete(key)
      else this.#versions.set(key, kept)
    }
    return { kind: 'compact', revision: this.revision }
  }

  // The history.

  /** Takes back what a call has written so far. */
  #undo(): void {
    for (const [key, versions] of this.#versions) {
      const kept = versions.filter((version) => version.main <= this.revision)
      if (kept.length === 0) this.#versions.delete(key)
      else this.#versions.set(key, kept)
    }
  }

  #append(key: string, version: Version): void {
    const versions = this.#versions.get(key)
    if (versions === undefined) this.#versions.set(key, [version])
    else versions.push(version)
  }

  #live(key: string, revision: number): KeyValue | undefined {
    return this.#versions.get(key)?.findLast((version) => version.main <= revision)?.kv
  }

  #liveAt(revision: number, from: string, rangeEnd: string | undefined): KeyValue[] {
    const kvs: KeyValue[] = []
    for (const key of [...this.#versions.keys()].toSorted()) {
      const kv = inRange(key, from, rangeEnd) ? this.#live(key, revision) : undefined
      if (kv !== undefined) kvs.push(kv)
    }
    return kvs
  }

  /**
   * The answer to HashKV at `asked` (0 for the newest revision), once the last compaction has removed what it may.
   * It does not remember the hashes taken at compactions, as servers from 3.5.5 on do.
   */
  hashKv(asked = 0): { hash: number; compactRevision: number; revision: number } | KvError {
    const revision = asked === 0 ? this.revision : asked
    if (revision > this.revision) return futureRev
    if (revision < this.compactRevision) return compacted
    const entries: { version: Version; key: string; kept: boolean }[] = []
    let keptCount = 0
    for (const [key, versions] of this.#versions) {
      const newest = versions.findLast((version) => version.main <= revision)
      for (const version of versions) {
        const kept = version === newest && version.kv !== undefined
        if (kept) keptCount += 1
        entries.push({ version, key, kept })
      }
    }
    entries.sort((a, b) => a.version.main - b.version.main || a.version.sub - b.version.sub)
    const crc = new Crc32c().update(Buffer.from('key'))
    for (const { version, key, kept } of entries) {
      if (version.main > revision) continue
      if (version.main <= this.compactRevision && keptCount > 0 && !kept) continue
      crc.update(storedKey(version)).update(storedValue(key, version))
    }
    return { hash: crc.value, compactRevision: this.compactRevision, revision: this.revision }
  }
}

/** The branch of a txn that is taken, and of every txn in it. */
interface Path {
  readonly kind: 'path'
  readonly succeeded: boolean
  readonly operations: readonly (RangeCall | PutCall | DeleteRangeCall | Path)[]
}

/** Hands out the revisions of one call's changes: one main revision, sub-revisions from 0. */
class Writes {
  count = 0
  /** Set when the call turns out to be impossible half-way. */
  failed = false
  readonly #before: number

  constructor(before: number) {
    this.#before = before
  }

  /** What a read in the middle of the call sees as the newest revision. */
  get revision(): number {
    return this.count > 0 ? this.#before + 1 : this.#before
  }

  next(): { main: number; sub: number } {
    return { main: this.#before + 1, sub: this.count++ }
  }
}

function compareHolds(compare: Compare, kv: KeyValue): boolean {
  const order = orderOf(compare, kv)
  switch (compare.result) {
    case CompareResult.equal:
      return order === 0
    case CompareResult.greater:
      return order > 0
    case CompareResult.less:
      return order < 0
    case CompareResult.notEqual:
      return order !== 0
    default:
      return true
  }
}

/** Negative, zero or positive as the stored field is below, equal to or above the operand. */
function orderOf(compare: Compare, kv: KeyValue): number {
  const operand = compare.number ?? 0n
  switch (compare.target) {
    case CompareTarget.version:
      return order(BigInt(kv.version), operand)
    case CompareTarget.create:
      return order(BigInt(kv.createRevision), operand)
    case CompareTarget.mod:
      return order(BigInt(kv.modRevision), operand)
    case CompareTarget.value:
      return order(kv.value, compare.value ?? '')
    case CompareTarget.lease:
      return order(kv.lease, operand)
    default:
      return 0
  }
}

/** Orders two pairs by a sort target; unknown targets leave them as they are. */
export function compareBy(target: number, a: KeyValue, b: KeyValue): number {
  switch (target) {
    case SortTarget.key:
      return order(a.key, b.key)
    case SortTarget.version:
      return order(a.version, b.version)
    case SortTarget.create:
      return order(a.createRevision, b.createRevision)
    case SortTarget.mod:
      return order(a.modRevision, b.modRevision)
    case SortTarget.value:
      return order(a.value, b.value)
    default:
      return 0
  }
}

function order<T extends string | number | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function passes(kv: KeyValue, range: RangeCall): boolean {
  const atLeast = (value: number, bound: bigint | undefined): boolean => !bound || BigInt(value) >= bound
  const atMost = (value: number, bound: bigint | undefined): boolean => !bound || BigInt(value) <= bound
  return (
    atLeast(kv.modRevision, range.minModRevision) &&
    atMost(kv.modRevision, range.maxModRevision) &&
    atLeast(kv.createRevision, range.minCreateRevision) &&
    atMost(kv.createRevision, range.maxCreateRevision)
  )
}

/** Whether a txn holds nothing but ranges; then it is a read and never enters the log. */
function isReadOnly(txn: TxnCall): boolean {
  return [...txn.success, ...txn.failure].every((operation) => operation.kind === 'range')
}

/** Finds keys that one branch would put twice, or put and delete. */
function checkOverlap(txn: TxnCall): KvError | undefined {
  for (const branch of [txn.success, txn.failure]) {
    if (touchedBy(branch) === 'clash') return duplicateKey
  }
  return undefined
}

interface Touched {
  readonly puts: PutCall[]
  readonly deletes: DeleteRangeCall[]
}

/** What a branch may put and delete, nested txns included. */
function touchedBy(operations: readonly TxnOperation[]): Touched | 'clash' {
  const puts: PutCall[] = []
  const deletes = operations.filter((operation) => operation.kind === 'deleteRange')
  const clashes = (put: PutCall): boolean =>
    puts.some((other) => other.key === put.key) || deletes.some((range) => countsAsDeleted(put, range))

  for (const operation of operations) {
    if (operation.kind !== 'txn') continue
    const success = touchedBy(operation.success)
    const failure = touchedBy(operation.failure)
    if (success === 'clash' || failure === 'clash') return 'clash'
    // Only one of the two runs, so they may put the same key; nothing else of the enclosing branch may.
    const inner = [...success.puts, ...failure.puts]
    if (inner.some(clashes)) return 'clash'
    puts.push(...inner)
    // Deletes count for what follows, not for what came before.
    deletes.push(...success.deletes, ...failure.deletes)
  }
  for (const operation of operations) {
    if (operation.kind !== 'put') continue
    if (clashes(operation)) return 'clash'
    puts.push(operation)
  }
  return { puts, deletes }
}

/**
 * Whether the overlap check sees the key of `put` in the range. It takes the range's end literally: one zero byte is not the
 * open end here, so a range up to it counts as empty.
 */
function countsAsDeleted(put: PutCall, range: DeleteRangeCall): boolean {
  return range.rangeEnd === '\0' ? false : inRange(put.key, range.key, range.rangeEnd)
}

function sizeOf(operation: TxnOperation): number {
  switch (operation.kind) {
    case 'put':
      return operation.key.length + (operation.value?.length ?? 0)
    case 'txn':
      return [...operation.success, ...operation.failure].reduce((sum, inner) => sum + sizeOf(inner), 0)
    default:
      return 0
  }
}

function storedKey(version: Version): Uint8Array {
  const key = Buffer.alloc(version.kv === undefined ? 18 : 17, 't')
  key.writeBigUInt64BE(BigInt(version.main), 0)
  key.write('_', 8)
  key.writeBigUInt64BE(BigInt(version.sub), 9)
  return key
}

/** The `KeyValue` message as it is stored; of a tombstone only the key is set. */
function storedValue(key: string, version: Version): Uint8Array {
  const bytes: number[] = []
  const varint = (value: bigint): void => {
    for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
      if (rest < 0x80n) {
        bytes.push(Number(rest))
        return
      }
      bytes.push(Number(rest & 0x7fn) | 0x80)
    }
  }
  const bytesField = (field: number, value: string): void => {
    if (value === '') return
    bytes.push((field << 3) | 2)
    varint(BigInt(value.length))
    for (let i = 0; i < value.length; i++) bytes.push(value.charCodeAt(i))
  }
  const numberField = (field: number, value: bigint): void => {
    if (value === 0n) return
    bytes.push(field << 3)
    varint(value)
  }
  bytesField(1, key)
  if (version.kv !== undefined) {
    numberField(2, BigInt(version.kv.createRevision))
    numberField(3, BigInt(version.kv.modRevision))
    numberField(4, BigInt(version.kv.version))
    bytesField(5, version.kv.value)
    numberField(6, version.kv.lease)
  }
  return Uint8Array.from(bytes)
}
