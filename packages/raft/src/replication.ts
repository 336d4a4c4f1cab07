/** A leader's side of replication (section 5.3): what is sent to whom when, and what answers to it mean. */
import { describeProgress } from './describe-config.ts'
import { payloadsSize } from './entry-size.ts'
import { broken } from './invariant.ts'
import { hex } from './logger.ts'
import { type Entry, type Message, MessageType, NONE, isEmptySnapshot, newMessage } from './messages.ts'
import type { Progress } from './progress.ts'
import type { Raft } from './raft.ts'
import { TERM_UNKNOWN } from './raft-log.ts'
import { releaseEarlyReads } from './reads.ts'
import type { Leader } from './role.ts'

/** Sends everyone what they lack, and an empty append to those who lack nothing. */
export function broadcastAppend(raft: Raft): void {
  const { ids } = raft.tracker
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    if (id !== raft.id) maybeSendAppend(raft, id, true)
  }
}

/**
 * Sends `to` the next entries, or a snapshot if they are gone, unless its flow is paused.
 *
 * @param sendIfEmpty for the commit index alone, too
 * @returns whether something was sent
 */
export function maybeSendAppend(raft: Raft, to: bigint, sendIfEmpty: boolean): boolean {
  const progress = raft.tracker.progress.get(to)
  if (progress === undefined || progress.isPaused) return false
  const { log } = raft
  const prevIndex = progress.next - 1
  const prevTerm = log.term(prevIndex)
  if (prevTerm === TERM_UNKNOWN) return maybeSendSnapshot(raft, to, progress)
  // If all that is under way to a member was lost, an empty append, refused, is what gets it going again.
  const isStalled = progress.state === 'replicate' && progress.inflights.isFull
  const entries: Entry[] = isStalled ? [] : log.entries(progress.next, raft.settings.maxSizePerMessage)
  if (entries.length === 0 && !sendIfEmpty) return false
  const message = newMessage(MessageType.MsgApp, to)
  message.index = prevIndex
  message.logTerm = prevTerm
  message.entries = entries
  message.commit = log.committed
  raft.send(message)
  progress.sentEntries(entries.length, payloadsSize(entries))
  progress.sentCommit(log.committed)
  return true
}

function maybeSendSnapshot(raft: Raft, to: bigint, progress: Progress): boolean {
  const { log, logger, name } = raft
  if (!progress.recentActive) {
    logger.debug?.(`ignore sending snapshot to ${hex(to)} since it is not recently active`)
    return false
  }
  const snapshot = log.snapshot()
  if (snapshot === undefined) {
    logger.debug?.(
      `${name} failed to send snapshot to ${hex(to)} because snapshot is temporarily unavailable`,
    )
    return false
  }
  if (isEmptySnapshot(snapshot)) broken('need non-empty snapshot')
  const { index, term } = snapshot.metadata
  logger.debug?.(
    `${name} [firstindex: ${log.firstIndex}, commit: ${log.committed}] sent snapshot[index: ${index}, term: ${term}] to ${hex(to)} [${describeProgress(progress)}]`,
  )
  progress.becomeSnapshot(index)
  logger.debug?.(`${name} paused sending replication messages to ${hex(to)} [${describeProgress(progress)}]`)
  const message = newMessage(MessageType.MsgSnap, to)
  message.snapshot = snapshot
  raft.send(message)
  return true
}

/** @param context of a read that waits for the answers */
export function broadcastHeartbeat(raft: Raft, context: Uint8Array | undefined): void {
  const { ids, progress } = raft.tracker
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    if (id === raft.id) continue
    const member = progress.get(id)!
    const message = newMessage(MessageType.MsgHeartbeat, id)
    // Beyond its match the member may have entries that are not this leader's.
    message.commit = Math.min(member.match, raft.log.committed)
    message.context = context
    raft.send(message)
    member.sentCommit(message.commit)
  }
}

/**
 * Moves the commit index to what a quorum has, if that is of this term (section 5.4.2), and serves the reads
 * that waited for it. @returns whether it moved
 */
export function maybeCommit(raft: Raft, role: Leader): boolean {
  const index = raft.tracker.committed()
  if (index <= raft.log.committed || !raft.log.matchesTerm(index, raft.term)) return false
  raft.log.commitTo(index)
  releaseEarlyReads(raft, role)
  return true
}

/** Whether this leader's commit index is up to date: it knows that of earlier terms once one of its own is committed. */
export function hasCommittedInTerm(raft: Raft): boolean {
  return raft.log.term(raft.log.committed) === raft.term
}

export function handleAppendResponse(raft: Raft, role: Leader, progress: Progress, message: Message): void {
  const { from, index, reject } = message
  if (index > raft.log.lastIndex || (reject && from === raft.id)) {
    raft.logger.error?.(`${raft.name} ignored a MsgAppResp about what it never sent from ${hex(from)}`)
    return
  }
  progress.recentActive = true
  if (reject) {
    handleAppendRefusal(raft, progress, message)
    return
  }
  // The answer to a probe that finds nothing missing is not news, but ends the probing.
  const isUseful = progress.maybeUpdate(index) || (progress.match === index && progress.state === 'probe')
  if (!isUseful) return
  if (progress.state === 'probe') {
    progress.becomeReplicate()
  } else if (progress.state === 'replicate') {
    progress.inflights.freeUpTo(index)
  } else if (progress.match + 1 >= raft.log.firstIndex) {
    // Whichever snapshot it has installed, from here on the log will do.
    raft.logger.debug?.(
      `${raft.name} recovered from needing snapshot, resumed sending replication messages to ${hex(from)} [${describeProgress(progress)}]`,
    )
    progress.becomeProbe()
    progress.becomeReplicate()
  }
  if (maybeCommit(raft, role)) {
    broadcastAppend(raft)
  } else if (from !== raft.id && progress.canBumpCommit(raft.log.committed)) {
    // Heartbeats would tell it as well, but later.
    maybeSendAppend(raft, from, true)
  }
  if (from !== raft.id) while (maybeSendAppend(raft, from, false));
  if (from === role.transferee && progress.match === raft.log.lastIndex) {
    raft.logger.info?.(`${raft.name} sent MsgTimeoutNow to ${hex(from)} after received MsgAppResp`)
    sendTimeoutNow(raft, from)
  }
}

function handleAppendRefusal(raft: Raft, progress: Progress, message: Message): void {
  const { from, index, rejectHint, logTerm } = message
  raft.logger.debug?.(
    `${raft.name} received MsgAppResp(rejected, hint: (index ${rejectHint}, term ${logTerm})) from ${hex(from)} for index ${index}`,
  )
  // Without a term, from a member of etcd 3.4 or one with an empty log, the hint is taken as it is.
  const next = logTerm > 0 ? raft.log.findConflictByTerm(rejectHint, logTerm).index : rejectHint
  if (!progress.maybeDecrease(index, next)) return
  raft.logger.debug?.(`${raft.name} decreased progress of ${hex(from)} to [${describeProgress(progress)}]`)
  if (progress.state === 'replicate') progress.becomeProbe()
  maybeSendAppend(raft, from, true)
}

export function sendTimeoutNow(raft: Raft, to: bigint): void {
  raft.send(newMessage(MessageType.MsgTimeoutNow, to))
}

/** What was under way to a member that cannot be reached is probably lost. */
export function handleUnreachable(raft: Raft, progress: Progress, from: bigint): void {
  if (progress.state === 'replicate') progress.becomeProbe()
  raft.logger.debug?.(
    `${raft.name} failed to send message to ${hex(from)} because it is unreachable [${describeProgress(progress)}]`,
  )
}

export function handleSnapshotStatus(raft: Raft, progress: Progress, message: Message): void {
  if (progress.state !== 'snapshot') return
  if (message.reject) progress.pendingSnapshot = 0
  progress.becomeProbe()
  raft.logger.debug?.(
    `${raft.name} snapshot ${message.reject ? 'failed' : 'succeeded'}, resumed sending replication messages to ${hex(message.from)} [${describeProgress(progress)}]`,
  )
  // After success its answer is about to come; after failure the next try waits for a heartbeat.
  progress.isFlowPaused = true
}

export function abortTransfer(role: Leader): void {
  role.transferee = NONE
}
