/** Linearizable reads without a log entry (dissertation, section 6.4), on the leader. */
import { type Message, MessageType, NONE, newMessage } from './messages.ts'
import type { Progress } from './progress.ts'
import type { Raft } from './raft.ts'
import { broadcastHeartbeat, hasCommittedInTerm, maybeSendAppend } from './replication.ts'
import type { Leader } from './role.ts'

export function handleReadIndex(raft: Raft, role: Leader, request: Message): void {
  if (request.entries[0]?.data === undefined) {
    raft.logger.error?.(`${raft.name} ignored a MsgReadIndex without context`)
  } else if (hasCommittedInTerm(raft)) {
    confirm(raft, role, request)
  } else {
    // Entries of earlier terms may have been committed, and answered for, without this leader knowing; even
    // the only voter may have lost its commit index in a crash.
    role.earlyReads.push(request)
  }
}

/** After the first commit of the term: serves the reads that had to wait for it. */
export function releaseEarlyReads(raft: Raft, role: Leader): void {
  if (role.earlyReads.length === 0 || !hasCommittedInTerm(raft)) return
  const requests = role.earlyReads
  role.earlyReads = []
  for (const request of requests) confirm(raft, role, request)
}

function confirm(raft: Raft, role: Leader, request: Message): void {
  const { committed } = raft.log
  // If this is the only voter, nobody else can have been elected.
  if (raft.settings.readOnlyOption === 'leaseBased' || raft.tracker.isOnlyVoter(raft.id)) {
    answer(raft, request, committed)
    return
  }
  broadcastHeartbeat(raft, role.reads.add(request, committed, raft.id))
}

export function handleHeartbeatResponse(
  raft: Raft,
  role: Leader,
  progress: Progress,
  message: Message,
): void {
  progress.recentActive = true
  progress.isFlowPaused = false
  // Even if a member lacks nothing: the answer to an empty append is what ends its probing.
  if (progress.match < raft.log.lastIndex || progress.state === 'probe') {
    maybeSendAppend(raft, message.from, true)
  }
  const { context, from } = message
  if (raft.settings.readOnlyOption !== 'safe' || context === undefined) return
  const acks = role.reads.acknowledge(from, context)
  if (acks === undefined || raft.tracker.tally(acks) !== 'won') return
  for (const { request, index } of role.reads.take(context)) answer(raft, request, index)
}

/** Tells the reader, here or at the member that forwarded the request, which index it has to wait for. */
function answer(raft: Raft, request: Message, index: number): void {
  const { from, entries } = request
  const requestCtx = entries[0]?.data
  if (requestCtx === undefined) return
  if (from === NONE || from === raft.id) {
    raft.readStates.push({ index, requestCtx })
    return
  }
  const response = newMessage(MessageType.MsgReadIndexResp, from)
  response.index = index
  response.entries = entries
  raft.send(response)
}
