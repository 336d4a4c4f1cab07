/** Elections, from both sides: votes asked for, given and counted (section 5.2; pre-vote: dissertation, 9.6). */
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.ts'
import { hex } from './logger.ts'
import { messageTypeName } from './message-names.ts'
import { type Message, MessageType, NONE, newMessage } from './messages.ts'
import { votersOfBoth } from './quorum.ts'
import type { Raft } from './raft.ts'
import type { Refusal } from './refusal.ts'
import { broadcastAppend } from './replication.ts'
import type { Candidate, PreCandidate } from './role.ts'

/** Starts an election, or asks how one would end. `context` goes along with the requests. */
export function campaign(raft: Raft, kind: 'preVote' | 'vote', context: Uint8Array | undefined): void {
  const isPreVote = kind === 'preVote'
  if (isPreVote) raft.becomePreCandidate()
  else raft.becomeCandidate()
  const term = isPreVote ? raft.term + 1 : raft.term
  const request = isPreVote ? MessageType.MsgPreVote : MessageType.MsgVote
  const { log } = raft
  for (const id of votersOfBoth(raft.tracker.config.voters)) {
    if (id === raft.id) {
      // Its own vote counts when it is on disk, like that of any other.
      const response = newMessage(responseOf(request), id)
      response.term = term
      raft.send(response)
      continue
    }
    raft.logger.info?.(
      `${raft.name} [${raft.describeLast()}] sent ${messageTypeName(request)} request to ${hex(id)} at term ${raft.term}`,
    )
    const message = newMessage(request, id)
    message.term = term
    message.index = log.lastIndex
    message.logTerm = log.lastTerm
    message.context = context
    raft.send(message)
  }
}

function responseOf(request: MessageType): MessageType {
  return request === MessageType.MsgVote ? MessageType.MsgVoteResp : MessageType.MsgPreVoteResp
}

/** Answers MsgVote and MsgPreVote, in whatever role. A learner votes as well: it may not know yet that it is a voter. */
export function handleVoteRequest(raft: Raft, message: Message): void {
  const { type, from, term, index, logTerm } = message
  const isPreVote = type === MessageType.MsgPreVote
  const isFree =
    raft.vote === from || (raft.vote === NONE && raft.lead === NONE) || (isPreVote && term > raft.term)
  const isGranted = isFree && raft.log.isUpToDate(index, logTerm)
  raft.logger.info?.(
    `${raft.name} [${raft.describeLast()}, vote: ${hex(raft.vote)}] ${isGranted ? 'cast' : 'rejected'} ${messageTypeName(type)} ${isGranted ? 'for' : 'from'} ${hex(from)} [logterm: ${logTerm}, index: ${index}] at term ${raft.term}`,
  )
  const response = newMessage(responseOf(type), from)
  // A candidate takes answers of the term it asked for, which for a pre-vote is not this member's; a refusal
  // tells it the term of a member that is ahead.
  response.term = isGranted ? term : raft.term
  response.reject = !isGranted
  raft.send(response)
  if (isGranted && !isPreVote) {
    raft.electionElapsed = 0
    raft.vote = from
  }
}

export function stepCandidate(
  raft: Raft,
  role: Candidate | PreCandidate,
  message: Message,
): Refusal | undefined {
  switch (message.type) {
    case MessageType.MsgProp:
      raft.logger.info?.(`${raft.name} no leader at term ${raft.term}; dropping proposal`)
      return 'proposalDropped'
    case MessageType.MsgApp:
      raft.becomeFollower(raft.term, message.from)
      handleAppend(raft, message)
      return undefined
    case MessageType.MsgHeartbeat:
      raft.becomeFollower(raft.term, message.from)
      handleHeartbeat(raft, message)
      return undefined
    case MessageType.MsgSnap:
      raft.becomeFollower(raft.term, message.from)
      handleSnapshot(raft, message)
      return undefined
    case MessageType.MsgVoteResp:
      if (role.kind === 'candidate') countVote(raft, role, message)
      return undefined
    case MessageType.MsgPreVoteResp:
      // A candidate may still get answers to the pre-vote that it has won.
      if (role.kind === 'preCandidate') countVote(raft, role, message)
      return undefined
    case MessageType.MsgTimeoutNow:
      raft.logger.debug?.(
        `${raft.name} [term ${raft.term} state ${role.kind === 'candidate' ? 'StateCandidate' : 'StatePreCandidate'}] ignored MsgTimeoutNow from ${hex(message.from)}`,
      )
      return undefined
    default:
      return undefined
  }
}

function countVote(raft: Raft, role: Candidate | PreCandidate, { type, from, reject }: Message): void {
  const name = messageTypeName(type)
  raft.logger.info?.(
    `${raft.name} received ${name}${reject ? ' rejection' : ''} from ${hex(from)} at term ${raft.term}`,
  )
  // A member's first answer stands.
  if (!role.votes.has(from)) role.votes.set(from, !reject)
  const [granted, rejected] = countVotes(raft, role.votes)
  raft.logger.info?.(`${raft.name} has received ${granted} ${name} votes and ${rejected} vote rejections`)
  switch (raft.tracker.tally(role.votes)) {
    case 'won':
      if (role.kind === 'preCandidate') {
        campaign(raft, 'vote', undefined)
      } else {
        raft.becomeLeader()
        broadcastAppend(raft)
      }
      break
    case 'lost':
      // The refusal of a pre-vote may have a higher term than this member; its own stays what it is.
      raft.becomeFollower(raft.term, NONE)
      break
    case 'pending':
  }
}

/** Votes of present voters; a member that a change removed meanwhile may have answered too. */
function countVotes(raft: Raft, votes: ReadonlyMap<bigint, boolean>): [granted: number, rejected: number] {
  let granted = 0
  let rejected = 0
  for (const [id, progress] of raft.tracker.progress) {
    const vote = votes.get(id)
    if (progress.isLearner || vote === undefined) continue
    if (vote) granted++
    else rejected++
  }
  return [granted, rejected]
}
