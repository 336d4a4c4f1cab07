import { DecodeError, raftpb } from '@etcd-ts/api'
import { type Message, MessageType, isLocalTarget, NONE } from '@etcd-ts/raft'

/** Longer messages are not even read. */
export const MESSAGE_BYTES_MAX = 512 * 1024 * 1024

/** Bytes from another member that break the peer protocol; the connection that they came on is given up. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** What travels between members in streams and posts; `MsgSnap` only travels with a database behind it. */
const wireTypes: ReadonlySet<number> = new Set([
  MessageType.MsgProp,
  MessageType.MsgApp,
  MessageType.MsgAppResp,
  MessageType.MsgVote,
  MessageType.MsgVoteResp,
  MessageType.MsgHeartbeat,
  MessageType.MsgHeartbeatResp,
  MessageType.MsgTransferLeader,
  MessageType.MsgTimeoutNow,
  MessageType.MsgReadIndex,
  MessageType.MsgReadIndexResp,
  MessageType.MsgPreVote,
  MessageType.MsgPreVoteResp,
])

/**
 * Decodes one `raftpb.Message`, whose bytes fields are views into `bytes`.
 *
 * @throws ProtocolError when it is none, or has numbers that no term or index can have
 */
export function decodeMessage(bytes: Uint8Array, start = 0, end = bytes.length): Message {
  try {
    return raftpb.Message.decode(bytes, start, end)
  } catch (error) {
    throw wireFault(error)
  }
}

/** @throws ProtocolError when there is no `raftpb.Entry` at `bytes[start, end)` */
export function decodeEntry(bytes: Uint8Array, start: number, end: number): raftpb.Entry {
  try {
    return raftpb.Entry.decode(bytes, start, end)
  } catch (error) {
    throw wireFault(error)
  }
}

function wireFault(error: unknown): unknown {
  return error instanceof DecodeError ? new ProtocolError(error.message, { cause: error }) : error
}

/** The frame of a message stream that only says that the link is up. */
export function isLinkHeartbeat(message: Message): boolean {
  return message.type === MessageType.MsgHeartbeat && message.from === NONE && message.to === NONE
}

/**
 * Refuses what a member never sends to another, before raft, which trusts itself and its log, gets to see it.
 *
 * @throws ProtocolError
 */
export function checkMessage(message: Message): void {
  if (!wireTypes.has(message.type)) throw new ProtocolError(`message of type ${message.type}`)
  checkSender(message)
  if (message.type === MessageType.MsgApp) checkAppend(message)
}

/** The part of `checkMessage` that a snapshot has to pass too. @throws ProtocolError */
export function checkSender(message: Message): void {
  if (message.from === NONE || isLocalTarget(message.from)) throw new ProtocolError('message of nobody')
  if (message.vote !== NONE || message.responses.length > 0) {
    throw new ProtocolError('message with fields of local storage')
  }
}

/** The entries of an append follow each other, and the entry before them, without a gap. @throws ProtocolError */
function checkAppend({ index, term, logTerm, entries }: Message): void {
  let lastTerm = logTerm
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]
    if (entry === undefined) continue
    if (entry.index !== index + 1 + i || entry.term < lastTerm || entry.term > term || entry.type > 2) {
      throw new ProtocolError(`entry ${entry.index} of term ${entry.term} in an append after ${index}`)
    }
    lastTerm = entry.term
  }
  if (index + entries.length > Number.MAX_SAFE_INTEGER) throw new ProtocolError('index out of range')
}
