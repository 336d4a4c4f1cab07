import type { ServerResponse } from 'node:http'
import type { Message } from '@etcd-ts/raft'
import type { PeerContext } from './peer-context.ts'
import type { PeerPorts } from './transport.ts'

/** Answers a message that nobody may send here; its sender then stops for good. @returns whether it did */
export function answerForbidden(
  message: Message,
  context: PeerContext,
  ports: PeerPorts,
  response: ServerResponse,
): boolean {
  const text = ports.isRemoved(message.from)
    ? 'cannot process message from removed member'
    : message.to === context.local.memberId
      ? undefined
      : 'cannot process message to mismatch member'
  if (text === undefined) return false
  response.writeHead(403, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify({ message: text }))
  return true
}
