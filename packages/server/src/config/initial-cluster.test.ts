import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatInitialCluster, parseInitialCluster, verifyInitialCluster } from './initial-cluster.ts'
import { parseUrlList } from './urls.ts'

const hosts: Readonly<Record<string, string>> = { localhost: '127.0.0.1', m1: '10.0.0.1', six: '::1' }
const resolve = (host: string): Promise<string | undefined> => Promise.resolve(hosts[host])

const check = (name: string, advertised: string, cluster: string): Promise<void> =>
  verifyInitialCluster(
    { name, advertisePeerUrls: parseUrlList(advertised) },
    parseInitialCluster(cluster),
    resolve,
  )

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

for (const { name, advertised, cluster } of [
  { name: 'the same text', advertised: 'http://m1:1', cluster: 'm1=http://m1:1,m2=http://m2:1' },
  { name: 'a name and its address', advertised: 'http://m1:1', cluster: 'm1=http://10.0.0.1:1' },
  { name: 'an IPv6 address', advertised: 'http://six:1', cluster: 'm1=http://[::1]:1' },
  {
    name: 'two URLs in another order',
    advertised: 'http://m1:2,http://m1:1',
    cluster: 'm1=http://m1:1,m1=http://m1:2',
  },
  { name: 'a socket', advertised: 'unix://m1:1', cluster: 'm1=unix://m1:1' },
]) {
  void test(`member and list agree: ${name}`, () => check('m1', advertised, cluster))
}

for (const { name = 'default', advertised, cluster, error } of [
  {
    name: 'x',
    advertised: 'http://127.0.0.1:1',
    cluster: 'y=http://127.0.0.1:1',
    error: `couldn't find local name "x" in the initial cluster configuration`,
  },
  {
    advertised: 'http://127.0.0.1:1',
    cluster: '',
    error: `couldn't find local name "default" in the initial cluster configuration`,
  },
  {
    advertised: 'http://127.0.0.1:2',
    cluster: 'default=http://127.0.0.1:1',
    error:
      '--initial-cluster has default=http://127.0.0.1:1 but missing from --initial-advertise-peer-urls=http://127.0.0.1:2 (resolved urls: "http://127.0.0.1:2" != "http://127.0.0.1:1")',
  },
  {
    advertised: 'http://localhost:2380',
    cluster: 'default=http://127.0.0.1:1,default=http://127.0.0.1:2',
    error:
      '--initial-cluster has default=http://127.0.0.1:1,default=http://127.0.0.1:2 but missing from --initial-advertise-peer-urls=http://localhost:2380 (len(["http://localhost:2380"]) != len(["http://127.0.0.1:1" "http://127.0.0.1:2"]))',
  },
  {
    advertised: 'http://127.0.0.1:1,http://127.0.0.1:2',
    cluster: 'default=http://127.0.0.1:1',
    error:
      '--initial-advertise-peer-urls has http://127.0.0.1:2 but missing from --initial-cluster=default=http://127.0.0.1:1,default=http://127.0.0.1:2',
  },
  {
    advertised: 'http://127.0.0.1:1',
    cluster: 'default=http://127.0.0.1:1,b=http://127.0.0.1:1',
    error: 'initial cluster b=http://127.0.0.1:1,default=http://127.0.0.1:1 has duplicate url',
  },
]) {
  void test(`refused: ${error}`, () =>
    assert.rejects(check(name, advertised, cluster), { name: 'ConfigError', message: error }))
}

void test('a host that nobody knows is a mismatch', () =>
  assert.rejects(check('default', 'http://nosuch:1', 'default=http://127.0.0.1:1'), {
    message:
      '--initial-cluster has default=http://127.0.0.1:1 but missing from --initial-advertise-peer-urls=http://nosuch:1 (could not resolve host nosuch:1)',
  }))
