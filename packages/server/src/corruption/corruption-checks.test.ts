import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { type Backend, openLmdbBackend } from '@etcd-ts/backend'
import { MvccStore } from '@etcd-ts/mvcc'
import { systemClock, systemRandom } from '@etcd-ts/platform'
import { silentLogger } from '../log/index.ts'
import { Cluster } from '../membership/cluster.ts'
import { type Member, memberJson } from '../membership/member.ts'
import { sampleMember } from '../membership/testing/sample-cluster.ts'
import { SteppingClock } from '../membership/testing/stepping-clock.ts'
import { systemPeerHttp } from '../peer/system-peer-http.ts'
import { type PeerEndpointsPorts, peerEndpoints } from '../peer/endpoints.ts'
import { CorruptionChecks, type CorruptionPorts } from './corruption-checks.ts'

const rethrow = (error: unknown): never => {
  throw error
}

/** A member with a store of its own that answers at its peer URL. */
class Node {
  readonly member: Member
  readonly backend: Backend
  readonly store: MvccStore

  private constructor(member: Member, backend: Backend, store: MvccStore) {
    this.member = member
    this.backend = backend
    this.store = store
  }

  static async start(context: TestContext, id: bigint, cluster: Cluster): Promise<Node> {
    const folder = mkdtempSync(join(tmpdir(), 'corruption-'))
    const backend = openLmdbBackend({ path: join(folder, 'db'), clock: systemClock, onWriteFailed: rethrow })
    const store = await MvccStore.open({
      backend,
      clock: systemClock,
      random: systemRandom,
      compactionPauseMs: 0,
      onFailed: rethrow,
    })
    context.after(async () => {
      await store.close()
      await backend.close()
      rmSync(folder, { recursive: true })
    })
    const handle = peerEndpoints({
      cluster,
      store,
      reconfiguration: undefined as unknown as PeerEndpointsPorts['reconfiguration'],
      version: { serverVersion: '3.5.33', clusterVersion: () => undefined },
      logger: silentLogger,
      catchUp: () => Promise.resolve(),
    })
    const server = createServer((request, response) => {
      if (!handle(request, response)) response.writeHead(404).end()
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    context.after(() => {
      server.close()
      server.closeAllConnections()
    })
    const { port } = server.address() as AddressInfo
    return new Node(sampleMember(id, { peerUrls: [`http://127.0.0.1:${port}`] }), backend, store)
  }

  put(key: string, value: string): void {
    this.store.put(etcdserverpb.PutRequest.create({ key: Buffer.from(key), value: Buffer.from(value) }))
  }

  compact(revision: number): Promise<void> {
    return this.store.compact(BigInt(revision))
  }
}

interface World {
  readonly cluster: Cluster
  readonly nodes: readonly Node[]
  /** Of member 1. */
  readonly checks: CorruptionChecks
  /** Members whose CORRUPT alarm was proposed. */
  readonly alarms: bigint[]
  readonly lines: string[]
  readonly clock: SteppingClock
}

/** Members 1 to `count` with the same data at revision 4; member 1 leads. */
async function start(
  context: TestContext,
  count: number,
  overrides: Partial<CorruptionPorts> = {},
): Promise<World> {
  const cluster = new Cluster(0xabcn)
  const nodes: Node[] = []
  for (let id = 1n; id <= BigInt(count); id++) {
    const node = await Node.start(context, id, cluster)
    cluster.apply({ kind: 'add', member: node.member })
    for (const [key, value] of [
      ['a', '1'],
      ['b', '2'],
      ['a', '3'],
    ] as const)
      node.put(key, value)
    nodes.push(node)
  }
  const [leader] = nodes as [Node]
  const alarms: bigint[] = []
  const lines: string[] = []
  const clock = new SteppingClock()
  const log = (text: string): void => void lines.push(text)
  const checks = new CorruptionChecks({
    memberId: 1n,
    cluster,
    clock,
    store: leader.store,
    backend: leader.backend,
    peerHttp: systemPeerHttp(undefined),
    logger: { ...silentLogger, info: log, warn: log, error: log },
    requestTimeoutMs: 5000,
    isLeader: () => true,
    catchUp: () => Promise.resolve(),
    proposeAlarm: ({ action, alarm, memberID }) => {
      assert.deepEqual([action, alarm], [etcdserverpb.AlarmAction.ACTIVATE, etcdserverpb.AlarmType.CORRUPT])
      alarms.push(memberID)
      return Promise.resolve()
    },
    ...overrides,
  })
  return { cluster, nodes, checks, alarms, lines, clock }
}

void test('members with the same data pass every check', async (context) => {
  const { checks, alarms, nodes, lines } = await start(context, 3)
  await checks.initialCheck()
  await checks.periodicCheck()
  for (const node of nodes) await node.compact(3)
  await checks.compactionCheck()
  assert.deepEqual(alarms, [])
  assert.ok(lines.includes('initial corruption checking passed; no corruption'))
  assert.ok(lines.includes('finished peer corruption check'))
  assert.ok(lines.includes('successfully checked hash on whole cluster'))
})

void test('a member whose data differs gets the alarm, under its own id', async (context) => {
  const { checks, alarms, nodes } = await start(context, 3)
  for (const [i, node] of nodes.entries()) node.put('c', i === 2 ? 'other' : 'same')
  await checks.periodicCheck()
  assert.deepEqual(alarms, [3n])
  await assert.rejects(checks.initialCheck(), { message: '1 found data inconsistency with peers' })
})

void test('a follower that is ahead of its leader gets the alarm', async (context) => {
  const { checks, alarms, nodes, lines } = await start(context, 2)
  nodes[1]?.put('c', 'more')
  await checks.periodicCheck()
  assert.deepEqual(alarms, [2n])
  assert.ok(lines.includes("revision from follower must be less than or equal to leader's"))
})

void test('a follower that has compacted more than its leader gets the alarm', async (context) => {
  const { checks, alarms, nodes, lines } = await start(context, 2)
  await nodes[1]?.compact(2)
  await checks.periodicCheck()
  assert.deepEqual(alarms, [2n])
  assert.ok(lines.includes("compact revision from follower must be less than or equal to leader's"))
})

void test('a follower that is late, or has not compacted yet, is no reason for an alarm', async (context) => {
  const { checks, alarms, nodes } = await start(context, 3)
  nodes[0]?.put('c', 'new')
  await nodes[0]?.compact(3)
  nodes[1]?.put('c', 'new')
  await checks.periodicCheck()
  await checks.initialCheck()
  assert.deepEqual(alarms, [])
})

void test('a leader that catches up while it asks is no reason for an alarm', async (context) => {
  const late = { catchUp: (): Promise<void> => Promise.resolve() }
  const { checks, alarms, nodes } = await start(context, 2, { catchUp: () => late.catchUp() })
  nodes[1]?.put('c', 'new')
  await nodes[1]?.compact(2)
  late.catchUp = async () => {
    nodes[0]?.put('c', 'new')
    await nodes[0]?.compact(2)
  }
  await checks.periodicCheck()
  assert.deepEqual(alarms, [])
})

void test('a leader that finds its own data changed gets the alarm', async (context) => {
  const { checks, alarms, nodes } = await start(context, 1, {
    catchUp: () => {
      const backend = nodes[0]?.backend
      const [row] = backend?.range('key') ?? []
      if (row !== undefined) backend?.put('key', row[0], Buffer.from('damage'))
      return Promise.resolve()
    },
  })
  await checks.periodicCheck()
  assert.deepEqual(alarms, [1n])
})

void test('a member that does not answer is passed over', async (context) => {
  const { checks, alarms, cluster, lines } = await start(context, 1)
  cluster.apply({ kind: 'add', member: sampleMember(2n, { peerUrls: ['http://127.0.0.1:1'] }) })
  await checks.periodicCheck()
  await checks.initialCheck()
  assert.deepEqual(alarms, [])
  assert.ok(lines.includes('failed hash kv request'))
})

void test('a member of another cluster at the same address is passed over, and told of', async (context) => {
  const { checks, alarms, cluster, lines } = await start(context, 1)
  const stranger = await Node.start(context, 2n, new Cluster(0xdefn))
  cluster.apply({ kind: 'add', member: stranger.member })
  await checks.periodicCheck()
  await checks.initialCheck()
  assert.deepEqual(alarms, [])
  assert.ok(lines.includes('cluster ID mismatch'))
})

void test('at a compaction the minority gets the alarm, even if it is the leader', async (context) => {
  for (const different of [0, 2]) {
    const { checks, alarms, nodes } = await start(context, 3)
    for (const [i, node] of nodes.entries()) {
      node.put('c', i === different ? 'other' : 'same')
      await node.compact(5)
    }
    await checks.compactionCheck()
    assert.deepEqual(alarms, [BigInt(different + 1)])
  }
})

void test('at a compaction without a majority nobody in particular gets the alarm', async (context) => {
  const { checks, alarms, nodes } = await start(context, 2)
  for (const [i, node] of nodes.entries()) {
    node.put('c', String(i))
    await node.compact(5)
  }
  await checks.compactionCheck()
  assert.deepEqual(alarms, [0n])
})

void test('a compaction that some member has not done is passed over for an older one, and looked at again', async (context) => {
  const { checks, alarms, nodes, lines } = await start(context, 2)
  const [leader, follower] = nodes as [Node, Node]
  for (const revision of [2, 3]) await leader.compact(revision)
  await checks.compactionCheck()
  assert.ok(lines.includes('skipped revision in compaction hash check; was not able to check all peers'))
  assert.ok(lines.includes('successfully checked hash on whole cluster'))
  lines.length = 0
  for (const revision of [2, 3]) await follower.compact(revision)
  await checks.compactionCheck()
  await checks.compactionCheck()
  assert.equal(lines.filter((line) => line === 'successfully checked hash on whole cluster').length, 1)
  assert.deepEqual(alarms, [])
})

void test('a member that has not replayed its log asks those that its backend knows', async (context) => {
  const { nodes, checks } = await start(context, 2)
  nodes[1]?.put('c', 'more')
  nodes[0]?.put('c', 'less')
  const [first, second] = nodes as [Node, Node]
  for (const { member } of nodes)
    first.backend.put('members', Buffer.from(member.id.toString(16)), Buffer.from(memberJson(member)))
  const early = new CorruptionChecks({
    memberId: 1n,
    cluster: new Cluster(0xabcn),
    clock: new SteppingClock(),
    store: first.store,
    backend: first.backend,
    peerHttp: systemPeerHttp(undefined),
    logger: silentLogger,
    requestTimeoutMs: 5000,
    isLeader: () => false,
    catchUp: () => Promise.resolve(),
    proposeAlarm: () => assert.fail('it has not joined in'),
  })
  assert.equal(second.store.revision, first.store.revision)
  await assert.rejects(early.initialCheck(), /found data inconsistency/)
  await assert.rejects(checks.initialCheck(), /found data inconsistency/)
})

void test('only the leader checks, every so often, until it is told to stop', async (context) => {
  let isLeader = false
  const { checks, nodes, clock, alarms } = await start(context, 2, { isLeader: () => isLeader })
  nodes[1]?.put('c', 'more')
  const controller = new AbortController()
  const alarmsBefore: number[] = []
  clock.onSleep = (delayMs) => {
    assert.equal(delayMs, 600)
    alarmsBefore.push(alarms.length)
    isLeader = alarmsBefore.length === 2
    if (alarmsBefore.length === 4) controller.abort()
  }
  await checks.runPeriodic(600, controller.signal)
  assert.deepEqual(alarmsBefore, [0, 0, 1, 1])
  await checks.runPeriodic(0, new AbortController().signal)
  await checks.runAtCompactions(0, new AbortController().signal)
})
