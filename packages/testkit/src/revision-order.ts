import { isDeepStrictEqual } from 'node:util'
import { type HistoryCall, changeCount, changesStore } from './concurrent-history.ts'
import { withoutOpenChoices } from './kv-compare.ts'
import { KvModel } from './kv-model.ts'
import type { KeyValue, KvCall, TxnOperation } from './kv-types.ts'
import { HistoryError } from './sim-member-history.ts'
import { show } from './show.ts'

/** What one revision changed, in any order. */
export interface StoreRevision {
  readonly revision: number
  readonly events: readonly StoreEvent[]
}

export type StoreEvent =
  { readonly kind: 'put'; readonly kv: KeyValue } | { readonly kind: 'delete'; readonly key: string }

/** What came of calls that were not answered. */
export interface RevisionReport {
  readonly revision: number
  /** They have happened. */
  readonly unansweredDone: number
  readonly unansweredLost: number
}

/**
 * Explains the answers of a cluster by the revisions in them, given what each revision of its store changed from the first
 * on (nothing must have been compacted). In time O(n log n) this decides what the search for an order decides and more
 * (reliability invariants I1, I2, I5 to I8, I22): every revision is one call's, every answer is what a model gives at its
 * revision, no answer is older than one that had come before the call, no acknowledged write is missing, and no call that
 * was refused has happened.
 *
 * Put values must be unique; so an unanswered write is known by what it has put, and an unanswered delete by its key.
 *
 * @throws HistoryError
 */
export function checkRevisions(
  calls: readonly HistoryCall[],
  store: readonly StoreRevision[],
): RevisionReport {
  const floors = knownRevisions(calls)
  const last = store.at(-1)?.revision ?? 1
  const writes = new Map<number, HistoryCall>()
  const reads = new Map<number, HistoryCall[]>()
  const openPuts = new Map<string, HistoryCall>()
  const openDeletes = new Map<string, HistoryCall[]>()
  const refusedValues = new Map<string, HistoryCall>()
  let unanswered = 0

  for (const entry of calls) {
    const { call, outcome } = entry
    if (outcome.kind === 'refused') {
      for (const value of valuesPut(call)) refusedValues.set(value, entry)
      continue
    }
    if (outcome.kind === 'unknown') {
      if (call.kind === 'range' || call.kind === 'compact') continue
      unanswered += 1
      const values = valuesPut(call)
      for (const value of values) openPuts.set(value, entry)
      if (values.length === 0 && call.kind === 'deleteRange') {
        openDeletes.set(call.key, [...(openDeletes.get(call.key) ?? []), entry])
      }
      continue
    }
    const { answer } = outcome
    const floor = floors.get(entry) ?? 1
    const isStale = call.kind === 'range' && call.serializable === true
    if (answer.revision > last) {
      fail(`${describe(entry)} is lost: the store ends at revision ${last}`)
    }
    if (changesStore(answer)) {
      const other = writes.get(answer.revision)
      if (other !== undefined) fail(`one revision for two: ${describe(other)} and ${describe(entry)}`)
      if (answer.revision <= floor) fail(`${describe(entry)} began when revision ${floor} was known`)
      writes.set(answer.revision, entry)
      continue
    }
    if (!isStale && answer.revision < floor) {
      fail(`a stale answer: ${describe(entry)} began when revision ${floor} was known`)
    }
    reads.set(answer.revision, [...(reads.get(answer.revision) ?? []), entry])
  }
  checkConnections(calls)

  const model = new KvModel()
  const used = new Set<HistoryCall>()
  const checkReads = (): void => {
    for (const entry of reads.get(model.revision) ?? []) checkAnswer(model, entry)
  }
  checkReads()
  for (const { revision, events } of store) {
    if (revision !== model.revision + 1) fail(`the store has no revision ${model.revision + 1}`)
    for (const event of events) {
      const refused = event.kind === 'put' ? refusedValues.get(event.kv.value) : undefined
      if (refused !== undefined) fail(`${describe(refused)} has happened, at revision ${revision}`)
    }
    const entry = writes.get(revision) ?? takeOpen(events, openPuts, openDeletes, used, floors, revision)
    if (entry === undefined) fail(`nobody made revision ${revision}: ${show(events)}`)
    checkWrite(model, entry, events, revision)
    checkReads()
  }
  return { revision: last, unansweredDone: used.size, unansweredLost: unanswered - used.size }
}

/** For every call, the newest revision that any answer had shown when it began. */
function knownRevisions(calls: readonly HistoryCall[]): Map<HistoryCall, number> {
  const moments: { at: number; entry: HistoryCall; ends: boolean }[] = []
  for (const entry of calls) {
    moments.push({ at: entry.begun, entry, ends: false })
    if (entry.outcome.kind === 'answered') moments.push({ at: entry.ended, entry, ends: true })
  }
  moments.sort((a, b) => a.at - b.at || Number(a.ends) - Number(b.ends))
  const floors = new Map<HistoryCall, number>()
  let known = 1
  for (const { entry, ends } of moments) {
    if (!ends) floors.set(entry, known)
    else if (entry.outcome.kind === 'answered') known = Math.max(known, entry.outcome.answer.revision)
  }
  return floors
}

/** One member's answers on one connection never go back in time. */
function checkConnections(calls: readonly HistoryCall[]): void {
  const newest = new Map<string, HistoryCall>()
  for (const entry of calls.toSorted((a, b) => a.ended - b.ended)) {
    if (entry.outcome.kind !== 'answered') continue
    const before = newest.get(entry.connection)
    if (before?.outcome.kind === 'answered' && before.ended < entry.begun) {
      if (entry.outcome.answer.revision < before.outcome.answer.revision) {
        fail(`${entry.connection} went back in time: ${describe(before)}, then ${describe(entry)}`)
      }
    }
    newest.set(entry.connection, entry)
  }
}

/** The unanswered call that made these changes. Any one will do of deletes of one key: all that began early enough do the same. */
function takeOpen(
  events: readonly StoreEvent[],
  openPuts: ReadonlyMap<string, HistoryCall>,
  openDeletes: ReadonlyMap<string, HistoryCall[]>,
  used: Set<HistoryCall>,
  floors: ReadonlyMap<HistoryCall, number>,
  revision: number,
): HistoryCall | undefined {
  const candidates = events.flatMap((event) => {
    if (event.kind === 'delete') return openDeletes.get(event.key) ?? []
    const entry = openPuts.get(event.kv.value)
    return entry === undefined ? [] : [entry]
  })
  const [first] = candidates
  const entry = candidates.find((each) => !used.has(each) && (floors.get(each) ?? 1) < revision)
  if (entry === undefined && first !== undefined) {
    fail(
      used.has(first)
        ? `${describe(first)} has happened again, at revision ${revision}`
        : `revision ${revision} was known before ${describe(first)} began, which made it`,
    )
  }
  if (entry !== undefined) used.add(entry)
  return entry
}

function checkWrite(
  model: KvModel,
  entry: HistoryCall,
  events: readonly StoreEvent[],
  revision: number,
): void {
  const expected = withoutOpenChoices(entry.call, model.call(entry.call))
  if (model.revision !== revision || expected.kind === 'error') {
    fail(`revision ${revision} is not to be had by ${describe(entry)}: ${show(expected)}`)
  }
  if (entry.outcome.kind === 'answered') {
    const { answer } = entry.outcome
    if (!isDeepStrictEqual(withoutOpenChoices(entry.call, answer), expected)) {
      fail(`${describe(entry)} should have been answered ${show(expected)}`)
    }
  }
  const isRight = (event: StoreEvent): boolean => {
    const key = event.kind === 'put' ? event.kv.key : event.key
    const found = model.call({ kind: 'range', key })
    const kv = found.kind === 'range' ? found.kvs[0] : undefined
    return isDeepStrictEqual(kv, event.kind === 'put' ? event.kv : undefined)
  }
  if (events.length !== changeCount(expected) || !events.every(isRight)) {
    fail(`revision ${revision} is ${show(events)}, which ${describe(entry)} does not do`)
  }
}

function checkAnswer(model: KvModel, entry: HistoryCall): void {
  if (entry.outcome.kind !== 'answered') return
  const { revision } = model
  const expected = withoutOpenChoices(entry.call, model.call(entry.call))
  if (model.revision !== revision) fail(`${describe(entry)} should have made a revision of its own`)
  if (!isDeepStrictEqual(withoutOpenChoices(entry.call, entry.outcome.answer), expected)) {
    fail(`${describe(entry)} should have been answered ${show(expected)}`)
  }
}

/** Everything that a call can put. */
function valuesPut(call: KvCall | TxnOperation): string[] {
  if (call.kind === 'put') return [call.value ?? '']
  return call.kind === 'txn' ? [...call.success, ...call.failure].flatMap(valuesPut) : []
}

function describe({ client, connection, call, outcome, begunMs, endedMs }: HistoryCall): string {
  const times = `${begunMs.toFixed(0)} to ${endedMs.toFixed(0)} ms`
  const end = outcome.kind === 'answered' ? show(outcome.answer) : outcome.kind
  return `${show(call)} of ${client} through ${connection} (${times}), ${end},`
}

function fail(fault: string): never {
  throw new HistoryError(fault)
}
