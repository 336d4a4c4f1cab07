/**
 * The v3 API as JSON over HTTP/1.1, as the gateway of etcd 3.5 gives it.
 *
 *     POST /v3/...  body: the request as JSON,        200: the answer as JSON,
 *                   or a stream of requests:          or a stream of answers: a line {"result":...} for
 *                   JSON values one after another     each, and {"error":...} at the end of one that failed
 *
 * Every call goes to the service table that gRPC calls go to, with the headers as its metadata.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { JsonError, type JsonValue, type ServiceMethod, errorTable, gatewayMethods } from '@etcd-ts/api'
import { Code, type ServiceTable, type Status } from '@etcd-ts/grpc'
import { type Clock, systemClock } from '@etcd-ts/platform'
import { answerError, targetOf } from './answer.ts'
import { CallSlots } from './call-slots.ts'
import { GatewayAnswer, sendError } from './gateway-answer.ts'
import { BodyValues, collectBody, firstValue } from './gateway-body.ts'
import { RefusedHeaderError, metadataOf, timeoutOf } from './gateway-metadata.ts'

export interface GatewayOptions {
  /** Calls of all clients together that run at once; others wait their turn. */
  readonly maxConcurrentCalls: number
  /** Largest request in its encoded form; by default what etcd's defaults come to. */
  readonly maxRequestMessageBytes?: number
  readonly clock?: Clock
}

const REQUEST_MESSAGE_BYTES_MAX_DEFAULT = 2 * 1024 * 1024
/** What one byte of a message may take in JSON, with base64, names and white space. */
const JSON_BYTES_PER_BYTE = 4
/** Calls that wait their turn; more are refused. */
const CALLS_WAITING_MAX = 10_000

const PREFIX = '/v3/'
/** The prefix of etcd 3.3, whose clients are still served. */
const OLD_PREFIX = '/v3beta/'

const FORM_TYPE = 'application/x-www-form-urlencoded'

/** Answers `/v3/...`. */
export class Gateway {
  readonly #services: ServiceTable
  readonly #serviceNames: ReadonlySet<string>
  readonly #messageBytesMax: number
  readonly #bodyBytesMax: number
  readonly #slots: CallSlots
  readonly #clock: Clock

  constructor(services: ServiceTable, options: GatewayOptions) {
    this.#services = services
    this.#serviceNames = new Set(Array.from(services.keys(), serviceOf))
    this.#messageBytesMax = options.maxRequestMessageBytes ?? REQUEST_MESSAGE_BYTES_MAX_DEFAULT
    this.#bodyBytesMax = this.#messageBytesMax * JSON_BYTES_PER_BYTE
    this.#slots = new CallSlots(options.maxConcurrentCalls, CALLS_WAITING_MAX)
    this.#clock = options.clock ?? systemClock
  }

  /** @returns false, with the request untouched, when its path is not the gateway's */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    let path = pathOf(request)
    if (path.startsWith(OLD_PREFIX)) path = PREFIX + path.slice(OLD_PREFIX.length)
    if (!path.startsWith(PREFIX)) return false
    const method = gatewayMethods.get(path)
    if (method === undefined) answerError(response, 404, 'Not Found')
    else if (httpMethodOf(request) !== 'POST') answerError(response, 405, 'Method Not Allowed')
    else this.#call(method, request, response)
    return true
  }

  #call(method: ServiceMethod, request: IncomingMessage, response: ServerResponse): void {
    let answer: GatewayAnswer
    try {
      const timeoutMs = timeoutOf(request)
      const metadata = metadataOf(request)
      answer = new GatewayAnswer(method, request, response, { metadata, timeoutMs, clock: this.#clock })
    } catch (error) {
      if (!(error instanceof RefusedHeaderError)) throw error
      sendError(response, error)
      return
    }
    if (method.clientStreaming) this.#streamRequests(method, request, answer)
    else this.#readRequest(method, request, answer)
  }

  #readRequest(method: ServiceMethod, request: IncomingMessage, answer: GatewayAnswer): void {
    collectBody(request, this.#bodyBytesMax, (body) => {
      if (body === undefined) {
        this.#refuseBody(request, answer)
        return
      }
      let message: Uint8Array
      try {
        message = encode(method, firstValue(body))
      } catch (error) {
        if (!(error instanceof JsonError)) throw error
        answer.refuse({ code: Code.InvalidArgument, message: error.message })
        return
      }
      this.#start(answer, message)
    })
  }

  /** A stream begins with its first message, or with the end of a body that has none. */
  #streamRequests(method: ServiceMethod, request: IncomingMessage, answer: GatewayAnswer): void {
    const { call } = answer
    let begun = false
    const begin = (): void => {
      if (begun) return
      begun = true
      this.#start(answer, undefined)
    }
    const values = new BodyValues(request, this.#bodyBytesMax, {
      get paused() {
        return begun && call.paused
      },
      get ended() {
        return call.ended
      },
      onValue: (value) => {
        const message = encode(method, value)
        const fits = message.length <= this.#messageBytesMax
        // Before the call begins, since whoever begins it may ask for the next message at once.
        if (fits) call.deliver(message)
        begin()
        if (!fits) call.fail(this.#tooLarge(message.length))
      },
      onEnd: () => {
        call.halfClose()
        begin()
      },
      onError: (error) => {
        // What came before it is answered; a stream that begins with it is not one.
        if (begun) call.halfClose()
        else if (error === undefined) this.#refuseBody(request, answer)
        else answer.refuse({ code: Code.Unknown, message: error.message })
      },
    })
    answer.onReady = () => values.resume()
  }

  /** Hands the call to its service when it is its turn, with the one message that it has or without any. */
  #start(answer: GatewayAnswer, message: Uint8Array | undefined): void {
    const { call } = answer
    const taken = this.#slots.take(() => {
      if (call.expireIfDue()) {
        this.#slots.release()
        return
      }
      answer.onDone = () => this.#slots.release()
      answer.begin()
      const method = this.#services.get(call.path)
      if (method === undefined)
        call.fail({ code: Code.Unimplemented, message: this.#explainMissing(call.path) })
      else if (message === undefined) {
        if (method.kind === 'stream') call.startStream(method)
      } else if (message.length > this.#messageBytesMax) call.fail(this.#tooLarge(message.length))
      else if (method.kind === 'unary') call.startUnary(method, message)
      else {
        call.startStream(method)
        call.deliver(message)
        call.halfClose()
      }
    })
    if (!taken) answer.refuse({ code: Code.ResourceExhausted, message: errorTable.tooManyRequests.text })
  }

  /** Refuses a body that is too long for any request; what the client still sends of it is not waited for. */
  #refuseBody(request: IncomingMessage, answer: GatewayAnswer): void {
    answer.closeConnection()
    answer.refuse(this.#tooLarge(Number(request.headers['content-length'] ?? this.#bodyBytesMax + 1)))
  }

  #tooLarge(bytes: number): Status {
    return {
      code: Code.ResourceExhausted,
      message: `grpc: received message larger than max (${bytes} vs. ${this.#messageBytesMax})`,
    }
  }

  #explainMissing(path: string): string {
    const service = serviceOf(path)
    if (!this.#serviceNames.has(service)) return `unknown service ${service}`
    return `unknown method ${path.slice(service.length + 2)} for service ${service}`
  }
}

function encode(method: ServiceMethod, value: JsonValue): Uint8Array {
  return method.request.encode(method.request.fromJson(value))
}

/** `package.Service` of `/package.Service/Method`. */
function serviceOf(path: string): string {
  return path.slice(1, path.lastIndexOf('/'))
}

/** The decoded path of the request target, which is not cleaned: `//v3/kv/put` is another path. */
function pathOf(request: IncomingMessage): string {
  const target = request.url ?? '/'
  if (!target.startsWith('/')) return targetOf(request).pathname
  const query = target.search(/[?#]/)
  const path = query < 0 ? target : target.slice(0, query)
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return path // not UTF-8, so no path of ours
  }
}

/** The method, which a form may override: that is how some browsers' scripts did what forms cannot. */
function httpMethodOf(request: IncomingMessage): string {
  const override = request.headers['x-http-method-override']
  const isForm = request.method === 'POST' && request.headers['content-type'] === FORM_TYPE
  return isForm && typeof override === 'string' && override !== ''
    ? override.toUpperCase()
    : (request.method ?? '')
}
