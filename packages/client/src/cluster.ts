import { etcdserverpb } from '@etcd-ts/api'
import type { CallOptions, Caller } from './caller.ts'
import { checkPeerUrls } from './peer-urls.ts'

const { ClusterService } = etcdserverpb

/** The members of the cluster. Changes are sent once: doing one twice is another change. */
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

  /**
   * Adds a member that is to be started then.
   *
   * @param request `isLearner`: without a vote until it is promoted
   * @throws Error for a bad URL
   */
  async memberAdd(
    request: etcdserverpb.MemberAddRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.MemberAddResponse> {
    checkPeerUrls(request.peerURLs ?? [])
    return this.#caller.call(ClusterService.MemberAdd, request, 'once', options)
  }

  memberRemove(
    request: etcdserverpb.MemberRemoveRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.MemberRemoveResponse> {
    return this.#caller.call(ClusterService.MemberRemove, request, 'once', options)
  }

  /** Gives a member other peer URLs. @throws Error for a bad URL */
  async memberUpdate(
    request: etcdserverpb.MemberUpdateRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.MemberUpdateResponse> {
    checkPeerUrls(request.peerURLs ?? [])
    return this.#caller.call(ClusterService.MemberUpdate, request, 'once', options)
  }

  /** Gives a learner its vote. */
  memberPromote(
    request: etcdserverpb.MemberPromoteRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.MemberPromoteResponse> {
    return this.#caller.call(ClusterService.MemberPromote, request, 'once', options)
  }
}
