import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ApiError, type ErrorReason, etcdserverpb, raftpb } from '@etcd-ts/api'
import { type Backend, openLmdbBackend } from '@etcd-ts/backend'
import { MvccStore } from '@etcd-ts/mvcc'
import { systemClock, systemRandom } from '@etcd-ts/platform'
import { type ConfChange, type ConfState, type Entry, EntryType, emptyConfState } from '@etcd-ts/raft'
import { silentLogger } from '../log/index.ts'
import { Cluster } from '../membership/cluster.ts'
import { memberJson, promotionJson } from '../membership/member.ts'
import { sampleMember } from '../membership/testing/sample-cluster.ts'
import { restoreV2Snapshot } from '../membership/v2-snapshot.ts'
import { createMetrics } from '../metrics/index.ts'
import { Proposals } from '../propose/proposals.ts'
import { RequestIds } from '../propose/request-id.ts'
import { Alarms } from './alarms.ts'
import { Applier } from './applier.ts'
import { Quota } from './quota.ts'

const rethrow = (error: unknown): never => {
  throw error
}

/** Member 1, whose applier runs over a real backend. */
class World {
  readonly cluster: Cluster
  readonly backend: Backend
  readonly proposals = new Proposals()
  readonly requestIds = new RequestIds(1n, 5)
  readonly alarms: Alarms
  readonly applier: Applier
  /** What the ports were told. */
  readonly told: string[] = []
  readonly warnings: string[] = []
  #index = 0
  #confState: ConfState = emptyConfState()

  private constructor(backend: Backend, store: MvccStore, cluster: Cluster, serverVersion: string) {
    this.backend = backend
    this.cluster = cluster
    this.alarms = new Alarms(backend)
    this.applier = new Applier(
      {
        memberId: 1n,
        cluster,
        serverVersion,
        store,
        backend,
        alarms: this.alarms,
        quota: new Quota(-1, () => 0),
        requestIds: this.requestIds,
        proposals: this.proposals,
        logger: { ...silentLogger, warn: (text) => this.warnings.push(text) },
        metrics: createMetrics({ extensive: false }),
        ports: {
          applyConfChange: (change) => this.#applyToRaft(change),
          outOfSpace: () => this.told.push('out of space'),
          termStarted: () => this.told.push('term started'),
          clusterVersionChanged: (version) => this.told.push(`version ${version}`),
          memberAdded: ({ id }) => this.told.push(`added ${id}`),
          memberUpdated: ({ id, peerUrls }) => this.told.push(`updated ${id} ${peerUrls.join()}`),
          memberRemoved: (id) => this.told.push(`removed ${id}`),
          removedSelf: () => this.told.push('removed self'),
        },
      },
      { index: 0, term: 0, confState: emptyConfState() },
    )
  }

  static async open(
    context: TestContext,
    options: { serverVersion?: string; cluster?: Cluster; prepare?: (backend: Backend) => void } = {},
  ): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'applier-'))
    const backend = openLmdbBackend({ path: join(folder, 'db'), clock: systemClock, onWriteFailed: rethrow })
    const store = await MvccStore.open({
      backend,
      clock: systemClock,
      random: systemRandom,
      onFailed: rethrow,
    })
    context.after(async () => {
      await store.close()
      await backend.close()
      rmSync(folder, { recursive: true })
    })
    options.prepare?.(backend)
    return new World(backend, store, options.cluster ?? new Cluster(7n), options.serverVersion ?? '3.5.33')
  }

  #applyToRaft(change: ConfChange): ConfState {
    const { nodeId, type } = change
    if (nodeId === 0n) return this.#confState
    const { ConfChangeAddNode, ConfChangeAddLearnerNode, ConfChangeUpdateNode } = raftpb.ConfChangeType
    if (type === ConfChangeUpdateNode) return this.#confState
    const voters = this.#confState.voters.filter((id) => id !== nodeId)
    const learners = this.#confState.learners.filter((id) => id !== nodeId)
    if (type === ConfChangeAddNode) voters.push(nodeId)
    if (type === ConfChangeAddLearnerNode) learners.push(nodeId)
    this.#confState = { ...this.#confState, voters, learners }
    return this.#confState
  }

  apply(data: Uint8Array | undefined, type: Entry['type'] = EntryType.EntryNormal): void {
    this.applier.apply([{ type, term: 2, index: ++this.#index, data }])
  }

  confChange(type: raftpb.ConfChangeType, nodeId: bigint, context?: string, id = 0n): void {
    const contextBytes = context === undefined ? undefined : Buffer.from(context)
    this.apply(
      raftpb.ConfChange.encode({ id, type, nodeId, context: contextBytes }),
      EntryType.EntryConfChange,
    )
  }

  put(path: string, value: string, conditions: etcdserverpb.RequestInit = {}): void {
    this.apply(etcdserverpb.Request.encode({ ID: 1n, Method: 'PUT', Path: path, Val: value, ...conditions }))
  }

  propose(request: etcdserverpb.InternalRaftRequestInit): void {
    this.apply(etcdserverpb.InternalRaftRequest.encode(request))
  }

  /** Result of the change that this member proposed. */
  outcome(requestId: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.proposals.register(
        requestId,
        { deadlineMs: Infinity, entryBytes: 0, ended: false, applied: resolve, failed: reject },
        0,
      )
    })
  }

  row(bucket: 'members' | 'members_removed' | 'cluster' | 'meta', key: string): string | undefined {
    const value = this.backend.get(bucket, Buffer.from(key))
    return value === undefined ? undefined : Buffer.from(value).toString()
  }
}

const { ConfChangeAddNode, ConfChangeAddLearnerNode, ConfChangeRemoveNode, ConfChangeUpdateNode } =
  raftpb.ConfChangeType

const added = (id: bigint, isLearner = false): string =>
  memberJson(sampleMember(id, { isLearner, name: '', clientUrls: [] }))

/** Members 1 (this one), 0xab and the learner 0xcd. */
function three(world: World): void {
  world.confChange(ConfChangeAddNode, 1n, added(1n))
  world.confChange(ConfChangeAddNode, 0xabn, added(0xabn))
  world.confChange(ConfChangeAddLearnerNode, 0xcdn, added(0xcdn, true))
}

void test('members come, change and go, in memory, in the backend and for raft and the network', async (context) => {
  const world = await World.open(context)
  three(world)
  assert.equal(world.row('members', 'cd'), '{"id":205,"peerURLs":["http://m205:2380"],"isLearner":true}')
  assert.equal(world.row('meta', 'confState'), '{"voters":[1,171],"learners":[205],"auto_leave":false}')
  world.confChange(ConfChangeUpdateNode, 0xcdn, '{"id":205,"peerURLs":["http://z:1","http://a:1"]}')
  assert.equal(
    world.row('members', 'cd'),
    '{"id":205,"peerURLs":["http://z:1","http://a:1"],"isLearner":true}',
  )
  world.confChange(ConfChangeAddNode, 0xcdn, promotionJson(0xcdn))
  assert.equal(world.row('members', 'cd'), '{"id":205,"peerURLs":["http://z:1","http://a:1"]}')
  assert.equal(world.row('meta', 'confState'), '{"voters":[1,171,205],"auto_leave":false}')
  world.confChange(ConfChangeRemoveNode, 0xabn)
  assert.equal(world.row('members', 'ab'), undefined)
  assert.equal(world.row('members_removed', 'ab'), 'removed')
  world.confChange(ConfChangeRemoveNode, 1n)
  assert.deepEqual(world.told, [
    'added 171',
    'added 205',
    'updated 205 http://z:1,http://a:1',
    'removed 171',
    'removed self',
  ])
  assert.deepEqual(world.applier.confState.voters, [0xcdn])
})

const refusals: {
  readonly name: string
  readonly type: raftpb.ConfChangeType
  readonly id: bigint
  readonly context?: string
  readonly reason: ErrorReason
}[] = [
  { name: 'a member twice', type: ConfChangeAddNode, id: 1n, context: added(1n), reason: 'memberExist' },
  {
    name: 'a peer URL twice',
    type: ConfChangeAddNode,
    id: 5n,
    context: '{"id":5,"peerURLs":["http://m1:2380"]}',
    reason: 'peerUrlExist',
  },
  {
    name: 'a second learner',
    type: ConfChangeAddLearnerNode,
    id: 5n,
    context: added(5n, true),
    reason: 'tooManyLearners',
  },
  {
    name: 'the promotion of a voter',
    type: ConfChangeAddNode,
    id: 1n,
    context: promotionJson(1n),
    reason: 'memberNotLearner',
  },
  {
    name: 'the promotion of nobody',
    type: ConfChangeAddNode,
    id: 9n,
    context: promotionJson(9n),
    reason: 'memberNotFound',
  },
  { name: 'the removal of nobody', type: ConfChangeRemoveNode, id: 9n, reason: 'memberNotFound' },
  {
    name: 'the update of nobody',
    type: ConfChangeUpdateNode,
    id: 9n,
    context: added(9n),
    reason: 'memberNotFound',
  },
]

for (const { name, type, id, context: change, reason } of refusals) {
  void test(`${name} is refused, and changes nothing`, async (context) => {
    const world = await World.open(context)
    three(world)
    const before = [world.cluster.formatV2(), world.applier.confState, world.told.length]
    const requestId = world.requestIds.next()
    const outcome = world.outcome(requestId)
    world.confChange(type, id, change, world.requestIds.full(requestId))
    await assert.rejects(outcome, new ApiError(reason))
    assert.deepEqual([world.cluster.formatV2(), world.applier.confState, world.told.length], before)
    assert.equal(world.applier.consistentIndex, 4)
  })
}

void test('who proposed a change gets the members after it', async (context) => {
  const world = await World.open(context)
  three(world)
  const requestId = world.requestIds.next()
  const outcome = world.outcome(requestId)
  world.confChange(ConfChangeRemoveNode, 0xabn, undefined, world.requestIds.full(requestId))
  assert.deepEqual(await outcome, world.cluster.members())
})

void test('a change that describes another member than it names stops the member', async (context) => {
  const world = await World.open(context)
  assert.throws(() => world.confChange(ConfChangeAddNode, 2n, added(3n)), /describes member 3/)
  assert.throws(() => world.confChange(9 as raftpb.ConfChangeType, 2n), /unknown type 9/)
})

void test('attributes and version are taken from the requests of 3.5 and of 3.6 alike', async (context) => {
  const world = await World.open(context)
  three(world)
  world.put('/0/members/ab/attributes', '{"name":"b","clientURLs":["http://b:2379"]}')
  world.propose({
    clusterMemberAttrSet: {
      memberID: 0xcdn,
      memberAttributes: { name: 'c', clientUrls: ['http://c:2379'] },
    },
  })
  assert.equal(
    world.row('members', 'ab'),
    '{"id":171,"peerURLs":["http://m171:2380"],"name":"b","clientURLs":["http://b:2379"]}',
  )
  assert.equal(
    world.row('members', 'cd'),
    '{"id":205,"peerURLs":["http://m205:2380"],"isLearner":true,"name":"c","clientURLs":["http://c:2379"]}',
  )
  world.put('/0/version', '3.4.0')
  assert.equal(world.row('cluster', 'clusterVersion'), '3.4.0')
  world.propose({ clusterVersionSet: { ver: '3.5.0' } })
  assert.equal(world.row('cluster', 'clusterVersion'), '3.5.0')
  assert.deepEqual(world.told.slice(-2), ['version 3.4.0', 'version 3.5.0'])
})

void test('the attributes of a removed member are ignored, those of a stranger stop the member', async (context) => {
  const world = await World.open(context)
  three(world)
  world.confChange(ConfChangeRemoveNode, 0xabn)
  world.put('/0/members/ab/attributes', '{"name":"ghost"}')
  assert.equal(world.cluster.member(0xabn), undefined)
  assert.throws(() => world.put('/0/members/ef/attributes', '{"name":"x"}'), /does not exist/)
})

void test('a cluster version above this release stops the member', async (context) => {
  const world = await World.open(context, { serverVersion: '3.5.33' })
  assert.throws(
    () => world.put('/0/version', '3.6.0'),
    /server version is lower than determined cluster version/,
  )
  assert.throws(() => world.put('/0/version', 'new'), /new is not a version/)
})

void test('a downgrade is kept in the backend, and rules out members of another release', async (context) => {
  const world = await World.open(context)
  world.propose({ downgradeInfoSet: { enabled: true, ver: '3.4.0' } })
  assert.equal(world.row('cluster', 'downgrade'), '{"target-version":"3.4.0","enabled":true}')
  assert.throws(() => world.put('/0/version', '3.4.0'), /not allowed to join when downgrade is enabled/)
  world.propose({ downgradeInfoSet: { enabled: false } })
  assert.equal(world.row('cluster', 'downgrade'), '{"target-version":"","enabled":false}')
  world.put('/0/version', '3.4.0')
})

void test('a member that a downgrade rules out does not start', async (context) => {
  const downgrade = Buffer.from('{"target-version":"3.4.0","enabled":true}')
  await assert.rejects(
    World.open(context, {
      prepare: (backend) => backend.put('cluster', Buffer.from('downgrade'), downgrade),
    }),
    /not allowed to join when downgrade is enabled/,
  )
})

void test('what clients of the v2 API write elsewhere is passed over, with one warning', async (context) => {
  const world = await World.open(context)
  three(world)
  const before = world.cluster.formatV2()
  world.put('/1/key', 'value')
  world.put('/0/version', '3.4.0', { PrevExist: true })
  for (const Method of ['POST', 'DELETE', 'QGET', 'SYNC'])
    world.apply(etcdserverpb.Request.encode({ ID: 1n, Method, Path: Method === 'SYNC' ? '' : '/1/key' }))
  assert.equal(world.cluster.formatV2(), before)
  assert.equal(world.warnings.length, 1)
  assert.equal(world.applier.consistentIndex, 9)
})

void test('entries that the backend holds already change the memory alone', async (context) => {
  const world = await World.open(context)
  world.applier.consistentIndex = 100
  three(world)
  world.put('/0/version', '3.5.0')
  world.propose({ downgradeInfoSet: { enabled: false } })
  assert.equal(world.cluster.members().length, 3)
  assert.equal(world.cluster.version, '3.5.0')
  assert.deepEqual(world.backend.range('members'), [])
  assert.deepEqual(world.backend.range('cluster'), [])
  assert.equal(world.row('meta', 'confState'), undefined)
  assert.deepEqual(world.told, ['added 171', 'added 205', 'version 3.5.0'])
})

void test('an installed snapshot replaces membership, alarms and configuration, and repairs what the rows lack', async (context) => {
  const sender = await World.open(context)
  three(sender)
  sender.put('/0/members/ab/attributes', '{"name":"b","clientURLs":["http://b:2379"]}')
  sender.put('/0/version', '3.5.0')

  const world = await World.open(context)
  world.confChange(ConfChangeAddNode, 0x99n, added(0x99n))
  // As some releases of 3.5 leave them: without client URLs, and with a member that is gone.
  world.backend.put(
    'members',
    Buffer.from('1'),
    Buffer.from(memberJson(sampleMember(1n, { name: '', clientUrls: [] }))),
  )
  world.backend.put('members', Buffer.from('ab'), Buffer.from(added(0xabn)))
  world.backend.put('members', Buffer.from('cd'), Buffer.from(added(0xcdn, true)))
  const alarm = { memberID: 0xabn, alarm: etcdserverpb.AlarmType.CORRUPT }
  world.backend.put('alarm', etcdserverpb.AlarmMember.encode(alarm), new Uint8Array())
  world.alarms.reload()
  restoreV2Snapshot(world.cluster, Buffer.from(sender.cluster.formatV2()))
  world.applier.restored({ index: 50, term: 3, confState: sender.applier.confState })

  assert.deepEqual(world.cluster.members(), sender.cluster.members())
  assert.equal(world.cluster.version, '3.5.0')
  assert.equal(world.applier.consistentIndex, 50)
  assert.equal(world.applier.consistentTerm, 3)
  assert.deepEqual(world.applier.confState, sender.applier.confState)
  assert.equal(world.alarms.corrupt, true)
  assert.equal(world.row('members', '99'), undefined)
  assert.equal(world.row('members', 'ab'), sender.row('members', 'ab'))
  assert.equal(world.cluster.formatV2(), sender.cluster.formatV2())
})

void test('a CORRUPT alarm refuses what writes, and a disarmed one does not', async (context) => {
  const world = await World.open(context)
  const put = etcdserverpb.PutRequest.create({ key: Buffer.from('k'), value: Buffer.from('v') })
  const alarm = (action: etcdserverpb.AlarmAction): void => {
    world.propose({ alarm: { action, memberID: 2n, alarm: etcdserverpb.AlarmType.CORRUPT } })
  }
  const attempt = async (request: etcdserverpb.InternalRaftRequestInit): Promise<string> => {
    const requestId = world.requestIds.next()
    const outcome = world.outcome(requestId)
    world.propose({ ...request, header: { ID: world.requestIds.full(requestId) } })
    return outcome.then(
      () => 'done',
      (error: unknown) => (error instanceof ApiError ? error.reason : 'other'),
    )
  }
  const writes: etcdserverpb.InternalRaftRequestInit[] = [
    { put },
    { deleteRange: { key: Buffer.from('k') } },
    { txn: { success: [{ request: { case: 'requestPut', value: put } }] } },
    { compaction: { revision: 1n } },
  ]
  alarm(etcdserverpb.AlarmAction.ACTIVATE)
  for (const write of writes) assert.equal(await attempt(write), 'corrupt')
  alarm(etcdserverpb.AlarmAction.DEACTIVATE)
  for (const write of writes) assert.equal(await attempt(write), 'done')
})
