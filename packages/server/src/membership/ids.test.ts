import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bootstrapMemberId, clusterIdOf, hexId } from './ids.ts'

for (const { urls, token, id } of [
  { urls: ['http://127.0.0.1:21110'], token: 'tk', id: '6e4ddde757677b80' },
  { urls: ['http://etcd-node1:2380'], token: 'etcd-cluster', id: '5b926f852fa1811' },
  { urls: ['http://etcd-node2:2380'], token: 'etcd-cluster', id: '9b3cd975d37c44ce' },
  { urls: ['http://etcd-node3:2380'], token: 'etcd-cluster', id: '9e13ad3ed0f8a26b' },
  { urls: ['http://localhost:2380'], token: 'etcd-cluster', id: '8e9e05c52164694d' },
]) {
  void test(`${urls.join()} with token ${token} is member ${id}, as in etcd`, () => {
    assert.equal(hexId(bootstrapMemberId(urls, token)), id)
  })
}

void test('the order of the URLs does not matter to the id', () => {
  assert.equal(
    bootstrapMemberId(['http://b:1', 'http://a:1'], 't'),
    bootstrapMemberId(['http://a:1', 'http://b:1'], 't'),
  )
})

void test('a cluster of the default member has the id that etcd gives it, in any order of its members', () => {
  assert.equal(hexId(clusterIdOf([0x8e9e05c52164694dn])), 'cdf818194e3a8c32')
  assert.equal(clusterIdOf([1n, 2n ** 63n]), clusterIdOf([2n ** 63n, 1n]))
})
