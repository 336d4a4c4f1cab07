import type { KvCall, KvError, KvResult, TxnOperationResult } from './kv-types.ts'
import type { TimedOperation } from './linearizability.ts'
import { type RegisterInput, type RegisterOutput } from './register.ts'
import { CompareResult, CompareTarget } from './kv-types.ts'

/** What is known of a call. */
export type Outcome =
  | { readonly kind: 'answered'; readonly answer: KvResult }
  /** It has not happened and never will. */
  | { readonly kind: 'refused'; readonly error: KvError }
  /** It may have happened, may happen later, or never. */
  | { readonly kind: 'unknown'; readonly error: KvError | undefined }

/** One call of a client to a cluster. */
export interface HistoryCall {
  readonly client: string
  /** Of one member, without a break in between. */
  readonly connection: string
  readonly call: KvCall
  /** Places in the one order of all beginnings and ends; `ended` is infinite as long as the outcome is unknown. */
  readonly begun: number
  readonly ended: number
  /** For the reader. */
  readonly begunMs: number
  readonly endedMs: number
  readonly outcome: Outcome
}

const UNAVAILABLE = 14
/** Invalid argument, not found, already exists, permission denied, exhausted, precondition, range, unimplemented, not authenticated. */
const REFUSALS: readonly number[] = [3, 5, 6, 7, 8, 9, 11, 12, 16]

/** Whether an error says that the call has not happened: it was refused for what it is, or never left the client. */
export function isRefusal({ code, message }: KvError): boolean {
  return REFUSALS.includes(code) || (code === UNAVAILABLE && message.startsWith('No connection established'))
}

/** What the clients of a cluster asked and were told, in the order in which they began and ended. */
export class ConcurrentHistory {
  readonly calls: HistoryCall[] = []
  #moment = 0

  /** Notes a call that is about to be made; the returned function notes what became of it. */
  begin(
    client: string,
    connection: string,
    call: KvCall,
  ): (answer: KvResult | KvError | undefined) => HistoryCall {
    const entry: { -readonly [Name in keyof HistoryCall]: HistoryCall[Name] } = {
      client,
      connection,
      call,
      begun: this.#moment++,
      ended: Infinity,
      begunMs: performance.now(),
      endedMs: Infinity,
      outcome: { kind: 'unknown', error: undefined },
    }
    this.calls.push(entry)
    return (answer) => {
      entry.outcome = outcomeOf(answer)
      if (entry.outcome.kind !== 'unknown') entry.ended = this.#moment++
      entry.endedMs = performance.now()
      return entry
    }
  }

  get counts(): { answered: number; refused: number; unknown: number } {
    const counts = { answered: 0, refused: 0, unknown: 0 }
    for (const { outcome } of this.calls) counts[outcome.kind] += 1
    return counts
  }
}

function outcomeOf(answer: KvResult | KvError | undefined): Outcome {
  if (answer === undefined) return { kind: 'unknown', error: undefined }
  if (answer.kind !== 'error') return { kind: 'answered', answer }
  return isRefusal(answer) ? { kind: 'refused', error: answer } : { kind: 'unknown', error: answer }
}

/** Whether an answer says that the store was changed. */
export function changesStore(result: KvResult | TxnOperationResult): boolean {
  return changeCount(result) > 0
}

/** How many keys were changed by a call that had this answer. */
export function changeCount(result: KvResult | TxnOperationResult): number {
  switch (result.kind) {
    case 'put':
      return 1
    case 'deleteRange':
      return result.deleted
    case 'txn':
      return result.responses.reduce((sum, response) => sum + changeCount(response), 0)
    default:
      return 0
  }
}

/**
 * The calls on single keys as operations on registers, without their revisions: linearizable reads, puts, deletes, and
 * txns that put if the key holds a value (or is absent, by version 0) and read otherwise. Serializable reads promise
 * nothing here and are left out.
 *
 * @throws on a call of another form
 */
export function registerOperations(
  calls: readonly HistoryCall[],
): Map<string, TimedOperation<RegisterInput, RegisterOutput>[]> {
  const registers = new Map<string, TimedOperation<RegisterInput, RegisterOutput>[]>()
  for (const { call, begun, ended, outcome } of calls) {
    if (outcome.kind === 'refused' || (call.kind === 'range' && call.serializable)) continue
    const { key, input } = registerInput(call)
    const output = outcome.kind === 'answered' ? registerOutput(outcome.answer) : undefined
    const operation = { input, output, begun, ended }
    const list = registers.get(key)
    if (list === undefined) registers.set(key, [operation])
    else list.push(operation)
  }
  return registers
}

/** A txn that puts `value` if `key` holds `expected` (undefined: if there is no such key), else reads it. */
export function compareAndSet(key: string, expected: string | undefined, value: string): KvCall {
  const result = CompareResult.equal
  return {
    kind: 'txn',
    compare: [
      expected === undefined
        ? { key, result, target: CompareTarget.version, number: 0n }
        : { key, result, target: CompareTarget.value, value: expected },
    ],
    success: [{ kind: 'put', key, value }],
    failure: [{ kind: 'range', key }],
  }
}

function registerInput(call: KvCall): { key: string; input: RegisterInput } {
  switch (call.kind) {
    case 'range':
      if (call.rangeEnd === undefined) return { key: call.key, input: { kind: 'read' } }
      break
    case 'put':
      return { key: call.key, input: { kind: 'put', value: call.value ?? '' } }
    case 'deleteRange':
      if (call.rangeEnd === undefined) return { key: call.key, input: { kind: 'delete' } }
      break
    case 'txn': {
      const [compare] = call.compare
      const [put] = call.success
      if (compare === undefined || put?.kind !== 'put' || put.key !== compare.key) break
      const expected = compare.target === CompareTarget.value ? compare.value : undefined
      return { key: put.key, input: { kind: 'cas', expected, value: put.value ?? '' } }
    }
    case 'compact':
  }
  throw new TypeError(`a ${call.kind} that is not of one key`)
}

function registerOutput(answer: KvResult): RegisterOutput {
  switch (answer.kind) {
    case 'range':
      return { kind: 'read', value: answer.kvs[0]?.value }
    case 'put':
      return { kind: 'put' }
    case 'deleteRange':
      return { kind: 'delete', deleted: answer.deleted > 0 }
    case 'txn': {
      if (answer.succeeded) return { kind: 'cas', succeeded: true }
      const [found] = answer.responses
      return {
        kind: 'cas',
        succeeded: false,
        value: found?.kind === 'range' ? found.kvs[0]?.value : undefined,
      }
    }
    case 'compact':
      throw new TypeError('a compaction is not an operation on a register')
  }
}
