/**
 * What crosses raft's seams: the messages of the peer wire and the records of the disk, as plain data.
 *
 * The shapes are those of etcd's `raftpb`, so whatever decodes the wire into them can be handed over as it
 * is. Ids are `bigint`; terms and indexes are counted and therefore `number`. Nothing in here is copied when
 * it crosses: an object that was handed to raft, or came out of it, is not changed by either side any more.
 */

export const EntryType = {
  EntryNormal: 0,
  EntryConfChange: 1,
  EntryConfChangeV2: 2,
} as const
export type EntryType = (typeof EntryType)[keyof typeof EntryType]

export const MessageType = {
  MsgHup: 0,
  MsgBeat: 1,
  MsgProp: 2,
  MsgApp: 3,
  MsgAppResp: 4,
  MsgVote: 5,
  MsgVoteResp: 6,
  MsgSnap: 7,
  MsgHeartbeat: 8,
  MsgHeartbeatResp: 9,
  MsgUnreachable: 10,
  MsgSnapStatus: 11,
  MsgCheckQuorum: 12,
  MsgTransferLeader: 13,
  MsgTimeoutNow: 14,
  MsgReadIndex: 15,
  MsgReadIndexResp: 16,
  MsgPreVote: 17,
  MsgPreVoteResp: 18,
  MsgStorageAppend: 19,
  MsgStorageAppendResp: 20,
  MsgStorageApply: 21,
  MsgStorageApplyResp: 22,
  MsgForgetLeader: 23,
} as const
export type MessageType = (typeof MessageType)[keyof typeof MessageType]

/** One slot of the log. `data` is undefined in the empty entry that opens a term. */
export interface Entry {
  type: EntryType
  term: number
  index: number
  data: Uint8Array | undefined
}

/** What a member must find on its disk again: the term, whom it voted for in it (0n: nobody), the commit index. */
export interface HardState {
  term: number
  vote: bigint
  commit: number
}

/** Who belongs to the group. `votersOutgoing` is empty unless a joint change is under way. */
export interface ConfState {
  voters: bigint[]
  learners: bigint[]
  votersOutgoing: bigint[]
  learnersNext: bigint[]
  autoLeave: boolean
}

/** `index` 0 stands for "no snapshot". */
export interface SnapshotMetadata {
  confState: ConfState
  index: number
  term: number
}

export interface Snapshot {
  data: Uint8Array | undefined
  metadata: SnapshotMetadata
}

/** One message; which fields count depends on `type`. `vote` and `responses` never travel between members. */
export interface Message {
  type: MessageType
  to: bigint
  from: bigint
  term: number
  logTerm: number
  index: number
  entries: Entry[]
  commit: number
  snapshot: Snapshot | undefined
  reject: boolean
  rejectHint: number
  context: Uint8Array | undefined
  vote: bigint
  responses: Message[]
}

/** The id that names nobody. */
export const NONE = 0n
/** Target of `MsgStorageAppend`: whatever writes the log. */
export const LOCAL_APPEND_THREAD = 0xffff_ffff_ffff_ffffn
/** Target of `MsgStorageApply`: the state machine. */
export const LOCAL_APPLY_THREAD = 0xffff_ffff_ffff_fffen

/** A size or count that nothing reaches. */
export const NO_LIMIT = Infinity

const noEntries: Entry[] = []
const noResponses: Message[] = []
// One empty list serves all messages, so nobody may grow it.
Object.freeze(noEntries)
Object.freeze(noResponses)

/** A message with nothing set beyond its type and target. */
export function newMessage(type: MessageType, to: bigint): Message {
  return {
    type,
    to,
    from: NONE,
    term: 0,
    logTerm: 0,
    index: 0,
    entries: noEntries,
    commit: 0,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: undefined,
    vote: NONE,
    responses: noResponses,
  }
}

/** An entry as it is proposed: the leader gives it its term and index. */
export function newEntry(type: EntryType, data: Uint8Array | undefined): Entry {
  return { type, term: 0, index: 0, data }
}

export function emptyConfState(): ConfState {
  return { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false }
}

export function emptySnapshot(): Snapshot {
  return { data: undefined, metadata: { confState: emptyConfState(), index: 0, term: 0 } }
}

export function isEmptySnapshot(snapshot: Snapshot): boolean {
  return snapshot.metadata.index === 0
}

export function isEmptyHardState(state: HardState): boolean {
  return state.term === 0 && state.vote === NONE && state.commit === 0
}

/** Types that a member sends to itself or its storage, never to a peer. */
export function isLocalType(type: MessageType): boolean {
  switch (type) {
    case MessageType.MsgHup:
    case MessageType.MsgBeat:
    case MessageType.MsgUnreachable:
    case MessageType.MsgSnapStatus:
    case MessageType.MsgCheckQuorum:
    case MessageType.MsgStorageAppend:
    case MessageType.MsgStorageAppendResp:
    case MessageType.MsgStorageApply:
    case MessageType.MsgStorageApplyResp:
      return true
    default:
      return false
  }
}

/** Types that answer something this member sent. */
export function isResponseType(type: MessageType): boolean {
  switch (type) {
    case MessageType.MsgAppResp:
    case MessageType.MsgVoteResp:
    case MessageType.MsgHeartbeatResp:
    case MessageType.MsgUnreachable:
    case MessageType.MsgReadIndexResp:
    case MessageType.MsgPreVoteResp:
    case MessageType.MsgStorageAppendResp:
    case MessageType.MsgStorageApplyResp:
      return true
    default:
      return false
  }
}

/** Types that are of no term, or of whichever the receiver is in: what is forwarded, and committed state. */
export function isOfNoTerm(type: MessageType): boolean {
  switch (type) {
    case MessageType.MsgProp:
    case MessageType.MsgReadIndex:
    case MessageType.MsgTransferLeader:
    case MessageType.MsgForgetLeader:
    case MessageType.MsgSnap:
      return true
    default:
      return false
  }
}

/** Requests for a vote. */
export function isElectionType(type: MessageType): boolean {
  return type === MessageType.MsgVote || type === MessageType.MsgPreVote
}

/** Types that only a leader sends, to those who follow it. */
export function isLeaderType(type: MessageType): boolean {
  return type === MessageType.MsgApp || type === MessageType.MsgHeartbeat || type === MessageType.MsgSnap
}

export function isLocalTarget(id: bigint): boolean {
  return id === LOCAL_APPEND_THREAD || id === LOCAL_APPLY_THREAD
}
