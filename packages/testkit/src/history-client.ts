import type { ConcurrentHistory, HistoryCall } from './concurrent-history.ts'
import { GrpcKvClient } from './kv-clients.ts'
import type { KvCall } from './kv-types.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface HistoryClientOptions {
  readonly name: string
  readonly history: ConcurrentHistory
  readonly random: SeededRandom
  /** `host:port` of the members that may be asked at the moment. */
  readonly endpoints: () => readonly string[]
  /** Whether the client stays with its member when that gives no answer. Default: no. */
  readonly pinned?: boolean
  /** Default: 2,000. */
  readonly timeoutMs?: number
  /** Is told of every call once it has ended. */
  readonly ended?: (call: HistoryCall) => void
}

/** How likely a client goes on to another member without need. */
const MOVES = 0.02

/**
 * A client that makes one call at a time and records it. It stays with one member, and unless it is pinned goes on to
 * another when that gives no answer, and now and then.
 */
export class HistoryClient {
  readonly name: string
  readonly random: SeededRandom
  readonly #options: HistoryClientOptions
  readonly #clients = new Map<string, GrpcKvClient>()
  #endpoint: string | undefined
  #breaks = 0

  constructor(options: HistoryClientOptions) {
    this.name = options.name
    this.random = options.random
    this.#options = options
  }

  async call(call: KvCall): Promise<HistoryCall> {
    const endpoint = this.#pick()
    const timeoutMs = this.#options.timeoutMs ?? 2_000
    const kv = this.#client(endpoint)
    // A call that finds nobody is refused at once; and one may be made again only when there is somebody to ask.
    await kv.grpc.connected(timeoutMs).catch(() => undefined)
    const end = this.#options.history.begin(this.name, `${this.name} to ${endpoint} #${this.#breaks}`, call)
    const { answer } = await kv.call(call, timeoutMs)
    const entry = end(answer)
    this.#options.ended?.(entry)
    if (entry.outcome.kind === 'answered') return entry
    this.#breaks += 1
    if (this.#options.pinned !== true) this.#endpoint = undefined
    return entry
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
  }

  #pick(): string {
    const { pinned, endpoints, random } = this.#options
    const possible = endpoints()
    const isGone = this.#endpoint === undefined || !possible.includes(this.#endpoint)
    if (isGone || (pinned !== true && random.chance(MOVES))) {
      this.#endpoint = random.pick(possible)
      this.#breaks += 1
    }
    return this.#endpoint ?? random.pick(possible)
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
