import { GrpcClient, GrpcError, withoutHeader } from './grpc-client.ts'
import { HttpClient } from './http-client.ts'
import { decodeJsonError, decodeJsonResult, encodeJsonCall, kvPaths } from './kv-json.ts'
import type { KvAnswer, KvCall } from './kv-types.ts'
import { decodeResult, encodeCall, kvMethods } from './kv-wire.ts'

/** What came back from a server. */
export interface KvExchange {
  readonly answer: KvAnswer
  /** The answer as it was on the wire but for the ids and the term of its header, to be compared as a whole. */
  readonly raw: string
}

/** The KV service of one server, over one of its protocols. */
export interface KvClient {
  call(call: KvCall): Promise<KvExchange>
  close(): void
}

export class GrpcKvClient implements KvClient {
  readonly grpc: GrpcClient

  /** @param endpoint `host:port` */
  constructor(endpoint: string) {
    this.grpc = new GrpcClient(endpoint)
  }

  async call(call: KvCall, timeoutMs?: number): Promise<KvExchange> {
    const method = kvMethods[call.kind]
    try {
      const options = timeoutMs === undefined ? {} : { timeoutMs }
      const bytes = await this.grpc.bytes(method.path, encodeCall(call), options)
      const raw = Buffer.from(withoutHeader(method.response, bytes)).toString('base64')
      return { answer: decodeResult(call, bytes), raw }
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      return {
        answer: { kind: 'error', code: error.code, message: error.text },
        raw: `${error.code} ${error.text}`,
      }
    }
  }

  close(): void {
    this.grpc.close()
  }
}

/** Uses the names of the `.proto` files and their camelCase forms in turn. */
export class JsonKvClient implements KvClient {
  readonly http: HttpClient
  #calls = 0

  /** @param origin such as `http://127.0.0.1:2379` */
  constructor(origin: string) {
    this.http = new HttpClient(origin)
  }

  async call(call: KvCall): Promise<KvExchange> {
    const request = encodeJsonCall(call, this.#calls++ % 2 === 1)
    const { status, body } = await this.http.post(kvPaths[call.kind], request)
    if (status === 200) {
      const raw = body.replaceAll(/"(cluster_id|member_id|raft_term)":"\d+"/g, '"$1":"…"')
      return { answer: decodeJsonResult(call, body), raw }
    }
    const answer = decodeJsonError(body)
    return { answer, raw: `${status} ${answer.code} ${answer.message}` }
  }

  close(): void {
    this.http.close()
  }
}
