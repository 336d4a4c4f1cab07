import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ApiError } from '@etcd-ts/api'
import { silentLogger } from '../log/index.ts'
import type { Member } from '../membership/member.ts'
import { Reconfiguration } from '../membership/reconfiguration.ts'
import { sampleCluster, sampleMember } from '../membership/testing/sample-cluster.ts'
import { SteppingClock } from '../membership/testing/stepping-clock.ts'
import { createMetrics } from '../metrics/index.ts'
import { type PeerEndpointsPorts, peerEndpoints } from './endpoints.ts'
import { systemPeerHttp } from './system-peer-http.ts'

type Ask = (
  path: string,
  options?: { method?: string; headers?: Record<string, string>; body?: string },
) => Promise<{ status: number; type: string | undefined; cluster: string | undefined; body: string }>

const members = [
  sampleMember(1n),
  sampleMember(2n ** 63n + 1n, { isLearner: true, name: '', clientUrls: [] }),
]
const list =
  '[{"id":1,"peerURLs":["http://m1:2380"],"name":"m1","clientURLs":["http://m1:2379"]},{"id":9223372036854775809,"peerURLs":["http://m9223372036854775809:2380"],"isLearner":true}]\n'

async function serve(
  context: TestContext,
  overrides: Partial<PeerEndpointsPorts> = {},
  promote: () => Promise<readonly Member[]> = () => Promise.resolve(members),
): Promise<Ask> {
  const cluster = sampleCluster(...members)
  cluster.applyVersion('3.5.0')
  const reconfiguration = new Reconfiguration({
    memberId: 1n,
    cluster,
    clock: new SteppingClock(),
    logger: silentLogger,
    metrics: createMetrics({ extensive: false }),
    peerHttp: { request: () => assert.fail('nobody is to be asked') },
    isStrict: false,
    requestTimeoutMs: 7000,
    leader: () => 1n,
    isLeader: () => true,
    committedIndex: () => 1,
    appliedIndex: () => 1,
    matchOf: () => 1,
    activeSinceMs: () => 0,
    proposeConfChange: promote,
  })
  const handle = peerEndpoints({
    cluster,
    store: {
      revision: 7,
      hashKv: (revision) =>
        Promise.resolve({ hash: 4286759638, revision: Number(revision), compactRevision: -1 }),
    },
    reconfiguration,
    version: { serverVersion: '3.5.33', clusterVersion: () => cluster.version },
    logger: silentLogger,
    catchUp: () => Promise.resolve(),
    ...overrides,
  })
  const server = createServer((request, response) => {
    if (!handle(request, response)) response.writeHead(404).end('other')
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  context.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const http = systemPeerHttp(undefined)
  return async (path, { method = 'GET', headers = {}, body } = {}) => {
    const url = `http://127.0.0.1:${port}${path}`
    const sent = body === undefined ? {} : { body: Buffer.from(body) }
    const response = await http.request({ url, method, headers, timeoutMs: 5000, ...sent })
    return {
      status: response.status,
      type: response.headers['content-type'],
      cluster: response.headers['x-etcd-cluster-id'],
      body: response.body.toString(),
    }
  }
}

const CLUSTER = 'cdf818194e3a8c32'
const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'

void test('/members lists the members, ids to the last digit', async (context) => {
  const ask = await serve(context)
  assert.deepEqual(await ask('/members'), { status: 200, type: JSON_TYPE, cluster: CLUSTER, body: list })
  const refused = await ask('/members', { method: 'POST' })
  assert.deepEqual([refused.status, refused.body], [405, 'Method Not Allowed\n'])
})

void test('/version is that of the client listener, and other paths are not answered here', async (context) => {
  const ask = await serve(context)
  assert.equal((await ask('/version')).body, '{"etcdserver":"3.5.33","etcdcluster":"3.5.0"}')
  for (const path of ['/members/', '/members/hashkv/', '/leases', '/downgrade', '/'])
    assert.equal((await ask(path)).body, 'other', path)
})

void test('/members/hashkv answers in the form of Go, for the newest revision and others', async (context) => {
  const asked: bigint[] = []
  const store = {
    revision: 7,
    hashKv: (revision: bigint) => {
      asked.push(revision)
      return Promise.resolve({ hash: 4286759638, revision: 7, compactRevision: -1 })
    },
  }
  const ask = await serve(context, { store })
  const body = '{"header":{"revision":7},"hash":4286759638,"compact_revision":-1}'
  const expected = { status: 200, type: JSON_TYPE, cluster: CLUSTER, body }
  const headers = { 'X-Etcd-Cluster-ID': CLUSTER, 'Content-Type': JSON_TYPE }
  assert.deepEqual(await ask('/members/hashkv', { body: '{"revision":5}', headers }), expected)
  assert.deepEqual(await ask('/members/hashkv', { body: '{}' }), expected)
  assert.deepEqual(await ask('/members/hashkv', { body: '{"revision":-9223372036854775808}' }), expected)
  assert.deepEqual(asked, [5n, 0n, -(2n ** 63n)])
})

void test('/members/hashkv leaves out what is zero', async (context) => {
  const store = { revision: 7, hashKv: () => Promise.resolve({ hash: 0, revision: 7, compactRevision: 0 }) }
  const ask = await serve(context, { store })
  assert.equal((await ask('/members/hashkv', { body: '{}' })).body, '{"header":{"revision":7}}')
})

void test('/members/hashkv refuses in the words of etcd', async (context) => {
  let reason: 'compacted' | 'futureRevision' = 'compacted'
  const store = { revision: 7, hashKv: () => Promise.reject(new ApiError(reason)) }
  const ask = await serve(context, { store })
  const refusal = async (options: Parameters<Ask>[1]): Promise<unknown[]> => {
    const { status, type, body } = await ask('/members/hashkv', options)
    return [status, type, body]
  }
  assert.deepEqual(await refusal({ body: '{"revision":1}' }), [
    400,
    TEXT,
    'mvcc: required revision has been compacted\n',
  ])
  reason = 'futureRevision'
  assert.deepEqual(await refusal({ body: '{"revision":9}' }), [
    400,
    TEXT,
    'mvcc: required revision is a future revision\n',
  ])
  for (const body of [
    '',
    'nonsense',
    '{"revision":"5"}',
    '{"revision":1.5}',
    '{"revision":9223372036854775808}',
  ])
    assert.deepEqual(await refusal({ body }), [400, TEXT, 'error unmarshalling request\n'], body)
  assert.deepEqual(await refusal({ body: '{}', headers: { 'X-Etcd-Cluster-ID': 'abc' } }), [
    412,
    TEXT,
    'cluster ID mismatch\n',
  ])
  assert.deepEqual(await refusal({ body: ' '.repeat(100_000) }), [400, TEXT, 'error reading body\n'])
  assert.equal((await refusal({ method: 'POST', body: '{}' }))[0], 405)
})

void test('/downgrade/enabled answers once this member has caught up', async (context) => {
  const ask = await serve(context)
  assert.deepEqual(await ask('/downgrade/enabled'), {
    status: 200,
    type: 'text/plain',
    cluster: CLUSTER,
    body: 'false',
  })
  const late = await serve(context, { catchUp: () => Promise.reject(new ApiError('timeout')) })
  const { status, body } = await late('/downgrade/enabled')
  assert.deepEqual([status, body], [500, 'failed linearized read: etcdserver: request timed out\n'])
})

void test('/members/promote/ID answers the members', async (context) => {
  const ask = await serve(context)
  assert.deepEqual(await ask('/members/promote/9223372036854775809', { method: 'POST' }), {
    status: 200,
    type: JSON_TYPE,
    cluster: CLUSTER,
    body: list,
  })
  assert.equal((await ask('/members/promote/1')).status, 405)
  for (const id of ['x', '-1', '18446744073709551616', '']) {
    const { status, body } = await ask(`/members/promote/${id}`, { method: 'POST' })
    assert.deepEqual([status, body], [404, `member ${id} not found in cluster\n`])
  }
})

for (const [reason, status, body] of [
  ['memberNotFound', 404, 'membership: ID not found\n'],
  ['memberNotLearner', 412, 'membership: can only promote a learner member\n'],
  ['learnerNotReady', 412, 'etcdserver: can only promote a learner member which is in sync with leader\n'],
  ['timeout', 500, '{"message":"Internal Server Error"}'],
] as const) {
  void test(`/members/promote/ID tells ${reason}`, async (context) => {
    const ask = await serve(context, {}, () => Promise.reject(new ApiError(reason)))
    const answered = await ask('/members/promote/1', { method: 'POST' })
    assert.deepEqual([answered.status, answered.body], [status, body])
  })
}
