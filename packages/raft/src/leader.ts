/** What a leader does with its ticks, with proposals, and with the wish to hand over. */
import { type AnyConfChange, toConfChangeV2 } from './conf-change.ts'
import { ConfChangeDecodeError, confChangeOf } from './conf-change-codec.ts'
import { describeConfChangeRecord } from './describe-record.ts'
import { describeConfig } from './describe-config.ts'
import { payloadsSize } from './entry-size.ts'
import { hex } from './logger.ts'
import { type Entry, EntryType, type Message, MessageType, NONE, newEntry, newMessage } from './messages.ts'
import type { Progress } from './progress.ts'
import type { Raft } from './raft.ts'
import { handleHeartbeatResponse, handleReadIndex } from './reads.ts'
import type { Refusal } from './refusal.ts'
import {
  abortTransfer,
  broadcastAppend,
  broadcastHeartbeat,
  handleAppendResponse,
  handleSnapshotStatus,
  handleUnreachable,
  maybeSendAppend,
  sendTimeoutNow,
} from './replication.ts'
import type { Leader } from './role.ts'
import { isJoint } from './tracker.ts'

export function stepLeader(raft: Raft, role: Leader, message: Message): Refusal | undefined {
  switch (message.type) {
    case MessageType.MsgProp:
      return propose(raft, role, message.entries)
    case MessageType.MsgReadIndex:
      handleReadIndex(raft, role, message)
      return undefined
    case MessageType.MsgForgetLeader:
      return undefined
    default:
  }
  const progress = raft.tracker.progress.get(message.from)
  if (progress === undefined) {
    raft.logger.debug?.(`${raft.name} no progress available for ${hex(message.from)}`)
    return undefined
  }
  switch (message.type) {
    case MessageType.MsgAppResp:
      handleAppendResponse(raft, role, progress, message)
      break
    case MessageType.MsgHeartbeatResp:
      handleHeartbeatResponse(raft, role, progress, message)
      break
    case MessageType.MsgSnapStatus:
      handleSnapshotStatus(raft, progress, message)
      break
    case MessageType.MsgUnreachable:
      handleUnreachable(raft, progress, message.from)
      break
    case MessageType.MsgTransferLeader:
      startTransfer(raft, role, progress, message.from)
      break
    default:
  }
  return undefined
}

export function tickLeader(raft: Raft, role: Leader): void {
  role.heartbeatElapsed++
  const { electionTicks, heartbeatTicks, checkQuorum } = raft.settings
  if (raft.electionElapsed >= electionTicks) {
    raft.electionElapsed = 0
    if (checkQuorum) checkActiveQuorum(raft)
    // A transfer that takes this long has failed: the group must not go without proposals for longer.
    abortTransfer(role)
  }
  if (raft.role !== role || role.heartbeatElapsed < heartbeatTicks) return
  role.heartbeatElapsed = 0
  broadcastHeartbeat(raft, role.reads.newestContext)
}

function checkActiveQuorum(raft: Raft): void {
  if (!raft.tracker.isQuorumActive()) {
    raft.logger.warn?.(`${raft.name} stepped down to follower since quorum is not active`)
    raft.becomeFollower(raft.term, NONE)
  }
  for (const [id, progress] of raft.tracker.progress) if (id !== raft.id) progress.recentActive = false
}

/** Takes `entries`, which become raft's own, into the log and sends them out. */
export function propose(raft: Raft, role: Leader, entries: Entry[]): Refusal | undefined {
  if (entries.length === 0) return 'proposalDropped'
  // A leader that was removed would replicate what it could not be part of committing.
  if (!raft.tracker.progress.has(raft.id)) return 'proposalDropped'
  if (role.transferee !== NONE) {
    raft.logger.debug?.(
      `${raft.name} [term ${raft.term}] transfer leadership to ${hex(role.transferee)} is in progress; dropping proposal`,
    )
    return 'proposalDropped'
  }
  for (let i = 0; i < entries.length; i++) {
    if (entries[i]!.type === EntryType.EntryNormal) continue
    if (!admitConfChange(raft, role, entries, i)) return 'proposalDropped'
  }
  if (!appendAsLeader(raft, role, entries)) return 'proposalDropped'
  broadcastAppend(raft)
  return undefined
}

/**
 * Lets the membership change at `entries[at]` into the log if none is under way and it suits the present
 * configuration; otherwise an empty entry takes its place.
 *
 * @returns false if it is none that could be read
 */
function admitConfChange(raft: Raft, role: Leader, entries: Entry[], at: number): boolean {
  const entry = entries[at]!
  let change: AnyConfChange | undefined
  try {
    change = confChangeOf(entry)
  } catch (error) {
    if (error instanceof ConfChangeDecodeError) return false
    throw error
  }
  if (change === undefined) return false
  const fault = raft.settings.disableConfChangeValidation ? undefined : confChangeFault(raft, role, change)
  if (fault === undefined) {
    role.pendingConfIndex = raft.log.lastIndex + at + 1
    return true
  }
  raft.logger.info?.(
    `${raft.name} ignoring conf change ${describeConfChangeRecord(entry)} at config ${describeConfig(raft.tracker.config)}: ${fault}`,
  )
  entries[at] = newEntry(EntryType.EntryNormal, undefined)
  return true
}

function confChangeFault(raft: Raft, role: Leader, change: AnyConfChange): string | undefined {
  const { applied } = raft.log
  if (role.pendingConfIndex > applied) {
    return `possible unapplied conf change at index ${role.pendingConfIndex} (applied to ${applied})`
  }
  const wantsToLeave = toConfChangeV2(change).changes.length === 0
  if (isJoint(raft.tracker.config)) {
    return wantsToLeave ? undefined : 'must transition out of joint config first'
  }
  return wantsToLeave ? 'not in joint state; refusing empty conf change' : undefined
}

/** Gives `entries` term and index and appends them. @returns false if too much is uncommitted already */
export function appendAsLeader(raft: Raft, role: Leader, entries: readonly Entry[]): boolean {
  const size = payloadsSize(entries)
  // Whatever its size, something gets in when nothing is uncommitted; and what has no size always does.
  if (
    size > 0 &&
    role.uncommittedSize > 0 &&
    role.uncommittedSize + size > raft.settings.maxUncommittedSize
  ) {
    raft.logger.warn?.(
      `${raft.name} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`,
    )
    return false
  }
  role.uncommittedSize += size
  const next = raft.log.lastIndex + 1
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!
    entry.term = raft.term
    entry.index = next + i
  }
  // This leader's own copy counts towards the quorum when it is on disk, like that of any other.
  const own = newMessage(MessageType.MsgAppResp, raft.id)
  own.index = raft.log.append(entries)
  raft.send(own)
  return true
}

/** Entries with `size` bytes of payload are committed and applied. */
export function releaseUncommitted(role: Leader, size: number): void {
  role.uncommittedSize = Math.max(role.uncommittedSize - size, 0)
}

export function proposeAutoLeave(raft: Raft, role: Leader): void {
  const config = describeConfig(raft.tracker.config)
  const refusal = propose(raft, role, [newEntry(EntryType.EntryConfChangeV2, undefined)])
  if (refusal === undefined) {
    raft.logger.info?.(`initiating automatic transition out of joint configuration ${config}`)
  } else {
    raft.logger.debug?.(
      `not initiating automatic transition out of joint configuration ${config}: raft proposal dropped`,
    )
  }
}

function startTransfer(raft: Raft, role: Leader, progress: Progress, transferee: bigint): void {
  const { name, term, logger } = raft
  if (progress.isLearner) {
    logger.debug?.(`${name} is learner. Ignored transferring leadership`)
    return
  }
  if (role.transferee === transferee) {
    logger.info?.(
      `${name} [term ${term}] transfer leadership to ${hex(transferee)} is in progress, ignores request to same node ${hex(transferee)}`,
    )
    return
  }
  if (role.transferee !== NONE) {
    logger.info?.(`${name} [term ${term}] abort previous transferring leadership to ${hex(role.transferee)}`)
    abortTransfer(role)
  }
  if (transferee === raft.id) {
    logger.debug?.(`${name} is already leader. Ignored transferring leadership to self`)
    return
  }
  logger.info?.(`${name} [term ${term}] starts to transfer leadership to ${hex(transferee)}`)
  // It has one election timeout from now on.
  raft.electionElapsed = 0
  role.transferee = transferee
  if (progress.match === raft.log.lastIndex) {
    sendTimeoutNow(raft, transferee)
    logger.info?.(
      `${name} sends MsgTimeoutNow to ${hex(transferee)} immediately as ${hex(transferee)} already has up-to-date log`,
    )
  } else {
    maybeSendAppend(raft, transferee, true)
  }
}
