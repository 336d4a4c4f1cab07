import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ApiError, type ErrorReason, raftpb } from '@etcd-ts/api'
import type { ConfChange } from '@etcd-ts/raft'
import { silentLogger } from '../log/index.ts'
import { createMetrics } from '../metrics/index.ts'
import { peerEndpoints } from '../peer/endpoints.ts'
import { systemPeerHttp } from '../peer/system-peer-http.ts'
import type { Cluster } from './cluster.ts'
import { addedMemberId } from './ids.ts'
import type { Member } from './member.ts'
import { Reconfiguration, type ReconfigurationPorts } from './reconfiguration.ts'
import { sampleCluster, sampleMember } from './testing/sample-cluster.ts'
import { SteppingClock } from './testing/stepping-clock.ts'

interface World {
  readonly reconfiguration: Reconfiguration
  readonly proposed: Omit<ConfChange, 'id'>[]
  readonly metrics: ReturnType<typeof createMetrics>
  readonly clock: SteppingClock
}

/** Member 1 as the leader of `cluster`, connected to everybody for long unless told otherwise. */
function world(cluster: Cluster, overrides: Partial<ReconfigurationPorts> = {}): World {
  const proposed: Omit<ConfChange, 'id'>[] = []
  const metrics = createMetrics({ extensive: false })
  const clock = new SteppingClock()
  const reconfiguration = new Reconfiguration({
    memberId: 1n,
    cluster,
    clock,
    logger: silentLogger,
    metrics,
    peerHttp: { request: () => assert.fail('nobody is to be asked') },
    isStrict: true,
    requestTimeoutMs: 7000,
    leader: () => 1n,
    isLeader: () => true,
    committedIndex: () => 10,
    appliedIndex: () => 10,
    matchOf: (id) => (cluster.member(id) === undefined ? undefined : 100),
    activeSinceMs: () => 0,
    proposeConfChange: (change) => {
      proposed.push(change)
      return Promise.resolve(cluster.members())
    },
    ...overrides,
  })
  return { reconfiguration, proposed, metrics, clock }
}

const unstarted = { name: '', clientUrls: [] }
const three = (): Member[] => [1n, 2n, 3n].map((id) => sampleMember(id))
const only = (ids: readonly bigint[]) => (id: bigint) => (ids.includes(id) ? 0 : undefined)

const URLS = ['http://new:2380']

const additions: {
  readonly name: string
  readonly members: readonly Member[]
  readonly active?: readonly bigint[]
  readonly isLearner?: boolean
  readonly urls?: readonly string[]
  readonly isStrict?: boolean
  readonly refused: ErrorReason | undefined
}[] = [
  { name: 'a second member is taken', members: [sampleMember(1n)], active: [], refused: undefined },
  {
    name: 'a third member is taken when both others run',
    members: [sampleMember(1n), sampleMember(2n)],
    refused: undefined,
  },
  {
    name: 'a third member is refused while the second has not started',
    members: [sampleMember(1n), sampleMember(2n, unstarted)],
    refused: 'memberNotEnoughStarted',
  },
  {
    name: 'without the strict check that is taken',
    members: [sampleMember(1n), sampleMember(2n, unstarted)],
    isStrict: false,
    refused: undefined,
  },
  {
    name: 'a learner needs no started members',
    members: [sampleMember(1n), sampleMember(2n, unstarted)],
    isLearner: true,
    refused: undefined,
  },
  {
    name: 'a learner is refused while too few members are connected',
    members: three(),
    active: [2n],
    isLearner: true,
    refused: 'unhealthy',
  },
  {
    name: 'a fourth member needs three connected ones',
    members: three(),
    active: [2n],
    refused: 'unhealthy',
  },
  { name: 'a fourth member is taken when three are connected', members: three(), refused: undefined },
  {
    name: 'a sixth member does not need all five connected',
    members: [...three(), sampleMember(4n), sampleMember(5n)],
    active: [2n, 3n, 4n],
    refused: undefined,
  },
  { name: 'a member without URLs is refused', members: three(), urls: [], refused: 'memberBadUrls' },
  {
    name: 'a URL with a path is refused, before anything about the cluster',
    members: [sampleMember(1n), sampleMember(2n, unstarted)],
    urls: ['http://a:1/path'],
    refused: 'memberBadUrls',
  },
  { name: 'a URL without a port is refused', members: three(), urls: ['http://a'], refused: 'memberBadUrls' },
]

for (const { name, members, active, isLearner = false, urls = URLS, isStrict = true, refused } of additions) {
  void test(name, async () => {
    const { reconfiguration, proposed } = world(sampleCluster(...members), {
      isStrict,
      ...(active === undefined ? {} : { activeSinceMs: only(active) }),
    })
    const adding = reconfiguration.add(urls, isLearner)
    if (refused !== undefined) await assert.rejects(adding, new ApiError(refused))
    else await adding
    assert.equal(proposed.length, refused === undefined ? 1 : 0)
  })
}

void test('an added member has the id of its URLs and the second, and is proposed as etcd proposes it', async () => {
  const { reconfiguration, proposed, clock } = world(sampleCluster(...three()))
  clock.nowMs = 1_795_402_748_999
  const { member } = await reconfiguration.add([' http://b:1', 'http://a:1 '], true)
  assert.equal(member.id, addedMemberId(['http://a:1', 'http://b:1'], 1_795_402_748))
  assert.deepEqual(proposed, [
    {
      type: raftpb.ConfChangeType.ConfChangeAddLearnerNode,
      nodeId: member.id,
      context: Buffer.from(`{"id":${member.id},"peerURLs":["http://a:1","http://b:1"],"isLearner":true}`),
    },
  ])
})

void test('a connection of four seconds is not relied on yet', async () => {
  const { reconfiguration } = world(sampleCluster(...three()), { activeSinceMs: () => 996_000 })
  await assert.rejects(reconfiguration.add(URLS, false), new ApiError('unhealthy'))
})

const removals: {
  readonly name: string
  readonly members: readonly Member[]
  readonly id: bigint
  readonly active?: readonly bigint[]
  readonly refused: ErrorReason | undefined
}[] = [
  { name: 'the last member stays', members: [sampleMember(1n)], id: 1n, refused: 'memberNotEnoughStarted' },
  {
    name: 'one of two goes, when both run',
    members: [sampleMember(1n), sampleMember(2n)],
    id: 2n,
    refused: undefined,
  },
  {
    name: 'a stranger is left to apply',
    members: three(),
    id: 9n,
    refused: undefined,
    active: [2n, 3n],
  },
  {
    name: 'a learner goes without checks',
    members: [sampleMember(1n), sampleMember(2n, { isLearner: true })],
    id: 2n,
    active: [],
    refused: undefined,
  },
  {
    name: 'one that is down goes',
    members: three(),
    id: 3n,
    active: [2n],
    refused: undefined,
  },
  {
    name: 'one that is up stays while another one is down',
    members: three(),
    id: 2n,
    active: [2n],
    refused: 'unhealthy',
  },
  {
    name: 'a started one stays while another one has not started',
    members: [sampleMember(1n), sampleMember(2n, unstarted), sampleMember(3n)],
    id: 3n,
    refused: 'memberNotEnoughStarted',
  },
  {
    name: 'the leader itself goes, when all are up',
    members: three(),
    id: 1n,
    refused: undefined,
  },
]

for (const { name, members, id, active, refused } of removals) {
  void test(name, async () => {
    const { reconfiguration, proposed } = world(
      sampleCluster(...members),
      active === undefined ? {} : { activeSinceMs: only(active) },
    )
    const removing = reconfiguration.remove(id)
    if (refused !== undefined) await assert.rejects(removing, new ApiError(refused))
    else await removing
    const change = { type: raftpb.ConfChangeType.ConfChangeRemoveNode, nodeId: id, context: undefined }
    assert.deepEqual(proposed, refused === undefined ? [change] : [])
  })
}

void test('an update is proposed as it is when it can harm nobody, else only with URLs', async () => {
  const alone = world(sampleCluster(sampleMember(1n)))
  await alone.reconfiguration.update(1n, [])
  assert.equal(Buffer.from(alone.proposed[0]?.context ?? []).toString(), '{"id":1,"peerURLs":null}')
  const together = world(sampleCluster(...three()))
  await assert.rejects(together.reconfiguration.update(2n, ['nonsense']), new ApiError('memberBadUrls'))
  await together.reconfiguration.update(2n, ['http://z:1', 'http://a:1'])
  assert.equal(
    Buffer.from(together.proposed[0]?.context ?? []).toString(),
    '{"id":2,"peerURLs":["http://z:1","http://a:1"]}',
  )
})

void test('an update of a learner says that it is one, for members that would forget it', async () => {
  const { reconfiguration, proposed } = world(sampleCluster(...three(), learner))
  await reconfiguration.update(4n, ['http://a:1'])
  assert.equal(
    Buffer.from(proposed[0]?.context ?? []).toString(),
    '{"id":4,"peerURLs":["http://a:1"],"isLearner":true}',
  )
})

const learner = sampleMember(4n, { isLearner: true })
const matches = (learnerMatch: number) => (id: bigint) =>
  id === 4n ? learnerMatch : id < 4n ? 100 : undefined

const promotions: {
  readonly name: string
  readonly members: readonly Member[]
  readonly id: bigint
  readonly match: number
  readonly refused: ErrorReason | undefined
}[] = [
  {
    name: 'a learner with nine tenths of the log is promoted',
    members: [...three(), learner],
    id: 4n,
    match: 90,
    refused: undefined,
  },
  {
    name: 'a learner with less is not ready',
    members: [...three(), learner],
    id: 4n,
    match: 89,
    refused: 'learnerNotReady',
  },
  {
    name: 'a member that raft does not know is not found',
    members: three(),
    id: 9n,
    match: 100,
    refused: 'memberNotFound',
  },
  {
    name: 'a learner is not promoted while too few voters have started',
    members: [sampleMember(1n), sampleMember(2n, unstarted), sampleMember(3n, unstarted), learner],
    id: 4n,
    match: 100,
    refused: 'memberNotEnoughStarted',
  },
  {
    name: 'a learner counts as a started voter',
    members: [sampleMember(1n), sampleMember(4n, { isLearner: true, ...unstarted })],
    id: 4n,
    match: 100,
    refused: undefined,
  },
]

for (const { name, members, id, match, refused } of promotions) {
  void test(name, async () => {
    const { reconfiguration, proposed, metrics } = world(sampleCluster(...members), {
      matchOf: matches(match),
    })
    const promoting = reconfiguration.promote(id)
    if (refused !== undefined) await assert.rejects(promoting, new ApiError(refused))
    else await promoting
    assert.equal(metrics.server.learnerPromoteSuccesses, refused === undefined ? 1 : 0)
    assert.equal(metrics.server.learnerPromoteFailures.samples().length, refused === undefined ? 0 : 1)
    if (refused !== undefined) return
    assert.equal(
      Buffer.from(proposed[0]?.context ?? []).toString(),
      `{"id":${id},"peerURLs":null,"isPromote":true}`,
    )
  })
}

void test('a promotion waits for apply, for a second', async () => {
  let applied = 8
  const { reconfiguration, clock } = world(sampleCluster(...three(), learner), {
    appliedIndex: () => applied,
  })
  await assert.rejects(reconfiguration.promote(4n), new ApiError('timeoutWaitAppliedIndex'))
  clock.onSleep = () => {
    applied++
  }
  await reconfiguration.promote(4n)
  assert.equal(applied, 10)
})

/** A leader behind its endpoints, and a follower that knows where it is. */
async function follower(
  context: TestContext,
  leaderPorts: Partial<ReconfigurationPorts>,
): Promise<Reconfiguration> {
  const server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  context.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const leader = sampleMember(1n, { peerUrls: ['http://127.0.0.1:1', `http://127.0.0.1:${port}`] })
  const cluster = sampleCluster(leader, sampleMember(2n), learner)
  const { reconfiguration } = world(cluster, leaderPorts)
  const handle = peerEndpoints({
    cluster,
    store: { revision: 1, hashKv: () => assert.fail('no hash was asked for') },
    reconfiguration,
    version: { serverVersion: '3.5.33', clusterVersion: () => '3.5.0' },
    logger: silentLogger,
    catchUp: () => Promise.resolve(),
  })
  server.on('request', (request, response) => assert.ok(handle(request, response)))
  return world(cluster, {
    memberId: 2n,
    isLeader: () => false,
    matchOf: () => undefined,
    peerHttp: systemPeerHttp(undefined),
  }).reconfiguration
}

void test('a follower has the leader promote, at the URL that works', async (context) => {
  const reconfiguration = await follower(context, { matchOf: matches(100) })
  const members = await reconfiguration.promote(4n)
  assert.deepEqual(
    members.map((member) => member.id),
    [1n, 2n, 4n],
  )
})

for (const reason of ['learnerNotReady', 'memberNotLearner', 'memberNotFound'] as const) {
  void test(`a follower hands on the leader's ${reason}`, async (context) => {
    const reconfiguration = await follower(context, {
      matchOf: matches(100),
      proposeConfChange: () => Promise.reject(new ApiError(reason)),
    })
    await assert.rejects(reconfiguration.promote(4n), new ApiError(reason))
  })
}

void test('a follower whose leader fails for another reason gives up when its time is up', async (context) => {
  const reconfiguration = await follower(context, {
    matchOf: matches(100),
    proposeConfChange: () => Promise.reject(new ApiError('memberNotEnoughStarted')),
  })
  await assert.rejects(reconfiguration.promote(4n), new ApiError('timeout'))
})

void test('a follower without a leader waits for one, in vain', async () => {
  const { reconfiguration } = world(sampleCluster(...three(), learner), {
    isLeader: () => false,
    leader: () => 0n,
  })
  await assert.rejects(reconfiguration.promote(4n), new ApiError('timeout'))
})
