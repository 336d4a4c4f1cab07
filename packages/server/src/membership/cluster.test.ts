import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster, type MembershipChange, type RejectedChange } from './cluster.ts'
import type { Member } from './member.ts'
import { encodeV2Snapshot, restoreV2Snapshot } from './v2-snapshot.ts'

function member(id: bigint, overrides: Partial<Member> = {}): Member {
  return { id, peerUrls: [`http://m${id}:2380`], isLearner: false, name: '', clientUrls: [], ...overrides }
}

function clusterOfThree(): Cluster {
  const cluster = new Cluster(0xcdf818194e3a8c32n)
  for (const id of [9n, 1n, 2n]) cluster.apply({ kind: 'add', member: member(id) })
  cluster.apply({ kind: 'add', member: member(3n, { isLearner: true }) })
  cluster.apply({ kind: 'remove', id: 9n })
  cluster.applyAttributes(1n, { name: 'a', clientUrls: [] })
  cluster.applyVersion('3.5.0')
  return cluster
}

const cases: { name: string; change: MembershipChange; rejected: RejectedChange | undefined }[] = [
  { name: 'a new voter is taken', change: { kind: 'add', member: member(4n) }, rejected: undefined },
  {
    name: 'an id that was removed never comes back',
    change: { kind: 'add', member: member(9n) },
    rejected: 'idRemoved',
  },
  { name: 'an id can be added once', change: { kind: 'add', member: member(1n) }, rejected: 'idExists' },
  {
    name: 'two members cannot share a peer URL',
    change: { kind: 'add', member: member(4n, { peerUrls: ['http://m1:2380'] }) },
    rejected: 'peerUrlExists',
  },
  {
    name: 'there is room for one learner',
    change: { kind: 'add', member: member(4n, { isLearner: true }) },
    rejected: 'tooManyLearners',
  },
  { name: 'a learner is promoted', change: { kind: 'promote', id: 3n }, rejected: undefined },
  { name: 'a voter is not promoted', change: { kind: 'promote', id: 1n }, rejected: 'notLearner' },
  { name: 'nobody is not promoted', change: { kind: 'promote', id: 7n }, rejected: 'idNotFound' },
  { name: 'a member is removed', change: { kind: 'remove', id: 2n }, rejected: undefined },
  { name: 'nobody is not removed', change: { kind: 'remove', id: 7n }, rejected: 'idNotFound' },
  {
    name: 'a member keeps its own URL in an update',
    change: { kind: 'update', id: 1n, peerUrls: ['http://m1:2380'] },
    rejected: undefined,
  },
  {
    name: 'an update cannot take the URL of another',
    change: { kind: 'update', id: 1n, peerUrls: ['http://m2:2380'] },
    rejected: 'peerUrlExists',
  },
]

for (const { name, change, rejected } of cases) {
  void test(name, () => assert.equal(clusterOfThree().validate(change), rejected))
}

void test('an update leaves the learner flag alone', () => {
  const cluster = clusterOfThree()
  cluster.apply({ kind: 'update', id: 3n, peerUrls: ['http://b:1', 'http://a:1'] })
  assert.deepEqual(
    cluster.member(3n),
    member(3n, { isLearner: true, peerUrls: ['http://b:1', 'http://a:1'] }),
  )
})

void test('what a removed member publishes is ignored; what a stranger publishes is a contradiction', () => {
  const cluster = clusterOfThree()
  assert.equal(cluster.applyAttributes(9n, { name: 'ghost', clientUrls: [] }), undefined)
  assert.throws(() => cluster.applyAttributes(8n, { name: 'stranger', clientUrls: [] }), /does not exist/)
})

void test('a snapshot carries members, removed ids and the version', () => {
  const before = clusterOfThree()
  before.applyAttributes(2n, { name: '<b>', clientUrls: ['http://m2:2379'] })
  const after = new Cluster(before.id)
  restoreV2Snapshot(after, encodeV2Snapshot(before))
  assert.deepEqual(after.members(), before.members())
  assert.deepEqual(after.removedIds(), [9n])
  assert.equal(after.version, '3.5.0')
})

void test('a snapshot of real etcd is read: values as strings of JSON, ids in hex', () => {
  const node = (value: string): object => ({
    Path: '',
    CreatedIndex: 1,
    ModifiedIndex: 1,
    Value: value,
    Children: null,
  })
  const directory = (children: object): object => ({ Path: '', Value: '', Children: children })
  const document = {
    Root: directory({
      0: directory({
        members: directory({
          '907d1d4b1f75a362': directory({
            attributes: node('{"name":"default","clientURLs":["http://127.0.0.1:21101"]}'),
            raftAttributes: node('{"peerURLs":["http://127.0.0.1:21102"]}'),
          }),
        }),
        version: node('3.4.0'),
      }),
      1: directory({}),
    }),
    WatcherHub: { EventHistory: { Queue: { Events: [null] } } },
    CurrentIndex: 3,
  }
  const cluster = new Cluster(1n)
  restoreV2Snapshot(cluster, Buffer.from(JSON.stringify(document)))
  assert.deepEqual(cluster.members(), [
    {
      id: 0x907d1d4b1f75a362n,
      peerUrls: ['http://127.0.0.1:21102'],
      isLearner: false,
      name: 'default',
      clientUrls: ['http://127.0.0.1:21101'],
    },
  ])
  assert.equal(cluster.version, '3.4.0')
})
