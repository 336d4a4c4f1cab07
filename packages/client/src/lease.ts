import { etcdserverpb } from '@etcd-ts/api'
import type { CallOptions, Caller } from './caller.ts'

const { LeaseService } = etcdserverpb

/** Leases. */
export class LeaseClient {
  readonly #caller: Caller

  constructor(caller: Caller) {
    this.#caller = caller
  }

  /** A new lease. Doing it twice leaves one more that expires by itself, so it may be repeated. */
  grant(
    request: etcdserverpb.LeaseGrantRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.LeaseGrantResponse> {
    return this.#caller.call(LeaseService.LeaseGrant, request, 'repeatable', options)
  }
}
