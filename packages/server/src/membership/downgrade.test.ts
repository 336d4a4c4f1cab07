import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError, type ErrorReason } from '@etcd-ts/api'
import { silentLogger } from '../log/index.ts'
import type { Cluster } from './cluster.ts'
import { Downgrades } from './downgrade.ts'
import { sampleCluster, sampleMember } from './testing/sample-cluster.ts'
import { SteppingClock } from './testing/stepping-clock.ts'

function downgradesOf(
  cluster: Cluster,
  clusterVersions: readonly string[] = [],
): [Downgrades, SteppingClock] {
  const clock = new SteppingClock()
  let asked = 0
  const downgrades = new Downgrades({
    memberId: 1n,
    serverVersion: '3.5.33',
    cluster,
    clock,
    logger: silentLogger,
    requestTimeoutMs: 7000,
    isLeader: () => true,
    catchUp: () => Promise.resolve(),
    peerHttp: {
      request: () => {
        const version = clusterVersions[asked++] ?? 'not_decided'
        const body = Buffer.from(`{"etcdserver":"3.4.40","etcdcluster":"${version}"}`)
        return Promise.resolve({ status: 200, headers: {}, body })
      },
    },
    proposeDowngrade: ({ enabled = false, ver = '' }) => {
      cluster.downgrade = { enabled, targetVersion: ver }
      return Promise.resolve()
    },
  })
  return [downgrades, clock]
}

function clusterOf(version: string | undefined, target?: string): Cluster {
  const cluster = sampleCluster(sampleMember(1n), sampleMember(2n))
  if (version !== undefined) cluster.applyVersion(version)
  if (target !== undefined) cluster.downgrade = { enabled: true, targetVersion: target }
  return cluster
}

const validations: {
  readonly name: string
  readonly cluster: Cluster
  readonly target: string
  readonly refused?: ErrorReason
}[] = [
  { name: 'one minor release down', cluster: clusterOf('3.5.0'), target: '3.4' },
  { name: 'the patch does not matter', cluster: clusterOf('3.5.0'), target: '3.4.17' },
  {
    name: 'the same release',
    cluster: clusterOf('3.5.0'),
    target: '3.5.0',
    refused: 'invalidDowngradeTargetVersion',
  },
  {
    name: 'two minor releases down',
    cluster: clusterOf('3.5.0'),
    target: '3.3',
    refused: 'invalidDowngradeTargetVersion',
  },
  {
    name: 'no version',
    cluster: clusterOf(undefined),
    target: 'three',
    refused: 'wrongDowngradeVersionFormat',
  },
  {
    name: 'no minor release',
    cluster: clusterOf('3.5.0'),
    target: '3',
    refused: 'wrongDowngradeVersionFormat',
  },
  {
    name: 'before the cluster version is known',
    cluster: clusterOf(undefined),
    target: '3.4',
    refused: 'clusterVersionUnavailable',
  },
  {
    name: 'while one is under way',
    cluster: clusterOf('3.5.0', '3.4.0'),
    target: '3.4',
    refused: 'downgradeInProcess',
  },
  {
    name: 'in a cluster whose older members would not bear the entry',
    cluster: clusterOf('3.4.0'),
    target: '3.3',
    refused: 'invalidDowngradeTargetVersion',
  },
]

for (const { name, cluster, target, refused } of validations) {
  void test(`downgrade: ${name}`, async () => {
    const [downgrades] = downgradesOf(cluster)
    const validating = downgrades.validate(target)
    if (refused === undefined) assert.equal(await validating, cluster.version)
    else await assert.rejects(validating, new ApiError(refused))
  })
}

void test('a downgrade is begun once, and ended once', async () => {
  const cluster = clusterOf('3.5.0')
  const [downgrades] = downgradesOf(cluster)
  await assert.rejects(downgrades.cancel(), new ApiError('noInflightDowngrade'))
  assert.equal(await downgrades.enable('3.4.9'), '3.5.0')
  assert.deepEqual(cluster.downgrade, { enabled: true, targetVersion: '3.4.0' })
  await assert.rejects(downgrades.enable('3.4'), new ApiError('downgradeInProcess'))
  assert.equal(await downgrades.cancel(), '3.5.0')
  assert.equal(cluster.downgrade.enabled, false)
})

void test('a downgrade ends by itself when all members say that the cluster is there', async () => {
  const cluster = clusterOf('3.4.0', '3.4.0')
  const [downgrades, clock] = downgradesOf(cluster, ['3.5.0', '3.4.0'])
  const controller = new AbortController()
  const enabled: boolean[] = []
  clock.onSleep = () => {
    enabled.push(cluster.downgrade.enabled)
    if (enabled.length === 3) controller.abort()
  }
  await downgrades.runMonitor(5000, controller.signal)
  assert.deepEqual(enabled, [true, true, false])
})
