import type { HardState } from './messages.ts'
import type { Progress } from './progress.ts'
import type { RaftState } from './role.ts'
import type { Config } from './tracker.ts'

export interface BasicStatus {
  readonly id: bigint
  readonly hardState: HardState
  /** 0n if no leader is known. */
  readonly lead: bigint
  readonly raftState: RaftState
  /** Up to here the state machine has acknowledged. */
  readonly applied: number
  /** The member that is to lead next; 0n if no transfer is under way here. */
  readonly leadTransferee: bigint
}

export interface Status extends BasicStatus {
  readonly config: Config
  /** On a leader a copy of what it knows of each member, by ascending id; otherwise empty. */
  readonly progress: ReadonlyMap<bigint, Progress>
}
