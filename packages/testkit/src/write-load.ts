import { GrpcKvClient } from './kv-clients.ts'
import { LedgerWrites, ledgerCall } from './ledger-writes.ts'
import { type Scope, freeAfter } from './scope.ts'
import { SeededRandom } from './seeded-random.ts'
import { show } from './show.ts'
import { type LedgerWrite, WriteLedger } from './write-ledger.ts'

export interface WriteLoadOptions {
  /** `host:port` of the members that may be asked at the moment. */
  readonly endpoints: () => readonly string[]
  /** Clients that write one thing after the other. Default: 8. */
  readonly writers?: number
  readonly seed?: number
  /** How long a client rests between two writes. Default: 2. */
  readonly pauseMs?: number
}

const CALL_TIMEOUT_MS = 4_000
const PAUSE_AFTER_FAILURE_MS = 30
const READ_BACK = 0.1

/**
 * Clients that write while the members of a cluster come and go. A client that gets no answer goes on to another member
 * with another write; now and then one reads what it has just written from any member. `check` then tells whether a write
 * that was acknowledged has been lost or made twice.
 */
export class WriteLoad {
  readonly ledger = new WriteLedger()
  readonly #options: WriteLoadOptions
  readonly #waiters: { readonly acknowledged: number; readonly resolve: () => void }[] = []
  #acknowledged = 0
  #failed: unknown
  #stopping = false
  #running: Promise<void>[] = []

  constructor(options: WriteLoadOptions) {
    this.#options = options
  }

  /** Starts the clients; they stop at the end of `scope` at the latest. */
  static start(scope: Scope, options: WriteLoadOptions): WriteLoad {
    const load = new WriteLoad(options)
    const random = new SeededRandom(options.seed ?? 1)
    for (let i = 0; i < (options.writers ?? 8); i++) load.#running.push(load.#write(`w${i}`, random.fork()))
    freeAfter(scope, async () => {
      load.#stopping = true
      await Promise.all(load.#running)
    })
    return load
  }

  /** Waits until so many more writes have been acknowledged. */
  async progress(writes: number, timeoutMs = 30_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve, reject) => {
      const before = this.#acknowledged
      this.#waiters.push({ acknowledged: before + writes, resolve })
      timer = setTimeout(() => {
        reject(new Error(`${this.#acknowledged - before} writes of ${writes} in ${timeoutMs} ms`))
      }, timeoutMs)
    }).finally(() => clearTimeout(timer))
  }

  /** Ends the clients. @throws when one has read something else than it had written */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#running)
    if (this.#failed !== undefined) throw this.#failed
  }

  /** Compares what a member holds with what was acknowledged; the clients must have been stopped. */
  async check(endpoint: string): Promise<void> {
    const client = new GrpcKvClient(endpoint)
    try {
      await client.grpc.connected()
      const { answer } = await client.call({ kind: 'range', key: '\0', rangeEnd: '\0' })
      if (answer.kind !== 'range') throw new Error(show(answer))
      this.ledger.check(answer.kvs, answer.revision)
    } finally {
      client.close()
    }
  }

  async #write(name: string, random: SeededRandom): Promise<void> {
    const writes = new LedgerWrites(name, random)
    const clients = new Clients(this.#options.endpoints, random)
    try {
      while (!this.#stopping) {
        const write = this.ledger.begin(writes.next())
        const revision = await clients.write(write)
        if (revision === undefined) {
          this.ledger.unanswered(write)
          writes.unanswered()
          await pause(PAUSE_AFTER_FAILURE_MS)
          continue
        }
        this.ledger.acknowledged(write, revision)
        this.#count()
        if (random.chance(READ_BACK)) await clients.readBack(write, revision)
        await pause(this.#options.pauseMs ?? 2)
      }
    } catch (error) {
      this.#failed ??= error
      this.#stopping = true
    } finally {
      clients.close()
    }
  }

  #count(): void {
    this.#acknowledged += 1
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      const waiter = this.#waiters[i]
      if (waiter === undefined || waiter.acknowledged > this.#acknowledged) continue
      this.#waiters.splice(i, 1)
      waiter.resolve()
    }
  }
}

/** The connections of one writer: it stays with a member until that gives no answer. */
class Clients {
  readonly #endpoints: () => readonly string[]
  readonly #random: SeededRandom
  readonly #clients = new Map<string, GrpcKvClient>()
  #current: string | undefined

  constructor(endpoints: () => readonly string[], random: SeededRandom) {
    this.#endpoints = endpoints
    this.#random = random
  }

  /** @returns the revision, or undefined when there was no answer */
  async write(write: LedgerWrite): Promise<number | undefined> {
    this.#current ??= this.#pick()
    const { answer } = await this.#client(this.#current).call(ledgerCall(write), CALL_TIMEOUT_MS)
    if (answer.kind !== 'error') return answer.revision
    this.#current = undefined
    return undefined
  }

  /** Reads a write that nobody has undone from any member that answers; it must be there. */
  async readBack(write: LedgerWrite, revision: number): Promise<void> {
    const key = write.puts[0] ?? ''
    const { answer } = await this.#client(this.#pick()).call({ kind: 'range', key }, CALL_TIMEOUT_MS)
    if (answer.kind === 'range' && answer.kvs[0]?.modRevision !== revision) {
      throw new Error(
        `${key} was written at revision ${revision}, but a read after that gave ${show(answer)}`,
      )
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
  }

  #pick(): string {
    const endpoints = this.#endpoints()
    for (const [endpoint, client] of this.#clients) {
      if (endpoints.includes(endpoint)) continue
      client.close()
      this.#clients.delete(endpoint)
    }
    return this.#random.pick(endpoints)
  }

  #client(endpoint: string): GrpcKvClient {
    let client = this.#clients.get(endpoint)
    if (client === undefined) {
      client = new GrpcKvClient(endpoint)
      this.#clients.set(endpoint, client)
    }
    return client
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
