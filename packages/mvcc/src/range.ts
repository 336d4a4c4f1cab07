import { ApiError, etcdserverpb } from '@etcd-ts/api'
import { KeyValueReader } from './key-value.ts'
import type { RangeResult } from './results.ts'
import { CACHED_RANGE_ROWS_MAX, type Rows } from './rows.ts'

const { SortOrder, SortTarget } = etcdserverpb

const NONE: readonly Uint8Array[] = []
const reader = new KeyValueReader()

/** A client's int64 where only its order among revisions matters: beyond all of them it is infinite. */
export function toBound(value: bigint): number {
  if (value > Number.MAX_SAFE_INTEGER) return Infinity
  return value < -Number.MAX_SAFE_INTEGER ? -Infinity : Number(value)
}

/**
 * The revision that a range asks for.
 *
 * @throws ApiError `futureRevision`, `compacted`
 */
function askedRevision(asked: bigint, current: number, compacted: number): number {
  if (asked <= 0n) return current
  if (asked > current) throw new ApiError('futureRevision')
  const revision = Number(asked)
  if (revision < compacted) throw new ApiError('compacted')
  return revision
}

/**
 * Reads a range of keys as they were at one revision. In this order: the keys of the range are found, filtered by
 * revision, sorted, cut to the limit, and stripped of their values.
 *
 * @param current revision of the store
 * @param compacted its compaction revision, -1 for none
 * @throws ApiError `futureRevision`, `compacted`
 */
export function readRange(
  request: etcdserverpb.RangeRequest,
  rows: Rows,
  current: number,
  compacted: number,
): RangeResult {
  const main = request.revision === 0n ? current : askedRevision(request.revision, current, compacted)
  const { index } = rows
  const { key, rangeEnd, keysOnly } = request
  if (rangeEnd.length === 0 && !hasFilter(request)) {
    const id = index.find(key)
    if (id === 0 || !index.findLiveAt(id, main)) return result(current, 0, false, NONE)
    if (request.countOnly) return result(current, 1, false, NONE)
    const row = rows.at(id, index.main, index.sub, true)
    return result(current, 1, false, [keysOnly ? withoutValue(row) : row])
  }
  const limit = request.limit > 0n ? toBound(request.limit) : Infinity
  if (request.countOnly) {
    const count = rangeEnd.length === 0 ? index.collectKey(key, main) : index.collect(key, rangeEnd, main, 0)
    return result(current, count, false, NONE)
  }
  const isPlain = isInKeyOrder(request) && !hasFilter(request)
  const count =
    rangeEnd.length === 0
      ? index.collectKey(key, main)
      : index.collect(key, rangeEnd, main, isPlain ? limit : readsAtMost(request, limit))
  const found = isPlain ? new Found(rows) : sifted(request, rows)
  const kvs = found.take(Math.min(limit, found.length), keysOnly)
  return result(current, count, isPlain ? count > limit : found.length > limit, kvs)
}

function result(revision: number, count: number, more: boolean, kvs: readonly Uint8Array[]): RangeResult {
  return { kind: 'range', revision, count, more, kvs }
}

function withoutValue(row: Uint8Array): Uint8Array {
  reader.read(row)
  return reader.withoutValue()
}

function hasFilter(request: etcdserverpb.RangeRequest): boolean {
  return (
    request.minModRevision !== 0n ||
    request.maxModRevision !== 0n ||
    request.minCreateRevision !== 0n ||
    request.maxCreateRevision !== 0n
  )
}

function isInKeyOrder({ sortOrder, sortTarget }: etcdserverpb.RangeRequest): boolean {
  return sortTarget === SortTarget.KEY && sortOrder !== SortOrder.DESCEND
}

/** Without an order and without filters etcd reads no more keys than it has to, and sorts only these. */
function readsAtMost(request: etcdserverpb.RangeRequest, limit: number): number {
  return request.sortOrder === SortOrder.NONE && !hasFilter(request) ? limit + 1 : Infinity
}

/** The keys that `KeyIndex.collect` found, in some order, and those of their rows that had to be read. */
class Found {
  readonly #rows: Rows
  readonly #ids: readonly number[]
  readonly #mains: readonly number[]
  readonly #subs: readonly number[]
  readonly #keep: boolean
  readonly #read: Uint8Array[] = []
  /** Places of the keys that are left, in the order that they are wanted in; undefined for all, as they were found. */
  places: number[] | undefined

  constructor(rows: Rows) {
    const { ids, mains, subs } = rows.index
    this.#rows = rows
    this.#ids = ids
    this.#mains = mains
    this.#subs = subs
    this.#keep = ids.length <= CACHED_RANGE_ROWS_MAX
  }

  get length(): number {
    return this.places?.length ?? this.#ids.length
  }

  main(place: number): number {
    return this.#mains[place]!
  }

  row(place: number): Uint8Array {
    const read = this.#read[place]
    if (read !== undefined) return read
    return (this.#read[place] = this.#rows.at(
      this.#ids[place]!,
      this.#mains[place]!,
      this.#subs[place]!,
      this.#keep,
    ))
  }

  take(count: number, keysOnly: boolean): Uint8Array[] {
    const { places } = this
    const kvs: Uint8Array[] = []
    for (let i = 0; i < count; i++) {
      const place = places === undefined ? i : places[i]!
      const row =
        this.#read[place] ??
        this.#rows.at(this.#ids[place]!, this.#mains[place]!, this.#subs[place]!, this.#keep)
      kvs.push(keysOnly ? withoutValue(row) : row)
    }
    return kvs
  }
}

/** What `KeyIndex.collect` found, filtered and sorted as `request` says. */
function sifted(request: etcdserverpb.RangeRequest, rows: Rows): Found {
  const found = new Found(rows)
  let places = Array.from({ length: found.length }, (_, place) => place)
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  const minMod = minModRevision === 0n ? -Infinity : toBound(minModRevision)
  const maxMod = maxModRevision === 0n ? Infinity : toBound(maxModRevision)
  places = places.filter((place) => found.main(place) >= minMod && found.main(place) <= maxMod)
  if (minCreateRevision !== 0n || maxCreateRevision !== 0n) {
    const minCreate = minCreateRevision === 0n ? -Infinity : toBound(minCreateRevision)
    const maxCreate = maxCreateRevision === 0n ? Infinity : toBound(maxCreateRevision)
    places = places.filter((place) => {
      reader.read(found.row(place))
      return reader.createRevision >= minCreate && reader.createRevision <= maxCreate
    })
  }
  sort(places, request.sortTarget, request.sortOrder === SortOrder.DESCEND ? -1 : 1, found)
  found.places = places
  return found
}

/**
 * Sorts places, which are in the order of their keys, by `target`.
 *
 * @param sign 1 for ascending, -1 for descending; what is equal stays in the order of the keys either way, as in etcd
 * (whose sort keeps it so for short lists)
 */
function sort(places: number[], target: etcdserverpb.SortTarget, sign: 1 | -1, found: Found): void {
  switch (target) {
    case SortTarget.KEY:
      if (sign < 0) places.reverse()
      break
    case SortTarget.MOD:
      places.sort((a, b) => sign * (found.main(a) - found.main(b)))
      break
    case SortTarget.CREATE:
    case SortTarget.VERSION: {
      const numbers: number[] = []
      for (const place of places) {
        reader.read(found.row(place))
        numbers[place] = target === SortTarget.CREATE ? reader.createRevision : reader.version
      }
      places.sort((a, b) => sign * (numbers[a]! - numbers[b]!))
      break
    }
    case SortTarget.VALUE: {
      const values: Uint8Array[] = []
      for (const place of places) {
        const row = found.row(place)
        reader.read(row)
        values[place] = row.subarray(reader.valueAt, reader.valueAt + reader.valueLength)
      }
      places.sort((a, b) => sign * Buffer.compare(values[a]!, values[b]!))
      break
    }
  }
}
