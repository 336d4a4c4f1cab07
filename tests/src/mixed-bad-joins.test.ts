import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import {
  ClusterProcess,
  HttpClient,
  ServerProcess,
  type ServerProgram,
  freeAfter,
  hexOfId,
  reservePort,
} from '@etcd-ts/testkit'
import { type Impostor, ImpostorServer, bodyChunk, httpAnswer, streamHead } from './impostor.ts'
import { assertEqualPairs, fill, ours, quickFlags, real, skipWithoutReal } from './mixed-programs.ts'

// Members that do not belong to the cluster, and things that are not members at all: the cluster goes on.

const { Put } = etcdserverpb.KVService

const contradictions = [
  {
    name: 'its name is not in the initial cluster',
    settings: (url: string) => `other=${url}`,
    expected: /couldn't find local name \\?"m1\\?" in the initial cluster configuration/,
  },
  {
    name: 'two members have one URL',
    settings: (url: string) => `m1=${url},m2=${url}`,
    expected: /has duplicate url/,
  },
  {
    name: 'the initial cluster gives it another URL',
    settings: () => 'm1=http://127.0.0.1:1',
    expected:
      /--initial-cluster has m1=http:\/\/127\.0\.0\.1:1 but missing from --initial-advertise-peer-urls/,
  },
]

for (const { host, guest, title } of [
  { host: real, guest: ours, title: 'real etcd visited by ours' },
  { host: ours, guest: real, title: 'ours visited by real etcd' },
]) {
  void describe(title, { skip: skipWithoutReal }, () => {
    void test('a member with another token is not heard, and comes in with the right one', async (t) => {
      const cluster = await ClusterProcess.create(t, { programs: [host, host, guest], flags: quickFlags })
      const [first, second, stranger] = cluster.members
      assert.ok(first !== undefined && second !== undefined && stranger !== undefined)
      const settings = stranger.server.cluster
      assert.ok(settings !== undefined)
      stranger.server.cluster = { ...settings, token: 'another' }
      await Promise.all([first.start(), second.start()])
      stranger.server.spawn()
      await stranger.server.log.waitFor(/cluster ID mismatch/)
      await assertServes(cluster, [first, second])
      assert.equal(stranger.server.log.find(stranger.program.readyLine), undefined)
      await stranger.kill()
      stranger.wipe()
      stranger.server.cluster = settings
      await stranger.start()
      await cluster.assertEqualHashes()
    })

    void test('a removed member that comes back with its old data ends', async (t) => {
      const cluster = await ClusterProcess.start(t, { program: host, size: 2, flags: quickFlags })
      const leaver = await cluster.join({ program: guest })
      await fill(t, cluster, 50)
      await leaver.kill()
      await cluster.remove(leaver)
      leaver.server.spawn()
      await leaver.server.exit()
      assert.match(leaver.server.linesOfThisRun().join('\n'), /removed/)
      // Its log now says what has become of it.
      leaver.server.spawn()
      await leaver.server.exit()
      await assertServes(cluster, cluster.members)

      const stayer = await cluster.join({ program: guest })
      await cluster.remove(stayer)
      stayer.server.spawn()
      await stayer.server.exit()
      await assertServes(cluster, cluster.members)
      await assertEqualPairs(cluster)
    })
  })
}

for (const host of [real, ours]) {
  void describe(`${host.title} and what is not a member`, { skip: skipWithoutReal }, () => {
    void test('a peer URL that answers something else', async (t) => {
      const cluster = await ClusterProcess.start(t, { program: host, size: 1, flags: quickFlags })
      const [member] = cluster.members
      assert.ok(member !== undefined)
      const clusterId = (await member.status()).header?.clusterId ?? 0n
      for (const impostor of impostors(hexOfId(clusterId), host)) {
        t.diagnostic(`${host.title} meets: ${impostor.name}`)
        const learner = await cluster.announce({ learner: true })
        const server = await ImpostorServer.listen(t, learner.server.peerPort, impostor)
        // Both streams have been dialled more than once.
        await server.dialed(4)
        await assertServes(cluster, [member])
        await cluster.remove(learner)
      }
    })

    void test('requests that are not those of a member are answered as etcd answers them', async (t) => {
      const cluster = await ClusterProcess.start(t, { program: host, size: 1, flags: quickFlags })
      const [member] = cluster.members
      assert.ok(member !== undefined)
      const clusterId = hexOfId((await member.status()).header?.clusterId ?? 0n)
      const http = new HttpClient(member.peerUrl)
      freeAfter(t, () => http.close())
      for (const { method, path, headers, body, status, answer } of strangeRequests(
        clusterId,
        member.idHex,
      )) {
        const response = await http.send(method, path, body ?? '', headers)
        assert.deepEqual(
          { path, status: response.status, body: response.body },
          { path, status, body: answer },
        )
      }
      for (const bytes of garbage()) await sendBytes(member.server.peerPort, bytes)
      await assertServes(cluster, [member])
    })

    void test('the start of a member that is told of something else fails', async (t) => {
      const port = await reservePort(t)
      const page: Impostor = {
        name: 'a page',
        answer: (socket) => socket.end(httpAnswer('200 OK', {}, '<html>')),
      }
      await ImpostorServer.listen(t, port, page)
      const server = await ServerProcess.create(t, { program: host, name: 'm2' })
      server.cluster = {
        initialCluster: `m1=http://127.0.0.1:${port},m2=${server.peerUrl}`,
        state: 'existing',
      }
      server.spawn()
      const { code } = await server.exit()
      assert.equal(code, 1)
      assert.match(server.log.tail(), /could not retrieve cluster information from the given URLs/)
    })

    for (const { name, settings, expected } of contradictions) {
      void test(`the start of a member fails: ${name}`, async (t) => {
        const server = await ServerProcess.create(t, { program: host })
        server.cluster = { initialCluster: settings(server.peerUrl) }
        server.spawn()
        const { code } = await server.exit()
        assert.equal(code, 1)
        assert.match(server.log.tail(), expected)
      })
    }

    void test('the start of a member that joins fails when it was not added', async (t) => {
      const cluster = await ClusterProcess.start(t, { program: host, size: 1, flags: quickFlags })
      const [member] = cluster.members
      assert.ok(member !== undefined)
      const server = await ServerProcess.create(t, { program: host, name: 'm2' })
      server.cluster = {
        initialCluster: `m1=${member.peerUrl},m2=${server.peerUrl}`,
        state: 'existing',
        token: cluster.token,
      }
      server.spawn()
      const { code } = await server.exit()
      assert.equal(code, 1)
      assert.match(server.log.tail(), /member count is unequal/)
      await assertServes(cluster, [member])
    })
  })
}

/** What a member may find at another's peer URL. */
function impostors(clusterId: string, host: ServerProgram): Impostor[] {
  const good = { 'X-Etcd-Cluster-ID': clusterId, 'X-Server-Version': '3.4.23' }
  const answering = (name: string, text: string): Impostor => ({ name, answer: (socket) => socket.end(text) })
  const streaming = (name: string, frames: Buffer): Impostor => ({
    name,
    answer: (socket, request) => {
      if (request.startsWith('GET /raft/stream/')) {
        socket.write(streamHead(good))
        socket.write(bodyChunk(frames))
      } else socket.end(httpAnswer('204 No Content', good, ''))
    },
  })
  const all: Impostor[] = [
    answering('a web page', httpAnswer('200 OK', { 'Content-Type': 'text/html' }, '<html></html>')),
    answering('nothing is found', httpAnswer('404 Not Found', good, '404 page not found\n')),
    answering('a server that fails', httpAnswer('500 Internal Server Error', good, 'oh')),
    answering('another cluster', httpAnswer('412 Precondition Failed', good, 'cluster ID mismatch\n')),
    answering('bytes that are not HTTP', '\x16\x03\x01\0\x02\x01\0'),
    answering('a head that does not end', `HTTP/1.1 200 OK\r\nX-Filler: ${'x'.repeat(100_000)}`),
    { name: 'an end without an answer', answer: (socket) => socket.destroy() },
    streaming('frames of a kind that does not exist', Buffer.alloc(64, 9)),
    streaming('frames larger than any limit', Buffer.alloc(64, 0x7f)),
    streaming(
      'a message that is none',
      Buffer.from('00000000000000040a0a0a0a02000000000000000307ffff', 'hex'),
    ),
  ]
  if (host === ours && host.title === 'etcd-ts') {
    // Of these real etcd dies.
    const odd = { ...good, 'X-Server-Version': '3.5' }
    all.push(answering('a version in two parts', httpAnswer('200 OK', odd, 'x')))
    all.push(streaming('entries without end', Buffer.from('01ffffffffffffffff00000000000000010000', 'hex')))
  }
  return all
}

interface StrangeRequest {
  readonly method: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly status: number
  readonly answer: string
}

function strangeRequests(clusterId: string, memberId: string): StrangeRequest[] {
  const version = { 'X-Server-Version': '3.4.23', 'X-Min-Cluster-Version': '3.0.0' }
  const good = { ...version, 'X-Etcd-Cluster-ID': clusterId, 'X-Server-From': 'abc' }
  const foreign = { ...version, 'X-Etcd-Cluster-ID': '1', 'X-Server-From': 'abc' }
  const stream = '/raft/stream/msgapp'
  const refused = 'incompatible version\n'
  const mismatch = 'cluster ID mismatch\n'
  return [
    { method: 'POST', path: '/raft', body: 'x', status: 412, answer: refused },
    { method: 'POST', path: '/raft', headers: foreign, body: 'x', status: 412, answer: mismatch },
    { method: 'POST', path: '/raft', headers: { ...good, 'X-Etcd-Cluster-ID': `0${clusterId}` }, body: 'x', status: 412, answer: mismatch },
    { method: 'POST', path: '/raft', headers: { ...good, 'X-Server-Version': '2.3.0' }, body: 'x', status: 412, answer: refused },
    { method: 'POST', path: '/raft', headers: { ...good, 'X-Min-Cluster-Version': '4.0.0' }, body: 'x', status: 412, answer: refused },
    { method: 'POST', path: '/raft', headers: good, body: '\x0a\x0a', status: 400, answer: 'error unmarshalling raft message\n' },
    { method: 'GET', path: '/raft', headers: good, status: 405, answer: 'Method Not Allowed\n' },
    { method: 'POST', path: '/raft/snapshot', headers: foreign, body: 'x', status: 412, answer: mismatch },
    { method: 'GET', path: '/raft/snapshot', headers: good, status: 405, answer: 'Method Not Allowed\n' },
    { method: 'POST', path: `${stream}/abc`, headers: good, status: 405, answer: 'Method Not Allowed\n' },
    { method: 'GET', path: `${stream}/abc`, status: 412, answer: refused },
    { method: 'GET', path: `${stream}/abc`, headers: foreign, status: 412, answer: mismatch },
    { method: 'GET', path: `${stream}/nothex`, headers: good, status: 404, answer: 'invalid from\n' },
    { method: 'GET', path: '/raft/stream/other/abc', headers: good, status: 404, answer: 'invalid path\n' },
    { method: 'GET', path: `${stream}/abc`, headers: { ...good, 'X-Raft-To': memberId }, status: 404, answer: 'error sender not found\n' },
    { method: 'GET', path: '/nothing', status: 404, answer: '404 page not found\n' },
    { method: 'POST', path: '/members', body: 'x', status: 405, answer: 'Method Not Allowed\n' },
    { method: 'POST', path: '/members/promote/1', status: 404, answer: 'membership: ID not found\n' },
  ] // prettier-ignore
}

function garbage(): Uint8Array[] {
  const every = Uint8Array.from({ length: 4096 }, (_, i) => (i * 31) & 0xff)
  return [
    every,
    Buffer.from('GET /raft/stream/msgapp/1 HTTP/1.1\r\n'),
    Buffer.from('POST /raft/snapshot HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'),
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all'),
  ]
}

/** Sends bytes and leaves. */
function sendBytes(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes))
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => resolve())
    socket.resume()
  })
}

/** Asserts that every one of the members runs, and writes. */
async function assertServes(
  cluster: ClusterProcess,
  members: readonly ClusterProcess['members'][number][],
): Promise<void> {
  for (const member of members) {
    assert.ok(member.isUp, `${member.name} runs`)
    await member.grpc.call(Put, { key: Buffer.from('served'), value: Buffer.from(member.name) })
  }
  assert.ok(members.includes(await cluster.leader()))
}
