import { ApiError } from '@etcd-ts/api'
import type { Clock } from '@etcd-ts/platform'
import { textOf } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import type { Cluster } from './cluster.ts'
import { hexId } from './ids.ts'

export interface LeaderTransferPorts {
  readonly memberId: bigint
  readonly cluster: Cluster
  readonly clock: Clock
  readonly logger: Logger
  readonly heartbeatMs: number
  /** 0n for none. */
  leader(): bigint
  /** Asks raft to let `id` lead. It gives up by itself after an election timeout. */
  transferLeader(id: bigint): void
  /** Monotonic time since which another member has been reachable, or undefined while it is not. */
  activeSinceMs(id: bigint): number | undefined
  /** How long a call may take that sets no deadline of its own. */
  readonly requestTimeoutMs: number
}

/** Who waits for the end of a transfer. */
export interface TransferCaller {
  /** Milliseconds left, or undefined for the default. */
  remainingMs(): number | undefined
  /** The caller is gone. */
  readonly ended: boolean
}

/** Hands leadership to another member, asked by an operator or because this member stops. */
export class LeaderTransfer {
  readonly #ports: LeaderTransferPorts

  constructor(ports: LeaderTransferPorts) {
    this.#ports = ports
  }

  /**
   * Lets `target` lead, and resolves once this member has seen it do so.
   *
   * @throws ApiError `notLeader`, `badLeaderTransferee`, `timeoutLeaderTransfer`
   */
  async move(target: bigint, caller: TransferCaller): Promise<void> {
    const { memberId } = this.#ports
    if (this.#ports.leader() !== memberId) throw new ApiError('notLeader')
    await this.#move(target, caller)
  }

  /**
   * Before the member stops: a leader hands over to the voter that has been reachable for longest, so that the cluster
   * need not wait for an election timeout. Never throws: a stop goes on without.
   */
  async onStop(): Promise<void> {
    const { memberId, cluster, logger, requestTimeoutMs } = this.#ports
    const fields = {
      'local-member-id': hexId(memberId),
      'current-leader-member-id': hexId(this.#ports.leader()),
    }
    if (this.#ports.leader() !== memberId) {
      logger.info('skipped leadership transfer; local server is not leader', fields)
      return
    }
    if (cluster.voters().length < 2) {
      logger.info('skipped leadership transfer for single voting member cluster', fields)
      return
    }
    const target = this.#longestActive()
    try {
      if (target === undefined) throw new ApiError('unhealthy')
      await this.#move(target, { remainingMs: () => requestTimeoutMs, ended: false })
    } catch (error) {
      logger.warn('leadership transfer failed', { ...fields, error: textOf(error) })
    }
  }

  async #move(target: bigint, caller: TransferCaller): Promise<void> {
    const { memberId, cluster, clock, logger, heartbeatMs } = this.#ports
    if (cluster.member(target)?.isLearner !== false) throw new ApiError('badLeaderTransferee')
    const fields = {
      'local-member-id': hexId(memberId),
      'current-leader-member-id': hexId(this.#ports.leader()),
      'transferee-member-id': hexId(target),
    }
    logger.info('leadership transfer starting', fields)
    const startedMs = clock.monotonicMs()
    const deadlineMs = startedMs + (caller.remainingMs() ?? this.#ports.requestTimeoutMs)
    this.#ports.transferLeader(target)
    while (this.#ports.leader() !== target) {
      if (caller.ended || clock.monotonicMs() >= deadlineMs) throw new ApiError('timeoutLeaderTransfer')
      await clock.sleep(heartbeatMs)
    }
    logger.info('leadership transfer finished', {
      ...fields,
      took: `${(clock.monotonicMs() - startedMs).toFixed(3)}ms`,
    })
  }

  #longestActive(): bigint | undefined {
    const { cluster, memberId } = this.#ports
    let longest: { readonly id: bigint; readonly sinceMs: number } | undefined
    for (const { id } of cluster.voters()) {
      const sinceMs = id === memberId ? undefined : this.#ports.activeSinceMs(id)
      if (sinceMs !== undefined && (longest === undefined || sinceMs < longest.sinceMs))
        longest = { id, sinceMs }
    }
    return longest?.id
  }
}
