import { isDeepStrictEqual } from 'node:util'
import { withoutOpenChoices } from './kv-compare.ts'
import { KvModel } from './kv-model.ts'
import type { KeyValue, KvAnswer, KvCall, KvResult, TxnOperation, TxnOperationResult } from './kv-types.ts'
import { show } from './show.ts'

/** What a store says of itself while nothing is being written. */
export interface KvObservation {
  readonly revision: number
  /** -1 before the first compaction. */
  readonly compactRevision: number
  /** HashKV at the newest revision. */
  readonly hash: number
  /** All live pairs at each revision that can be read. */
  readonly pairsAt: ReadonlyMap<number, readonly KeyValue[]>
  /** Whether the NOSPACE alarm is raised. */
  readonly isAlarmed: boolean
  /** All live pairs at revisions that could be read earlier, as far as anybody looked: they narrow the search. */
  readonly pairsSeenAt?: ReadonlyMap<number, readonly KeyValue[]>
}

/** A call and what became of it. */
export interface RecordedCall {
  readonly call: KvCall
}

interface Entry extends RecordedCall {
  /** Places in the order of all beginnings and ends; the end is infinite until there is one. */
  readonly begun: number
  ended: number
  /** The newest revision that any answer had shown when the call began. */
  readonly floor: number
  /** Undefined for nobody knows. */
  answer: KvAnswer | undefined
}

/** A fault of the store, in words. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError'
}

const RESOURCE_EXHAUSTED = 8
const OUT_OF_RANGE = 11
const UNKNOWN_OUTCOMES: readonly number[] = [1, 4, 14]
/** What raft refuses while leadership is handed over, whatever the call; it has not happened then. */
const DROPPED = 'raft proposal dropped'

/**
 * What callers of one store, several at a time, asked and were told, across crashes: decides whether one order of the calls
 * explains every answer and what the store holds.
 *
 * Answers name a revision, so most calls have but one place. A call without an answer may have happened, once, at any
 * revision after those that were known when it began, or not at all. Calls carry no leases, do not keep values, and read old
 * revisions only outside of writes: then a refusal never depends on an order that nobody knows.
 */
export class KvHistory {
  #model = new KvModel()
  /** What brings a new model to where this one is. */
  readonly #happened: KvCall[] = []
  /** Calls since the store was last seen at rest. */
  #entries: Entry[] = []
  /** The live pairs at each settled revision. */
  readonly #pairsAt = new Map<number, readonly KeyValue[]>()
  readonly #alarm = new Timeline()
  #moment = 0
  #known = 1
  /** How many calls of an unknown outcome turned out to have happened. */
  happenedUnanswered = 0

  /** The newest revision that any answer has shown. */
  get revision(): number {
    return this.#known
  }

  /** The newest compaction that the store was seen with. */
  get compactRevision(): number {
    return this.#model.compactRevision
  }

  begin(call: KvCall): RecordedCall {
    const entry: Entry = {
      call,
      begun: this.#moment++,
      ended: Infinity,
      floor: this.#known,
      answer: undefined,
    }
    this.#entries.push(entry)
    return entry
  }

  /** The call was answered; some errors leave open whether it happened. */
  answered(recorded: RecordedCall, answer: KvAnswer): void {
    const entry = recorded as Entry
    entry.ended = this.#moment++
    if (answer.kind === 'error' && UNKNOWN_OUTCOMES.includes(answer.code)) return
    entry.answer = answer
    if (answer.kind !== 'error') this.#known = Math.max(this.#known, answer.revision)
  }

  /** The NOSPACE alarm is about to be raised or disarmed, by the only one who does. */
  alarmBegins(): void {
    this.#alarm.set(this.#moment++, 'unknown')
  }

  alarmEnded(isAlarmed: boolean): void {
    this.#alarm.set(this.#moment++, isAlarmed ? 'on' : 'off')
  }

  /**
   * Compares the store at rest, with no call in progress, to what was recorded. The fate of calls without an answer is
   * settled for good.
   *
   * @throws HistoryError
   */
  settle(observed: KvObservation): void {
    const before = this.#model.revision
    if (observed.revision < before)
      fail(`the store went back from revision ${before} to ${observed.revision}`)
    const compacted = this.#compactionSeen(observed)
    for (let revision = Math.max(1, compacted); revision < before; revision++) {
      if (!isDeepStrictEqual(observed.pairsAt.get(revision), this.#pairsAt.get(revision))) {
        fail(
          `the past has changed: ${difference(revision, this.#pairsAt.get(revision), observed.pairsAt.get(revision))}`,
        )
      }
    }
    for (const entry of this.#entries) this.#checkRefusal(entry)
    for (const entry of this.#entries) this.#checkAlarm(entry)
    const order = new Order(this.#entries, observed, {
      model: this.#model,
      happened: this.#happened,
      pairsAt: this.#pairsAt,
    })
    this.#model = order.find()
    this.happenedUnanswered += order.unansweredCount
    if (!this.#alarm.allows(this.#moment, Infinity, observed.isAlarmed ? 'on' : 'off')) {
      fail(`the alarm is ${observed.isAlarmed ? 'raised' : 'not raised'}`)
    }
    this.#alarm.set(this.#moment++, observed.isAlarmed ? 'on' : 'off')
    this.#known = observed.revision
    this.#entries = []
  }

  /** The compaction revision, if it is one that somebody asked for and not older than any that was acknowledged. */
  #compactionSeen({ compactRevision }: KvObservation): number {
    let acknowledged = this.#model.compactRevision
    const possible = new Set([acknowledged])
    for (const { call, answer } of this.#entries) {
      if (call.kind !== 'compact' || answer?.kind === 'error') continue
      const revision = Number(call.revision)
      if (answer !== undefined) acknowledged = Math.max(acknowledged, revision)
      possible.add(revision)
    }
    if (compactRevision < acknowledged) {
      fail(`the compaction at ${acknowledged} is lost: the store says ${compactRevision}`)
    }
    if (!possible.has(compactRevision)) fail(`nobody asked for the compaction at ${compactRevision}`)
    return compactRevision
  }

  /** A refusal must be one that the request deserves, at some moment of the call at least. */
  #checkRefusal(entry: Entry): void {
    const { call, answer, floor } = entry
    if (answer === undefined) return
    if (answer.kind !== 'error') {
      if (answer.revision < floor) {
        fail(`${show(call)} was answered at revision ${answer.revision} after ${floor} was known`)
      }
      this.#checkOldReads(entry)
      return
    }
    if (answer.code === RESOURCE_EXHAUSTED || answer.message === DROPPED) return
    if (answer.code !== OUT_OF_RANGE) {
      const expected = new KvModel().call(call)
      if (!isDeepStrictEqual(answer, expected)) fail(`${show(call)} was refused: ${show(answer)}`)
      return
    }
    const asked = revisionsAsked(call)
    const isFair = answer.message.includes('compacted')
      ? asked.some((revision) => this.#mayBeCompacted(revision, entry))
      : asked.some((revision) => revision > BigInt(floor))
    if (!isFair) fail(`${show(call)} was refused: ${answer.message}`)
  }

  /** What had been compacted before the call began cannot be read. */
  #checkOldReads({ call, begun }: Entry): void {
    const isTooLate = (revision: bigint): boolean =>
      this.#entries.some(
        (other) =>
          other.call.kind === 'compact' &&
          other.answer?.kind === 'compact' &&
          other.ended < begun &&
          (call.kind === 'compact' ? other.call.revision >= revision : other.call.revision > revision),
      )
    for (const revision of revisionsAsked(call)) {
      if (isTooLate(revision)) fail(`${show(call)} was answered after a later compaction had been`)
    }
  }

  #mayBeCompacted(revision: bigint, entry: Entry): boolean {
    const isBelow = (compacted: bigint): boolean =>
      entry.call.kind === 'compact' ? revision <= compacted : revision < compacted
    if (isBelow(BigInt(this.#model.compactRevision))) return true
    return this.#entries.some(
      (other) =>
        other !== entry &&
        other.call.kind === 'compact' &&
        other.answer?.kind !== 'error' &&
        other.begun < entry.ended &&
        isBelow(other.call.revision),
    )
  }

  #checkAlarm({ call, answer, begun, ended }: Entry): void {
    if (answer === undefined) return
    const isRefused = answer.kind === 'error' && answer.code === RESOURCE_EXHAUSTED
    if (!isRefused && (answer.kind === 'error' || !costsSpace(call))) return
    const state = isRefused ? 'on' : 'off'
    if (!this.#alarm.allows(begun, ended, state)) {
      fail(`${show(call)} was answered with ${show(answer)} while the alarm was ${isRefused ? 'off' : 'on'}`)
    }
  }
}

/** Which state something may have been in, over time. */
class Timeline {
  readonly #changes: { readonly at: number; readonly state: 'on' | 'off' | 'unknown' }[] = [
    { at: -1, state: 'off' },
  ]

  set(at: number, state: 'on' | 'off' | 'unknown'): void {
    this.#changes.push({ at, state })
  }

  /** Whether it may have been in `state` at some moment between the two. */
  allows(from: number, to: number, state: 'on' | 'off'): boolean {
    return this.#changes.some((change, i) => {
      const endsAt = this.#changes[i + 1]?.at ?? Infinity
      return change.at <= to && endsAt >= from && (change.state === state || change.state === 'unknown')
    })
  }
}

interface Settled {
  readonly model: KvModel
  readonly happened: KvCall[]
  readonly pairsAt: Map<number, readonly KeyValue[]>
}

/** The search for an order of the calls that explains what was observed. */
class Order {
  readonly #observed: KvObservation
  readonly #settled: Settled
  #model: KvModel
  /** The call that made a revision, where the answer says so. */
  readonly #writes = new Map<number, Entry>()
  /** Calls that saw a revision and changed nothing. */
  readonly #reads = new Map<number, Entry[]>()
  readonly #unanswered: Entry[] = []
  readonly #used = new Set<Entry>()

  constructor(entries: readonly Entry[], observed: KvObservation, settled: Settled) {
    this.#observed = observed
    this.#settled = settled
    this.#model = settled.model
    for (const entry of entries) this.#place(entry)
  }

  get unansweredCount(): number {
    return this.#used.size
  }

  /** @returns the model with all that happened, which is also in `happened` and `pairsAt` of what was settled */
  find(): KvModel {
    const fault = this.#goOn(this.#model.revision)
    if (fault !== undefined) fail(fault)
    return this.#model
  }

  #place(entry: Entry): void {
    const { call, answer } = entry
    if (answer === undefined) {
      if (call.kind !== 'range' && call.kind !== 'compact') this.#unanswered.push(entry)
      return
    }
    if (answer.kind === 'error' || answer.kind === 'compact') return
    const { revision } = answer
    if (revision > this.#observed.revision) {
      fail(
        `${show(call)}, acknowledged at revision ${revision}, is lost: the store is at ${this.#observed.revision}`,
      )
    }
    if (!changes(answer)) {
      this.#reads.set(revision, [...(this.#reads.get(revision) ?? []), entry])
      return
    }
    const other = this.#writes.get(revision)
    if (other !== undefined || revision <= this.#settled.model.revision || revision <= entry.floor) {
      fail(`revision ${revision} was given to ${show(call)} and to ${show(other?.call ?? 'an earlier call')}`)
    }
    this.#writes.set(revision, entry)
  }

  /** Goes on from `revision`, at which the model is. @returns what cannot be explained, if anything */
  #goOn(from: number): string | undefined {
    for (let revision = from; ; revision++) {
      const fault = this.#checkAt(revision)
      if (fault !== undefined) return fault
      if (revision === this.#observed.revision) return this.#checkEnd()
      const write = this.#writes.get(revision + 1)
      if (write === undefined) return this.#tryUnanswered(revision)
      const expected = this.#apply(write.call)
      if (!isDeepStrictEqual(withoutOpenChoices(write.call, write.answer!), expected)) {
        return `${show(write.call)} was answered ${show(write.answer)}, not ${show(expected)}`
      }
    }
  }

  /** Two orders may give the same pairs and other rows, which the hash tells apart. */
  #checkEnd(): string | undefined {
    const { hash, revision, compactRevision } = this.#observed
    if (compactRevision > this.#model.compactRevision) {
      this.#apply({ kind: 'compact', revision: BigInt(compactRevision) })
    }
    const expected = this.#model.hashKv()
    if (isDeepStrictEqual(expected, { hash, revision, compactRevision })) return undefined
    return `HashKV at revision ${revision}, compacted at ${compactRevision}, is ${hash}, not ${show(expected)}`
  }

  #tryUnanswered(revision: number): string | undefined {
    let fault = `no call explains revision ${revision + 1}`
    const length = this.#settled.happened.length
    for (const entry of this.#unanswered) {
      if (this.#used.has(entry) || entry.floor > revision) continue
      this.#apply(entry.call)
      if (this.#model.revision === revision + 1) {
        this.#used.add(entry)
        const next = this.#goOn(revision + 1)
        if (next === undefined) return undefined
        fault = next
        this.#used.delete(entry)
      }
      this.#backTo(length)
    }
    return fault
  }

  #apply(call: KvCall): KvAnswer {
    this.#settled.happened.push(call)
    return withoutOpenChoices(call, this.#model.call(call))
  }

  #backTo(length: number): void {
    this.#settled.happened.length = length
    this.#model = new KvModel()
    for (const call of this.#settled.happened) this.#model.call(call)
  }

  #checkAt(revision: number): string | undefined {
    for (const { call, answer } of this.#reads.get(revision) ?? []) {
      const expected = withoutOpenChoices(call, this.#model.call(call))
      if (!isDeepStrictEqual(withoutOpenChoices(call, answer!), expected)) {
        return `${show(call)} was answered ${show(answer)}, not ${show(expected)}`
      }
      if (this.#model.revision !== revision) return `${show(call)} should have made revision ${revision + 1}`
    }
    const expected = this.#model.dump()
    const { pairsAt, pairsSeenAt, compactRevision } = this.#observed
    const found = pairsAt.get(revision) ?? pairsSeenAt?.get(revision)
    if (found !== undefined || revision >= compactRevision) {
      if (!isDeepStrictEqual(found, expected)) return difference(revision, expected, found)
    }
    this.#settled.pairsAt.set(revision, expected)
    return undefined
  }
}

function fail(fault: string): never {
  throw new HistoryError(fault)
}

function difference(
  revision: number,
  expected: readonly KeyValue[] = [],
  found: readonly KeyValue[] | undefined,
): string {
  if (found === undefined) return `revision ${revision} cannot be read`
  const isIn = (kv: KeyValue, kvs: readonly KeyValue[]): boolean =>
    kvs.some((other) => isDeepStrictEqual(kv, other))
  const missing = expected.filter((kv) => !isIn(kv, found))
  const extra = found.filter((kv) => !isIn(kv, expected))
  return `at revision ${revision} the store lacks ${show(missing)} and has ${show(extra)}`
}

function changes(result: KvResult | TxnOperationResult): boolean {
  switch (result.kind) {
    case 'put':
      return true
    case 'deleteRange':
      return result.deleted > 0
    case 'txn':
      return result.responses.some(changes)
    default:
      return false
  }
}

/** The revisions that a call names, of those that can have been compacted. */
function revisionsAsked(call: KvCall | TxnOperation): bigint[] {
  switch (call.kind) {
    case 'compact':
      return [call.revision]
    case 'range':
      return (call.revision ?? 0n) > 0n ? [call.revision ?? 0n] : []
    case 'txn':
      return [...call.success, ...call.failure].flatMap(revisionsAsked)
    default:
      return []
  }
}

function costsSpace(call: KvCall | TxnOperation): boolean {
  if (call.kind === 'put') return true
  return call.kind === 'txn' && [...call.success, ...call.failure].some(costsSpace)
}
