import { ApiError, formatJson, parseJson, raftpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import type { ConfState } from '@etcd-ts/raft'
import type { Logger } from '../log/index.ts'
import type { Cluster, DowngradeInfo, MembershipChange, RejectedChange } from '../membership/cluster.ts'
import { hexId } from '../membership/ids.ts'
import { jsonFields } from '../membership/json-fields.ts'
import {
  type Member,
  type MemberAttributes,
  isPromotion,
  memberJson,
  parseMember,
} from '../membership/member.ts'
import { compareMinors, knownVersion, parseVersion } from '../membership/version.ts'

/** What follows from a change of the membership. At a restart each is called again for the log behind the snapshot. */
export interface MembershipPorts {
  /** Another member has joined. */
  memberAdded(member: Member): void
  /** The peer URLs of another member are new; the list may be empty. */
  memberUpdated(member: Member): void
  memberRemoved(id: bigint): void
  /** This member is not part of the cluster any more, and has to stop. */
  removedSelf(): void
  clusterVersionChanged(version: string): void
}

export interface MembershipApplierOptions {
  readonly memberId: bigint
  readonly cluster: Cluster
  readonly backend: Backend
  readonly serverVersion: string
  readonly logger: Logger
  readonly ports: MembershipPorts
}

const DOWNGRADE_KEY = Buffer.from('downgrade')

/**
 * The part of apply that is about members and versions: memory and v2 store always, the backend (`isNew`) only when it
 * does not have the entry's effects yet.
 */
export class MembershipApplier {
  readonly #options: MembershipApplierOptions

  /** @throws Error when this release may not be in a cluster of that version */
  constructor(options: MembershipApplierOptions) {
    this.#options = options
    this.#recoverVersions()
  }

  /** Takes over what a snapshot of another member has put into the cluster and the backend. @throws as the constructor */
  restored(): void {
    this.#recoverVersions()
    const { cluster, backend } = this.#options
    // Some releases leave rows of members behind that they removed or promoted: the v2 store is right.
    for (const [key, value] of backend.range('members')) {
      const known = cluster.member(BigInt(`0x${Buffer.from(key).toString()}`))
      if (known === undefined) backend.delete('members', key)
      else if (Buffer.from(value).toString() !== memberJson(known))
        backend.put('members', key, Buffer.from(memberJson(known)))
    }
  }

  /** Why a committed change may not take effect, or undefined. */
  refusal(confChange: raftpb.ConfChange): ApiError | undefined {
    const { cluster, logger } = this.#options
    const rejected = cluster.validate(membershipChangeOf(confChange))
    if (rejected === undefined) return undefined
    logger.warn('refused a committed membership change', {
      'cluster-id': hexId(cluster.id),
      'member-id': hexId(confChange.nodeId),
      reason: rejected,
    })
    return new ApiError(confChangeError[rejected])
  }

  /** Carries out a change that was not refused. */
  change(confChange: raftpb.ConfChange, isNew: boolean): void {
    const { cluster, memberId, ports } = this.#options
    const change = membershipChangeOf(confChange)
    const id = confChange.nodeId
    const before = cluster.member(id)
    cluster.apply(change)
    if (isNew) this.#storeMember(id)
    this.#logChange(change, id, before)
    const member = cluster.member(id)
    if (member === undefined) {
      if (id === memberId) ports.removedSelf()
      else ports.memberRemoved(id)
    } else if (id !== memberId) {
      if (change.kind === 'add') ports.memberAdded(member)
      else if (change.kind === 'update') ports.memberUpdated(member)
    }
  }

  /** What a member has published of itself. @throws Error when it was never known */
  attributes(id: bigint, attributes: MemberAttributes, isNew: boolean): void {
    const { cluster, logger } = this.#options
    const member = cluster.applyAttributes(id, attributes)
    if (member === undefined) {
      logger.warn('skipped attributes update of removed member', {
        'cluster-id': hexId(cluster.id),
        'updated-peer-id': hexId(id),
      })
    } else if (isNew) {
      this.#storeMember(id)
    }
  }

  /** @throws Error when `version` is none, or one that this release may not be in a cluster of */
  version(version: string, isNew: boolean): void {
    const { cluster, backend, logger, ports, memberId } = this.#options
    knownVersion(version)
    const ids = { 'cluster-id': hexId(cluster.id), 'local-member-id': hexId(memberId) }
    if (cluster.version === undefined)
      logger.info('set initial cluster version', { ...ids, 'cluster-version': shortVersion(version) })
    else {
      logger.info('updated cluster version', {
        ...ids,
        from: shortVersion(cluster.version),
        to: shortVersion(version),
      })
    }
    this.#checkVersions(version)
    cluster.applyVersion(version)
    if (isNew) backend.put('cluster', Buffer.from('clusterVersion'), Buffer.from(version))
    ports.clusterVersionChanged(version)
  }

  downgrade(info: DowngradeInfo, isNew: boolean): void {
    const { cluster, backend, logger, serverVersion } = this.#options
    cluster.downgrade = info
    if (isNew) backend.put('cluster', DOWNGRADE_KEY, Buffer.from(downgradeJson(info)))
    if (info.enabled) {
      logger.info('The server is ready to downgrade', {
        'target-version': info.targetVersion,
        'server-version': serverVersion,
      })
    }
  }

  storeConfState(state: ConfState): void {
    this.#options.backend.put('meta', Buffer.from('confState'), Buffer.from(confStateJson(state)))
  }

  #recoverVersions(): void {
    const { cluster, backend } = this.#options
    const row = backend.get('cluster', DOWNGRADE_KEY)
    cluster.downgrade =
      row === undefined
        ? { enabled: false, targetVersion: '' }
        : parseDowngrade(Buffer.from(row).toString('utf8'))
    this.#checkVersions(cluster.version)
  }

  /** A member of a release that the cluster has ruled out does harm: it must stop. */
  #checkVersions(clusterVersion: string | undefined): void {
    const { cluster, serverVersion } = this.#options
    const own = knownVersion(serverVersion)
    const { enabled, targetVersion } = cluster.downgrade
    if (enabled && targetVersion !== '') {
      if (compareMinors(own, knownVersion(targetVersion)) === 0) return
      throw new Error(
        `invalid downgrade; server version is not allowed to join when downgrade is enabled (current-server-version ${serverVersion}, target-cluster-version ${targetVersion})`,
      )
    }
    const determined = clusterVersion === undefined ? undefined : parseVersion(clusterVersion)
    if (determined === undefined || compareMinors(own, determined) >= 0) return
    throw new Error(
      `invalid downgrade; server version is lower than determined cluster version (current-server-version ${serverVersion}, determined-cluster-version ${shortVersion(clusterVersion ?? '')})`,
    )
  }

  #storeMember(id: bigint): void {
    const { cluster, backend } = this.#options
    const key = Buffer.from(hexId(id))
    const member = cluster.member(id)
    if (member !== undefined) {
      backend.put('members', key, Buffer.from(memberJson(member)))
      return
    }
    backend.delete('members', key)
    backend.put('members_removed', key, Buffer.from('removed'))
  }

  #logChange(change: MembershipChange, id: bigint, before: Member | undefined): void {
    const { cluster, logger, memberId } = this.#options
    const fields = { 'cluster-id': hexId(cluster.id), 'local-member-id': hexId(memberId) }
    switch (change.kind) {
      case 'add':
        logger.info('added member', {
          ...fields,
          'added-peer-id': hexId(id),
          'added-peer-peer-urls': change.member.peerUrls,
          'added-peer-is-learner': change.member.isLearner,
        })
        return
      case 'promote':
        logger.info('promote member', { ...fields, 'promoted-member-id': hexId(id) })
        return
      case 'update':
        logger.info('updated member', {
          ...fields,
          'updated-remote-peer-id': hexId(id),
          'updated-remote-peer-urls': change.peerUrls,
        })
        return
      case 'remove':
        logger.info('removed member', {
          ...fields,
          'removed-remote-peer-id': hexId(id),
          'removed-remote-peer-urls': before?.peerUrls ?? [],
        })
    }
  }
}

const confChangeError = {
  idRemoved: 'memberNotFound',
  idExists: 'memberExist',
  idNotFound: 'memberNotFound',
  peerUrlExists: 'peerUrlExist',
  tooManyLearners: 'tooManyLearners',
  notLearner: 'memberNotLearner',
} as const satisfies Record<RejectedChange, string>

/** @throws Error when no member of etcd writes such a change */
function membershipChangeOf(confChange: raftpb.ConfChange): MembershipChange {
  const context = Buffer.from(confChange.context ?? new Uint8Array()).toString('utf8')
  const { ConfChangeType } = raftpb
  switch (confChange.type) {
    case ConfChangeType.ConfChangeAddNode:
    case ConfChangeType.ConfChangeAddLearnerNode:
      if (isPromotion(context)) return { kind: 'promote', id: confChange.nodeId }
      return { kind: 'add', member: contextMember(context, confChange.nodeId) }
    case ConfChangeType.ConfChangeRemoveNode:
      return { kind: 'remove', id: confChange.nodeId }
    case ConfChangeType.ConfChangeUpdateNode: {
      const { peerUrls } = contextMember(context, confChange.nodeId)
      return { kind: 'update', id: confChange.nodeId, peerUrls }
    }
    default:
      throw new Error(`the log holds a membership change of the unknown type ${String(confChange.type)}`)
  }
}

function contextMember(context: string, nodeId: bigint): Member {
  const member = parseMember(context)
  if (member.id !== nodeId)
    throw new Error(`the log changes member ${hexId(nodeId)}, but describes member ${hexId(member.id)}`)
  return member
}

/** `X.Y`, as logs show a cluster version. */
function shortVersion(version: string): string {
  return version.replace(/\.0$/, '')
}

/** Row `downgrade` of the `cluster` bucket. */
function downgradeJson({ enabled, targetVersion }: DowngradeInfo): string {
  return `{"target-version":${formatJson(targetVersion)},"enabled":${enabled}}`
}

function parseDowngrade(text: string): DowngradeInfo {
  const { enabled, 'target-version': targetVersion } = jsonFields(parseJson(text))
  return {
    enabled: enabled === true,
    targetVersion: typeof targetVersion === 'string' ? targetVersion : '',
  }
}

/** Row `confState` of the `meta` bucket, with the member ids as the numbers that they are. */
function confStateJson(state: ConfState): string {
  const ids = (list: readonly bigint[]): string => `[${list.join(',')}]`
  const parts = [`"voters":${ids(state.voters)}`]
  if (state.learners.length > 0) parts.push(`"learners":${ids(state.learners)}`)
  if (state.votersOutgoing.length > 0) parts.push(`"voters_outgoing":${ids(state.votersOutgoing)}`)
  if (state.learnersNext.length > 0) parts.push(`"learners_next":${ids(state.learnersNext)}`)
  parts.push(`"auto_leave":${state.autoLeave}`)
  return `{${parts.join(',')}}`
}
