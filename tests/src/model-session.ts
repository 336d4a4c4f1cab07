import assert from 'node:assert/strict'
import { etcdserverpb } from '@etcd-ts/api'
import {
  GrpcClient,
  GrpcKvClient,
  type KvAnswer,
  type KvCall,
  KvModel,
  type Scope,
  type ServerProcess,
  freeAfter,
  show,
  withoutOpenChoices,
} from '@etcd-ts/testkit'

/** The status that the client gives a call whose connection went away. */
const CONNECTION_LOST = 14

/**
 * One client that makes one call after the other and knows from a model what the store must hold, also when the server is
 * killed in the middle of a call.
 */
export class ModelSession {
  readonly model = new KvModel()
  readonly grpc: GrpcClient
  readonly #kv: GrpcKvClient
  #unanswered: KvCall | undefined

  constructor(scope: Scope, server: ServerProcess) {
    this.#kv = new GrpcKvClient(server.endpoint)
    this.grpc = new GrpcClient(server.endpoint)
    freeAfter(scope, () => {
      this.#kv.close()
      this.grpc.close()
    })
  }

  /** Makes a call; the answer must be the model's. */
  async call(call: KvCall): Promise<KvAnswer> {
    const { answer } = await this.#kv.call(call)
    this.#compare(call, answer)
    return answer
  }

  /**
   * Makes a call during which the server may be killed; what became of it is found out by `verify`.
   * @returns whether it was answered
   */
  async tryCall(call: KvCall): Promise<boolean> {
    const { answer } = await this.#kv.call(call)
    if (answer.kind === 'error' && answer.code === CONNECTION_LOST) {
      this.#unanswered = call
      return false
    }
    this.#compare(call, answer)
    return true
  }

  /** The revisions and the hash of the store as the server reports them. */
  async state(): Promise<{ revision: number; compactRevision: number; hash: number }> {
    const { header, compactRevision, hash } = await this.grpc.call(etcdserverpb.MaintenanceService.HashKV, {})
    return { revision: header?.revision ?? 0, compactRevision, hash }
  }

  /** After a restart: settles the unanswered call, and compares revisions, hash and every live pair with the model. */
  async verify(where: string): Promise<void> {
    await Promise.all([this.grpc.connected(), this.#kv.grpc.connected()])
    const state = await this.state()
    const pending = this.#unanswered
    this.#unanswered = undefined
    if (pending !== undefined) {
      const happened =
        pending.kind === 'compact'
          ? state.compactRevision !== this.model.compactRevision
          : state.revision !== this.model.revision
      if (happened) this.model.call(pending)
    }
    const expected = this.model.hashKv()
    assert.ok('hash' in expected)
    // When nothing lives, the hash depends on how far a compaction has come.
    const hash = this.model.dump().length === 0 ? expected.hash : state.hash
    assert.deepEqual({ ...state, hash }, expected, `${where}: revisions and hash`)
    const everything = { kind: 'range', key: '\0', rangeEnd: '\0' } as const
    const { answer } = await this.#kv.call(everything)
    assert.deepEqual(answer, this.model.call(everything), `${where}: the live pairs`)
  }

  #compare(call: KvCall, answer: KvAnswer): void {
    const expected = this.model.call(call)
    assert.deepEqual(withoutOpenChoices(call, answer), withoutOpenChoices(call, expected), show(call))
  }
}
