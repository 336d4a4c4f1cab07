import { Agent, request } from 'node:http'

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** HTTP/1.1 calls of one server over a few connections that are kept open. */
export class HttpClient {
  readonly #origin: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 })

  /** @param origin such as `http://127.0.0.1:2379` */
  constructor(origin: string) {
    this.#origin = origin
  }

  post(path: string, body: string, headers: Record<string, string> = {}): Promise<HttpAnswer> {
    return this.send('POST', path, body, headers)
  }

  get(path: string): Promise<HttpAnswer> {
    return this.send('GET', path, '')
  }

  /** @param signal aborts the call, which then rejects; what has come of its answer is dropped */
  send(
    method: string,
    path: string,
    body: string,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const length = body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }
      const call = request(
        this.#origin + path,
        {
          method,
          agent: this.#agent,
          ...(signal && { signal }),
          headers: { 'content-type': 'application/json', ...length, ...headers },
        },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString('utf8'),
            })
          })
        },
      )
      call.on('error', reject)
      call.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}
