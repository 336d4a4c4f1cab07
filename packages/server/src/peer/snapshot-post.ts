/**
 * How a database travels: the body of a POST in chunks, without a length.
 *
 *     size of the message (8 bytes, big-endian) | raftpb.Message of type MsgSnap | the database to the end of the body
 *
 * Nothing says how long the database is or whether it is whole, except that the last chunk came: a body must never end
 * as bodies do unless everything was in it.
 */
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import { raftpb } from '@etcd-ts/api'
import type { Clock } from '@etcd-ts/platform'
import type { Message } from '@etcd-ts/raft'
import { type LocalIdentity, requestHeaders } from './compatibility.ts'
import { Deadline } from './deadline.ts'
import { type DialLimits, type PeerAddress, dialPeer } from './peer-address.ts'
import type { PeerTls } from './peer-tls.ts'
import { readPostAnswer } from './pipeline.ts'
import type { SnapshotBody } from './transport.ts'

/** The receiver writes to its disk while it reads: it may pause for longer than a stream may. */
const STALL_TIMEOUT_MS = 60_000
/** The receiver has everything and makes it safe. */
const ANSWER_TIMEOUT_MS = 10 * 60_000

export interface SnapshotPostOptions {
  readonly local: LocalIdentity
  readonly address: PeerAddress
  readonly tls: PeerTls | undefined
  readonly limits: DialLimits
  readonly clock: Clock
  readonly onRemoved: () => void
  /** Counts what has gone out. */
  readonly onSent: (sizeBytes: number) => void
  /** Gives up. */
  readonly signal: AbortSignal
}

/**
 * Sends a `MsgSnap` and its database to another member.
 *
 * @throws Error when the other member does not have it; the database is closed in any case
 */
export async function postSnapshot(
  message: Message,
  database: SnapshotBody,
  options: SnapshotPostOptions,
): Promise<void> {
  const { local, address, tls, limits, clock, signal } = options
  const request = httpRequest({
    method: 'POST',
    path: '/raft/snapshot',
    headers: {
      Host: address.authority,
      ...requestHeaders(local),
      'Content-Type': 'application/octet-stream',
      'Transfer-Encoding': 'chunked',
    },
    createConnection: () => dialPeer(address, tls, limits, clock),
  })
  const deadline = new Deadline(clock, STALL_TIMEOUT_MS, () => request.destroy(new Error('i/o timeout')))
  const onAbort = (): void => void request.destroy(new Error('the transfer was given up'))
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  const answered = answerTo(request)
  const sending = sendBody(request, message, database, deadline, options.onSent)
  try {
    // An answer that comes before everything was sent is one of failure, and ends the sending.
    const isSent = await Promise.race([sending.then(() => true), answered.then(() => false)])
    deadline.cancel()
    await withDeadline(clock, request, async () => {
      const fault = await readPostAnswer(await answered, local, options.onRemoved)
      if (fault !== undefined) throw fault
      if (!isSent) throw new Error('an answer came before everything was sent')
    })
  } finally {
    // Whatever is not finished by now breaks off here.
    request.destroy()
    deadline.cancel()
    signal.removeEventListener('abort', onAbort)
    await sending.catch(() => undefined)
    database.close()
  }
}

async function withDeadline(clock: Clock, request: ClientRequest, run: () => Promise<void>): Promise<void> {
  const deadline = new Deadline(clock, ANSWER_TIMEOUT_MS, () => request.destroy(new Error('i/o timeout')))
  try {
    await run()
  } finally {
    deadline.cancel()
  }
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
    request.once('close', () => reject(new Error('the connection was closed')))
  })
  // Its failure also ends the sending, which may be the first to tell.
  answered.catch(() => undefined)
  return answered
}

async function sendBody(
  request: ClientRequest,
  message: Message,
  database: SnapshotBody,
  deadline: Deadline,
  onSent: (sizeBytes: number) => void,
): Promise<void> {
  const size = raftpb.Message.encodedSize(message)
  const head = Buffer.alloc(8 + size)
  head.writeUInt32BE(Math.floor(size / 4_294_967_296), 0)
  head.writeUInt32BE(size % 4_294_967_296, 4)
  raftpb.Message.write(message, head, 8)
  await write(request, head)
  onSent(head.length)
  let sizeBytes = 0
  for await (const chunk of database.chunks()) {
    deadline.renew()
    sizeBytes += chunk.length
    if (sizeBytes > database.sizeBytes) break
    await write(request, chunk)
    onSent(chunk.length)
    deadline.renew()
  }
  if (sizeBytes !== database.sizeBytes) {
    throw new Error(`the database has ${sizeBytes} bytes or more instead of ${database.sizeBytes}`)
  }
  request.end()
}

/** Resolves when the connection has taken the bytes: no more than one piece is held in memory. */
function write(request: ClientRequest, bytes: Uint8Array): Promise<void> {
  if (bytes.length === 0) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new Error('the connection was closed'))
    if (request.destroyed) {
      onClose()
      return
    }
    request.once('close', onClose)
    request.write(bytes, (error) => {
      request.removeListener('close', onClose)
      if (error instanceof Error) reject(error)
      else resolve()
    })
  })
}
