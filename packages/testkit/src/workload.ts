import { ConcurrentHistory, type HistoryCall, changesStore, compareAndSet } from './concurrent-history.ts'
import { HistoryClient } from './history-client.ts'
import type { KvResult, TxnOperation } from './kv-types.ts'
import { CompareResult, CompareTarget, type KvCall } from './kv-types.ts'
import { type Scope, freeAfter } from './scope.ts'
import { SeededRandom } from './seeded-random.ts'

/** What one client does again and again; resolves to whether it was answered. */
export type WorkloadStep = (client: HistoryClient) => Promise<boolean>

export interface WorkloadOptions {
  /** `host:port` of the members that may be asked at the moment; asked before every call. */
  readonly endpoints: () => readonly string[]
  /** Made once for every client. */
  readonly step: (client: HistoryClient) => WorkloadStep
  /** Default: 8. */
  readonly clients?: number
  /** Whether client `i` asks the member `i` modulo their number only. Default: each asks any member. */
  readonly pinned?: boolean
  readonly seed?: number
  /** The longest that a client rests between two steps. Default: 10. */
  readonly pauseMsMax?: number
  /** Default: 2,000. */
  readonly timeoutMs?: number
}

const PAUSE_AFTER_FAILURE_MS = 30

/** Clients that call a cluster, whatever happens to it, and record what they asked and were told. */
export class Workload {
  readonly history = new ConcurrentHistory()
  readonly #options: WorkloadOptions
  readonly #running: Promise<void>[] = []
  readonly #waiters = new Set<(call: HistoryCall) => void>()
  #stopped = false
  #failure: unknown
  #finals = 0

  private constructor(options: WorkloadOptions) {
    this.#options = options
  }

  /** Starts the clients; they stop at the end of `scope` at the latest. */
  static start(scope: Scope, options: WorkloadOptions): Workload {
    const workload = new Workload(options)
    const random = new SeededRandom(options.seed ?? 1)
    for (let i = 0; i < (options.clients ?? 8); i++) {
      const client = workload.#client(`c${i}`, random.fork(), options.pinned === true ? i : undefined)
      workload.#running.push(workload.#run(client))
    }
    freeAfter(scope, async () => {
      workload.#stopped = true
      await Promise.all(workload.#running)
    })
    return workload
  }

  /**
   * Waits until so many more changes of the store, begun from now on, have been acknowledged.
   * @returns how long that took
   */
  async acknowledged(changes: number, timeoutMs: number): Promise<number> {
    const startMs = performance.now()
    let left = changes
    let timer: NodeJS.Timeout | undefined
    let count: ((call: HistoryCall) => void) | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => {
          reject(
            new Error(`only ${changes - left} of ${changes} changes were acknowledged in ${timeoutMs} ms`),
          )
        }, timeoutMs)
        count = ({ begunMs, outcome }) => {
          if (begunMs < startMs || outcome.kind !== 'answered' || !changesStore(outcome.answer)) return
          if (--left === 0) resolve()
        }
        this.#waiters.add(count)
      })
    } finally {
      clearTimeout(timer)
      if (count !== undefined) this.#waiters.delete(count)
    }
    return performance.now() - startMs
  }

  /** Ends the clients, each after its call in progress. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Makes a recorded call of one member, after the clients have been stopped or beside them. */
  async call(endpoint: string, call: KvCall, timeoutMs?: number): Promise<HistoryCall> {
    const client = new HistoryClient({
      name: `final${this.#finals++}`,
      history: this.history,
      random: new SeededRandom(0),
      endpoints: () => [endpoint],
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })
    try {
      return await client.call(call)
    } finally {
      client.close()
    }
  }

  #client(name: string, random: SeededRandom, pinnedTo: number | undefined): HistoryClient {
    const { endpoints, timeoutMs } = this.#options
    return new HistoryClient({
      name,
      history: this.history,
      random,
      endpoints: () => {
        const all = endpoints()
        const one = pinnedTo === undefined ? undefined : all[pinnedTo % all.length]
        return one === undefined ? all : [one]
      },
      pinned: pinnedTo !== undefined,
      ended: (call) => {
        for (const tell of this.#waiters) tell(call)
      },
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })
  }

  async #run(client: HistoryClient): Promise<void> {
    try {
      const step = this.#options.step(client)
      while (!this.#stopped) {
        const isAnswered = await step(client)
        const pauseMsMax = this.#options.pauseMsMax ?? 10
        await pause(isAnswered ? client.random.below(pauseMsMax + 1) : PAUSE_AFTER_FAILURE_MS)
      }
    } catch (error) {
      this.#failure ??= error
      this.#stopped = true
    } finally {
      client.close()
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/**
 * Registers (workload W4): reads, puts, deletes and compare-and-set of a few keys, and serializable reads. After an unknown
 * outcome a client reads before it writes again.
 */
export function registerSteps(keys = 10): (client: HistoryClient) => WorkloadStep {
  return ({ name, random }) => {
    let written = 0
    let mustRead = true
    let known = new Map<string, string | undefined>()
    return async (client) => {
      const key = `register/${random.below(keys)}`
      const value = `${name}:${written}`
      const makeCall = random.weighted<() => KvCall>([
        [mustRead ? 1 : 3, () => ({ kind: 'range', key })],
        [mustRead ? 0 : 1, () => ({ kind: 'range', key, serializable: true })],
        [mustRead ? 0 : 3, () => ({ kind: 'put', key, value })],
        [mustRead ? 0 : 1, () => ({ kind: 'deleteRange', key })],
        [mustRead ? 0 : 4, () => compareAndSet(key, known.get(key), value)],
      ])
      const call = makeCall()
      if (call.kind === 'put' || call.kind === 'txn') written += 1
      const { outcome } = await client.call(call)
      mustRead = outcome.kind === 'unknown'
      if (outcome.kind !== 'answered') {
        known = new Map()
        return false
      }
      known.set(key, valueAfter(call, outcome.answer))
      return true
    }
  }
}

function valueAfter(call: KvCall, answer: KvResult): string | undefined {
  if (answer.kind === 'range') return answer.kvs[0]?.value
  if (call.kind === 'put') return call.value
  if (answer.kind !== 'txn' || call.kind !== 'txn') return undefined
  const [put] = call.success
  if (answer.succeeded) return put?.kind === 'put' ? put.value : undefined
  const [found] = answer.responses
  return found?.kind === 'range' ? found.kvs[0]?.value : undefined
}

/** Elements after which a list is left alone and a new one is begun. */
const LIST_LENGTH_MAX = 60

/**
 * Lists (workload W3): transactions read and append to one to four of a few lists, which are values of elements with blanks
 * in between. A transaction reads first, and then makes its appends if nothing has changed, else gives up.
 */
export function listSteps(lists = 6): (client: HistoryClient) => WorkloadStep {
  const generations = Array.from({ length: lists }, () => 0)
  return ({ name, random }) => {
    let written = 0
    return async (client) => {
      const indexes = new Set(Array.from({ length: random.between(1, 4) }, () => random.below(lists)))
      const keys = [...indexes].map((index) => ({ index, key: `list/${index}/${generations[index]}` }))
      const reads: TxnOperation[] = keys.map(({ key }) => ({ kind: 'range', key }))
      const first = await client.call({ kind: 'txn', compare: [], success: reads, failure: [] })
      if (first.outcome.kind !== 'answered' || first.outcome.answer.kind !== 'txn') return false
      if (random.chance(0.2)) return true
      const element = `${name}:${written++}`
      const found = first.outcome.answer.responses.map((response) =>
        response.kind === 'range' ? response.kvs[0] : undefined,
      )
      const appends = keys.flatMap(({ index, key }, i): TxnOperation[] => {
        const list = found[i]?.value
        if (list !== undefined && list.split(' ').length >= LIST_LENGTH_MAX) {
          if (key === `list/${index}/${generations[index]}`)
            generations[index] = (generations[index] ?? 0) + 1
        }
        const isRead = i > 0 && random.chance(0.3)
        return isRead
          ? []
          : [{ kind: 'put', key, value: list === undefined ? element : `${list} ${element}` }]
      })
      const compare = keys.map(({ key }, i) => ({
        key,
        result: CompareResult.equal,
        target: CompareTarget.mod,
        number: BigInt(found[i]?.modRevision ?? 0),
      }))
      const success = [...reads, ...appends]
      const { outcome } = await client.call({ kind: 'txn', compare, success, failure: reads })
      return outcome.kind === 'answered'
    }
  }
}
