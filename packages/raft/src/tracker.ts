import { Inflights } from './inflights.ts'
import type { ConfState } from './messages.ts'
import { Progress } from './progress.ts'
import {
  type JointVoters,
  type Voters,
  type VoteResult,
  type Votes,
  isVoter,
  jointCommitted,
  jointVote,
  sortedIds,
} from './quorum.ts'

/**
 * Who belongs to the group. Invariants, checked on every change:
 * - a learner is no voter, in neither half;
 * - `learnersNext` are voters of the outgoing half that become learners when the joint configuration is left;
 * - outside a joint configuration `voters.outgoing` and `learnersNext` are empty and `autoLeave` is false.
 */
export interface Config {
  readonly voters: JointVoters
  readonly learners: Voters
  readonly learnersNext: Voters
  /** The leader proposes to leave the joint configuration as soon as it is in force. */
  readonly autoLeave: boolean
}

const emptyConfig: Config = {
  voters: { incoming: [], outgoing: [] },
  learners: [],
  learnersNext: [],
  autoLeave: false,
}

export type ProgressMap = ReadonlyMap<bigint, Progress>

export function isJoint(config: Config): boolean {
  return config.voters.outgoing.length > 0
}

export function confStateOf({ voters, learners, learnersNext, autoLeave }: Config): ConfState {
  return {
    voters: [...voters.incoming],
    learners: [...learners],
    votersOutgoing: [...voters.outgoing],
    learnersNext: [...learnersNext],
    autoLeave,
  }
}

/** The configuration in force and what is known of each of its members. */
export class Tracker {
  readonly #inflightMessagesMax: number
  readonly #inflightBytesMax: number
  #config = emptyConfig
  #progress: ProgressMap = new Map<bigint, Progress>()
  #ids: Voters = []
  readonly #matchOf = (id: bigint): number | undefined => this.#progress.get(id)?.match
  readonly #newInflights = (): Inflights => new Inflights(this.#inflightMessagesMax, this.#inflightBytesMax)

  constructor(inflightMessagesMax: number, inflightBytesMax: number) {
    this.#inflightMessagesMax = inflightMessagesMax
    this.#inflightBytesMax = inflightBytesMax
  }

  get config(): Config {
    return this.#config
  }

  get progress(): ProgressMap {
    return this.#progress
  }

  /** All members, learners too, in ascending order: the order in which they are sent to. */
  get ids(): Voters {
    return this.#ids
  }

  /** Puts another configuration in force, with the progress of its members and of nobody else. */
  replace(config: Config, progress: ProgressMap): void {
    this.#config = config
    this.#progress = progress
    this.#ids = sortedIds(progress.keys())
  }

  newProgress(next: number, isLearner: boolean): Progress {
    return new Progress(next, isLearner, this.#newInflights)
  }

  /** Starts everybody's progress anew, as a new leader must. */
  reset(next: number): void {
    const progress = new Map<bigint, Progress>()
    for (const id of this.#ids) progress.set(id, this.newProgress(next, this.#progress.get(id)!.isLearner))
    this.#progress = progress
  }

  isVoter(id: bigint): boolean {
    return isVoter(this.#config.voters, id)
  }

  /** Whether `id` decides alone. */
  isOnlyVoter(id: bigint): boolean {
    const { incoming, outgoing } = this.#config.voters
    return incoming.length === 1 && incoming[0] === id && outgoing.length === 0
  }

  /** The highest index that the configuration's majorities have on their disks. */
  committed(): number {
    return jointCommitted(this.#config.voters, this.#matchOf)
  }

  tally(votes: Votes): VoteResult {
    return jointVote(this.#config.voters, votes)
  }

  /** Whether a quorum was heard from since the last check. */
  isQuorumActive(): boolean {
    const active = new Map<bigint, boolean>()
    for (const [id, progress] of this.#progress)
      if (!progress.isLearner) active.set(id, progress.recentActive)
    return this.tally(active) === 'won'
  }
}
