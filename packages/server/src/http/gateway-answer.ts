import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { type ServiceMethod, formatJson } from '@etcd-ts/api'
import { Code, type Status } from '@etcd-ts/grpc'
import { METADATA_PREFIX, TRAILER_PREFIX, canonicalHeader } from './gateway-metadata.ts'
import { errorBody, httpStatusOf, streamErrorBody } from './gateway-status.ts'
import { LocalCall, type LocalCallOptions, type LocalCaller } from './local-call.ts'

/** Every answer of a gRPC server has this header, and one that has nothing else has it as a trailer. */
const GRPC_CONTENT_TYPE = ['content-type', 'application/grpc'] as const

/** The HTTP side of one call: turns what the service answers into a response. */
export class GatewayAnswer implements LocalCaller {
  readonly call: LocalCall
  /** Set by the owner to learn, once, that the call has ended, however it did. */
  onDone: (() => void) | undefined
  /** Set by the owner to learn that the service takes messages again. */
  onReady: (() => void) | undefined

  readonly #method: ServiceMethod
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #wantsTrailers: boolean
  /** Whether the service has the call: its errors look different on a stream. */
  #begun = false
  /** The answer of a unary call. */
  #body: string | undefined

  constructor(
    method: ServiceMethod,
    request: IncomingMessage,
    response: ServerResponse,
    options: Omit<LocalCallOptions, 'path'>,
  ) {
    this.#method = method
    this.#request = request
    this.#response = response
    this.#wantsTrailers = /trailers/i.test(String(request.headers['te']))
    this.call = new LocalCall(this, { ...options, path: method.path })
    response.on('drain', () => this.call.drained())
    response.on('close', () => {
      if (this.call.ended) return
      this.call.cancel('disconnected')
      this.#done()
    })
  }

  /** From now on the service answers. */
  begin(): void {
    this.#begun = true
  }

  /** The connection is closed after this answer. */
  closeConnection(): void {
    this.#response.setHeader('Connection', 'close')
  }

  /** Ends the call before it has reached its service. */
  refuse(status: Status): void {
    if (this.call.ended) return
    this.call.cancel('cancelled')
    sendError(this.#response, status)
    this.#done()
  }

  onMessage(bytes: Uint8Array): boolean {
    const json = formatJson(this.#method.response.toJson(this.#method.response.decode(bytes)))
    if (!this.#method.serverStreaming) {
      this.#body = json
      return true
    }
    if (!this.#response.headersSent) this.#response.writeHead(200, this.#headers())
    return this.#response.write(`{"result":${json}}\n`)
  }

  bufferedBytes(): number {
    return this.#response.writableLength
  }

  onEnd(status: Status, byService: boolean): void {
    const { trailers } = this.call
    if (this.#method.serverStreaming && this.#begun) this.#endStream(status)
    else if (status.code !== Code.Ok) {
      sendError(
        this.#response,
        status,
        byService && this.#wantsTrailers ? [...trailers, GRPC_CONTENT_TYPE] : [],
      )
    } else {
      send(this.#response, 200, this.#headers(), this.#body ?? '{}', this.#wantsTrailers ? trailers : [])
    }
    this.#done()
  }

  onResume(): void {
    this.onReady?.()
  }

  #done(): void {
    // Whatever of the request has not been read is in the way of the next one.
    this.#request.resume()
    this.onDone?.()
  }

  #headers(): OutgoingHttpHeaders {
    const headers: Record<string, string | string[]> = { 'Content-Type': 'application/json' }
    for (const [name, value] of [GRPC_CONTENT_TYPE, ...this.call.headers]) {
      const header = canonicalHeader(METADATA_PREFIX + name)
      headers[header] = header in headers ? [headers[header]!, value].flat() : value
    }
    return headers
  }

  #endStream(status: Status): void {
    const response = this.#response
    if (!response.headersSent)
      response.writeHead(httpStatusOf(status.code), { 'Content-Type': 'application/json' })
    if (status.code === Code.Ok) response.end()
    else response.end(streamErrorBody(status))
  }
}

type Pairs = readonly (readonly [name: string, value: string])[]

/** Answers with an error that is no part of a stream. */
export function sendError(response: ServerResponse, status: Status, trailers: Pairs = []): void {
  send(
    response,
    httpStatusOf(status.code),
    { 'Content-Type': 'application/json' },
    errorBody(status),
    trailers,
  )
}

function send(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string,
  trailers: Pairs,
): void {
  if (trailers.length === 0) {
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
  } else {
    const named = trailers.map(([name, value]): [string, string] => [
      canonicalHeader(TRAILER_PREFIX + name),
      value,
    ])
    response.writeHead(status, { ...headers, Trailer: [...new Set(named.map(([name]) => name))] })
    response.addTrailers(named)
  }
  response.end(body)
}
