import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Message, MessageType, newMessage } from '@etcd-ts/raft'
import type { MemberPorts } from '@etcd-ts/server'
import type { SimIoCall } from '@etcd-ts/testkit'
import { type ClusterPlant, ClusterSimulation } from './cluster-simulation-run.ts'
import { lies, moved, puts } from './plants.ts'

// The tester tested (part 3.6 of the catalogue): bugs are planted under and between members, and the simulation must find each.

const SEEDS_MAX = 100

const isSyncOf = (path: RegExp) => (call: SimIoCall) => call.operation === 'datasync' && path.test(call.path)

/** Lets `sends` see what a member sends, and answer in the name of others. */
function between(sends: (message: Message, receive: (message: Message) => void) => void): ClusterPlant {
  return {
    ports: (ports: MemberPorts) => ({
      ...ports,
      openTransport: (options) => {
        const transport = ports.openTransport(options)
        const send = transport.send.bind(transport)
        transport.send = (messages) => {
          for (const message of messages) {
            sends(message, (answer) => ports.clock.soon(() => options.ports.receive(answer)))
          }
          send(messages)
        }
        return transport
      },
    }),
  }
}

for (const { name, plant } of [
  { name: 'disks that make nothing of the log durable', plant: () => ({ faults: lies(isSyncOf(/wal/)) }) },
  {
    name: 'disks that skip one sync of the log in fifty',
    plant: () => ({ faults: lies(isSyncOf(/wal/), 50) }),
  },
  {
    name: 'disks that never make the names of snapshots durable',
    plant: () => ({
      faults: lies((call) => call.operation === 'syncDirectory' && call.path.endsWith('snap')),
    }),
  },
  {
    name: 'backends that say a commit is durable when it is not',
    plant: () => ({ faults: lies((call) => call.operation === 'commit') }),
  },
  {
    name: 'a consistent index that is one entry behind',
    plant: () => puts((_, key, value) => (key === 'consistent_index' ? moved(value, -1) : value)),
  },
  {
    name: 'a consistent index that is one entry ahead',
    plant: () => puts((_, key, value) => (key === 'consistent_index' ? moved(value, 1) : value)),
  },
  {
    name: 'a membership that is applied and not stored',
    plant: () => puts((bucket, _, value) => (bucket === 'members' ? undefined : value)),
  },
  {
    name: 'leaders that read without asking whether they lead',
    plant: () =>
      between((message, receive) => {
        if (message.type !== MessageType.MsgHeartbeat || message.context === undefined) return
        receive({
          ...newMessage(MessageType.MsgHeartbeatResp, message.from),
          from: message.to,
          term: message.term,
          context: message.context,
        })
      }),
  },
  {
    name: 'members whose vote counts before they have cast it',
    plant: () =>
      between((message, receive) => {
        if (message.type !== MessageType.MsgVote) return
        receive({
          ...newMessage(MessageType.MsgVoteResp, message.from),
          from: message.to,
          term: message.term,
        })
      }),
  },
  {
    name: 'entries that count before they have arrived',
    plant: () =>
      between((message, receive) => {
        if (message.type !== MessageType.MsgApp || message.entries.length === 0) return
        receive({
          ...newMessage(MessageType.MsgAppResp, message.from),
          from: message.to,
          term: message.term,
          index: message.index + message.entries.length,
        })
      }),
  },
  {
    name: 'proposals that are sent twice',
    plant: (): ClusterPlant => ({
      ports: (ports) => ({
        ...ports,
        openTransport: (options) => {
          const transport = ports.openTransport(options)
          const send = transport.send.bind(transport)
          transport.send = (messages) => {
            send(messages)
            send(messages.filter(({ type }) => type === MessageType.MsgProp))
          }
          return transport
        },
      }),
    }),
  },
] satisfies { name: string; plant: () => ClusterPlant }[]) {
  void test(`found: ${name}`, async (t) => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      try {
        await new ClusterSimulation(seed, { plant: plant() }).survive()
      } catch (error) {
        const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
        t.diagnostic(`with seed ${seed}: ${`${String(error)}${cause}`.slice(0, 300)}`)
        return
      }
    }
    assert.fail(`not found by ${SEEDS_MAX} seeds`)
  })
}
