import type { Entry, HardState, Message, Snapshot } from './messages.ts'
import type { ReadState } from './read-only.ts'
import type { RaftState } from './role.ts'

/** Who leads, as far as this member knows (0n: nobody), and what this member is. Not persisted. */
export interface SoftState {
  readonly lead: bigint
  readonly raftState: RaftState
}

/**
 * What raft wants done. All arrays are the receiver's.
 *
 * Without asynchronous storage writes the order is: `hardState`, then `snapshot` or `entries`, to disk
 * (durably if `mustSync`); then `messages` out, `committedEntries` applied; then `advance`. A leader's appends
 * may go out before the disk is done. With asynchronous storage writes all of it is in `messages`, and the other
 * fields only say what is in there.
 */
export interface Ready {
  /** Undefined if it is what it was in the last Ready. */
  readonly softState: SoftState | undefined
  /** Undefined if it is what it was in the last Ready. */
  readonly hardState: HardState | undefined
  readonly readStates: ReadState[]
  /** To be appended to the log on disk; what is there from the first one's index on is replaced. */
  readonly entries: Entry[]
  /** To replace log and state machine. */
  readonly snapshot: Snapshot | undefined
  readonly committedEntries: Entry[]
  readonly messages: Message[]
  readonly mustSync: boolean
}
