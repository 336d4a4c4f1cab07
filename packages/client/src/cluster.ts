import { etcdserverpb } from '@etcd-ts/api'
import type { CallOptions, Caller } from './caller.ts'

const { ClusterService } = etcdserverpb

/** The members of the cluster. */
export class ClusterClient {
  readonly #caller: Caller

  constructor(caller: Caller) {
    this.#caller = caller
  }

  memberList(
    request: etcdserverpb.MemberListRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.MemberListResponse> {
    return this.#caller.call(ClusterService.MemberList, request, 'repeatable', options)
  }
}
