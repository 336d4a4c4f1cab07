import { type Message, NONE } from './messages.ts'
import { PendingReads } from './read-only.ts'

/** What a member is to the group at this moment, and what only such a member keeps. */
export type Role = Follower | PreCandidate | Candidate | Leader

export type RaftState = Role['kind']

export interface Follower {
  readonly kind: 'follower'
  /** NONE while it has not heard of one in this term. */
  lead: bigint
}

/** Asks whether an election would be won, without disturbing anybody's term. */
export interface PreCandidate {
  readonly kind: 'preCandidate'
  readonly votes: Map<bigint, boolean>
}

export interface Candidate {
  readonly kind: 'candidate'
  readonly votes: Map<bigint, boolean>
}

export interface Leader {
  readonly kind: 'leader'
  heartbeatElapsed: number
  /** The member that is to lead next; while there is one, nothing can be proposed. */
  transferee: bigint
  /**
   * The newest entry that may change the configuration; another change may be proposed once this is applied.
   * A new leader does not search its log for one, but takes the last index.
   */
  pendingConfIndex: number
  /** Payload of the entries that are not known to be committed; an estimate that is never too high. */
  uncommittedSize: number
  readonly reads: PendingReads
  /** Reads that came before the first commit of this term, when the commit index may still be out of date. */
  earlyReads: Message[]
}

export function follower(lead: bigint): Follower {
  return { kind: 'follower', lead }
}

export function preCandidate(): PreCandidate {
  return { kind: 'preCandidate', votes: new Map() }
}

export function candidate(): Candidate {
  return { kind: 'candidate', votes: new Map() }
}

export function leader(lastIndex: number): Leader {
  return {
    kind: 'leader',
    heartbeatElapsed: 0,
    transferee: NONE,
    pendingConfIndex: lastIndex,
    uncommittedSize: 0,
    reads: new PendingReads(),
    earlyReads: [],
  }
}
