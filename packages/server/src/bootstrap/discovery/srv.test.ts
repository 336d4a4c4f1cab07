import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseUrlList, type DiscoveryConfig } from '../../config/index.ts'
import { silentLogger } from '../../log/index.ts'
import type { Resolver, ServiceRecord } from '../resolver.ts'
import { discoveryConfig } from '../testing/config.ts'
import { clusterFromRecords } from './srv.ts'

const addresses: Readonly<Record<string, string>> = {
  'm1.example.test': '10.0.0.1',
  'm1.example.test.': '10.0.0.1',
  'm2.example.test.': '10.0.0.2',
  'm3.example.test.': '10.0.0.3',
}

function resolverOf(services: Readonly<Record<string, readonly ServiceRecord[]>>): Resolver {
  return {
    address(hostname) {
      const address = addresses[hostname]
      return address === undefined
        ? Promise.reject(new Error(`lookup ${hostname}: no such host`))
        : Promise.resolve(address)
    },
    services(name) {
      const found = services[name]
      return found === undefined
        ? Promise.reject(new Error(`lookup ${name}: no such host`))
        : Promise.resolve(found)
    },
  }
}

function find(
  services: Readonly<Record<string, readonly ServiceRecord[]>>,
  options: { advertised?: string; discovery?: Partial<DiscoveryConfig> } = {},
): Promise<string> {
  const { advertised = 'http://m1.example.test:2380', discovery = {} } = options
  return clusterFromRecords(
    {
      name: 'm1',
      advertisePeerUrls: parseUrlList(advertised),
      discovery: { ...discoveryConfig, srvDomain: 'example.test', ...discovery },
    },
    resolverOf(services),
    silentLogger,
  )
}

const m1 = { target: 'm1.example.test.', port: 2380 }
const m2 = { target: 'm2.example.test.', port: 2380 }
const m3 = { target: 'm3.example.test.', port: 2380 }
const nowhere = { target: 'nowhere.example.test.', port: 2380 }

void test('the record at the advertised address is this member, the others are numbered', async () => {
  assert.equal(
    await find({ '_etcd-server._tcp.example.test': [m2, m1, m3] }),
    '0=http://m2.example.test:2380,m1=http://m1.example.test:2380,1=http://m3.example.test:2380',
  )
})

void test('records of both services come together', async () => {
  const services = { '_etcd-server-ssl._tcp.example.test': [m1], '_etcd-server._tcp.example.test': [m2] }
  assert.equal(
    await find(services, { advertised: 'https://m1.example.test:2380' }),
    'm1=https://m1.example.test:2380,0=http://m2.example.test:2380',
  )
})

void test('the service may have a name of its own', async () => {
  const discovery = { srvName: 'blue' }
  assert.equal(
    await find({ '_etcd-server-blue._tcp.example.test': [m1] }, { discovery }),
    'm1=http://m1.example.test:2380',
  )
})

void test('a target without an address is left out', async () => {
  assert.equal(
    await find({ '_etcd-server._tcp.example.test': [nowhere, m1] }),
    'm1=http://m1.example.test:2380',
  )
})

for (const { name, services, error } of [
  {
    name: 'no records',
    services: {},
    error:
      'error setting up initial cluster: ' +
      'error querying DNS SRV records for _etcd-server-ssl lookup _etcd-server-ssl._tcp.example.test: no such host; ' +
      'error querying DNS SRV records for _etcd-server lookup _etcd-server._tcp.example.test: no such host',
  },
  {
    name: 'this member is not among them',
    services: { '_etcd-server._tcp.example.test': [m2] },
    error: 'error setting up initial cluster: cannot find local etcd member "m1" in SRV records',
  },
  {
    name: 'this member is there with another scheme',
    services: { '_etcd-server-ssl._tcp.example.test': [m1], '_etcd-server._tcp.example.test': [m2] },
    error: 'error setting up initial cluster: cannot find local etcd member "m1" in SRV records',
  },
  {
    name: 'all are there with another scheme',
    services: { '_etcd-server-ssl._tcp.example.test': [m1] },
    error:
      'error setting up initial cluster: ' +
      'error querying DNS SRV records for _etcd-server-ssl bootstrap at https://m1.example.test:2380 from DNS for ' +
      'etcd-server-ssl has scheme mismatch with expected peer http://m1.example.test:2380; ' +
      'error querying DNS SRV records for _etcd-server lookup _etcd-server._tcp.example.test: no such host',
  },
]) {
  void test(`refused: ${name}`, () => assert.rejects(find(services), { message: error }))
}
