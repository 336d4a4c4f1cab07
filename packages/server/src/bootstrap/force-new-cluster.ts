import {
  type ConfState,
  ConfChangeType,
  type Entry,
  EntryType,
  type HardState,
  confChangeOf,
  encodeConfChange,
  toConfChangeV2,
} from '@etcd-ts/raft'
import { memberJson } from '../membership/member.ts'

/** The log of a member that lost its cluster, as it lies on the disk. */
export interface LostCluster {
  readonly memberId: bigint
  readonly hardState: HardState
  /** Of the newest snapshot; of nobody when there is none. */
  readonly confState: ConfState
  /** After the snapshot, up to the end of the log. */
  readonly entries: readonly Entry[]
  /** The last entry whose effects are in the store: it was committed, whether or not the hard state says so yet. */
  readonly appliedIndex: number
}

/** What makes a cluster of one member of it. */
export interface ForcedLog {
  /** Entries after this index were never committed, and are dropped. */
  readonly keepTo: number
  /** To be written behind what is kept, and to be taken as committed. */
  readonly append: readonly Entry[]
  readonly hardState: HardState
}

/** Where a member is found that was added to its own log: etcd's default. */
const PEER_URL = 'http://localhost:2380'

type Role = 'voter' | 'learner'

/**
 * What `--force-new-cluster` does to the log: what was not committed goes, and membership changes are added that leave
 * this member alone. It comes first, since a cluster must never be without a voter; the others leave by ascending id.
 *
 * A learner becomes a voter by promotion. (etcd adds it like a member that is unknown; adding one that is there already
 * has no effect, and it then cannot start.)
 *
 * @throws ConfChangeDecodeError when an entry cannot be read
 */
export function forceNewCluster(lost: LostCluster): ForcedLog {
  const { memberId, hardState, confState, entries } = lost
  const keepTo = Math.max(hardState.commit, lost.appliedIndex)
  const kept = entries.filter((entry) => entry.index <= keepTo)
  const roles = rolesAfter(confState, kept)
  const append: Entry[] = []
  const add = (type: ConfChangeType, nodeId: bigint, context?: string): void => {
    const data = encodeConfChange({
      id: 0n,
      type,
      nodeId,
      context: context === undefined ? undefined : Buffer.from(context),
    })
    const index = keepTo + append.length + 1
    append.push({ type: EntryType.EntryConfChange, term: hardState.term, index, data })
  }
  const own = roles.get(memberId)
  if (own === undefined) {
    const self = { id: memberId, peerUrls: [PEER_URL], isLearner: false, name: '', clientUrls: [] }
    add(ConfChangeType.ConfChangeAddNode, memberId, memberJson(self))
  } else if (own === 'learner') {
    add(ConfChangeType.ConfChangeAddNode, memberId, `{"id":${memberId},"peerURLs":null,"isPromote":true}`)
  }
  for (const id of [...roles.keys()].sort((a, b) => (a < b ? -1 : 1))) {
    if (id !== memberId) add(ConfChangeType.ConfChangeRemoveNode, id)
  }
  // What is dropped must be written over, or it would be there again after a restart.
  if (append.length === 0 && kept.length < entries.length) {
    append.push({ type: EntryType.EntryNormal, term: hardState.term, index: keepTo + 1, data: undefined })
  }
  return { keepTo, append, hardState: { ...hardState, commit: keepTo + append.length } }
}

function rolesAfter(confState: ConfState, entries: readonly Entry[]): Map<bigint, Role> {
  const roles = new Map<bigint, Role>()
  for (const id of [...confState.voters, ...confState.votersOutgoing]) roles.set(id, 'voter')
  for (const id of [...confState.learners, ...confState.learnersNext]) {
    if (!roles.has(id)) roles.set(id, 'learner')
  }
  for (const entry of entries) {
    const change = confChangeOf(entry)
    if (change === undefined) continue
    for (const { type, nodeId } of toConfChangeV2(change).changes) {
      if (type === ConfChangeType.ConfChangeAddNode) roles.set(nodeId, 'voter')
      else if (type === ConfChangeType.ConfChangeAddLearnerNode) roles.set(nodeId, 'learner')
      else if (type === ConfChangeType.ConfChangeRemoveNode) roles.delete(nodeId)
    }
  }
  return roles
}
