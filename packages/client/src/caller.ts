import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError } from '@etcd-ts/api'
import { Code, GrpcError, MetadataList, type Metadata } from '@etcd-ts/grpc'
import type { Balancer } from './balancer.ts'
import { clientError, statusText } from './errors.ts'

/** What every call may be given. */
export interface CallOptions {
  /** Limit for the whole call: waiting for a connection, every attempt, the pauses between. Default: none. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** A method with one request and one answer, as the api package declares it. */
export interface UnaryMethod<Init, Answer> {
  readonly path: string
  readonly request: { encode(request: Init): Uint8Array }
  readonly response: { decode(bytes: Uint8Array): Answer }
}

/**
 * May a call that failed as unavailable be sent again? `repeatable`: always, since doing it twice does no harm.
 * `once`: only when the server has certainly not seen it.
 */
export type RetryPolicy = 'repeatable' | 'once'

/** One failed attempt of a call, whether or not another follows. */
export interface FailedAttempt {
  readonly target: string
  /** From 0. */
  readonly attempt: number
  /** The status, in the words of `statusText`. */
  readonly text: string
}

/** The token that calls carry when the client has authenticated. */
export interface TokenSource {
  readonly token: string | undefined
  /** Gets a new token because the server does not take the old one. @returns false when it cannot */
  renew(options: CallOptions): Promise<boolean>
}

/** Longer timeouts are none: timers cannot count further. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1
const ATTEMPTS_MAX = 100
const PAUSE_MS = 25
const PAUSE_JITTER = 0.1

export interface CallerOptions {
  readonly balancer: Balancer
  /** For logs. */
  readonly target: string
  readonly tokens: TokenSource
  readonly onRetry?: (attempt: FailedAttempt) => void
}

/** Makes calls: picks a connection, adds the token, tries again where that is safe. */
export class Caller {
  readonly #balancer: Balancer
  readonly #target: string
  readonly #tokens: TokenSource
  readonly #onRetry: (attempt: FailedAttempt) => void

  constructor({ balancer, target, tokens, onRetry }: CallerOptions) {
    this.#balancer = balancer
    this.#target = target
    this.#tokens = tokens
    this.#onRetry = onRetry ?? (() => undefined)
  }

  /**
   * Calls `method`.
   *
   * @throws ApiError for etcd's errors, a timeout and an abort among them; RpcError for any other status
   */
  async call<Init, Answer>(
    method: UnaryMethod<Init, Answer>,
    request: Init,
    policy: RetryPolicy,
    { timeoutMs = Infinity, signal }: CallOptions = {},
  ): Promise<Answer> {
    const bytes = method.request.encode(request)
    const deadline = timeoutMs > TIMEOUT_MAX_MS ? Infinity : performance.now() + timeoutMs
    const ends = { signal, left: () => deadline - performance.now() }
    let renewed = false
    for (let attempt = 0; ; attempt++) {
      try {
        return method.response.decode(await this.#send(method.path, bytes, ends))
      } catch (error) {
        if (!(error instanceof GrpcError)) throw clientError(error)
        this.#onRetry({ target: this.#target, attempt, text: statusText(error.code, error.message) })
        const failure = clientError(error)
        if (!renewed && isTokenProblem(failure)) {
          renewed = true
          if (await this.#tokens.renew({ timeoutMs: ends.left(), ...(signal && { signal }) })) continue
        }
        if (attempt + 1 >= ATTEMPTS_MAX || !mayRetry(error, policy)) throw failure
        await this.#pause(attempt + 1, ends)
      }
    }
  }

  async #send(path: string, bytes: Uint8Array, { signal, left }: Ends): Promise<Uint8Array> {
    const client = await this.#balancer.pick(left(), signal)
    const { token } = this.#tokens
    return client.unary(path, bytes, {
      ...(left() < Infinity && { deadlineMs: left() }),
      ...(token !== undefined && { metadata: tokenMetadata(token) }),
      ...(signal && { signal }),
    })
  }

  /** Once more than half of the endpoints have been asked, waits a little before asking the next. */
  async #pause(attempt: number, { signal, left }: Ends): Promise<void> {
    if (attempt % this.#balancer.quorum !== 0) return
    const pauseMs = PAUSE_MS * (1 + PAUSE_JITTER * (2 * Math.random() - 1))
    const leftMs = left()
    try {
      await sleep(Math.min(pauseMs, Math.max(0, leftMs)), undefined, signal && { signal })
    } catch (error) {
      throw new ApiError('contextCanceled', { cause: error })
    }
    if (leftMs <= pauseMs) throw new ApiError('contextDeadlineExceeded')
  }
}

interface Ends {
  readonly signal: AbortSignal | undefined
  /** Milliseconds until the deadline. */
  readonly left: () => number
}

function tokenMetadata(token: string): Metadata {
  return MetadataList.from({ token })
}

function isTokenProblem(error: Error): boolean {
  return (
    error instanceof ApiError && (error.reason === 'invalidAuthToken' || error.reason === 'authOldRevision')
  )
}

function mayRetry(error: GrpcError, policy: RetryPolicy): boolean {
  return error.code === Code.Unavailable && (policy === 'repeatable' || error.unprocessed)
}
