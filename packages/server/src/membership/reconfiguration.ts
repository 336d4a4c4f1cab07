import { ApiError, type ErrorReason } from '@etcd-ts/api'
import type { Clock } from '@etcd-ts/platform'
import { type ConfChange, ConfChangeType } from '@etcd-ts/raft'
import { ConfigError, parseUrl } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import type { Counters } from '../metrics/index.ts'
import type { PeerHttp, PeerResponse } from '../peer/peer-http.ts'
import type { Cluster } from './cluster.ts'
import { addedMemberId, hexId } from './ids.ts'
import { type Member, memberJson, parseMembers, promotionJson } from './member.ts'
import { internalText } from './refusals.ts'

export interface ReconfigurationPorts {
  readonly memberId: bigint
  readonly cluster: Cluster
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Counters
  readonly peerHttp: PeerHttp
  /** `--strict-reconfig-check`: refuse what would cost the cluster its quorum. */
  readonly isStrict: boolean
  readonly requestTimeoutMs: number
  /** 0n for none. */
  leader(): bigint
  isLeader(): boolean
  committedIndex(): number
  appliedIndex(): number
  /** On the leader: up to where the log of a member is known to be the same; undefined for one that raft does not know. */
  matchOf(id: bigint): number | undefined
  /** Monotonic time since which another member has been reachable, or undefined while it is not. */
  activeSinceMs(id: bigint): number | undefined
  /** Proposes a change (its id is given there); resolves to the members once this one has applied it. */
  proposeConfChange(change: Omit<ConfChange, 'id'>): Promise<readonly Member[]>
}

/** A member that has been reachable for this long counts as one that may be relied on. */
const HEALTHY_AFTER_MS = 5000
/** What a learner must have of the leader's log to be promoted. */
const READY_SHARE = 0.9
const APPLY_WAIT_MS = 1000
const APPLY_POLL_MS = 10
/** Between two rounds over the leader's URLs. */
const FORWARD_PAUSE_MS = 50
const LEADER_POLL_MS = 100

/** The added member, and everybody after the change. */
export interface Addition {
  readonly member: Member
  readonly members: readonly Member[]
}

/** Changes of the membership, as operators ask for them: what would harm the cluster is refused before it is proposed. */
export class Reconfiguration {
  readonly #ports: ReconfigurationPorts

  constructor(ports: ReconfigurationPorts) {
    this.#ports = ports
  }

  /** @throws ApiError `memberBadUrls`, `memberNotEnoughStarted`, `unhealthy`, and what applying the change refuses */
  async add(urls: readonly string[], isLearner: boolean): Promise<Addition> {
    const { clock } = this.#ports
    const peerUrls = checkedUrls(urls)
    const id = addedMemberId(peerUrls, Math.floor(clock.wallMs() / 1000))
    const member: Member = { id, peerUrls, isLearner, name: '', clientUrls: [] }
    this.#refuseAddition(member)
    const members = await this.#ports.proposeConfChange({
      type: isLearner ? ConfChangeType.ConfChangeAddLearnerNode : ConfChangeType.ConfChangeAddNode,
      nodeId: id,
      context: Buffer.from(memberJson(member)),
    })
    this.#logApplied('add', id)
    return { member, members }
  }

  /** @throws ApiError `memberNotEnoughStarted`, `unhealthy`, and what applying the change refuses */
  async remove(id: bigint): Promise<readonly Member[]> {
    this.#refuseRemoval(id)
    const members = await this.#ports.proposeConfChange({
      type: ConfChangeType.ConfChangeRemoveNode,
      nodeId: id,
      context: undefined,
    })
    this.#logApplied('remove', id)
    return members
  }

  /** Replaces the peer URLs of a member. @throws ApiError `memberBadUrls` and what applying the change refuses */
  async update(id: bigint, peerUrls: readonly string[]): Promise<readonly Member[]> {
    // Other members end at once when they apply URLs that they cannot connect to; alone there is nobody to harm.
    const { cluster } = this.#ports
    if (cluster.members().length > 1) checkedUrls(peerUrls)
    // Older members take over the flag from here, and would make a voter of a learner in their books if it were not there.
    const isLearner = cluster.member(id)?.isLearner ?? false
    const member: Member = { id, peerUrls, isLearner, name: '', clientUrls: [] }
    const members = await this.#ports.proposeConfChange({
      type: ConfChangeType.ConfChangeUpdateNode,
      nodeId: id,
      context: Buffer.from(memberJson(member)),
    })
    this.#logApplied('update', id)
    return members
  }

  /**
   * Makes a learner a voter. Only the leader knows whether it is ready; other members ask it.
   *
   * @throws ApiError `memberNotFound`, `memberNotLearner`, `learnerNotReady`, `memberNotEnoughStarted`,
   * `timeoutWaitAppliedIndex`, `timeout`
   */
  async promote(id: bigint): Promise<readonly Member[]> {
    const { metrics } = this.#ports
    try {
      await this.#waitApplied()
      if (this.#ports.isLeader()) {
        const members = await this.#promote(id)
        metrics.server.learnerPromoteSuccesses++
        return members
      }
    } catch (error) {
      metrics.server.learnerPromoteFailures.add(1, internalText(error))
      throw error
    }
    return this.#forwardPromotion(id)
  }

  async #promote(id: bigint): Promise<readonly Member[]> {
    const { memberId, cluster, isStrict, logger } = this.#ports
    const match = this.#ports.matchOf(id)
    if (match === undefined) throw new ApiError('memberNotFound')
    if (match < (this.#ports.matchOf(memberId) ?? 0) * READY_SHARE) throw new ApiError('learnerNotReady')
    if (isStrict && !isQuorumStarted(cluster.voters(), { alsoVoters: 1, alsoStarted: 1 })) {
      const error = new ApiError('memberNotEnoughStarted')
      logger.warn('rejecting member promote request; not enough healthy members', {
        'local-member-id': hexId(memberId),
        'requested-member-remove-id': hexId(id),
        error: error.message,
      })
      throw error
    }
    const members = await this.#ports.proposeConfChange({
      type: ConfChangeType.ConfChangeAddNode,
      nodeId: id,
      context: Buffer.from(promotionJson(id)),
    })
    this.#logApplied('promote', id)
    return members
  }

  /** Asks the leader, at each of its URLs in turn, until it answers or time is up. */
  async #forwardPromotion(id: bigint): Promise<readonly Member[]> {
    const { clock, cluster, peerHttp, requestTimeoutMs } = this.#ports
    const deadlineMs = clock.monotonicMs() + requestTimeoutMs
    const leftMs = (): number => deadlineMs - clock.monotonicMs()
    while (leftMs() > 0) {
      const peerUrls = cluster.member(this.#ports.leader())?.peerUrls ?? []
      for (const peerUrl of peerUrls) {
        if (leftMs() <= 0) break
        try {
          const url = `${peerUrl}/members/promote/${id}`
          return promotionOf(await peerHttp.request({ url, method: 'POST', timeoutMs: leftMs() }))
        } catch (error) {
          if (error instanceof ApiError && isFinal(error)) throw error
        }
      }
      await clock.sleep(peerUrls.length === 0 ? LEADER_POLL_MS : FORWARD_PAUSE_MS)
    }
    throw new ApiError('timeout')
  }

  /** Everything that is committed here has to be applied here: the checks look at the membership. */
  async #waitApplied(): Promise<void> {
    const { clock } = this.#ports
    const index = this.#ports.committedIndex()
    const giveUpMs = clock.monotonicMs() + APPLY_WAIT_MS
    while (this.#ports.appliedIndex() < index) {
      if (clock.monotonicMs() >= giveUpMs) throw new ApiError('timeoutWaitAppliedIndex')
      await clock.sleep(APPLY_POLL_MS)
    }
  }

  #refuseAddition(member: Member): void {
    const { memberId, cluster, isStrict, logger } = this.#ports
    if (!isStrict) return
    const voters = cluster.voters()
    const refuse = (reason: ErrorReason, text: string): ApiError => {
      const error = new ApiError(reason)
      logger.warn(text, {
        'local-member-id': hexId(memberId),
        'requested-member-add': memberJson(member),
        error: error.message,
      })
      return error
    }
    if (!member.isLearner && !isQuorumStarted(voters, { alsoVoters: 1, alsoStarted: 0 }))
      throw refuse('memberNotEnoughStarted', 'rejecting member add request; not enough healthy members')
    const isAlone = cluster.members().length === 1
    if (!isAlone && this.#healthy(voters) < quorum(voters.length + 1)) {
      throw refuse(
        'unhealthy',
        'rejecting member add request; local member has not been connected to all peers, reconfigure breaks active quorum',
      )
    }
  }

  #refuseRemoval(id: bigint): void {
    const { memberId, cluster, isStrict, logger } = this.#ports
    // A learner is missed by no quorum.
    if (!isStrict || cluster.member(id)?.isLearner === true) return
    const voters = cluster.voters()
    const refuse = (reason: ErrorReason, text: string): ApiError => {
      const error = new ApiError(reason)
      logger.warn(text, {
        'local-member-id': hexId(memberId),
        'requested-member-remove': hexId(id),
        error: error.message,
      })
      return error
    }
    const others = voters.filter((member) => member.id !== id)
    if (!isQuorumStarted(others, { alsoVoters: 0, alsoStarted: 0 })) {
      throw refuse('memberNotEnoughStarted', 'rejecting member remove request; not enough healthy members')
    }
    // One that is down is no part of the quorum that is up.
    if (id !== memberId && this.#ports.activeSinceMs(id) === undefined) return
    if (this.#healthy(voters) - 1 < 1 + Math.floor((voters.length - 1) / 2)) {
      throw refuse(
        'unhealthy',
        'rejecting member remove request; local member has not been connected to all peers, reconfigure breaks active quorum',
      )
    }
  }

  /** How many of `members` have been reachable for long enough; this one always is. */
  #healthy(members: readonly Member[]): number {
    const { memberId, clock } = this.#ports
    const sinceMs = clock.monotonicMs() - HEALTHY_AFTER_MS
    return members.filter(
      ({ id }) => id === memberId || (this.#ports.activeSinceMs(id) ?? Infinity) <= sinceMs,
    ).length
  }

  #logApplied(change: string, id: bigint): void {
    this.#ports.logger.info('applied a configuration change through raft', {
      'local-member-id': hexId(this.#ports.memberId),
      'raft-conf-change': change,
      'raft-conf-change-node-id': hexId(id),
    })
  }
}

function quorum(voters: number): number {
  return Math.floor(voters / 2) + 1
}

/** Whether enough voters have started, counting members that are about to become voters. */
function isQuorumStarted(
  voters: readonly Member[],
  { alsoVoters, alsoStarted }: { readonly alsoVoters: number; readonly alsoStarted: number },
): boolean {
  const count = voters.length + alsoVoters
  const started = voters.filter((member) => member.name !== '').length + alsoStarted
  // The second member of a cluster may be added before it runs, or there would never be one.
  if (alsoVoters > alsoStarted && started === 1 && count === 2) return true
  return started >= quorum(count)
}

/** @throws ApiError `memberBadUrls` */
function checkedUrls(urls: readonly string[]): string[] {
  if (urls.length === 0) throw new ApiError('memberBadUrls')
  try {
    return urls.map((url) => parseUrl(url).text).sort()
  } catch (cause) {
    if (cause instanceof ConfigError) throw new ApiError('memberBadUrls', { cause })
    throw cause
  }
}

const preconditions = [new ApiError('learnerNotReady'), new ApiError('memberNotLearner')]

function isFinal(error: ApiError): boolean {
  return ['memberNotFound', 'memberNotLearner', 'learnerNotReady'].includes(error.reason)
}

/** The members, as the leader answers a promotion. @throws ApiError when it refuses; Error when it says something else */
function promotionOf({ status, body }: PeerResponse): readonly Member[] {
  const text = body.toString('utf8')
  if (status === 200) return parseMembers(text)
  if (status === 404) throw new ApiError('memberNotFound')
  if (status === 412) {
    const refusal = preconditions.find((error) => text.includes(internalText(error)))
    if (refusal !== undefined) throw new ApiError(refusal.reason)
  }
  throw new Error(`the leader answered ${status} to a promotion: ${text}`)
}
