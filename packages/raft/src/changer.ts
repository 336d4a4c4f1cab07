/**
 * Membership changes as pure functions from one configuration to the next (the Raft dissertation, chapter 4;
 * joint configurations as in section 4.3).
 */
import { type ConfChangeSingle, ConfChangeType } from './conf-change.ts'
import type { ConfState } from './messages.ts'
import type { Progress } from './progress.ts'
import { type Voters, isVoter, sortedIds, withId, withoutId } from './quorum.ts'
import { type Config, type ProgressMap, type Tracker, isJoint } from './tracker.ts'

/** The change is not allowed from the configuration that it met. */
export class ConfChangeError extends Error {
  override readonly name = 'ConfChangeError'
}

export interface Membership {
  readonly config: Config
  readonly progress: ProgressMap
}

/**
 * Changes that alter at most one voter and so need no joint configuration.
 *
 * @param lastIndex of the log; new members are first probed there
 * @throws ConfChangeError
 */
export function changeSimply(
  tracker: Tracker,
  lastIndex: number,
  changes: readonly ConfChangeSingle[],
): Membership {
  const draft = new Draft(tracker, lastIndex)
  if (isJoint(tracker.config)) throw new ConfChangeError("can't apply simple config change in joint config")
  draft.apply(changes)
  if (differences(tracker.config.voters.incoming, draft.incoming) > 1) {
    throw new ConfChangeError('more than one voter changed without entering joint config')
  }
  return draft.finish()
}

/** Makes the present voters the outgoing half and applies the changes to the incoming one. @throws ConfChangeError */
export function enterJoint(
  tracker: Tracker,
  lastIndex: number,
  autoLeave: boolean,
  changes: readonly ConfChangeSingle[],
): Membership {
  const draft = new Draft(tracker, lastIndex)
  if (isJoint(tracker.config)) throw new ConfChangeError('config is already joint')
  if (draft.incoming.length === 0) throw new ConfChangeError("can't make a zero-voter config joint")
  draft.outgoing = draft.incoming
  draft.apply(changes)
  draft.autoLeave = autoLeave
  return draft.finish()
}

/** Drops the outgoing half. @throws ConfChangeError */
export function leaveJoint(tracker: Tracker, lastIndex: number): Membership {
  const draft = new Draft(tracker, lastIndex)
  if (!isJoint(tracker.config)) throw new ConfChangeError("can't leave a non-joint config")
  draft.leave()
  return draft.finish()
}

/** The membership that `state` describes, with all progress new. @throws ConfChangeError if it describes none */
export function restoreMembership(tracker: Tracker, lastIndex: number, state: ConfState): Membership {
  const config: Config = {
    voters: { incoming: sortedIds(state.voters), outgoing: sortedIds(state.votersOutgoing) },
    learners: sortedIds(state.learners),
    learnersNext: sortedIds(state.learnersNext),
    autoLeave: state.autoLeave,
  }
  if (state.voters.length === 0 && state.learners.length > 0) throw new ConfChangeError('removed all voters')
  const progress = new Map<bigint, Progress>()
  const add = (ids: Voters, isLearner: boolean): void => {
    for (const id of ids) progress.set(id, newMember(tracker, lastIndex, isLearner))
  }
  add(config.learners, true)
  add(config.voters.incoming, false)
  add(config.voters.outgoing, false)
  checkInvariants(config, progress)
  return { config, progress }
}

function newMember(tracker: Tracker, lastIndex: number, isLearner: boolean): Progress {
  // The newest entry is the first probe. It will be refused by a member that has no log yet, whose hint then
  // says where to start; an older log gets what it lacks and no more.
  const progress = tracker.newProgress(Math.max(lastIndex, 1), isLearner)
  // Otherwise the next quorum check would count it as lost before it had a chance to speak.
  progress.recentActive = true
  return progress
}

/** A configuration while it is being changed. */
class Draft {
  readonly #tracker: Tracker
  readonly #lastIndex: number
  readonly #progress: Map<bigint, Progress>
  incoming: Voters
  outgoing: Voters
  #learners: Voters
  #learnersNext: Voters
  autoLeave: boolean

  constructor(tracker: Tracker, lastIndex: number) {
    const { voters, learners, learnersNext, autoLeave } = tracker.config
    this.#tracker = tracker
    this.#lastIndex = lastIndex
    this.#progress = new Map(tracker.progress)
    this.incoming = voters.incoming
    this.outgoing = voters.outgoing
    this.#learners = learners
    this.#learnersNext = learnersNext
    this.autoLeave = autoLeave
  }

  apply(changes: readonly ConfChangeSingle[]): void {
    for (const { type, nodeId } of changes) {
      // A driver replaces the id of a committed change that it will not have by 0: then it does nothing.
      if (nodeId === 0n) continue
      switch (type) {
        case ConfChangeType.ConfChangeAddNode:
          this.#makeVoter(nodeId)
          break
        case ConfChangeType.ConfChangeAddLearnerNode:
          this.#makeLearner(nodeId)
          break
        case ConfChangeType.ConfChangeRemoveNode:
          this.#remove(nodeId)
          break
        case ConfChangeType.ConfChangeUpdateNode:
          break
        default:
          throw new ConfChangeError(`unexpected conf type ${String(type)}`)
      }
    }
    if (this.incoming.length === 0) throw new ConfChangeError('removed all voters')
  }

  leave(): void {
    for (const id of this.#learnersNext) {
      this.#learners = withId(this.#learners, id)
      this.#setRole(id, true)
    }
    this.#learnersNext = []
    for (const id of this.outgoing) {
      if (!this.incoming.includes(id) && !this.#learners.includes(id)) this.#progress.delete(id)
    }
    this.outgoing = []
    this.autoLeave = false
  }

  finish(): Membership {
    const config: Config = {
      voters: { incoming: this.incoming, outgoing: this.outgoing },
      learners: this.#learners,
      learnersNext: this.#learnersNext,
      autoLeave: this.autoLeave,
    }
    checkInvariants(config, this.#progress)
    return { config, progress: this.#progress }
  }

  #makeVoter(id: bigint): void {
    this.#setRole(id, false)
    this.#learners = withoutId(this.#learners, id)
    this.#learnersNext = withoutId(this.#learnersNext, id)
    this.incoming = withId(this.incoming, id)
  }

  #makeLearner(id: bigint): void {
    const progress = this.#progress.get(id)
    if (progress?.isLearner === true) return
    if (progress !== undefined) {
      this.#remove(id)
      this.#progress.set(id, progress)
    }
    // One that still votes in the outgoing half has to wait until that is dropped.
    if (this.outgoing.includes(id)) {
      this.#learnersNext = withId(this.#learnersNext, id)
    } else {
      this.#setRole(id, true)
      this.#learners = withId(this.#learners, id)
    }
  }

  #remove(id: bigint): void {
    this.incoming = withoutId(this.incoming, id)
    this.#learners = withoutId(this.#learners, id)
    this.#learnersNext = withoutId(this.#learnersNext, id)
    if (!this.outgoing.includes(id)) this.#progress.delete(id)
  }

  /** Keeps what is known of a member when its role changes: it is the same log. */
  #setRole(id: bigint, isLearner: boolean): void {
    const progress = this.#progress.get(id)
    if (progress === undefined) this.#progress.set(id, newMember(this.#tracker, this.#lastIndex, isLearner))
    else if (progress.isLearner !== isLearner) this.#progress.set(id, progress.as(isLearner))
  }
}

/** How many ids are in one list only. */
function differences(a: Voters, b: Voters): number {
  return a.filter((id) => !b.includes(id)).length + b.filter((id) => !a.includes(id)).length
}

function checkInvariants(config: Config, progress: ProgressMap): void {
  const { voters, learners, learnersNext } = config
  for (const id of [...voters.incoming, ...voters.outgoing, ...learners, ...learnersNext]) {
    if (!progress.has(id)) throw new ConfChangeError(`no progress for ${id}`)
  }
  for (const id of learnersNext) {
    if (!voters.outgoing.includes(id))
      throw new ConfChangeError(`${id} is in LearnersNext, but not Voters[1]`)
    if (progress.get(id)!.isLearner) {
      throw new ConfChangeError(`${id} is in LearnersNext, but is already marked as learner`)
    }
  }
  for (const id of learners) {
    if (isVoter(voters, id)) {
      const half = voters.outgoing.includes(id) ? 1 : 0
      throw new ConfChangeError(`${id} is in Learners and Voters[${half}]`)
    }
    if (!progress.get(id)!.isLearner) {
      throw new ConfChangeError(`${id} is in Learners, but is not marked as learner`)
    }
  }
  if (isJoint(config)) return
  if (learnersNext.length > 0) throw new ConfChangeError('cfg.LearnersNext must be nil when not joint')
  if (config.autoLeave) throw new ConfChangeError('AutoLeave must be false when not joint')
}
