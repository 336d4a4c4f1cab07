import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatInitialCluster, parseInitialCluster } from './initial-cluster.ts'

void test('a list is put in order, and stray commas do no harm', () => {
  const cluster = parseInitialCluster(',b=http://b:1,a=http://a:2,a=http://a:1,')
  assert.equal(formatInitialCluster(cluster), 'a=http://a:1,a=http://a:2,b=http://b:1')
})

for (const text of ['default', 'default=http://127.0.0.1:1,a', 'default=']) {
  void test(`the list ${text} has an entry without a URL`, () =>
    assert.throws(() => parseInitialCluster(text), {
      message: 'error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ',
    }))
}
