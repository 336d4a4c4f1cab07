import { etcdserverpb } from '@etcd-ts/api'
import type { CallOptions, Caller } from './caller.ts'

const { KVService } = etcdserverpb

/** Keys and values. */
export class KvClient {
  readonly #caller: Caller

  constructor(caller: Caller) {
    this.#caller = caller
  }

  range(request: etcdserverpb.RangeRequestInit, options?: CallOptions): Promise<etcdserverpb.RangeResponse> {
    return this.#caller.call(KVService.Range, request, 'repeatable', options)
  }

  put(request: etcdserverpb.PutRequestInit, options?: CallOptions): Promise<etcdserverpb.PutResponse> {
    return this.#caller.call(KVService.Put, request, 'once', options)
  }

  deleteRange(
    request: etcdserverpb.DeleteRangeRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.DeleteRangeResponse> {
    return this.#caller.call(KVService.DeleteRange, request, 'once', options)
  }

  txn(request: etcdserverpb.TxnRequestInit, options?: CallOptions): Promise<etcdserverpb.TxnResponse> {
    return this.#caller.call(KVService.Txn, request, 'once', options)
  }

  compact(
    request: etcdserverpb.CompactionRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.CompactionResponse> {
    return this.#caller.call(KVService.Compact, request, 'once', options)
  }
}

/**
 * The end of the range of all keys that begin with `prefix`: the smallest key above them, or one zero byte
 * ("no end") when there is none.
 */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  const last = prefix.findLastIndex((byte) => byte < 0xff)
  if (last < 0) return Buffer.of(0)
  const end = Buffer.from(prefix.subarray(0, last + 1))
  end[last]!++
  return end
}
