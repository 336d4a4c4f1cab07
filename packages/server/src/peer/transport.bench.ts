/**
 * How fast do appends reach two followers and come back acknowledged? The leader's process does nothing else, and each
 * follower has one of its own. Run: node packages/server/dist/peer/transport.bench.js
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@etcd-ts/platform'
import { type Entry, type Message, MessageType, newMessage } from '@etcd-ts/raft'
import { silentLogger } from '../log/index.ts'
import { createMetrics } from '../metrics/index.ts'
import { HttpPeerTransport } from './http-peer-transport.ts'

const LEADER = 1n
const DATA_BYTES = 300
const SECONDS = 3
const UNACKNOWLEDGED_ENTRIES_MAX = 8192

async function open(
  memberId: bigint,
  receive: (message: Message) => void,
): Promise<{ transport: HttpPeerTransport; url: string }> {
  const server = createServer((request, response) => {
    if (!transport.handle(request, response)) response.writeHead(404).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  const transport = new HttpPeerTransport({
    memberId,
    clusterId: 1n,
    serverVersion: '3.5.33',
    minClusterVersion: '3.0.0',
    advertisePeerUrls: [url],
    electionTimeoutMs: 1000,
    clock: systemClock,
    logger: silentLogger,
    metrics: createMetrics(),
    ports: {
      receive,
      receiveSnapshot: () => Promise.reject(new Error('none')),
      isRemoved: () => false,
      reportUnreachable: () => undefined,
      reportSnapshot: () => undefined,
      removedFromCluster: () => undefined,
    },
  })
  return { transport, url }
}

/** Acknowledges every append; all those of a turn go out together, as a real follower's do after its sync. */
async function follow(memberId: bigint, leaderUrl: string): Promise<void> {
  let answers: Message[] = []
  const { transport, url } = await open(memberId, (message) => {
    if (answers.length === 0) {
      setImmediate(() => {
        transport.send(answers)
        answers = []
      })
    }
    const answer = newMessage(MessageType.MsgAppResp, LEADER)
    answer.from = memberId
    answer.term = message.term
    answer.index = message.index + message.entries.length
    answers.push(answer)
  })
  transport.addPeer(LEADER, [leaderUrl])
  process.send?.(url)
}

async function lead(): Promise<void> {
  const acknowledged = new Map<bigint, number>()
  let received = 0
  const { transport, url } = await open(LEADER, (message) => {
    acknowledged.set(message.from, message.index)
    received++
  })
  const followers: ChildProcess[] = []
  for (const id of [2n, 3n]) {
    const child = fork(fileURLToPath(import.meta.url), [String(id), url])
    followers.push(child)
    const [followerUrl] = await once(child, 'message')
    transport.addPeer(id, [String(followerUrl)])
    acknowledged.set(id, 0)
  }
  // Until both streams of both followers are there.
  await systemClock.sleep(1000)
  let index = 0
  for (const entriesPerMessage of [1, 16, 128]) {
    received = 0
    const startIndex = index
    const startMs = systemClock.monotonicMs()
    const startCpu = process.cpuUsage()
    const endMs = startMs + SECONDS * 1000
    while (systemClock.monotonicMs() < endMs || Math.min(...acknowledged.values()) < index) {
      const messages: Message[] = []
      while (
        systemClock.monotonicMs() < endMs &&
        messages.length < 400 &&
        index - Math.min(...acknowledged.values()) < UNACKNOWLEDGED_ENTRIES_MAX
      ) {
        const entries = Array.from({ length: entriesPerMessage }, (_, i): Entry => {
          return { type: 0, term: 1, index: index + 1 + i, data: Buffer.alloc(DATA_BYTES, i) }
        })
        for (const id of acknowledged.keys()) {
          const message = newMessage(MessageType.MsgApp, id)
          message.from = LEADER
          message.term = 1
          message.logTerm = 1
          message.index = index
          message.commit = index
          message.entries = entries
          messages.push(message)
        }
        index += entriesPerMessage
      }
      transport.send(messages)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const seconds = (systemClock.monotonicMs() - startMs) / 1000
    const cpu = process.cpuUsage(startCpu)
    const entries = index - startIndex
    console.log(
      `${entriesPerMessage} entries of ${DATA_BYTES} bytes in a message: ` +
        `${Math.round(entries / seconds)} entries/s to each of two followers, ` +
        `${Math.round((2 * entries) / entriesPerMessage / seconds)} messages/s out, ${Math.round(received / seconds)} in, ` +
        `${((cpu.user + cpu.system) / 1e6 / seconds).toFixed(2)} cores in the leader, ` +
        `${((cpu.user + cpu.system) / entries).toFixed(2)} us of it an entry`,
    )
  }
  for (const child of followers) child.kill()
  await transport.stop()
  process.exit(0)
}

const [, , id = '', leaderUrl = ''] = process.argv
await (id === '' ? lead() : follow(BigInt(id), leaderUrl))
