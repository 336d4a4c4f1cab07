import { type AnyCodec, type Codec } from '@etcd-ts/api'
import { Client, Metadata, credentials } from '@grpc/grpc-js'

/** A call that ended with a status other than OK. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  readonly code: number
  /** The status message as the server sent it. */
  readonly text: string

  constructor(code: number, text: string) {
    super(`gRPC status ${code}: ${text}`)
    this.code = code
    this.text = text
  }
}

/** A unary method as `@etcd-ts/api` describes it. */
export interface UnaryMethod<Request, RequestInit, Response, ResponseInit> {
  readonly path: string
  readonly request: Codec<Request, RequestInit>
  readonly response: Codec<Response, ResponseInit>
}

export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string>>
  /** Default: 20,000. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * Unary gRPC calls of a server under test over @grpc/grpc-js, a transport that shares no code with ours. Nothing is retried
 * and no limit of the client's own applies to messages.
 */
export class GrpcClient {
  readonly #client: Client

  /** @param endpoint `host:port`, plaintext */
  constructor(endpoint: string) {
    this.#client = new Client(endpoint, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.enable_retries': 0,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 20,
      'grpc.min_reconnect_backoff_ms': 20,
      'grpc.max_reconnect_backoff_ms': 100,
    })
  }

  /**
   * @returns the response message's bytes
   * @throws GrpcError
   */
  bytes(path: string, request: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    const metadata = new Metadata()
    for (const [name, value] of Object.entries(options.metadata ?? {})) metadata.set(name, value)
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path,
        (message: Uint8Array) => Buffer.from(message.buffer, message.byteOffset, message.length),
        (bytes: Buffer): Uint8Array => bytes,
        request,
        metadata,
        { deadline: Date.now() + (options.timeoutMs ?? 20_000) },
        (error, response) => {
          options.signal?.removeEventListener('abort', cancel)
          if (error === null && response !== undefined) resolve(response)
          else reject(new GrpcError(error?.code ?? 2, error?.details ?? 'no message'))
        },
      )
      const cancel = (): void => call.cancel()
      options.signal?.addEventListener('abort', cancel, { once: true })
      if (options.signal?.aborted) call.cancel()
    })
  }

  /** @throws GrpcError */
  async call<Request, RequestInit, Response, ResponseInit>(
    method: UnaryMethod<Request, RequestInit, Response, ResponseInit>,
    request: RequestInit,
    options: CallOptions = {},
  ): Promise<Response> {
    return method.response.decode(await this.bytes(method.path, method.request.encode(request), options))
  }

  /**
   * Sends one message on a stream, closes the sending side and reads until the stream ends or the time is over.
   * @returns the status code (4 when the time is over) and the messages received
   */
  stream(
    path: string,
    message: Uint8Array,
    timeoutMs: number,
  ): Promise<{ code: number; messages: Uint8Array[] }> {
    return new Promise((resolve) => {
      const messages: Uint8Array[] = []
      const call = this.#client.makeBidiStreamRequest(
        path,
        (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
        (bytes: Buffer): Uint8Array => bytes,
        new Metadata(),
        { deadline: Date.now() + timeoutMs },
      )
      call.on('data', (bytes: Uint8Array) => messages.push(bytes))
      // The status comes with 'status' too, which is always emitted.
      call.on('error', () => undefined)
      call.on('status', ({ code }) => resolve({ code, messages }))
      call.write(message)
      call.end()
    })
  }

  /**
   * Resolves once there is a connection: after calls that found nobody, the next one would be refused until the client has
   * tried again.
   */
  connected(timeoutMs = 20_000): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(Date.now() + timeoutMs, (error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
  }

  close(): void {
    this.#client.close()
  }
}

/** A message's bytes behind its first field, which in every answer of etcd is the header. */
export function withoutHeader(codec: AnyCodec, message: Uint8Array): Uint8Array {
  if (codec.fields[0]?.name !== 'header' || message[0] !== 0x0a) return message
  let at = 1
  let length = 0
  for (let shift = 0; ; shift += 7) {
    const byte = message[at++] ?? 0
    length += (byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  return message.subarray(at + length)
}
