import { AuthClient } from './auth.ts'
import { Balancer, type BalancerOptions } from './balancer.ts'
import { Caller, type FailedAttempt, type TokenSource } from './caller.ts'
import { ClusterClient } from './cluster.ts'
import type { TlsOptions } from './dial.ts'
import { KvClient } from './kv.ts'
import { LeaseClient } from './lease.ts'
import { MaintenanceClient } from './maintenance.ts'
import { Tokens, type Credentials } from './tokens.ts'

export interface ClientOptions {
  /** `host:port`, `http://host:port`, `https://host:port`, `unix://path`. */
  readonly endpoints: readonly string[]
  readonly tls?: TlsOptions
  readonly credentials?: Credentials
  /** Limit for making one connection, and for the first authentication. Default: 5 s. */
  readonly dialTimeoutMs?: number
  /** Pings on a quiet connection while calls wait. Members refuse more than one in 5 s, so 10 s is the least. */
  readonly keepalive?: { readonly intervalMs: number; readonly timeoutMs: number }
  /** Largest message to send. Default: 2 MiB. */
  readonly maxSendBytes?: number
  /** Largest message to receive. Default: what gRPC can frame. */
  readonly maxReceiveBytes?: number
  /** Called for every attempt that failed. */
  readonly onRetry?: (attempt: FailedAttempt) => void
  /** Called with what happens to connections. */
  readonly onLog?: (text: string) => void
}

const SEND_BYTES_MAX = 2 * 1024 * 1024
const RECEIVE_BYTES_MAX = 2 ** 31 - 1
const KEEPALIVE_INTERVAL_MIN_MS = 10_000
const DIAL_TIMEOUT_MS = 5_000
/** Timers cannot count further. */
const DIAL_TIMEOUT_MAX_MS = 2 ** 31 - 1

/** A client of an etcd cluster. */
export class Client {
  readonly kv: KvClient
  readonly lease: LeaseClient
  readonly cluster: ClusterClient
  readonly maintenance: MaintenanceClient
  readonly auth: AuthClient
  readonly #options: ClientOptions
  /** What logs call the client, in the form of etcd's own clients. */
  readonly #target: string
  readonly #balancer: Balancer
  readonly #tokens: Tokens
  readonly #byEndpoint = new Map<string, { readonly balancer: Balancer; readonly caller: Caller }>()

  private constructor(options: ClientOptions) {
    this.#options = options
    this.#target = `endpoint://client-${clientName()}/${options.endpoints[0]}`
    this.#balancer = new Balancer(options.endpoints, balancerOptions(options))
    this.#tokens = new Tokens(
      options.credentials,
      () => new AuthClient(this.#caller(this.#balancer, noToken)),
    )
    const caller = this.#caller(this.#balancer, this.#tokens)
    this.kv = new KvClient(caller)
    this.lease = new LeaseClient(caller)
    this.cluster = new ClusterClient(caller)
    this.maintenance = new MaintenanceClient(caller, (endpoint) => this.#callerAt(endpoint))
    this.auth = new AuthClient(caller)
  }

  /**
   * A client; a user is authenticated first, connections are made when they are needed.
   *
   * @throws ApiError when the user is refused or no member answers in time, Error without endpoints
   */
  static async connect(options: ClientOptions): Promise<Client> {
    if (options.endpoints.length === 0) throw new Error('etcdclient: no available endpoints')
    const client = new Client(options)
    try {
      await client.#tokens.start({ timeoutMs: options.dialTimeoutMs ?? DIAL_TIMEOUT_MS })
    } catch (error) {
      client.close()
      throw error
    }
    return client
  }

  get endpoints(): readonly string[] {
    return this.#options.endpoints
  }

  /** Ends all connections; open calls fail. */
  close(): void {
    this.#balancer.close()
    for (const { balancer } of this.#byEndpoint.values()) balancer.close()
  }

  #callerAt(endpoint: string): Caller {
    let entry = this.#byEndpoint.get(endpoint)
    if (!entry) {
      const balancer = new Balancer([endpoint], balancerOptions(this.#options))
      entry = { balancer, caller: this.#caller(balancer, this.#tokens, `passthrough:///${endpoint}`) }
      this.#byEndpoint.set(endpoint, entry)
    }
    return entry.caller
  }

  #caller(balancer: Balancer, tokens: TokenSource, target = this.#target): Caller {
    const { onRetry } = this.#options
    return new Caller({ balancer, target, tokens, ...(onRetry && { onRetry }) })
  }
}

const noToken: TokenSource = { token: undefined, renew: () => Promise.resolve(false) }

/** A name in the form of a UUID. It only has to tell clients apart in a log. */
function clientName(): string {
  return '########-####-4###-a###-############'.replace(/#/g, () =>
    Math.floor(Math.random() * 16).toString(16),
  )
}

function balancerOptions(options: ClientOptions): BalancerOptions {
  const { keepalive, tls, onLog } = options
  return {
    timeoutMs: Math.min(options.dialTimeoutMs ?? DIAL_TIMEOUT_MS, DIAL_TIMEOUT_MAX_MS),
    ...(tls && { tls }),
    ...(onLog && { onLog }),
    transport: {
      maxSendMessageBytes: options.maxSendBytes ?? SEND_BYTES_MAX,
      maxRecvMessageBytes: options.maxReceiveBytes ?? RECEIVE_BYTES_MAX,
      ...(keepalive && {
        keepalive: {
          intervalMs: Math.max(keepalive.intervalMs, KEEPALIVE_INTERVAL_MIN_MS),
          timeoutMs: keepalive.timeoutMs,
        },
      }),
    },
  }
}
