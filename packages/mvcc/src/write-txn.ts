import { ApiError, type etcdserverpb } from '@etcd-ts/api'
import { KeyValueReader, deletedKeyValue } from './key-value.ts'
import type { LeaseIndex } from './lease-index.ts'
import { readRange } from './range.ts'
import type { Change, DeleteRangeResult, PutResult, RangeResult } from './results.ts'
import type { Rows } from './rows.ts'

const NO_KVS: readonly Uint8Array[] = []
const reader = new KeyValueReader()

/**
 * Changes that become one revision. They take effect as they are made: what is read through the transaction sees
 * them, and the store has to end it before anything else is done.
 */
export class WriteTxn {
  readonly #rows: Rows
  readonly #leases: LeaseIndex
  #base = 0
  #compacted = -1
  /** Keys written and deleted so far; the sub-revision of the next one. */
  changed = 0
  /** The changes themselves, if somebody wants them. */
  changes: Change[] | undefined

  constructor(rows: Rows, leases: LeaseIndex) {
    this.#rows = rows
    this.#leases = leases
  }

  /** Begins anew, on top of `revision`. */
  begin(revision: number, compacted: number, wantsChanges: boolean): void {
    this.#base = revision
    this.#compacted = compacted
    this.changed = 0
    this.changes = wantsChanges ? [] : undefined
  }

  /** The revision that a reader sees: the transaction's own once it has changed anything. */
  get revision(): number {
    return this.changed === 0 ? this.#base : this.#base + 1
  }

  range(request: etcdserverpb.RangeRequest): RangeResult {
    return readRange(request, this.#rows, this.revision, this.#compacted)
  }

  /** @throws ApiError `leaseNotFound`, `keyNotFound`, both before anything is changed */
  put(request: etcdserverpb.PutRequest): PutResult {
    const { key, ignoreValue, ignoreLease } = request
    let { value, lease } = request
    if (lease !== 0n && !this.#leases.has(lease)) throw new ApiError('leaseNotFound')
    const { index } = this.#rows
    const { table } = index
    let id = index.find(key)
    const isLive = id !== 0 && table.isLive(id)
    let prevKv: Uint8Array | undefined
    if (ignoreValue || ignoreLease || request.prevKv) {
      if (isLive) {
        const row = this.#rows.newest(id)
        reader.read(row)
        if (ignoreValue) value = row.subarray(reader.valueAt, reader.valueAt + reader.valueLength)
        if (ignoreLease) lease = reader.lease
        if (request.prevKv) prevKv = row
      } else if (ignoreValue || ignoreLease) {
        throw new ApiError('keyNotFound')
      }
    }
    if (id === 0) id = index.add(key)
    const main = this.#base + 1
    const created = isLive ? index.createdOf(id) : main
    const version = isLive ? index.versionOf(id) + 1 : 1
    const slot = this.#rows.put(id, key, main, this.changed++, created, version, value, lease)
    if (table.hasLease(id)) {
      this.#leases.detach(table.lease(id), key)
      table.setLease(id, 0n)
    }
    if (lease !== 0n && this.#leases.has(lease)) {
      this.#leases.attach(lease, key)
      table.setLease(id, lease)
    }
    if (this.changes !== undefined) {
      const kv = slot.bytes.subarray(slot.valueAt, slot.valueAt + slot.valueLength)
      this.changes.push({ deleted: false, kv })
    }
    return { kind: 'put', revision: main, prevKv }
  }

  deleteRange(request: etcdserverpb.DeleteRangeRequest): DeleteRangeResult {
    const { key, rangeEnd, prevKv } = request
    const { index } = this.#rows
    let deleted = 0
    let prevKvs = NO_KVS
    if (rangeEnd.length === 0) {
      const id = index.find(key)
      if (id !== 0 && index.table.isLive(id)) {
        if (prevKv) prevKvs = [this.#rows.newest(id)]
        this.#delete(id, key)
        deleted = 1
      }
    } else {
      deleted = index.collect(key, rangeEnd, Infinity, Infinity)
      const { ids } = index
      if (prevKv) prevKvs = ids.map((id) => this.#rows.newest(id))
      for (const id of ids) this.#delete(id, index.keyOf(id))
    }
    return { kind: 'deleteRange', revision: this.revision, deleted, prevKvs }
  }

  /** Deletes `key`, if it is there. */
  deleteKey(key: Uint8Array): void {
    const id = this.#rows.index.find(key)
    if (id !== 0 && this.#rows.index.table.isLive(id)) this.#delete(id, key)
  }

  #delete(id: number, key: Uint8Array): void {
    const main = this.#base + 1
    this.#rows.tombstone(id, key, main, this.changed++)
    const { table } = this.#rows.index
    if (table.hasLease(id)) {
      this.#leases.detach(table.lease(id), key)
      table.setLease(id, 0n)
    }
    this.changes?.push({ deleted: true, kv: deletedKeyValue(key, main) })
  }
}
