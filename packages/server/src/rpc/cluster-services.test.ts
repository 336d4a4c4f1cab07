import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError, type Codec, etcdserverpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import { Code, type Method, type Status } from '@etcd-ts/grpc'
import type { MvccStore } from '@etcd-ts/mvcc'
import type { Alarms } from '../apply/alarms.ts'
import { LocalCall } from '../http/local-call.ts'
import { silentLogger } from '../log/index.ts'
import type { Cluster } from '../membership/cluster.ts'
import { ClusterDuties } from '../membership/cluster-duties.ts'
import { sampleCluster, sampleMember } from '../membership/testing/sample-cluster.ts'
import { SteppingClock } from '../membership/testing/stepping-clock.ts'
import { createMetrics } from '../metrics/index.ts'
import { clusterService } from './cluster.ts'
import { maintenanceService } from './maintenance.ts'

const noMetadata = { get: () => undefined, getBinary: () => undefined, entries: () => [] }

/** The services of member 1 of `cluster`, which leads it and is connected to everybody. */
function services(cluster: Cluster): Map<string, Method> {
  const notAsked = new Proxy({}, { get: () => assert.fail('not needed here') })
  const clock = new SteppingClock()
  const header = { clusterId: cluster.id, memberId: 1n, term: () => 3, revision: () => 7 }
  let learnerMatch = 0
  const duties = new ClusterDuties({
    memberId: 1n,
    cluster,
    serverVersion: '3.5.33',
    clock,
    logger: silentLogger,
    metrics: createMetrics({ extensive: false }),
    peerHttp: { request: () => assert.fail('nobody is to be asked') },
    store: notAsked as MvccStore,
    backend: notAsked as Backend,
    clusterVersionMax: '',
    isStrict: true,
    requestTimeoutMs: 7000,
    heartbeatMs: 100,
    downgradeCheckIntervalMs: 0,
    corruptCheckIntervalMs: 0,
    compactHashCheckIntervalMs: 0,
    leader: () => 1n,
    isLeader: () => true,
    committedIndex: () => 1,
    appliedIndex: () => 1,
    // A learner has caught up when it is looked at the second time.
    matchOf: (id) => (cluster.member(id)?.isLearner === true ? learnerMatch++ : 1),
    activeSinceMs: () => 0,
    transferLeader: () => undefined,
    catchUp: () => Promise.resolve(),
    proposeConfChange: ({ nodeId, context }) => {
      if (context === undefined) cluster.apply({ kind: 'remove', id: nodeId })
      else if (cluster.member(nodeId) === undefined)
        cluster.apply({
          kind: 'add',
          member: sampleMember(nodeId, { isLearner: true, name: '', clientUrls: [] }),
        })
      else cluster.apply({ kind: 'promote', id: nodeId })
      return Promise.resolve(cluster.members())
    },
    proposeDowngrade: ({ enabled = false, ver = '' }) => {
      cluster.downgrade = { enabled, targetVersion: ver }
      return Promise.resolve()
    },
    proposeAlarm: () => assert.fail('no alarm is to be raised'),
    putV2: () => assert.fail('nothing is to be set'),
  })
  const { reconfiguration, downgrades, leaderTransfer } = duties
  return new Map([
    ...clusterService({ header, cluster, reconfiguration, catchUp: () => Promise.resolve() }),
    ...maintenanceService({
      header,
      store: notAsked as MvccStore,
      backend: notAsked as Backend,
      alarms: notAsked as Alarms,
      downgrades,
      leaderTransfer,
      logger: silentLogger,
      version: '3.5.33',
      proposeAlarm: () => assert.fail('no alarm is to be raised'),
      raftStatus: () => assert.fail('not needed here'),
    }),
  ])
}

/** Calls a unary method. @throws the status as an Error */
function call<Request, RequestInit, Response, ResponseInit>(
  table: Map<string, Method>,
  method: {
    readonly path: string
    readonly request: Codec<Request, RequestInit>
    readonly response: Codec<Response, ResponseInit>
  },
  request: RequestInit,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const answer: Response[] = []
    const local = new LocalCall(
      {
        onMessage: (message) => answer.push(method.response.decode(Uint8Array.from(message))) > 0,
        bufferedBytes: () => 0,
        onEnd: (status: Status) => {
          const [response] = answer
          if (status.code === Code.Ok && response !== undefined) resolve(response)
          else reject(new Error(`${status.code} ${status.message}`))
        },
        onResume: () => undefined,
      },
      { path: method.path, metadata: noMetadata, timeoutMs: undefined, clock: new SteppingClock() },
    )
    const handler = table.get(method.path)
    if (handler?.kind !== 'unary') throw new Error(`${method.path} is not served`)
    handler.handle(local, method.request.encode(request))
  })
}

const { ClusterService, MaintenanceService } = etcdserverpb
const withoutRevision = { clusterId: 0xcdf818194e3a8c32n, memberId: 1n, revision: 0, raftTerm: 3 }
const withRevision = { ...withoutRevision, revision: 7 }
const refusal = (error: ApiError): { message: string } => ({ message: `${error.code} ${error.message}` })

void test('a learner is added, promoted and removed, with the members in every answer', async () => {
  const table = services(sampleCluster(sampleMember(1n)))
  const added = await call(table, ClusterService.MemberAdd, { peerURLs: ['http://a:1'], isLearner: true })
  assert.deepEqual(added.header, withoutRevision)
  const { ID } = added.member ?? {}
  assert.ok(ID)
  assert.deepEqual(added.member, { ID, name: '', peerURLs: ['http://a:1'], clientURLs: [], isLearner: true })
  assert.equal(added.members.length, 2)
  await assert.rejects(
    call(table, ClusterService.MemberPromote, { ID }),
    refusal(new ApiError('learnerNotReady')),
  )
  const promoted = await call(table, ClusterService.MemberPromote, { ID })
  assert.deepEqual(promoted.header, withoutRevision)
  assert.equal(promoted.members.find((member) => member.ID === ID)?.isLearner, false)
  const removed = await call(table, ClusterService.MemberRemove, { ID })
  assert.deepEqual(
    removed.members.map((member) => member.ID),
    [1n],
  )
  const listed = await call(table, ClusterService.MemberList, { linearizable: true })
  assert.deepEqual(listed, removed)
})

void test('what is refused comes with the code of etcd', async () => {
  const table = services(sampleCluster(sampleMember(1n)))
  await assert.rejects(call(table, ClusterService.MemberRemove, { ID: 1n }), {
    message: '2 etcdserver: re-configuration failed due to not enough started members',
  })
  await assert.rejects(call(table, ClusterService.MemberAdd, { peerURLs: ['x'] }), {
    message: '3 etcdserver: given member URLs are invalid',
  })
})

void test('leadership is moved to oneself with an empty answer, and not to strangers', async () => {
  const table = services(sampleCluster(sampleMember(1n)))
  assert.deepEqual(await call(table, MaintenanceService.MoveLeader, { targetID: 1n }), { header: undefined })
  await assert.rejects(
    call(table, MaintenanceService.MoveLeader, { targetID: 5n }),
    refusal(new ApiError('badLeaderTransferee')),
  )
})

void test('a downgrade is looked at, begun and ended', async () => {
  const cluster = sampleCluster(sampleMember(1n))
  cluster.applyVersion('3.5.0')
  const table = services(cluster)
  const { VALIDATE, ENABLE, CANCEL } = etcdserverpb.DowngradeAction
  const expected = { header: withRevision, version: '3.5.0' }
  for (const action of [VALIDATE, ENABLE, CANCEL])
    assert.deepEqual(await call(table, MaintenanceService.Downgrade, { action, version: '3.4' }), expected)
  await assert.rejects(
    call(table, MaintenanceService.Downgrade, { action: CANCEL }),
    refusal(new ApiError('noInflightDowngrade')),
  )
  const unknown = 9 as etcdserverpb.DowngradeAction
  await assert.rejects(call(table, MaintenanceService.Downgrade, { action: unknown }), {
    message: '2 etcdserver: unknown method',
  })
})
