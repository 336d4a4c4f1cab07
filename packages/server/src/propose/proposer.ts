import { ApiError, type Codec, etcdserverpb, type raftpb } from '@etcd-ts/api'
import type { Clock } from '@etcd-ts/platform'
import { type ConfChange, EntryType, encodeConfChange } from '@etcd-ts/raft'
import type { RaftLoop } from '../raft/raft-loop.ts'
import { ProposalField, encodeProposal } from './entry-codec.ts'
import type { Proposals, Waiter } from './proposals.ts'
import type { RequestIds } from './request-id.ts'

/** Entries that may be committed and not applied yet; above it new proposals are refused. */
const APPLY_BACKLOG_MAX = 5000

/** Membership changes that may wait for each other. */
const CONF_CHANGES_MAX = 64

export interface ProposerOptions {
  readonly loop: RaftLoop
  readonly proposals: Proposals
  readonly requestIds: RequestIds
  readonly clock: Clock
  /** How long a call waits for what it proposed. */
  readonly requestTimeoutMs: number
  readonly maxRequestBytes: number
  /** Set when the member stops. */
  readonly signal: AbortSignal
}

/** Puts requests into the log, and tells who proposed them what applying them gave. */
export class Proposer {
  readonly #options: ProposerOptions
  #lastConfChange: Promise<void> = Promise.resolve()
  #confChanges = 0

  constructor(options: ProposerOptions) {
    this.#options = options
  }

  /** Monotonic time at which a call that starts now gives up. */
  deadlineMs(): number {
    return this.#options.clock.monotonicMs() + this.#options.requestTimeoutMs
  }

  /**
   * Proposes a v3 request.
   * @param field its number in `InternalRaftRequest`
   * @throws ApiError `requestTooLarge`, `tooManyRequests`, `stopped`: it was not proposed
   */
  propose<Message, Init>(field: number, codec: Codec<Message, Init>, request: Init, waiter: Waiter): void {
    const { requestIds, maxRequestBytes } = this.#options
    const requestId = requestIds.next()
    const data = encodeProposal(requestIds, requestId, field, codec, request)
    if (data.length > maxRequestBytes) throw new ApiError('requestTooLarge')
    this.#submit(requestId, data, waiter)
  }

  /** Like `propose`, as a promise, for the requests that are rare. */
  proposed<Message, Init, Result>(
    field: number,
    codec: Codec<Message, Init>,
    request: Init,
  ): Promise<Result> {
    return this.#promise((waiter: Waiter<Result>) => this.propose(field, codec, request, waiter as Waiter))
  }

  /** Proposes to raise, disarm or list alarms. */
  alarm(request: etcdserverpb.AlarmRequest): Promise<etcdserverpb.AlarmMember[]> {
    return this.proposed(ProposalField.alarm, etcdserverpb.AlarmRequest, request)
  }

  /** Proposes a compaction. @returns whether the store is compacted to `revision`, by this or before */
  async compaction(revision: number): Promise<boolean> {
    const request = etcdserverpb.CompactionRequest.create({ revision: BigInt(revision) })
    try {
      await this.proposed(ProposalField.compaction, etcdserverpb.CompactionRequest, request)
      return true
    } catch (error) {
      return error instanceof ApiError && error.reason === 'compacted'
    }
  }

  /** Proposes a request of the members among themselves. */
  internal(request: Omit<etcdserverpb.InternalRaftRequestInit, 'header'>): Promise<void> {
    return this.#promise((waiter: Waiter<void>) => {
      const { requestIds } = this.#options
      const requestId = requestIds.next()
      const header = { ID: requestIds.full(requestId) }
      this.#submit(
        requestId,
        etcdserverpb.InternalRaftRequest.encode({ ...request, header }),
        waiter as Waiter,
      )
    })
  }

  /** Proposes that a v2 node be set: how members of 3.5 publish themselves and the cluster's version. */
  putV2(path: string, value: string): Promise<void> {
    return this.#promise((waiter: Waiter<void>) => {
      const { requestIds } = this.#options
      const requestId = requestIds.next()
      const request = { ID: requestIds.full(requestId), Method: 'PUT', Path: path, Val: value }
      this.#submit(requestId, etcdserverpb.Request.encode(request), waiter as Waiter)
    })
  }

  /**
   * Proposes a membership change, whose `id` is given here, once those before it are done: raft drops one that comes while
   * another is under way, and its proposer would only see its time run out.
   *
   * @throws ApiError `tooManyRequests` (as a rejection) when too many wait
   */
  async confChange<Result>(change: Omit<ConfChange, 'id'>): Promise<Result> {
    if (this.#confChanges >= CONF_CHANGES_MAX) throw new ApiError('tooManyRequests')
    this.#confChanges++
    const before = this.#lastConfChange
    const result = before.then(() => this.#confChange<Result>(change))
    this.#lastConfChange = result.then(
      () => undefined,
      () => undefined,
    )
    try {
      return await result
    } finally {
      this.#confChanges--
    }
  }

  #confChange<Result>(change: Omit<ConfChange, 'id'>): Promise<Result> {
    return this.#promise((waiter: Waiter<Result>) => {
      const { requestIds } = this.#options
      const requestId = requestIds.next()
      const data = encodeConfChange({ ...change, id: requestIds.full(requestId) })
      this.#submit(requestId, data, waiter as Waiter, EntryType.EntryConfChange)
    })
  }

  #submit(
    requestId: number,
    data: Uint8Array,
    waiter: Waiter,
    type: raftpb.EntryType = EntryType.EntryNormal,
  ): void {
    const { loop, proposals, signal } = this.#options
    if (signal.aborted) throw new ApiError('stopped')
    if (loop.committedIndex - loop.appliedIndex > APPLY_BACKLOG_MAX) throw new ApiError('tooManyRequests')
    proposals.register(requestId, waiter, data.length)
    loop.propose(requestId, { type, term: 0, index: 0, data })
  }

  #promise<Result>(submit: (waiter: Waiter<Result>) => void): Promise<Result> {
    return new Promise((resolve, reject) => {
      submit({
        deadlineMs: this.deadlineMs(),
        entryBytes: 0,
        ended: false,
        applied: resolve,
        failed: reject,
      })
    })
  }
}
