import { type ConfChangeSingle, ConfChangeType } from './conf-change.ts'
import type { ConfState } from './messages.ts'
import type { Progress } from './progress.ts'
import { type JointVoters, type Voters, compareIds } from './quorum.ts'
import type { Config, ProgressMap } from './tracker.ts'

/** `(1 2 3)` */
function describeVoters(voters: Voters): string {
  return `(${voters.join(' ')})`
}

/** `(1 2 3)&&(1 2)` */
function describeJointVoters({ incoming, outgoing }: JointVoters): string {
  return describeVoters(incoming) + (outgoing.length === 0 ? '' : `&&${describeVoters(outgoing)}`)
}

/** `voters=(1 2)&&(1) learners=(3) learners_next=(2) autoleave` */
export function describeConfig(config: Config): string {
  let text = `voters=${describeJointVoters(config.voters)}`
  if (config.learners.length > 0) text += ` learners=${describeVoters(config.learners)}`
  if (config.learnersNext.length > 0) text += ` learners_next=${describeVoters(config.learnersNext)}`
  return config.autoLeave ? `${text} autoleave` : text
}

/** `Voters:[1 2] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false` */
export function describeConfState(state: ConfState): string {
  const list = (ids: Voters): string => `[${ids.join(' ')}]`
  return `Voters:${list(state.voters)} VotersOutgoing:${list(state.votersOutgoing)} Learners:${list(state.learners)} LearnersNext:${list(state.learnersNext)} AutoLeave:${state.autoLeave}`
}

const stateNames = { probe: 'StateProbe', replicate: 'StateReplicate', snapshot: 'StateSnapshot' } as const

/** `StateReplicate match=11 next=12 inflight=1` */
export function describeProgress(progress: Progress): string {
  let text = `${stateNames[progress.state]} match=${progress.match} next=${progress.next}`
  if (progress.isLearner) text += ' learner'
  if (progress.isPaused) text += ' paused'
  if (progress.pendingSnapshot > 0) text += ` pendingSnap=${progress.pendingSnapshot}`
  if (!progress.recentActive) text += ' inactive'
  const { inflights } = progress
  if (inflights.count > 0) text += ` inflight=${inflights.count}${inflights.isFull ? '[full]' : ''}`
  return text
}

/** One line for each member, by ascending id. */
export function describeProgressMap(progress: ProgressMap): string {
  return [...progress]
    .sort(([a], [b]) => compareIds(a, b))
    .map(([id, one]) => `${id}: ${describeProgress(one)}\n`)
    .join('')
}

const changeLetters: Record<ConfChangeType, string> = {
  [ConfChangeType.ConfChangeAddNode]: 'v',
  [ConfChangeType.ConfChangeAddLearnerNode]: 'l',
  [ConfChangeType.ConfChangeRemoveNode]: 'r',
  [ConfChangeType.ConfChangeUpdateNode]: 'u',
}

/** `v1 l2 r3 u4` */
export function describeConfChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map(({ type, nodeId }) => `${changeLetters[type] ?? 'unknown'}${nodeId}`).join(' ')
}

/** Why `parseConfChanges` could not read its text. */
export class ConfChangeTextError extends Error {
  override readonly name = 'ConfChangeTextError'
}

/** Reads the form of `describeConfChanges`. @throws ConfChangeTextError */
export function parseConfChanges(text: string): ConfChangeSingle[] {
  const changes: ConfChangeSingle[] = []
  if (text.trim() === '') return changes
  for (const token of text.trim().split(' ')) {
    if (token.length < 2) throw new ConfChangeTextError(`unknown token ${token}`)
    const type = typeOfLetter(token[0])
    if (type === undefined) throw new ConfChangeTextError(`unknown input: ${token}`)
    const digits = token.slice(1)
    if (!/^[0-9]+$/.test(digits)) {
      throw new ConfChangeTextError(`strconv.ParseUint: parsing "${digits}": invalid syntax`)
    }
    changes.push({ type, nodeId: BigInt(digits) })
  }
  return changes
}

function typeOfLetter(letter: string | undefined): ConfChangeType | undefined {
  return Object.values(ConfChangeType).find((type) => changeLetters[type] === letter)
}
