import { JsonNumber, type JsonValue, parseJson } from '@etcd-ts/api'
import type { Clock } from '@etcd-ts/platform'
import { textOf } from '../../config/index.ts'
import { type ExchangeAnswer, ExchangeTimeoutError, exchange } from './http-exchange.ts'

/** A key of a v2 store, or a folder of them. */
export interface V2Node {
  readonly key: string
  readonly value: string
  readonly createdIndex: number
  readonly nodes: readonly V2Node[]
}

export interface V2Answer {
  readonly node: V2Node
  /** Of the whole store, when the answer was made. */
  readonly index: number
}

/** The store's own refusal, with etcd's code (105: the key exists). */
export class V2Error extends Error {
  override readonly name = 'V2Error'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Nobody answers, or the one who does cannot serve now: asking again may help. */
export class V2UnavailableError extends Error {
  override readonly name = 'V2UnavailableError'
}

/** The answer is not that of a v2 store. */
export class V2AnswerError extends Error {
  override readonly name = 'V2AnswerError'
}

export const V2_NODE_EXISTS = 105
const INDEX_CLEARED = 401

const NOT_JSON = 'client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint.'
const REQUEST_MS = 5_000
/** A watch is asked again after so long, since a connection may be lost without a word. */
const WATCH_MS = 60_000

/** Reads and writes a v2 store over HTTP. Keys are paths on the host. */
export class V2Keys {
  /** Scheme, host and port. */
  readonly endpoint: string
  readonly #proxy: URL | undefined
  readonly #clock: Clock

  constructor(endpoint: string, proxy: URL | undefined, clock: Clock) {
    this.endpoint = endpoint
    this.#proxy = proxy
    this.#clock = clock
  }

  /** @throws V2Error, V2UnavailableError, V2AnswerError */
  async get(key: string): Promise<V2Answer> {
    const url = this.#url(key, { quorum: 'false', recursive: 'false', sorted: 'false' })
    return read(await this.#send({ url, method: 'GET', timeoutMs: REQUEST_MS }))
  }

  /** Makes a key that must not exist. @throws V2Error, V2UnavailableError, V2AnswerError */
  async create(key: string, value: string): Promise<void> {
    const url = this.#url(key, { prevExist: 'false' })
    const form = new URLSearchParams({ value })
    read(await this.#send({ url, method: 'PUT', form, timeoutMs: REQUEST_MS }))
  }

  /**
   * Waits for the first change at or below `key` behind `index`, for a minute at the most.
   *
   * @throws V2Error, V2UnavailableError, V2AnswerError
   */
  async changed(key: string, index: number): Promise<void> {
    const url = this.#url(key, { recursive: 'true', wait: 'true', waitIndex: String(index + 1) })
    let answer: ExchangeAnswer
    try {
      answer = await this.#send({ url, method: 'GET', timeoutMs: WATCH_MS })
    } catch (error) {
      if (error instanceof Error && error.cause instanceof ExchangeTimeoutError) return
      throw error
    }
    // A watch that the server ends has an empty body.
    if (answer.body === '') return
    try {
      read(answer)
    } catch (error) {
      // So much has changed since `index` that the store has forgotten what was first.
      if (!(error instanceof V2Error && error.code === INDEX_CLEARED)) throw error
    }
  }

  #url(key: string, query: Readonly<Record<string, string>>): URL {
    const url = new URL(this.endpoint)
    url.pathname = key
    url.search = new URLSearchParams(query).toString()
    return url
  }

  async #send(request: {
    url: URL
    method: 'GET' | 'PUT'
    form?: URLSearchParams
    timeoutMs: number
  }): Promise<ExchangeAnswer> {
    let answer: ExchangeAnswer
    try {
      answer = await exchange({ ...request, proxy: this.#proxy, clock: this.#clock })
    } catch (error) {
      throw unavailable(textOf(error), { cause: error })
    }
    if (answer.status >= 500) {
      throw unavailable(`client: etcd member ${this.endpoint} returns server error [${answer.status}]`)
    }
    return answer
  }
}

function unavailable(text: string, options?: ErrorOptions): V2UnavailableError {
  return new V2UnavailableError(
    `client: etcd cluster is unavailable or misconfigured; error #0: ${text}`,
    options,
  )
}

/** @throws V2Error, V2AnswerError */
function read({ status, headers, body }: ExchangeAnswer): V2Answer {
  let value: JsonValue
  try {
    value = parseJson(body)
  } catch (error) {
    throw new V2AnswerError(NOT_JSON, { cause: error })
  }
  const fields = fieldsOf(value)
  if (status !== 200 && status !== 201) {
    const code = countOf(fields['errorCode'])
    const { message, cause } = fields
    if (code === undefined || typeof message !== 'string') throw new V2AnswerError(NOT_JSON)
    const place = typeof cause === 'string' ? cause : ''
    throw new V2Error(code, `${code}: ${message} (${place}) [${countOf(fields['index']) ?? 0}]`)
  }
  const header = headers['x-etcd-index']
  const index = typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : 0
  return { node: nodeOf(fields['node']), index }
}

type Fields = Readonly<Record<string, JsonValue | undefined>>

function fieldsOf(value: JsonValue | undefined): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof JsonNumber) {
    throw new V2AnswerError(NOT_JSON)
  }
  return value as Fields
}

function countOf(value: JsonValue | undefined): number | undefined {
  return value instanceof JsonNumber && /^\d{1,15}$/.test(value.text) ? Number(value.text) : undefined
}

function nodeOf(value: JsonValue | undefined): V2Node {
  const { key, value: text, createdIndex, nodes } = fieldsOf(value)
  if (typeof key !== 'string') throw new V2AnswerError(NOT_JSON)
  return {
    key,
    value: typeof text === 'string' ? text : '',
    createdIndex: countOf(createdIndex) ?? 0,
    nodes: Array.isArray(nodes) ? nodes.map(nodeOf) : [],
  }
}
