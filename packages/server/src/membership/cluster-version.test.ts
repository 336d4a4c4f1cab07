import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '@etcd-ts/api'
import { silentLogger } from '../log/index.ts'
import { ClusterVersionMonitor } from './cluster-version.ts'
import { sampleCluster, sampleMember } from './testing/sample-cluster.ts'
import { SteppingClock } from './testing/stepping-clock.ts'

interface Outcome {
  readonly proposed: string[]
  readonly sleeps: number
}

/** Lets the monitor of member 1 look `rounds` times in a cluster with members 2 and 3 of the given releases. */
async function watch(options: {
  readonly own?: string
  readonly max?: string
  readonly others: readonly (string | undefined)[]
  readonly current: string | undefined
  readonly isLeader?: boolean
  readonly rounds?: number
  readonly fails?: ApiError
}): Promise<Outcome> {
  const { own = '3.5.33', max = '', others, current, isLeader = true, rounds = 1, fails } = options
  const cluster = sampleCluster(sampleMember(1n), ...others.map((_, i) => sampleMember(BigInt(i + 2))))
  if (current !== undefined) cluster.applyVersion(current)
  const clock = new SteppingClock()
  const controller = new AbortController()
  let sleeps = 0
  clock.onSleep = () => {
    sleeps++
    if (sleeps > rounds) controller.abort()
  }
  const proposed: string[] = []
  const monitor = new ClusterVersionMonitor({
    memberId: 1n,
    serverVersion: own,
    clusterVersionMax: max,
    cluster,
    clock,
    logger: silentLogger,
    requestTimeoutMs: 7000,
    isLeader: () => isLeader,
    peerHttp: {
      request: ({ url }) => {
        const id = Number(/^http:\/\/m(\d+):2380\/version$/.exec(url)?.[1])
        const version = others[id - 2]
        if (version === undefined) return Promise.reject(new Error('connection refused'))
        const body = Buffer.from(`{"etcdserver":"${version}","etcdcluster":"not_decided"}`)
        return Promise.resolve({ status: 200, headers: {}, body })
      },
    },
    putV2: (path, value) => {
      assert.equal(path, '/0/version')
      proposed.push(value)
      if (fails !== undefined) return Promise.reject(fails)
      cluster.applyVersion(value)
      return Promise.resolve()
    },
  })
  await monitor.run(controller.signal)
  return { proposed, sleeps }
}

for (const { name, proposed, ...options } of [
  { name: 'alone it is the own release', others: [], current: undefined, proposed: ['3.5.0'] },
  { name: 'the oldest member decides', others: ['3.4.23', '3.6.1'], current: undefined, proposed: ['3.4.0'] },
  {
    name: 'while a member cannot be asked, it is the oldest there is',
    others: ['3.5.1', undefined],
    current: undefined,
    proposed: ['3.0.0'],
  },
  {
    name: 'while a member cannot be asked, a known one stays',
    others: ['3.5.1', undefined],
    current: '3.0.0',
    proposed: [],
  },
  {
    name: 'it goes up when all members are newer',
    others: ['3.5.1', '3.5.40'],
    current: '3.4.0',
    proposed: ['3.5.0'],
  },
  { name: 'it stays when it is right', others: ['3.5.1', '3.5.40'], current: '3.5.0', proposed: [] },
  {
    name: 'it goes down by one minor release',
    others: ['3.4.40', '3.5.40'],
    current: '3.5.0',
    proposed: ['3.4.0'],
  },
  { name: 'it goes down by no more than that', others: ['3.3.10', '3.5.40'], current: '3.5.0', proposed: [] },
  {
    name: 'it does not go up to another major release',
    own: '4.0.0',
    others: ['4.0.0'],
    current: '3.5.0',
    proposed: [],
  },
  {
    name: 'it goes no higher than the bound',
    max: '3.4.0',
    others: ['3.5.1', '3.5.40'],
    current: undefined,
    proposed: ['3.4.0'],
  },
  { name: 'it stays at the bound', max: '3.4.0', others: ['3.5.1'], current: '3.4.0', proposed: [] },
  {
    name: 'it goes down to the bound',
    max: '3.4.0',
    others: ['3.5.1'],
    current: '3.5.0',
    proposed: ['3.4.0'],
  },
  {
    name: 'a bound above the releases is none',
    max: '3.9.0',
    others: ['3.4.1'],
    current: '3.4.0',
    proposed: [],
  },
  { name: 'a release that is none is not known', others: ['3.5.1', 'new'], current: '3.4.0', proposed: [] },
  { name: 'a follower decides nothing', others: [], current: undefined, isLeader: false, proposed: [] },
]) {
  void test(`cluster version: ${name}`, async () => {
    assert.deepEqual((await watch(options)).proposed, proposed)
  })
}

void test('cluster version: what failed is tried again with the next round', async () => {
  const fails = new ApiError('timeout')
  assert.deepEqual((await watch({ others: [], current: undefined, rounds: 3, fails })).proposed, [
    '3.5.0',
    '3.5.0',
    '3.5.0',
  ])
})

void test('cluster version: a new term is looked at without waiting', async () => {
  const cluster = sampleCluster(sampleMember(1n))
  const controller = new AbortController()
  const clock = new SteppingClock()
  clock.sleep = (_delayMs, signal) =>
    new Promise((resolve) => {
      signal?.addEventListener('abort', () => resolve(false), { once: true })
      if (signal?.aborted === true) resolve(false)
    })
  const monitor = new ClusterVersionMonitor({
    memberId: 1n,
    serverVersion: '3.5.33',
    clusterVersionMax: '',
    cluster,
    clock,
    logger: silentLogger,
    requestTimeoutMs: 7000,
    isLeader: () => true,
    peerHttp: { request: () => assert.fail('there is nobody to ask') },
    putV2: (_path, value) => {
      cluster.applyVersion(value)
      controller.abort()
      return Promise.resolve()
    },
  })
  const running = monitor.run(controller.signal)
  monitor.termStarted()
  await running
  assert.equal(cluster.version, '3.5.0')
})
