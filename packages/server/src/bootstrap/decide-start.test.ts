import assert from 'node:assert/strict'
import type { RequestListener, ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { type Clock, systemClock } from '@etcd-ts/platform'
import type { Logger } from '../log/index.ts'
import { hexId } from '../membership/ids.ts'
import type { PeerHttp } from '../peer/peer-http.ts'
import { systemPeerHttp } from '../peer/system-peer-http.ts'
import { type Start, type StartPorts, decideStart } from './decide-start.ts'
import type { Resolver } from './resolver.ts'
import { configOf } from './testing/config.ts'
import { FastClock } from './testing/fast-clock.ts'
import { answering, serve } from './testing/http-servers.ts'
import { LogLines } from './testing/log-lines.ts'

/** Time runs a hundred times faster, so that limits are reached. */
const hurriedClock: Clock = {
  ...systemClock,
  setTimer: (delayMs, run) => systemClock.setTimer(delayMs / 100, run),
}

const silentPeers: PeerHttp = { request: () => Promise.reject(new Error('connection refused')) }

const noNames: Resolver = {
  address: (hostname) =>
    /^[\d.]+$/.test(hostname)
      ? Promise.resolve(hostname)
      : Promise.reject(new Error(`lookup ${hostname}: no such host`)),
  services: (name) => Promise.reject(new Error(`lookup ${name}: no such host`)),
}

function portsWith(peerHttp: PeerHttp, logger: Logger = new LogLines()): StartPorts {
  const disk = {
    readFile(): never {
      throw new Error('no files here')
    },
  }
  return { clock: new FastClock(), logger, peerHttp, resolver: noNames, disk }
}

/** Starts member `self` of a cluster that lists it first. */
function start(
  state: 'new' | 'existing',
  others: readonly string[],
  { self = 'http://127.0.0.1:1', logger = new LogLines(), peerHttp = systemPeerHttp(undefined) } = {},
): Promise<Start> {
  const cluster = [`self=${self}`, ...others.map((url, index) => `m${index + 2}=${url}`)].join(',')
  const config = configOf(
    `-name=self -initial-advertise-peer-urls=${self} -initial-cluster=${cluster} -initial-cluster-state=${state}`,
  )
  return decideStart(config, portsWith(peerHttp, logger))
}

const versions = '{"etcdserver":"3.5.33","etcdcluster":"3.5.0"}'
const CLUSTER_ID = 'd6c28ea8ba2f2b3c'

function withId(body: string, clusterId = CLUSTER_ID): RequestListener {
  return (_, response) => response.setHeader('X-Etcd-Cluster-ID', clusterId).end(body)
}

/** A member that describes its cluster, and is compatible unless told. */
async function memberOf(
  context: TestContext,
  members: (ownUrl: string) => string,
  answers: Readonly<Record<string, string | RequestListener>> = {},
): Promise<string> {
  const url = await serve(context, (request, response) => {
    const all = { '/members': withId(members(url)), '/version': versions, '/downgrade/enabled': 'false' }
    answering({ ...all, ...answers })(request, response)
  })
  return url
}

const self = '{"id":18446744073709551615,"peerURLs":["http://127.0.0.1:1"]}'
const twoMembers = (url: string): string =>
  `[{"id":9007199254740993,"peerURLs":["${url}"],"name":"old","clientURLs":["http://127.0.0.1:3"]},${self}]\n`

void test('three new members get the ids that etcd gives them', async () => {
  const config = configOf(
    '-name etcd1 -initial-cluster-token etcd-cluster -initial-cluster-state new ' +
      '-initial-advertise-peer-urls http://etcd-node1:2380 -initial-cluster ' +
      'etcd1=http://etcd-node1:2380,etcd2=http://etcd-node2:2380,etcd3=http://etcd-node3:2380',
  )
  const decided = await decideStart(config, portsWith(silentPeers))
  assert.equal(decided.kind, 'new')
  assert.deepEqual(
    decided.members.map(({ id, name }) => `${name} ${hexId(id)}`),
    ['etcd1 5b926f852fa1811', 'etcd2 9b3cd975d37c44ce', 'etcd3 9e13ad3ed0f8a26b'],
  )
  assert.equal(decided.memberId, 0x5b926f852fa1811n)
})

void test('the token is part of the ids, and the name is not', async () => {
  const idWith = async (name: string, token: string): Promise<bigint> => {
    const url = 'http://127.0.0.1:21110'
    const config = configOf(
      `-name ${name} -initial-cluster-token ${token} -initial-advertise-peer-urls ${url} -initial-cluster ${name}=${url}`,
    )
    return (await decideStart(config, portsWith(silentPeers))).memberId
  }
  assert.equal(await idWith('a', 'tk'), 0x6e4ddde757677b80n)
  assert.equal(await idWith('b', 'tk'), 0x6e4ddde757677b80n)
  assert.notEqual(await idWith('a', 'other'), 0x6e4ddde757677b80n)
})

void test('a new member that its cluster knows already is refused', async (context) => {
  const fresh = await start('new', ['http://127.0.0.1:2'], { peerHttp: silentPeers })
  const known = (urls: string): string => `[{"id":${fresh.memberId},"peerURLs":["http://x:1"]${urls}}]`
  const notStarted = await memberOf(context, () => known(''))
  assert.equal((await start('new', [notStarted])).memberId, fresh.memberId)
  const started = await memberOf(context, () => known(',"clientURLs":["http://x:2"]'))
  await assert.rejects(start('new', [started]), {
    message: `member ${hexId(fresh.memberId)} has already been bootstrapped`,
  })
})

void test('a member joins under the ids of the running cluster', async (context) => {
  const url = await memberOf(context, twoMembers)
  assert.deepEqual(await start('existing', [url]), {
    kind: 'join',
    memberId: 0xffffffffffffffffn,
    clusterId: 0xd6c28ea8ba2f2b3cn,
    members: [
      {
        id: 9007199254740993n,
        peerUrls: [url],
        isLearner: false,
        name: 'old',
        clientUrls: ['http://127.0.0.1:3'],
      },
      {
        id: 0xffffffffffffffffn,
        peerUrls: ['http://127.0.0.1:1'],
        isLearner: false,
        name: '',
        clientUrls: [],
      },
    ],
  })
})

void test('URLs of the running cluster may be written otherwise, and learners are learners', async (context) => {
  const members = (url: string): string =>
    `[{"id":1,"peerURLs":["${url.replace('127.0.0.1', 'first')}"]},` +
    '{"id":2,"peerURLs":["http://127.0.0.1:1"],"isLearner":true}]'
  const url = await memberOf(context, members)
  const resolver: Resolver = {
    ...noNames,
    address: (name) => (name === 'first' ? Promise.resolve('127.0.0.1') : noNames.address(name)),
  }
  // The member is asked for its version at the name that the cluster knows, which only the test resolves.
  const real = systemPeerHttp(undefined)
  const peerHttp: PeerHttp = {
    request: (request) => real.request({ ...request, url: request.url.replace('first', '127.0.0.1') }),
  }
  const config = configOf(
    '-name=self -initial-advertise-peer-urls=http://127.0.0.1:1 -initial-cluster-state=existing ' +
      `-initial-cluster=self=http://127.0.0.1:1,m2=${url}`,
  )
  const decided = await decideStart(config, { ...portsWith(peerHttp), resolver })
  assert.equal(decided.memberId, 2n)
  assert.deepEqual(
    decided.members.map(({ isLearner }) => isLearner),
    [false, true],
  )
})

void test('joining asks the next URL when one is no use, and says why', async (context) => {
  const logger = new LogLines()
  const useless = await Promise.all(
    [
      answering({ '/members': '<!DOCTYPE html><html>' }),
      answering({ '/members': (_, response) => response.writeHead(500).end('oops') }),
      answering({ '/members': (_, response) => response.writeHead(302, { Location: '/elsewhere' }).end() }),
      answering({ '/members': withId('{"id":1}') }),
      answering({ '/members': withId('[{"id":18446744073709551616,"peerURLs":[]}]') }),
      answering({ '/members': withId('[{"id":1.5,"peerURLs":[]}]') }),
      answering({ '/members': withId('[{"id":-1,"peerURLs":[]}]') }),
      answering({ '/members': withId('[{"peerURLs":[]}]') }),
      answering({ '/members': withId('[null]') }),
      answering({ '/members': withId('[{"id":1},{"id":1}]') }),
      answering({ '/members': withId('[{"id":1,"peerURLs":[7]}]') }),
      answering({ '/members': withId('[{"id":1,"name":{}}]') }),
      answering({ '/members': withId('[{"id":1}]', 'no hex') }),
      answering({ '/members': withId('[{"id":1}]', '1ffffffffffffffff') }),
      answering({ '/members': '[{"id":1}]' }),
      answering({ '/members': sendWithoutEnd }),
      answering({ '/members': neverAnswer }),
    ].map((handle) => serve(context, handle)),
  )
  const peerHttp = systemPeerHttp(undefined, hurriedClock)
  await assert.rejects(start('existing', [...useless, 'http://127.0.0.1:2'], { logger, peerHttp }), {
    message:
      'cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs',
  })
  assert.equal(logger.lines.length, useless.length + 1)
  assert.equal(logger.count('failed to get cluster response'), 3)
  assert.equal(logger.count('failed to parse cluster ID'), 3)
  assert.equal(logger.count('failed to unmarshal cluster response'), 12)
})

const CHUNK = Buffer.alloc(1024 * 1024, ' ')

const sendWithoutEnd: RequestListener = (_, response) => {
  const fill = (): void => {
    while (!response.destroyed && response.write(CHUNK)) {
      // Until the connection is full.
    }
  }
  response.on('drain', fill)
  fill()
}

const neverAnswer: RequestListener = (_, response: ServerResponse) => {
  response.write('[')
}

void test('a cluster without members is none', async (context) => {
  const url = await memberOf(context, () => '[]')
  await assert.rejects(start('existing', [url]), {
    message:
      'cannot fetch cluster info from peer urls: failed to get raft cluster member(s) from the given URLs',
  })
})

const shown = (url: string): string =>
  `{ClusterID:${CLUSTER_ID} Members:[` +
  `&{ID:20000000000001 RaftAttributes:{PeerURLs:[${url}] IsLearner:false} Attributes:{Name:old ClientURLs:[http://127.0.0.1:3]}} ` +
  `&{ID:ffffffffffffffff RaftAttributes:{PeerURLs:[http://127.0.0.1:1] IsLearner:false} Attributes:{Name: ClientURLs:[]}}` +
  `] RemovedMemberIDs:[]}`

void test('the running cluster must have as many members as the list', async (context) => {
  const url = await memberOf(context, twoMembers)
  await assert.rejects(start('existing', [url, 'http://127.0.0.1:2']), {
    message: `error validating peerURLs ${shown(url)}: member count is unequal`,
  })
})

void test('every member of the running cluster must be in the list', async (context) => {
  const url = await memberOf(context, twoMembers)
  await assert.rejects(start('existing', [url], { self: 'http://127.0.0.1:9' }), {
    message:
      `error validating peerURLs ${shown(url)}: PeerURLs: no match found for existing member ` +
      '(ffffffffffffffff, [http://127.0.0.1:1]), last resolver error (resolved urls: "http://127.0.0.1:1" != "http://127.0.0.1:9")',
  })
})

void test('a member that has been part of the cluster may not join without its log', async (context) => {
  const members = (url: string): string =>
    `[{"id":1,"peerURLs":["${url}"]},` +
    '{"id":2,"peerURLs":["http://127.0.0.1:1"],"name":"self","clientURLs":["http://127.0.0.1:3"]}]'
  const url = await memberOf(context, members)
  await assert.rejects(start('existing', [url]), { message: 'member 2 has already been bootstrapped' })
})

/** Of which one is up, and enough for a quorum: this one is to be a learner. */
const withLearner = (url: string): string =>
  twoMembers(url).replace('"http://127.0.0.1:1"]}', '"http://127.0.0.1:1"],"isLearner":true}')

for (const { name, answers, compatible } of [
  { name: 'an older cluster', answers: { '/version': versions.replace('3.5.0', '3.0.0') }, compatible: true },
  {
    name: 'a cluster of 3.4, which knows no downgrade',
    answers: {
      '/version': '{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}',
      '/downgrade/enabled': (_: unknown, response: ServerResponse) => response.writeHead(404).end(),
    },
    compatible: true,
  },
  {
    name: 'a cluster that cannot tell whether it is downgraded',
    answers: {
      '/downgrade/enabled': (_: unknown, response: ServerResponse) =>
        response.writeHead(500).end('failed linearized read: etcdserver: no leader'),
    },
    compatible: true,
  },
  { name: 'too old', answers: { '/version': versions.replace('3.5.0', '2.3.0') }, compatible: false },
  { name: 'too new', answers: { '/version': versions.replace('3.5.0', '3.6.0') }, compatible: false },
  {
    name: 'no version yet',
    answers: { '/version': versions.replace('3.5.0', 'not_decided') },
    compatible: false,
  },
  { name: 'not a version', answers: { '/version': '{}' }, compatible: false },
  { name: 'not JSON', answers: { '/version': '<html>' }, compatible: false },
  {
    name: 'the version behind an error',
    answers: { '/version': (_: unknown, response: ServerResponse) => response.writeHead(500).end(versions) },
    compatible: false,
  },
  { name: 'downgraded to an older version', answers: { '/downgrade/enabled': 'true' }, compatible: false },
  {
    name: 'downgraded to this version',
    answers: { '/version': versions.replace('3.5.0', '3.6.0'), '/downgrade/enabled': 'true' },
    compatible: true,
  },
]) {
  void test(`${compatible ? 'joined' : 'refused'}: ${name}`, async (context) => {
    const url = await memberOf(context, withLearner, answers)
    const joining = start('existing', [url])
    if (compatible) assert.equal((await joining).kind, 'join')
    else await assert.rejects(joining, { message: 'incompatible with current running cluster' })
  })
}

void test('a cluster that waits for this member is not asked whether it is downgraded', async (context) => {
  const downgrade = { '/downgrade/enabled': () => assert.fail('it cannot tell') }
  const url = await memberOf(context, twoMembers, downgrade)
  assert.equal((await start('existing', [url])).kind, 'join')
})

void test('a token of a discovery service is for new clusters', () =>
  assert.rejects(
    decideStart(
      configOf('-discovery http://127.0.0.1:1/token -initial-cluster-state existing'),
      portsWith(silentPeers),
    ),
    { message: 'discovery URL should not be set when joining existing initial cluster' },
  ))

void test('members are found by the records of a domain', async () => {
  const resolver: Resolver = {
    address: (name) => Promise.resolve(name.startsWith('m1.') ? '10.0.0.1' : '10.0.0.2'),
    services: (name) =>
      name.includes('-ssl')
        ? Promise.resolve(['m2', 'm1'].map((host) => ({ target: `${host}.example.test.`, port: 2380 })))
        : noNames.services(name),
  }
  const config = configOf(
    '-name m1 -discovery-srv example.test -initial-advertise-peer-urls https://m1.example.test:2380',
  )
  const decided = await decideStart(config, { ...portsWith(silentPeers), resolver })
  assert.deepEqual(decided.members.map(({ name, peerUrls }) => `${name} ${peerUrls.join()}`).sort(), [
    '0 https://m2.example.test:2380',
    'm1 https://m1.example.test:2380',
  ])
})
