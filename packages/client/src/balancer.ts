import { Code, GrpcClient, GrpcError, type GrpcClientOptions } from '@etcd-ts/grpc'
import { dial, type DialOptions } from './dial.ts'
import { authorityOf, parseEndpoint, type Endpoint } from './endpoint.ts'

export interface BalancerOptions extends DialOptions {
  readonly transport: Omit<GrpcClientOptions, 'connect' | 'authority'>
  readonly onLog?: (text: string) => void
}

const BACKOFF_FIRST_MS = 100
const BACKOFF_MAX_MS = 3_000
const BACKOFF_FACTOR = 1.6

interface Waiter {
  readonly resolve: (client: GrpcClient) => void
  readonly reject: (error: GrpcError) => void
  readonly stop: () => void
}

/** One endpoint and its connection. */
interface Link {
  readonly endpoint: Endpoint
  readonly client: GrpcClient
  dialing: boolean
}

/**
 * Spreads calls over the endpoints that can be reached, one after the other. Connections are made by the first
 * call; while none stands, calls wait, and dialling goes on with growing pauses.
 */
export class Balancer {
  readonly #links: readonly Link[]
  readonly #log: (text: string) => void
  readonly #timers = new Set<NodeJS.Timeout>()
  #waiters: Waiter[] = []
  #next = 0
  #closed = false
  /** Why the newest connection could not be made. */
  #lastError = ''

  constructor(endpoints: readonly string[], { transport, onLog, ...options }: BalancerOptions) {
    this.#log = onLog ?? (() => undefined)
    this.#links = endpoints.map((text) => {
      const endpoint = parseEndpoint(text)
      const connect = () => dial(endpoint, options)
      const client = new GrpcClient({ ...transport, connect, authority: authorityOf(endpoint) })
      return { endpoint, client, dialing: false }
    })
  }

  /** How many endpoints make more than half. */
  get quorum(): number {
    return Math.floor(this.#links.length / 2) + 1
  }

  /**
   * A client with a standing connection; waits for one.
   *
   * @throws GrpcError DeadlineExceeded after `timeoutMs`, Cancelled when `signal` aborts
   */
  pick(timeoutMs: number, signal?: AbortSignal): Promise<GrpcClient> {
    const ready = this.#nextConnected()
    this.#dialMissing()
    if (ready && timeoutMs > 0) return Promise.resolve(ready)
    return new Promise((resolve, reject) => {
      const fail = (code: Code, text: string): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        waiter.stop()
        reject(new GrpcError(code, text, { unprocessed: true }))
      }
      const onTimeout = (): void => fail(Code.DeadlineExceeded, `latest balancer error: ${this.#lastError}`)
      const onAbort = (): void => fail(Code.Cancelled, 'context canceled')
      const timer = timeoutMs < Infinity ? setTimeout(onTimeout, Math.max(0, timeoutMs)) : undefined
      signal?.addEventListener('abort', onAbort)
      const stop = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = { resolve, reject, stop }
      if (this.#closed) fail(Code.Cancelled, 'grpc: the client connection is closing')
      else if (signal?.aborted === true) onAbort()
      else this.#waiters.push(waiter)
    })
  }

  /** Ends all connections; calls that still wait fail. */
  close(): void {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const { client } of this.#links) client.close()
    for (const { reject, stop } of this.#waiters) {
      stop()
      reject(new GrpcError(Code.Cancelled, 'grpc: the client connection is closing', { unprocessed: true }))
    }
    this.#waiters = []
  }

  #nextConnected(): GrpcClient | undefined {
    for (let i = 0; i < this.#links.length; i++) {
      const at = (this.#next + i) % this.#links.length
      if (!this.#links[at]!.client.connected) continue
      this.#next = at + 1
      return this.#links[at]!.client
    }
    return undefined
  }

  #dialMissing(): void {
    for (const link of this.#links) {
      if (!link.dialing && !link.client.connected && !this.#closed) this.#dial(link, BACKOFF_FIRST_MS)
    }
  }

  #dial(link: Link, backoffMs: number): void {
    link.dialing = true
    link.client.connect().then(
      () => {
        link.dialing = false
        this.#log(`connected to ${link.endpoint.text}`)
        const waiters = this.#waiters
        this.#waiters = []
        for (const { resolve, stop } of waiters) {
          stop()
          resolve(this.#nextConnected() ?? link.client)
        }
      },
      (error: unknown) => {
        this.#lastError = `last connection error: ${(error as Error).message}`
        this.#log(`cannot connect to ${link.endpoint.text}: ${(error as Error).message}`)
        if (this.#closed) return
        const jitter = 0.8 + 0.4 * Math.random()
        const timer = setTimeout(() => {
          this.#timers.delete(timer)
          this.#dial(link, Math.min(backoffMs * BACKOFF_FACTOR, BACKOFF_MAX_MS))
        }, backoffMs * jitter)
        this.#timers.add(timer)
      },
    )
  }
}
