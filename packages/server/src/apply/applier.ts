import { ApiError, decodeProposal, etcdserverpb, raftpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import type { MvccStore } from '@etcd-ts/mvcc'
import type { ConfChange, ConfState, Entry } from '@etcd-ts/raft'
import type { Logger } from '../log/index.ts'
import type { Counters } from '../metrics/index.ts'
import { type Cluster, type MembershipChange } from '../membership/cluster.ts'
import { hexId } from '../membership/ids.ts'
import { isPromotion, memberJson, parseAttributes, parseMember } from '../membership/member.ts'
import { decodePutEntry } from '../propose/entry-codec.ts'
import type { Proposals } from '../propose/proposals.ts'
import type { RequestIds } from '../propose/request-id.ts'
import { type Alarms, alarmName } from './alarms.ts'
import { type Quota, putCost, txnCost } from './quota.ts'

export interface ApplierOptions {
  readonly memberId: bigint
  readonly cluster: Cluster
  readonly store: MvccStore
  readonly backend: Backend
  readonly alarms: Alarms
  readonly quota: Quota
  readonly requestIds: RequestIds
  readonly proposals: Proposals
  readonly logger: Logger
  readonly metrics: Counters
  readonly ports: ApplierPorts
}

export interface ApplierPorts {
  /** Tells raft of a membership change that took effect; nodeId 0 stands for one that was refused. */
  applyConfChange(change: ConfChange): ConfState
  /** This member's backend has outgrown its quota: have the NOSPACE alarm raised. */
  outOfSpace(): void
  /** The first entry of a term has been applied. */
  termStarted(): void
  clusterVersionChanged(version: string): void
}

/** What applying a compaction gives: `done` when the revisions are gone from the disk too. */
export interface CompactionResult {
  readonly revision: number
  readonly done: Promise<void>
}

const attributesPath = /^\/0\/members\/([0-9a-f]{1,16})\/attributes$/
const VERSION_PATH = '/0/version'

/**
 * Turns committed entries into state, one after the other: a deterministic function of the log.
 *
 * Entries at or below the backend's consistent index are in the backend already; of those only the
 * effects that live in memory (membership, raft's configuration) are repeated.
 */
export class Applier {
  readonly #options: ApplierOptions
  /** Index and term of the last entry whose effects the backend holds or will hold with its next commit. */
  consistentIndex: number
  consistentTerm: number
  confState: ConfState

  constructor(options: ApplierOptions, restored: { index: number; term: number; confState: ConfState }) {
    this.#options = options
    this.consistentIndex = restored.index
    this.consistentTerm = restored.term
    this.confState = restored.confState
  }

  /** Applies `entries` in order. @throws when the log contradicts the state: the member must stop */
  apply(entries: readonly Entry[]): void {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry
      const isNew = entry.index > this.consistentIndex
      if (isNew) {
        this.consistentIndex = entry.index
        this.consistentTerm = entry.term
      }
      if (entry.type === raftpb.EntryType.EntryNormal) this.#applyNormal(entry, isNew)
      else if (entry.type === raftpb.EntryType.EntryConfChange) this.#applyConfChange(entry, isNew)
      else
        throw new Error(`log entry ${entry.index} has the type ${entry.type}, which no member of etcd writes`)
    }
  }

  #applyNormal(entry: Entry, isNew: boolean): void {
    const { data } = entry
    if (data === undefined || data.length === 0) {
      this.#options.ports.termStarted()
      return
    }
    const fast = decodePutEntry(data, this.#options.requestIds)
    if (fast !== undefined) {
      if (isNew) this.#applyPut(fast.requestId, fast.put)
      return
    }
    const proposal = decodeProposal(data)
    if (proposal.kind === 'v2') {
      this.#applyV2(proposal.request, isNew)
      return
    }
    const { request } = proposal
    if (!isNew) return
    const requestId = this.#options.requestIds.suffixOf(request.header?.ID ?? request.ID) ?? -1
    try {
      const result = this.#execute(request, entry.index)
      if (requestId >= 0) this.#options.proposals.resolve(requestId, result)
    } catch (error) {
      this.#refused(requestId, error)
    }
  }

  #applyPut(requestId: number, put: etcdserverpb.PutRequest): void {
    try {
      const result = this.#put(put)
      if (requestId >= 0) this.#options.proposals.resolve(requestId, result)
    } catch (error) {
      this.#refused(requestId, error)
    }
  }

  /** An entry that may not take effect is applied as a refusal; any other error means a broken state. */
  #refused(requestId: number, error: unknown): void {
    if (!(error instanceof ApiError)) throw error
    // One that the alarm itself caused must not raise it again, after whoever disarms it now.
    if (error.reason === 'noSpace' && !this.#options.alarms.noSpace) this.#options.ports.outOfSpace()
    if (requestId >= 0) this.#options.proposals.reject(requestId, error)
  }

  #execute(request: etcdserverpb.InternalRaftRequest, index: number): unknown {
    if (request.put !== undefined) return this.#put(request.put)
    if (request.deleteRange !== undefined) return this.#deleteRange(request.deleteRange)
    if (request.txn !== undefined) return this.#txn(request.txn)
    if (request.compaction !== undefined) return this.#compact(request.compaction)
    if (request.alarm !== undefined) return this.#alarm(request.alarm)
    if (request.range !== undefined) return undefined // reads have no effect, and no member proposes them any more
    throw new Error(`log entry ${index} holds a request that this release cannot apply`)
  }

  #put(put: etcdserverpb.PutRequest): unknown {
    const { store, quota, metrics } = this.#options
    metrics.mvcc.puts++
    metrics.mvcc.putBytes += put.key.length + put.value.length
    const cost = putCost(put)
    this.#refuseIfAlarmed(cost)
    const fits = quota.allows(cost)
    const result = store.put(put)
    if (!fits) throw new ApiError('noSpace')
    return result
  }

  #deleteRange(request: etcdserverpb.DeleteRangeRequest): unknown {
    this.#refuseIfAlarmed(0)
    this.#options.metrics.mvcc.deletes++
    return this.#options.store.deleteRange(request)
  }

  #txn(request: etcdserverpb.TxnRequest): unknown {
    const { store, quota, metrics } = this.#options
    metrics.mvcc.txns++
    const cost = txnCost(request)
    this.#refuseIfAlarmed(cost)
    const fits = quota.allows(cost)
    const result = store.txn(request)
    if (!fits) throw new ApiError('noSpace')
    return result
  }

  #compact(request: etcdserverpb.CompactionRequest): CompactionResult {
    this.#refuseIfAlarmed(0)
    const { store } = this.#options
    const done = store.compact(request.revision)
    return { revision: store.revision, done }
  }

  #alarm(request: etcdserverpb.AlarmRequest): etcdserverpb.AlarmMember[] {
    const { alarms, logger } = this.#options
    const { NONE } = etcdserverpb.AlarmType
    switch (request.action) {
      case etcdserverpb.AlarmAction.GET:
        return alarms.list(request.alarm)
      case etcdserverpb.AlarmAction.ACTIVATE: {
        if (request.alarm === NONE) return []
        const alarm = alarms.activate(request.memberID, request.alarm)
        logger.warn('alarm raised', {
          'alarm-member-id': hexId(request.memberID),
          alarm: alarmName(request.alarm),
        })
        return [alarm]
      }
      case etcdserverpb.AlarmAction.DEACTIVATE: {
        const alarm = alarms.deactivate(request.memberID, request.alarm)
        if (alarm === undefined) return []
        logger.warn('alarm disarmed', {
          'alarm-member-id': hexId(request.memberID),
          alarm: alarmName(request.alarm),
        })
        return [alarm]
      }
      default:
        return []
    }
  }

  #refuseIfAlarmed(cost: number): void {
    const { alarms } = this.#options
    if (alarms.corrupt) throw new ApiError('corrupt')
    if (alarms.noSpace && cost > 0) throw new ApiError('noSpace')
  }

  #applyV2(request: etcdserverpb.Request, isNew: boolean): void {
    const requestId = this.#options.requestIds.suffixOf(request.ID) ?? -1
    const memberPath = attributesPath.exec(request.Path)
    if (request.Method === 'PUT' && memberPath !== null) {
      this.#applyAttributes(BigInt(`0x${memberPath[1]}`), request.Val, isNew)
    } else if (request.Method === 'PUT' && request.Path === VERSION_PATH) {
      this.#applyClusterVersion(request.Val, isNew)
    } else {
      throw new Error(
        `the log holds a v2 request (${request.Method} ${request.Path}) that this release cannot apply`,
      )
    }
    if (requestId >= 0) this.#options.proposals.resolve(requestId, undefined)
  }

  #applyAttributes(id: bigint, attributes: string, isNew: boolean): void {
    const { cluster, backend } = this.#options
    const member = cluster.applyAttributes(id, parseAttributes(attributes))
    if (member !== undefined && isNew)
      backend.put('members', Buffer.from(hexId(id)), Buffer.from(memberJson(member)))
  }

  #applyClusterVersion(version: string, isNew: boolean): void {
    const { cluster, backend, ports } = this.#options
    cluster.version = version
    if (isNew) backend.put('cluster', Buffer.from('clusterVersion'), Buffer.from(version))
    ports.clusterVersionChanged(version)
  }

  #applyConfChange(entry: Entry, isNew: boolean): void {
    const { cluster, ports, logger, requestIds, proposals, backend } = this.#options
    const confChange = raftpb.ConfChange.decode(entry.data ?? new Uint8Array())
    const change = membershipChangeOf(confChange)
    const rejected = cluster.validate(change)
    const requestId = requestIds.suffixOf(confChange.id) ?? -1
    if (rejected !== undefined) {
      this.confState = ports.applyConfChange({ ...confChange, nodeId: 0n })
      logger.warn('refused a committed membership change', {
        'member-id': hexId(confChange.nodeId),
        reason: rejected,
      })
      if (requestId >= 0) proposals.reject(requestId, new ApiError(confChangeError[rejected]))
      return
    }
    this.confState = ports.applyConfChange(confChange)
    cluster.apply(change)
    if (isNew) this.#storeMember(confChange.nodeId)
    logger.info('applied a membership change', {
      'cluster-id': hexId(cluster.id),
      'member-id': hexId(confChange.nodeId),
      change: change.kind,
    })
    if (isNew) backend.put('meta', Buffer.from('confState'), Buffer.from(confStateJson(this.confState)))
    if (requestId >= 0) proposals.resolve(requestId, cluster.members())
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
}

const confChangeError = {
  idRemoved: 'memberNotFound',
  idExists: 'memberExist',
  idNotFound: 'memberNotFound',
  peerUrlExists: 'peerUrlExist',
  tooManyLearners: 'tooManyLearners',
  notLearner: 'memberNotLearner',
} as const

function membershipChangeOf(confChange: raftpb.ConfChange): MembershipChange {
  const context = Buffer.from(confChange.context ?? new Uint8Array()).toString('utf8')
  const { ConfChangeType } = raftpb
  switch (confChange.type) {
    case ConfChangeType.ConfChangeAddNode:
    case ConfChangeType.ConfChangeAddLearnerNode:
      if (isPromotion(context)) return { kind: 'promote', id: confChange.nodeId }
      return { kind: 'add', member: parseMember(context) }
    case ConfChangeType.ConfChangeRemoveNode:
      return { kind: 'remove', id: confChange.nodeId }
    case ConfChangeType.ConfChangeUpdateNode:
      return { kind: 'update', id: confChange.nodeId, peerUrls: parseMember(context).peerUrls }
    default:
      throw new Error(`the log holds a membership change of the unknown type ${String(confChange.type)}`)
  }
}

/** Row `confState` of the `meta` bucket, with the member ids as the numbers that they are. */
export function confStateJson(state: ConfState): string {
  const ids = (list: readonly bigint[]): string => `[${list.join(',')}]`
  const parts = [`"voters":${ids(state.voters)}`]
  if (state.learners.length > 0) parts.push(`"learners":${ids(state.learners)}`)
  if (state.votersOutgoing.length > 0) parts.push(`"voters_outgoing":${ids(state.votersOutgoing)}`)
  if (state.learnersNext.length > 0) parts.push(`"learners_next":${ids(state.learnersNext)}`)
  parts.push(`"auto_leave":${state.autoLeave}`)
  return `{${parts.join(',')}}`
}
