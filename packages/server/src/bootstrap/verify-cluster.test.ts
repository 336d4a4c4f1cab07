import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseInitialCluster, parseUrlList } from '../config/index.ts'
import { silentLogger } from '../log/index.ts'
import type { Resolver } from './resolver.ts'
import { FastClock } from './testing/fast-clock.ts'
import { verifyExisting, verifyNew } from './verify-cluster.ts'

const hosts: Readonly<Record<string, string>> = {
  localhost: '127.0.0.1',
  m1: '10.0.0.1',
  six: '0:0:0:0:0:0:0:1',
}

class TableResolver implements Resolver {
  /** Names that are known only after so many questions. */
  readonly #unknownFor: number
  #asked = 0

  constructor(unknownFor = 0) {
    this.#unknownFor = unknownFor
  }

  address(hostname: string): Promise<string> {
    const address = /^[\d.:]+$/.test(hostname) ? hostname : hosts[hostname]
    if (address !== undefined && this.#asked++ >= this.#unknownFor) return Promise.resolve(address)
    return Promise.reject(new Error(`lookup ${hostname}: no such host`))
  }

  services(): Promise<never> {
    return Promise.reject(new Error('not asked here'))
  }
}

function check(
  name: string,
  advertised: string,
  cluster: string,
  resolver: Resolver = new TableResolver(),
  clock = new FastClock(),
): Promise<void> {
  return verifyNew({ name, advertisePeerUrls: parseUrlList(advertised) }, parseInitialCluster(cluster), {
    clock,
    logger: silentLogger,
    resolver,
  })
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
  { name: 'an unknown host, by its text', advertised: 'http://nosuch:1', cluster: 'm1=http://nosuch:1' },
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
    // Recorded from etcd: localhost is a name like no other, and is not looked up.
    advertised: 'http://localhost:33791',
    cluster: 'default=http://127.0.0.1:33791',
    error:
      '--initial-cluster has default=http://127.0.0.1:33791 but missing from --initial-advertise-peer-urls=http://localhost:33791 (resolved urls: "http://localhost:33791" != "http://127.0.0.1:33791")',
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
  {
    advertised: 'http://nosuch:1',
    cluster: 'default=http://127.0.0.1:1',
    error:
      '--initial-cluster has default=http://127.0.0.1:1 but missing from --initial-advertise-peer-urls=http://nosuch:1 (failed to resolve "http://nosuch:1" (lookup nosuch: no such host))',
  },
]) {
  void test(`refused: ${error}`, () =>
    assert.rejects(check(name, advertised, cluster), { name: 'ConfigError', message: error }))
}

void test('a name that is not known yet is asked for again, for 30 seconds', async () => {
  const clock = new FastClock()
  await check('m1', 'http://m1:1', 'm1=http://10.0.0.1:1', new TableResolver(3), clock)
  assert.deepEqual(clock.slept, [1_000, 1_000, 1_000])

  const late = new FastClock()
  await assert.rejects(check('m1', 'http://m1:1', 'm1=http://10.0.0.1:1', new TableResolver(99), late))
  assert.equal(late.slept.length, 29)
})

void test('joining does not compare the advertised URLs', () => {
  const self = { name: 'm1', advertisePeerUrls: parseUrlList('http://elsewhere:1') }
  verifyExisting(self, parseInitialCluster('m1=http://m1:1,m2=http://m2:1'))
  assert.throws(() => verifyExisting(self, parseInitialCluster('m2=http://m2:1')), {
    message: `couldn't find local name "m1" in the initial cluster configuration`,
  })
  assert.throws(() => verifyExisting(self, parseInitialCluster('m1=http://m1:1,m2=http://m1:1')), {
    message: 'initial cluster m1=http://m1:1,m2=http://m1:1 has duplicate url',
  })
})
