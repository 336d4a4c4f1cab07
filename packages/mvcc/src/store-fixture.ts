// What the tests of this package share: a store on a backend in a directory of its own.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { ApiError, type ErrorReason, etcdserverpb } from '@etcd-ts/api'
import { type Backend, bucketNames, openLmdbBackend } from '@etcd-ts/backend'
import { systemClock } from '@etcd-ts/platform'
import { type Scope, SeededRandom, freeAfter, makeTempDir } from '@etcd-ts/testkit'
import { MvccStore, type MvccStoreOptions } from './store.ts'

const rethrow = (error: unknown): never => {
  throw error
}

/** Opens and closes a store in one directory, again and again. */
export class TestStore {
  readonly path: string
  readonly #options: Partial<MvccStoreOptions>
  backend: Backend
  store!: MvccStore

  private constructor(path: string, options: Partial<MvccStoreOptions>) {
    this.path = path
    this.#options = options
    this.backend = openBackend(path)
  }

  static async open(scope: Scope, options: Partial<MvccStoreOptions> = {}): Promise<TestStore> {
    const test = new TestStore(join(makeTempDir(scope, 'mvcc'), 'db'), options)
    freeAfter(scope, () => test.close())
    await test.#openStore()
    return test
  }

  /** Opens the store at `path`, which somebody else has closed. */
  static async openAt(scope: Scope, path: string): Promise<TestStore> {
    const test = new TestStore(path, {})
    freeAfter(scope, () => test.close())
    await test.#openStore()
    return test
  }

  async #openStore(): Promise<void> {
    this.store = await MvccStore.open({
      backend: this.backend,
      clock: systemClock,
      random: new SeededRandom(1),
      compactionPauseMs: 0,
      onFailed: rethrow,
      ...this.#options,
    })
  }

  async close(): Promise<void> {
    await this.store.close()
    await this.backend.close()
  }

  /** Opens the directory again, as after a clean stop. */
  async reopen(): Promise<void> {
    await this.close()
    this.backend = openBackend(this.path)
    await this.#openStore()
  }
}

export function openBackend(path: string): Backend {
  return openLmdbBackend({ path, clock: systemClock, onWriteFailed: rethrow })
}

export const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')

export function putRequest(
  key: string,
  value = '',
  more: etcdserverpb.PutRequestInit = {},
): etcdserverpb.PutRequest {
  return etcdserverpb.PutRequest.create({ key: bytes(key), value: bytes(value), ...more })
}

export function deleteRequest(key: string, rangeEnd = '', prevKv = false): etcdserverpb.DeleteRangeRequest {
  return etcdserverpb.DeleteRangeRequest.create({ key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv })
}

export function rangeRequest(
  key: string,
  rangeEnd = '',
  more: etcdserverpb.RangeRequestInit = {},
): etcdserverpb.RangeRequest {
  return etcdserverpb.RangeRequest.create({ key: bytes(key), rangeEnd: bytes(rangeEnd), ...more })
}

export const allKeys = rangeRequest('\0', '\0')

export const rangeOp = (request: etcdserverpb.RangeRequest): etcdserverpb.RequestOp => ({
  request: { case: 'requestRange', value: request },
})
export const putOp = (request: etcdserverpb.PutRequest): etcdserverpb.RequestOp => ({
  request: { case: 'requestPut', value: request },
})
export const deleteOp = (request: etcdserverpb.DeleteRangeRequest): etcdserverpb.RequestOp => ({
  request: { case: 'requestDeleteRange', value: request },
})
export const txnOp = (request: etcdserverpb.TxnRequest): etcdserverpb.RequestOp => ({
  request: { case: 'requestTxn', value: request },
})

export function txnRequest(
  success: etcdserverpb.RequestOp[],
  failure: etcdserverpb.RequestOp[] = [],
  compare: etcdserverpb.Compare[] = [],
): etcdserverpb.TxnRequest {
  return { compare, success, failure }
}

/** Every row of every bucket, as text. */
export function dump(backend: Backend): string[] {
  return bucketNames.flatMap((bucket) =>
    backend
      .range(bucket)
      .map(
        ([key, value]) =>
          `${bucket} ${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`,
      ),
  )
}

/** Rows of the bucket `key` as `main/sub` and `t` for deletions. */
export function revisions(backend: Backend): string[] {
  return backend.range('key').map(([key]) => {
    const buffer = Buffer.from(key)
    return `${buffer.readBigUInt64BE(0)}/${buffer.readBigUInt64BE(9)}${buffer.length > 17 ? 't' : ''}`
  })
}

export function refused(reason: ErrorReason): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ApiError, String(error))
    assert.equal(error.reason, reason)
    return true
  }
}
