import { ApiError, decodeProposal, etcdserverpb, raftpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import type { MvccStore } from '@etcd-ts/mvcc'
import type { ConfChange, ConfState, Entry, SnapshotMetadata } from '@etcd-ts/raft'
import type { Logger } from '../log/index.ts'
import type { Counters } from '../metrics/index.ts'
import { hexId } from '../membership/ids.ts'
import { parseAttributes } from '../membership/member.ts'
import { MembershipApplier, type MembershipPorts } from './membership-applier.ts'
import { decodePutEntry } from '../propose/entry-codec.ts'
import type { Proposals } from '../propose/proposals.ts'
import type { RequestIds } from '../propose/request-id.ts'
import type { Cluster } from '../membership/cluster.ts'
import { type Alarms, alarmName } from './alarms.ts'
import { type Quota, putCost, txnCost } from './quota.ts'

export interface ApplierOptions {
  readonly memberId: bigint
  readonly cluster: Cluster
  /** This program's own release, `X.Y.Z`. */
  readonly serverVersion: string
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

export interface ApplierPorts extends MembershipPorts {
  /** Tells raft of a membership change that took effect; nodeId 0 stands for one that was refused. */
  applyConfChange(change: ConfChange): ConfState
  /** This member's backend has outgrown its quota: have the NOSPACE alarm raised. */
  outOfSpace(): void
  /** The first entry of a term has been applied. */
  termStarted(): void
}

/** What applying a compaction gives: `done` when the revisions are gone from the disk too. */
export interface CompactionResult {
  readonly revision: number
  readonly done: Promise<void>
}

const attributesPath = /^\/0\/members\/([0-9a-fA-F]{1,16})\/attributes$/
const VERSION_PATH = '/0/version'

/**
 * Turns committed entries into state, one after the other: a deterministic function of the log.
 *
 * Entries at or below the backend's consistent index are in the backend already; of those only the
 * effects that live in memory (membership, raft's configuration) are repeated.
 */
export class Applier {
  readonly #options: ApplierOptions
  readonly #membership: MembershipApplier
  #foreignV2Logged = false
  /** Index and term of the last entry whose effects the backend holds or will hold with its next commit. */
  consistentIndex: number
  consistentTerm: number
  confState: ConfState

  constructor(options: ApplierOptions, restored: { index: number; term: number; confState: ConfState }) {
    this.#options = options
    this.#membership = new MembershipApplier(options)
    this.consistentIndex = restored.index
    this.consistentTerm = restored.term
    this.confState = restored.confState
  }

  /**
   * Takes over a snapshot that has replaced the backend, after store, alarms and cluster did: `metadata` is its point in
   * the log, and the backend holds that very state.
   *
   * @throws Error when this release may not be in a cluster of the snapshot's version
   */
  restored({ index, term, confState }: SnapshotMetadata): void {
    this.consistentIndex = index
    this.consistentTerm = term
    this.confState = confState
    this.#membership.restored()
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
    if (!isNew && !isOfMembership(request)) return
    const requestId = this.#options.requestIds.suffixOf(request.header?.ID ?? request.ID) ?? -1
    try {
      const result = this.#execute(request, entry.index, isNew)
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

  #execute(request: etcdserverpb.InternalRaftRequest, index: number, isNew: boolean): unknown {
    if (request.put !== undefined) return this.#put(request.put)
    if (request.deleteRange !== undefined) return this.#deleteRange(request.deleteRange)
    if (request.txn !== undefined) return this.#txn(request.txn)
    if (request.compaction !== undefined) return this.#compact(request.compaction)
    if (request.alarm !== undefined) return this.#alarm(request.alarm)
    if (request.range !== undefined) return undefined // reads have no effect, and no member proposes them any more
    const { clusterVersionSet, clusterMemberAttrSet, downgradeInfoSet } = request
    if (clusterVersionSet !== undefined) return this.#membership.version(clusterVersionSet.ver, isNew)
    if (clusterMemberAttrSet !== undefined) {
      const { memberID, memberAttributes } = clusterMemberAttrSet
      const { name = '', clientUrls = [] } = memberAttributes ?? {}
      return this.#membership.attributes(memberID, { name, clientUrls }, isNew)
    }
    if (downgradeInfoSet !== undefined) {
      const { enabled, ver } = downgradeInfoSet
      return this.#membership.downgrade({ enabled, targetVersion: ver }, isNew)
    }
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
    const memberPath = isPlainPut(request) ? attributesPath.exec(request.Path) : null
    if (memberPath !== null)
      this.#membership.attributes(BigInt(`0x${memberPath[1]}`), parseAttributes(request.Val), isNew)
    else if (isPlainPut(request) && request.Path === VERSION_PATH)
      this.#membership.version(request.Val, isNew)
    else this.#passOverV2(request)
    if (requestId >= 0) this.#options.proposals.resolve(requestId, undefined)
  }

  /** What clients of the v2 API write through other members is not kept here, and must not stop this one. */
  #passOverV2({ Method: method, Path: path }: etcdserverpb.Request): void {
    if (this.#foreignV2Logged) return
    this.#foreignV2Logged = true
    this.#options.logger.warn('the log holds requests of the v2 API, which this member does not keep', {
      method,
      path,
    })
  }

  #applyConfChange(entry: Entry, isNew: boolean): void {
    const { cluster, ports, requestIds, proposals } = this.#options
    const confChange = raftpb.ConfChange.decode(entry.data ?? new Uint8Array())
    const requestId = requestIds.suffixOf(confChange.id) ?? -1
    const rejected = this.#membership.refusal(confChange)
    if (rejected !== undefined) {
      this.confState = ports.applyConfChange({ ...confChange, nodeId: 0n })
      if (requestId >= 0) proposals.reject(requestId, rejected)
      return
    }
    this.confState = ports.applyConfChange(confChange)
    this.#membership.change(confChange, isNew)
    if (isNew) this.#membership.storeConfState(this.confState)
    if (requestId >= 0) proposals.resolve(requestId, cluster.members())
  }
}

/** Requests whose effects live in memory, too, and are repeated at a restart. */
function isOfMembership(request: etcdserverpb.InternalRaftRequest): boolean {
  return (
    request.clusterVersionSet !== undefined ||
    request.clusterMemberAttrSet !== undefined ||
    request.downgradeInfoSet !== undefined
  )
}

/** A PUT without conditions: with one, the paths of membership mean nothing special. */
function isPlainPut(request: etcdserverpb.Request): boolean {
  const { Method, PrevExist, PrevIndex, PrevValue } = request
  return Method === 'PUT' && PrevExist === undefined && PrevIndex === 0n && PrevValue === ''
}
