import { etcdserverpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import type { HashKvResult } from '@etcd-ts/mvcc'
import type { Clock } from '@etcd-ts/platform'
import { textOf } from '../config/index.ts'
import type { LogFields } from '../log/index.ts'
import type { Cluster } from '../membership/cluster.ts'
import { hexId } from '../membership/ids.ts'
import { type Member, parseMember } from '../membership/member.ts'
import {
  type NoHash,
  type PeerAnswer,
  type PeerHash,
  type PeerHashesPorts,
  peerHashes,
} from './peer-hashes.ts'

/** What the checks need of the store. */
export interface HashedStore {
  readonly revision: number
  /** @param revision 0 for the newest */
  hashKv(revision: bigint): Promise<HashKvResult>
  /** The hashes taken at the last compactions. */
  compactionHashes(): readonly HashKvResult[]
}

export interface CorruptionPorts extends Omit<PeerHashesPorts, 'clusterId'> {
  readonly cluster: Cluster
  readonly clock: Clock
  readonly store: HashedStore
  readonly backend: Pick<Backend, 'range'>
  isLeader(): boolean
  /** Resolves once this member's state covers everything committed by now. */
  catchUp(): Promise<void>
  proposeAlarm(request: etcdserverpb.AlarmRequest): Promise<unknown>
}

/** Whose data differs from that of the others is not known: no majority agrees. */
const NOBODY = 0n

const unanswered: Readonly<Record<NoHash, string | undefined>> = {
  futureRevision: 'cannot fetch hash from slow remote peer',
  compacted: 'cannot fetch hash from remote peer; local member is behind',
  clusterIdMismatch: 'cluster ID mismatch',
  noAnswer: undefined,
}

/**
 * Compares the stores of all members by their hashes, which are equal when the members hold the same pairs. A member whose
 * store differs gets the CORRUPT alarm, which stops writes everywhere until an operator has looked.
 *
 * Hashes are comparable at the same revision and the same last compaction only; what cannot be compared is passed over.
 */
export class CorruptionChecks {
  readonly #ports: CorruptionPorts
  /** Hashes of compactions up to this revision were found equal everywhere. */
  #checkedRevision = 0

  constructor(ports: CorruptionPorts) {
    this.#ports = ports
  }

  /** Before a member that has run before joins in. @throws Error when its data differs from that of another one */
  async initialCheck(): Promise<void> {
    const { memberId, store, logger } = this.#ports
    const local = { 'local-member-id': hexId(memberId) }
    logger.info('starting initial corruption check', {
      ...local,
      timeout: `${this.#ports.requestTimeoutMs / 1000}s`,
    })
    const own = await store.hashKv(0n)
    let hasDifferent = false
    for (const answer of await this.#ask(own.revision)) {
      const { result } = answer
      if (typeof result === 'string') {
        const text = unanswered[result]
        if (text !== undefined) logger.warn(text, { ...local, ...ownFields(own), ...peerFields(answer) })
      } else if (result.hash !== own.hash) {
        const fields = { ...local, ...ownFields(own), ...peerFields(answer), ...resultFields(result) }
        if (result.compactRevision === own.compactRevision) {
          logger.warn('found different hash values from remote peer', fields)
          hasDifferent = true
        } else {
          logger.warn('found different compact revision values from remote peer', fields)
        }
      }
    }
    if (hasDifferent) throw new Error(`${hexId(memberId)} found data inconsistency with peers`)
    logger.info('initial corruption checking passed; no corruption', local)
  }

  /** On the leader, compares the newest state of all members every `intervalMs`. Runs until `signal` aborts. */
  async runPeriodic(intervalMs: number, signal: AbortSignal): Promise<void> {
    if (intervalMs <= 0) return
    const { clock, logger, memberId } = this.#ports
    logger.info('enabled corruption checking', {
      'local-member-id': hexId(memberId),
      interval: `${intervalMs / 1000}s`,
    })
    while (await clock.sleep(intervalMs, signal)) {
      if (!this.#ports.isLeader()) continue
      try {
        await this.periodicCheck()
      } catch (error) {
        logger.warn('failed to check hash KV', { error: textOf(error) })
      }
    }
  }

  /** On the leader, compares the hashes taken at compactions every `intervalMs`. Runs until `signal` aborts. */
  async runAtCompactions(intervalMs: number, signal: AbortSignal): Promise<void> {
    if (intervalMs <= 0) return
    const { clock, logger, memberId } = this.#ports
    logger.info('enabled compaction hash checking', {
      'local-member-id': hexId(memberId),
      interval: `${intervalMs / 1000}s`,
    })
    while (await clock.sleep(intervalMs, signal)) {
      if (!this.#ports.isLeader()) continue
      try {
        await this.compactionCheck()
      } catch (error) {
        logger.warn('failed to check hashes of compactions', { error: textOf(error) })
      }
    }
  }

  /** One round of `runPeriodic`. @throws when the own state cannot be read, or the leader is another one by now */
  async periodicCheck(): Promise<void> {
    const { memberId, store, logger } = this.#ports
    const own = await store.hashKv(0n)
    const answers = await this.#ask(own.revision)
    // Whatever the others had applied when they answered is applied here now.
    await this.#ports.catchUp()
    const again = await store.hashKv(0n)
    const currentRevision = store.revision
    const suspects: bigint[] = []
    if (
      again.revision === own.revision &&
      again.compactRevision === own.compactRevision &&
      again.hash !== own.hash
    ) {
      logger.warn('found hash mismatch', {
        'revision-1': own.revision,
        'compact-revision-1': own.compactRevision,
        'hash-1': own.hash,
        'revision-2': again.revision,
        'compact-revision-2': again.compactRevision,
        'hash-2': again.hash,
      })
      suspects.push(memberId)
    }
    let checked = 0
    for (const { member, result } of answers) {
      if (typeof result === 'string') continue
      checked++
      const fault = faultOf(result, own, { currentRevision, compactRevision: again.compactRevision })
      if (fault === undefined) continue
      logger.warn(fault, {
        'leader-revision': currentRevision,
        'leader-compact-revision': again.compactRevision,
        'leader-hash': own.hash,
        'follower-peer-id': hexId(member.id),
        'follower-revision': result.currentRevision,
        'follower-compact-revision': result.compactRevision,
        'follower-hash': result.hash,
      })
      suspects.push(member.id)
    }
    for (const id of suspects) await this.#raiseAlarm(id)
    logger.info('finished peer corruption check', { 'number-of-peers-checked': checked })
  }

  /** One round of `runAtCompactions`: looks for the newest compaction whose hash all members still know. */
  async compactionCheck(): Promise<void> {
    const { memberId, store, logger, requestTimeoutMs } = this.#ports
    logger.info('starting compact hash check', {
      'local-member-id': hexId(memberId),
      timeout: `${requestTimeoutMs / 1000}s`,
    })
    const unchecked = store
      .compactionHashes()
      .filter((hash) => hash.revision > this.#checkedRevision)
      .sort((a, b) => b.revision - a.revision)
    let count = 0
    for (const own of unchecked) {
      const answers = await this.#ask(own.revision)
      if (answers.length === 0) continue
      count++
      if (await this.#compareAtCompaction(own, answers)) break
    }
    logger.info('finished compaction hash check', { 'number-of-hashes-checked': count })
  }

  /** @returns whether that settled the matter: everybody was compared, or an alarm was raised */
  async #compareAtCompaction(own: HashKvResult, answers: readonly PeerAnswer[]): Promise<boolean> {
    const { memberId, logger } = this.#ports
    const holders = new Map<number, bigint[]>([[own.hash, [memberId]]])
    let compared = 0
    for (const { member, result } of answers) {
      const isComparable = typeof result !== 'string' && result.compactRevision === own.compactRevision
      if (!isComparable) {
        logger.warn("Skipped peer's hash", {
          'number-of-peers': answers.length,
          'leader-id': hexId(memberId),
          'peer-id': hexId(member.id),
          reason:
            typeof result === 'string' ? 'no response' : "the peer's CompactRevision doesn't match leader's",
        })
        continue
      }
      compared++
      holders.set(result.hash, [...(holders.get(result.hash) ?? []), member.id])
    }
    if (holders.size === 1) {
      const fields = {
        'number-of-peers-checked': compared,
        'number-of-peers': answers.length,
        revision: own.revision,
      }
      if (compared < answers.length) {
        logger.warn('skipped revision in compaction hash check; was not able to check all peers', fields)
        return false
      }
      logger.info('successfully checked hash on whole cluster', fields)
      this.#checkedRevision = Math.max(this.#checkedRevision, own.revision)
      return true
    }
    const quorum = Math.floor((answers.length + 1) / 2) + 1
    const right = [...holders].find(([, ids]) => ids.length >= quorum)
    if (right === undefined) {
      logger.error(
        'Detected compaction hash mismatch but cannot identify the corrupted members, so intentionally set the memberID as 0',
        { 'leader-id': hexId(memberId), 'leader-revision': own.revision },
      )
      await this.#raiseAlarm(NOBODY)
    }
    for (const [hash, ids] of holders) {
      if (hash === right?.[0]) continue
      logger.error('Detected compaction hash mismatch', {
        'leader-id': hexId(memberId),
        'leader-revision': own.revision,
        'leader-compact-revision': own.compactRevision,
        'leader-hash': own.hash,
        'peer-ids': ids.map(hexId),
        hash,
      })
      if (right !== undefined) for (const id of ids) await this.#raiseAlarm(id)
    }
    return true
  }

  #ask(revision: number): Promise<PeerAnswer[]> {
    const others = this.#members().filter((member) => member.id !== this.#ports.memberId)
    return peerHashes(others, revision, { ...this.#ports, clusterId: this.#ports.cluster.id })
  }

  /** A member that has not replayed its log yet knows the others from the backend alone. */
  #members(): readonly Member[] {
    const { cluster, backend } = this.#ports
    const members = cluster.members()
    if (members.length > 0) return members
    return backend.range('members').map(([, json]) => parseMember(Buffer.from(json).toString('utf8')))
  }

  async #raiseAlarm(memberID: bigint): Promise<void> {
    const { logger } = this.#ports
    const { ACTIVATE } = etcdserverpb.AlarmAction
    const { CORRUPT } = etcdserverpb.AlarmType
    try {
      await this.#ports.proposeAlarm(
        etcdserverpb.AlarmRequest.create({ action: ACTIVATE, memberID, alarm: CORRUPT }),
      )
    } catch (error) {
      logger.warn('failed to raise alarm', { alarm: 'CORRUPT', error: textOf(error) })
    }
  }
}

/** What is wrong with a follower's answer; `now` is the leader's state after it has caught up. */
function faultOf(
  follower: PeerHash,
  own: HashKvResult,
  now: { readonly currentRevision: number; readonly compactRevision: number },
): string | undefined {
  if (follower.currentRevision > now.currentRevision)
    return "revision from follower must be less than or equal to leader's"
  if (follower.compactRevision > now.compactRevision)
    return "compact revision from follower must be less than or equal to leader's"
  if (follower.compactRevision === own.compactRevision && follower.hash !== own.hash)
    return 'same compact revision then hashes must match'
  return undefined
}

function ownFields(own: HashKvResult): LogFields {
  return {
    'local-member-revision': own.revision,
    'local-member-compact-revision': own.compactRevision,
    'local-member-hash': own.hash,
  }
}

function peerFields({ member, endpoint }: PeerAnswer): LogFields {
  return { 'remote-peer-id': hexId(member.id), 'remote-peer-endpoints': [endpoint] }
}

function resultFields(result: PeerHash): LogFields {
  return {
    'remote-peer-revision': result.currentRevision,
    'remote-peer-compact-revision': result.compactRevision,
    'remote-peer-hash': result.hash,
  }
}
