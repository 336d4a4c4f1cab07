import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJson } from '@etcd-ts/api'
import { Cluster } from './cluster.ts'
import { parseMember } from './member.ts'
import { V2Tree } from './v2-tree.ts'

const directory = (path: string, index: number, children: string): string =>
  `"${path.slice(path.lastIndexOf('/') + 1)}":{"Path":"${path}","CreatedIndex":${index},"ModifiedIndex":${index},"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{${children}}}`
const file = (path: string, created: number, modified: number, value: string): string =>
  `"${path.slice(path.lastIndexOf('/') + 1)}":{"Path":"${path}","CreatedIndex":${created},"ModifiedIndex":${modified},"ExpireTime":"0001-01-01T00:00:00Z","Value":${JSON.stringify(value)},"Children":null}`
const root = (children: string): string =>
  `{"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{${children}}}`

const member = '/0/members/907d1d4b1f75a362'

void test('the log of a fresh member gives the tree, with the indexes, that etcd 3.4.23 recorded', () => {
  const cluster = new Cluster(1n)
  const context = '{"id":10411510122038010722,"peerURLs":["http://127.0.0.1:21102"],"name":"default"}'
  cluster.apply({ kind: 'add', member: parseMember(context) })
  cluster.applyAttributes(10411510122038010722n, {
    name: 'default',
    clientUrls: ['http://127.0.0.1:21101'],
  })
  cluster.applyVersion('3.4.0')
  const expected = root(
    [
      directory(
        '/0',
        0,
        [
          directory(
            '/0/members',
            1,
            directory(
              member,
              1,
              [
                file(
                  `${member}/attributes`,
                  2,
                  2,
                  '{"name":"default","clientURLs":["http://127.0.0.1:21101"]}',
                ),
                file(`${member}/raftAttributes`, 1, 1, '{"peerURLs":["http://127.0.0.1:21102"]}'),
              ].join(','),
            ),
          ),
          file('/0/version', 3, 3, '3.4.0'),
        ].join(','),
      ),
      directory('/1', 0, ''),
    ].join(','),
  )
  assert.equal(cluster.formatV2(), `{"Root":${expected},"CurrentIndex":3,"CurrentVersion":2}`)
})

void test('removing a member takes two indexes, an update one, and leaves the node its creation', () => {
  const cluster = new Cluster(1n)
  const one = { id: 1n, peerUrls: ['http://a:1'], isLearner: true, name: '', clientUrls: [] }
  cluster.apply({ kind: 'add', member: one })
  cluster.apply({ kind: 'promote', id: 1n })
  cluster.apply({ kind: 'update', id: 1n, peerUrls: ['http://b:1'] })
  assert.match(cluster.formatV2(), /"CurrentIndex":3,/)
  assert.ok(
    cluster.formatV2().includes(file('/0/members/1/raftAttributes', 1, 3, '{"peerURLs":["http://b:1"]}')),
  )
  cluster.apply({ kind: 'remove', id: 1n })
  assert.match(cluster.formatV2(), /"CurrentIndex":5,/)
  assert.ok(cluster.formatV2().includes(directory('/0/members', 1, '')))
  assert.ok(cluster.formatV2().includes(file('/0/removed_members/1', 5, 5, '')))
})

void test('what clients of the v2 API stored in a received snapshot is in the next one, as it came', () => {
  const foreign = [
    directory('/1', 0, file('/1/a <&>', 7, 9, 'x\u2028')),
    '"2":{"Path":"/2","CreatedIndex":4,"ModifiedIndex":4,"ExpireTime":"2030-01-01T00:00:00.5Z","Value":"","Children":{}}',
  ].join(',')
  const tree = new V2Tree()
  tree.restore(
    parseJson(
      `{"Root":${root(`${directory('/0', 0, '')},${foreign}`)},"WatcherHub":{"EventHistory":null},"CurrentIndex":9}`,
    ),
  )
  tree.set('/version', '3.5.0')
  const again = new V2Tree()
  again.restore(parseJson(tree.format()))
  assert.equal(again.format(), tree.format())
  assert.deepEqual(
    parseJson(tree.format()),
    parseJson(
      `{"Root":${root(`${directory('/0', 0, file('/0/version', 10, 10, '3.5.0'))},${foreign}`)},"CurrentIndex":10,"CurrentVersion":2}`,
    ),
  )
})

void test('a change of a node that is not there is a contradiction', () => {
  const tree = new V2Tree()
  assert.throws(() => tree.update('/version', '3.5.0'), /no v2 node \/0\/version/)
  assert.throws(() => tree.remove('/members/1'), /no v2 node \/0\/members\/1/)
})
