/** What a follower does with its leader's messages (sections 5.3 and 7) and with what it has to forward. */
import { describeConfStateRecord } from './describe-record.ts'
import { hex } from './logger.ts'
import { type Message, MessageType, NONE, type Snapshot, newMessage } from './messages.ts'
import type { Raft } from './raft.ts'
import type { Refusal } from './refusal.ts'
import type { Follower } from './role.ts'

export function stepFollower(raft: Raft, role: Follower, message: Message): Refusal | undefined {
  switch (message.type) {
    case MessageType.MsgProp:
      if (role.lead === NONE) {
        raft.logger.info?.(`${raft.name} no leader at term ${raft.term}; dropping proposal`)
        return 'proposalDropped'
      }
      if (raft.settings.disableProposalForwarding) {
        raft.logger.info?.(
          `${raft.name} not forwarding to leader ${hex(role.lead)} at term ${raft.term}; dropping proposal`,
        )
        return 'proposalDropped'
      }
      forward(raft, role.lead, message)
      return undefined
    case MessageType.MsgApp:
      hearFrom(raft, role, message.from)
      handleAppend(raft, message)
      return undefined
    case MessageType.MsgHeartbeat:
      hearFrom(raft, role, message.from)
      handleHeartbeat(raft, message)
      return undefined
    case MessageType.MsgSnap:
      hearFrom(raft, role, message.from)
      handleSnapshot(raft, message)
      return undefined
    case MessageType.MsgTransferLeader:
      if (role.lead === NONE) {
        raft.logger.info?.(`${raft.name} no leader at term ${raft.term}; dropping leader transfer msg`)
        return undefined
      }
      forward(raft, role.lead, message)
      return undefined
    case MessageType.MsgForgetLeader:
      forgetLeader(raft, role)
      return undefined
    case MessageType.MsgTimeoutNow:
      raft.logger.info?.(
        `${raft.name} [term ${raft.term}] received MsgTimeoutNow from ${hex(message.from)} and starts an election to get leadership.`,
      )
      // Never with a pre-vote: this member knows that it was not cut off.
      raft.campaignForTransfer()
      return undefined
    case MessageType.MsgReadIndex:
      if (role.lead === NONE) {
        raft.logger.info?.(`${raft.name} no leader at term ${raft.term}; dropping index reading msg`)
        return undefined
      }
      forward(raft, role.lead, message)
      return undefined
    case MessageType.MsgReadIndexResp:
      takeReadIndex(raft, message)
      return undefined
    default:
      return undefined
  }
}

function hearFrom(raft: Raft, role: Follower, leader: bigint): void {
  raft.electionElapsed = 0
  role.lead = leader
}

/** Sends on what only a leader can do; the sender stays who it was, so that the answer finds it. */
function forward(raft: Raft, lead: bigint, message: Message): void {
  raft.send({ ...message, to: lead, term: 0 })
}

/** A driver that knows the leader to be gone can so vote for another without waiting for an election timeout. */
function forgetLeader(raft: Raft, role: Follower): void {
  if (raft.settings.readOnlyOption === 'leaseBased') {
    // The leader counts on its followers to stay with it.
    raft.logger.error?.('ignoring MsgForgetLeader due to ReadOnlyLeaseBased')
    return
  }
  if (role.lead === NONE) return
  raft.logger.info?.(`${raft.name} forgetting leader ${hex(role.lead)} at term ${raft.term}`)
  role.lead = NONE
}

function takeReadIndex(raft: Raft, { from, index, entries }: Message): void {
  const requestCtx = entries[0]?.data
  if (entries.length !== 1 || requestCtx === undefined) {
    raft.logger.error?.(
      `${raft.name} invalid format of MsgReadIndexResp from ${hex(from)}, entries count: ${entries.length}`,
    )
    return
  }
  raft.readStates.push({ index, requestCtx })
}

export function handleAppend(raft: Raft, message: Message): void {
  const { log } = raft
  const { from, index, logTerm, entries, commit } = message
  if (!isWellFormed(message)) {
    raft.logger.error?.(`${raft.name} ignored a malformed MsgApp from ${hex(from)}`)
    return
  }
  const response = newMessage(MessageType.MsgAppResp, from)
  if (index < log.committed) {
    response.index = log.committed
    raft.send(response)
    return
  }
  const last = log.maybeAppend(index, logTerm, entries, commit)
  if (last !== undefined) {
    response.index = last
    raft.send(response)
    return
  }
  raft.logger.debug?.(
    `${raft.name} [logterm: ${log.termOrZero(index)}, index: ${index}] rejected MsgApp [logterm: ${logTerm}, index: ${index}] from ${hex(from)}`,
  )
  // The leader need not go back one entry at a time: where this log's terms are newer than the leader's at
  // `index`, they cannot agree, and the term at the hint lets the leader skip its own in the same way.
  const hint = log.findConflictByTerm(Math.min(index, log.lastIndex), logTerm)
  response.index = index
  response.reject = true
  response.rejectHint = hint.index
  response.logTerm = hint.term
  raft.send(response)
}

/** Whether the entries follow `index` without a gap, with terms that a log of a leader of that term can have. */
function isWellFormed({ index, logTerm, term, entries }: Message): boolean {
  let last = logTerm
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!
    if (entry.index !== index + 1 + i || entry.term < last || entry.term > term) return false
    last = entry.term
  }
  return true
}

export function handleHeartbeat(raft: Raft, message: Message): void {
  if (message.commit <= raft.log.lastIndex) raft.log.commitTo(message.commit)
  else {
    // The leader tells a member no more than it has acknowledged. What came since is sent again: see `Progress`.
    raft.logger.error?.(
      `${raft.name} has lost entries: ${message.commit} is committed, the log ends at ${raft.log.lastIndex}`,
    )
  }
  const response = newMessage(MessageType.MsgHeartbeatResp, message.from)
  response.context = message.context
  raft.send(response)
}

export function handleSnapshot(raft: Raft, { from, snapshot }: Message): void {
  const { log, name } = raft
  const response = newMessage(MessageType.MsgAppResp, from)
  const isRestored = snapshot !== undefined && restore(raft, snapshot)
  const index = snapshot?.metadata.index ?? 0
  const term = snapshot?.metadata.term ?? 0
  raft.logger.info?.(
    `${name} [commit: ${log.committed}] ${isRestored ? 'restored' : 'ignored'} snapshot [index: ${index}, term: ${term}]`,
  )
  response.index = isRestored ? log.lastIndex : log.committed
  raft.send(response)
}

/** Replaces log and configuration by `snapshot`. @returns false if there is no need to, or it is not for this member */
function restore(raft: Raft, snapshot: Snapshot): boolean {
  const { log, name, logger } = raft
  const { index, term, confState } = snapshot.metadata
  if (index <= log.committed) return false
  const { voters, learners, votersOutgoing } = confState
  // Those of `learnersNext` are among the outgoing voters.
  if (!voters.includes(raft.id) && !learners.includes(raft.id) && !votersOutgoing.includes(raft.id)) {
    logger.warn?.(
      `${name} attempted to restore snapshot but it is not in the ConfState ${describeConfStateRecord(confState)}; should never happen`,
    )
    return false
  }
  const describeLog = (): string =>
    `commit: ${log.committed}, lastindex: ${log.lastIndex}, lastterm: ${log.lastTerm}`
  if (log.matchesTerm(index, term)) {
    logger.info?.(
      `${name} [${describeLog()}] fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`,
    )
    log.commitTo(index)
    return false
  }
  log.restore(snapshot)
  raft.restoreConfig(confState)
  logger.info?.(`${name} [${describeLog()}] restored snapshot [index: ${index}, term: ${term}]`)
  return true
}
