import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import test, { type TestContext } from 'node:test'
import { raftpb } from '@etcd-ts/api'
import { systemClock } from '@etcd-ts/platform'
import { type Message, MessageType } from '@etcd-ts/raft'
import { systemPeerHttp } from './system-peer-http.ts'
import { TestMember, messageFrom, serveRaw, startPair } from './test-member.ts'

function append(from: bigint, to: bigint, index: number, data: Uint8Array): Message {
  const message = messageFrom(from, to, MessageType.MsgApp, index)
  message.logTerm = 1
  message.entries = [{ type: 0, term: 1, index: index + 1, data }]
  return message
}

void test('appends go by one stream and everything else by the other, each in order', async (context) => {
  const [a, b] = await startPair(context)
  const sent: Message[] = []
  for (let i = 0; i < 2000; i++) {
    sent.push(append(1n, 2n, i, Buffer.alloc(i % 200 === 0 ? 100_000 : 30, i)))
    if (i % 10 === 0) sent.push(messageFrom(1n, 2n, MessageType.MsgHeartbeat, i))
  }
  a.transport.send(sent.slice(0, 1000))
  a.transport.send(sent.slice(1000))
  await b.changed.until(() => b.received.length === sent.length)
  for (const type of [MessageType.MsgApp, MessageType.MsgHeartbeat]) {
    assert.deepEqual(
      b.received.filter((message) => message.type === type).map((message) => raftpb.Message.encode(message)),
      sent.filter((message) => message.type === type).map((message) => raftpb.Message.encode(message)),
    )
  }
  const metrics = a.metrics.network.peer('2')
  assert.ok(metrics.sentBytes > 1_000_000)
  assert.equal(metrics.active, 1)
  assert.ok(b.metrics.network.peer('1').receivedBytes > 1_000_000)
  assert.ok((a.transport.activeSinceMs(2n) ?? Infinity) <= systemClock.monotonicMs())
  assert.equal(a.transport.activeSinceMs(3n), undefined)
})

void test('what is addressed to nobody, or to somebody unknown, goes nowhere', async (context) => {
  const [a, b] = await startPair(context)
  a.transport.send([
    messageFrom(1n, 0n, MessageType.MsgApp),
    messageFrom(1n, 77n, MessageType.MsgApp),
    messageFrom(1n, 2n, MessageType.MsgHeartbeat, 5),
  ])
  await b.changed.until(() => b.received.length > 0)
  assert.deepEqual(
    b.received.map((message) => message.index),
    [5],
  )
})

void test('a member that is not known yet is answered by the pipeline', async (context) => {
  const a = await TestMember.start(context, 1n)
  const b = await TestMember.start(context, 2n)
  // b knows a, a does not know b: what b asks for tells a where b is.
  b.transport.addPeer(1n, [a.url])
  await a.untilLogged('added new remote peer')
  b.transport.send([messageFrom(2n, 1n, MessageType.MsgHeartbeat, 3)])
  await a.changed.until(() => a.received.length > 0)
  a.transport.send([messageFrom(1n, 2n, MessageType.MsgHeartbeatResp, 4)])
  await b.changed.until(() => b.received.length > 0)
  assert.equal(b.received[0]?.index, 4)
  assert.equal(a.transport.activeSinceMs(2n), undefined)
  // Once it is known, it gets everything.
  a.transport.addPeer(2n, [b.url])
  await b.untilLogged('established TCP streaming connection', 4)
})

void test('a removed peer is gone with its connections, and comes back when it is added', async (context) => {
  const [a, b] = await startPair(context)
  a.transport.removePeer(2n)
  await b.untilLogged('lost TCP streaming connection', 4)
  a.transport.send([messageFrom(1n, 2n, MessageType.MsgHeartbeat)])
  assert.equal(a.transport.activeSinceMs(2n), undefined)
  assert.equal(a.metrics.network.peer('2').known, false)
  assert.equal(b.removed, 0)
  a.transport.addPeer(2n, [b.url])
  await b.untilLogged('established TCP streaming connection', 8)
  a.transport.send([messageFrom(1n, 2n, MessageType.MsgHeartbeat, 9)])
  await b.changed.until(() => b.received.length > 0)
  assert.equal(b.received[0]?.index, 9)
})

void test('a member that was removed from the cluster is told so by streams and by posts', async (context) => {
  const a = await TestMember.start(context, 1n)
  a.removedIds.add(2n)
  const b = await TestMember.start(context, 2n)
  b.transport.addPeer(1n, [a.url])
  await b.changed.until(() => b.removed > 0)
  assert.equal(b.removed, 1)

  const c = await TestMember.start(context, 2n)
  c.transport.addRemote(1n, [a.url])
  c.transport.send([messageFrom(2n, 1n, MessageType.MsgAppResp)])
  await c.changed.until(() => c.removed > 0)
  assert.equal(c.removed, 1)
})

void test('a member with several URLs is reached by the one that works', async (context) => {
  const a = await TestMember.start(context, 1n)
  const b = await TestMember.start(context, 2n)
  b.transport.addPeer(1n, [a.url])
  a.transport.addPeer(2n, ['http://127.0.0.1:1', b.url, 'nonsense'])
  await b.untilLogged('established TCP streaming connection', 4)
})

void test('after an update a member is dialled at its new URL', async (context) => {
  const a = await TestMember.start(context, 1n)
  const b = await TestMember.start(context, 2n)
  b.transport.addPeer(1n, [a.url])
  a.transport.addPeer(2n, ['http://127.0.0.1:1'])
  await a.untilLogged('failed to establish a stream')
  a.transport.updatePeer(2n, [b.url])
  await b.untilLogged('established TCP streaming connection', 4)
})

void test('connections that break are made again', async (context) => {
  const [a, b] = await startPair(context)
  for (const socket of [...a.sockets, ...b.sockets]) socket.destroy()
  await Promise.all([a, b].map((member) => member.untilLogged('established TCP streaming connection', 8)))
  a.transport.send([append(1n, 2n, 7, Buffer.from('x'))])
  await b.changed.until(() => b.received.length > 0)
  assert.equal(b.received[0]?.entries[0]?.index, 8)
  assert.ok(a.metrics.network.peer('2').disconnects > 0)
})

void test('messages of strangers, to strangers and of the member itself end the stream and change nothing', async (context) => {
  const [a, b] = await startPair(context)
  let times = b.logged.filter((line) => line.includes('lost TCP')).length
  for (const message of [
    messageFrom(9n, 2n, MessageType.MsgHeartbeat),
    messageFrom(2n, 2n, MessageType.MsgHeartbeat),
    messageFrom(0xffff_ffff_ffff_ffffn, 2n, MessageType.MsgHeartbeat),
    { ...messageFrom(1n, 2n, MessageType.MsgHeartbeat), to: 2n, type: MessageType.MsgStorageAppend },
  ]) {
    a.transport.send([message])
    await b.untilLogged('lost TCP streaming connection', ++times)
    await a.untilLogged('established TCP streaming connection', 4 + times)
  }
  assert.deepEqual(b.received, [])
  assert.ok(b.metrics.network.peer('1').receivedFailures >= 4)
})

/** Asks as member 2 for a stream of appends, and then never reads it. */
async function stall(context: TestContext, { url }: TestMember): Promise<Socket> {
  const request = httpRequest(`${url}/raft/stream/msgapp/2`, {
    headers: { ...asMember('2'), 'X-Raft-To': '1' },
  })
  const socket = await new Promise<Socket>((resolve, reject) => {
    request.once('response', (response) => {
      response.on('error', () => undefined)
      response.pause()
      response.socket.pause()
      resolve(response.socket)
    })
    request.once('error', reject)
    request.end()
  })
  context.after(() => socket.destroy())
  return socket
}

void test('a stream whose other end does not read is given up after five seconds', async (context) => {
  const a = await TestMember.start(context, 1n, { clock: new FastClock() })
  a.transport.addPeer(2n, ['http://127.0.0.1:1'])
  await stall(context, a)
  await a.untilLogged('established TCP streaming connection')
  for (let i = 0; i < 30; i++) a.transport.send([append(1n, 2n, i, Buffer.alloc(1 << 20))])
  await a.changed.until(() =>
    a.logged.some((line) => line.includes('stream-writer-type') && line.includes('i/o timeout')),
  )
  await a.changed.until(() => a.unreachable.includes(2n))
})

void test('a slow member costs bounded memory, is reported, and does not hold up others', async (context) => {
  const a = await TestMember.start(context, 1n)
  const c = await TestMember.start(context, 3n)
  a.transport.addPeer(3n, [c.url])
  c.transport.addPeer(1n, [a.url])
  await c.untilLogged('established TCP streaming connection', 4)
  const silent = await serveRaw(context, (socket) => socket.pause())
  a.transport.addPeer(2n, [silent])
  await stall(context, a)
  const data = Buffer.alloc(1 << 20)
  const before = process.memoryUsage().rss
  for (let i = 0; i < 300; i++) a.transport.send([append(1n, 2n, i, data), append(1n, 3n, i, data)])
  await a.changed.until(() => a.unreachable.includes(2n))
  // Nothing of it stands in the way of the third member.
  a.transport.send([messageFrom(1n, 3n, MessageType.MsgHeartbeat, 1)])
  await c.changed.until(() => c.received.some((message) => message.type === MessageType.MsgHeartbeat))
  assert.ok(process.memoryUsage().rss - before < 400 << 20)
  await a.untilLogged('dropped internal Raft message')
})

function asMember(id: string, headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    'X-Server-From': id,
    'X-Server-Version': '3.5.33',
    'X-Min-Cluster-Version': '3.0.0',
    'X-Etcd-Cluster-ID': 'abc',
    ...headers,
  }
}

const http = systemPeerHttp(undefined)

void test('a stream that says nothing, and one that is not read, end after five seconds', async (context) => {
  const clock = new FastClock()
  const a = await TestMember.start(context, 1n, { clock })
  const asked: string[] = []
  const url = await serveRaw(context, (socket) => {
    socket.once('data', (data) => {
      const line = data.toString('latin1').split('\r\n', 1)[0] ?? ''
      if (!line.includes('/raft/stream/')) return
      asked.push(line)
      socket.write('HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.0\r\nTransfer-Encoding: chunked\r\n\r\n')
    })
  })
  a.transport.addPeer(2n, [url])
  await a.untilLogged('lost TCP streaming connection', 2)
  assert.ok(a.logged.some((line) => line.includes('i/o timeout')))
  // And again.
  await a.untilLogged('established TCP streaming connection', 4)
  assert.ok(asked.length >= 4)
})

for (const { name, answer, log } of [
  { name: 'something that is not HTTP', answer: 'SSH-2.0-OpenSSH_9.2\r\n', log: 'Parse Error' },
  { name: 'an answer without a version', answer: head('200 OK', {}), log: 'unsupported stream type' },
  {
    name: 'a malformed version',
    answer: head('200 OK', { 'X-Server-Version': '3.5' }),
    log: 'unsupported stream type',
  },
  {
    name: 'an old version',
    answer: head('200 OK', { 'X-Server-Version': '2.0.9' }),
    log: 'unsupported stream type',
  },
  {
    name: 'a removal without a version',
    answer: head('410 Gone', { 'X-Etcd-Cluster-ID': 'abc' }),
    log: 'unsupported stream type',
  },
  {
    name: 'a removal from another cluster',
    answer: head('410 Gone', { 'X-Server-Version': '3.5.0', 'X-Etcd-Cluster-ID': 'abd' }),
    log: 'unhandled http status 410',
  },
  {
    name: 'a refusal',
    answer: head('403 Forbidden', { 'X-Server-Version': '3.5.0' }),
    log: 'unhandled http status 403',
  },
  {
    name: 'a redirect',
    answer: head('302 Found', { 'X-Server-Version': '3.5.0', Location: 'http://127.0.0.1:1/' }),
    log: 'unhandled http status 302',
  },
  {
    name: 'not found',
    answer: head('404 Not Found', { 'X-Server-Version': '3.5.0' }),
    log: 'the peer does not know this member',
  },
  {
    name: 'another cluster',
    answer: head(
      '412 Precondition Failed',
      { 'X-Server-Version': '3.5.0', 'Content-Length': '20' },
      'cluster ID mismatch\n',
    ),
    log: 'cluster ID mismatch',
  },
  {
    name: 'garbage frames',
    answer: head('200 OK', { 'X-Server-Version': '3.5.0' }, '\xff\xff\xff\xff\xff\xff\xff\xff\xff'),
    log: 'error limit exceeded',
  },
  {
    name: 'an upgrade',
    answer: head('101 Switching Protocols', {
      'X-Server-Version': '3.5.0',
      Upgrade: 'x',
      Connection: 'upgrade',
    }),
    log: 'unexpected upgrade',
  },
]) {
  void test(`a peer URL that answers with ${name} ends neither the member nor its attempts`, async (context) => {
    const a = await TestMember.start(context, 1n)
    let attempts = 0
    const url = await serveRaw(context, (socket) => {
      socket.once('data', (data) => {
        if (data.includes('/raft/stream/')) attempts++
        socket.end(answer, 'latin1')
        a.changed.notify()
      })
    })
    a.transport.addPeer(2n, [url])
    await a.changed.until(() => attempts >= 4)
    await a.untilLogged(log)
    assert.equal(a.removed, 0)
    assert.deepEqual(a.received, [])
  })
}

function head(status: string, headers: Readonly<Record<string, string>>, body = ''): string {
  const lines = Object.entries({ Connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n${body}`
}

for (const { name, answer } of [
  { name: 'a proxy that forbids', answer: head('403 Forbidden', {}) },
  { name: 'a server error', answer: head('500 Internal Server Error', { 'X-Etcd-Cluster-ID': 'abc' }) },
  { name: 'success of another kind', answer: head('200 OK', {}) },
  { name: 'nonsense', answer: 'nonsense' },
]) {
  void test(`a post that meets ${name} has failed and no more`, async (context) => {
    const a = await TestMember.start(context, 1n)
    const url = await serveRaw(context, (socket) => void socket.once('data', () => socket.end(answer)))
    a.transport.addRemote(2n, [url])
    a.transport.send([messageFrom(1n, 2n, MessageType.MsgAppResp)])
    await a.changed.until(() => a.unreachable.length > 0)
    assert.deepEqual(a.unreachable, [2n])
    assert.equal(a.removed, 0)
  })
}

void test('a post to a member that has gone without a word fails, and so do those that wait too long behind it', async (context) => {
  const a = await TestMember.start(context, 1n, { clock: new FastClock() })
  const url = await serveRaw(context, (socket) => void socket.resume())
  a.transport.addRemote(2n, [url])
  a.transport.send(Array.from({ length: 200 }, () => messageFrom(1n, 2n, MessageType.MsgAppResp)))
  await a.changed.until(() => a.unreachable.length > 0)
  await a.changed.until(() => a.metrics.network.peer('2').sentFailures >= 4)
})

void test('requests are checked in the order and with the words of etcd', async (context) => {
  const a = await TestMember.start(context, 1n)
  a.removedIds.add(7n)
  a.transport.addPeer(2n, [await serveRaw(context, () => undefined)])
  const ask = async (
    path: string,
    headers: Record<string, string>,
    method = 'GET',
    body?: Uint8Array,
  ): Promise<string> => {
    const answer = await http.request({
      url: a.url + path,
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      timeoutMs: 5000,
    })
    const { 'x-etcd-cluster-id': cluster = '-', 'x-server-version': version = '-' } = answer.headers
    return `${answer.status} ${cluster} ${version} ${answer.body.toString()}`
  }
  const stream = '/raft/stream/msgapp/2'
  const to = { 'X-Raft-To': '1' }
  assert.equal(await ask(stream, {}, 'POST'), '405 - - Method Not Allowed\n')
  assert.equal(await ask('/raft', {}), '405 - - Method Not Allowed\n')
  assert.equal(await ask('/raft/snapshot', {}), '405 - - Method Not Allowed\n')
  assert.equal(await ask(stream, {}), '412 abc 3.5.33 incompatible version\n')
  assert.equal(await ask('/raft', {}, 'POST'), '412 abc - incompatible version\n')
  for (const version of ['2.3.8', '3.5', 'v3.5.0', '3.5.0.1', 'x']) {
    assert.equal(
      await ask(stream, asMember('2', { 'X-Server-Version': version })),
      '412 abc 3.5.33 incompatible version\n',
    )
  }
  assert.equal(
    await ask(stream, asMember('2', { 'X-Min-Cluster-Version': '3.6.0' })),
    '412 abc 3.5.33 incompatible version\n',
  )
  assert.equal(
    await ask(stream, asMember('2', { 'X-Etcd-Cluster-ID': '0abc' })),
    '412 abc 3.5.33 cluster ID mismatch\n',
  )
  assert.equal(
    await ask('/raft/snapshot', asMember('2', { 'X-Etcd-Cluster-ID': '' }), 'POST'),
    '412 abc - cluster ID mismatch\n',
  )
  assert.equal(await ask('/raft/stream/other/2', asMember('2', to)), '404 abc 3.5.33 invalid path\n')
  assert.equal(await ask('/raft/stream/msgapp/2/', asMember('2', to)), '404 abc 3.5.33 invalid path\n')
  assert.equal(await ask('/raft/stream/msgapp/xyz', asMember('2', to)), '404 abc 3.5.33 invalid from\n')
  assert.equal(
    await ask('/raft/stream/msgapp/10000000000000000', asMember('2', to)),
    '404 abc 3.5.33 invalid from\n',
  )
  assert.equal(await ask('/raft/stream/msgapp/7', asMember('2', to)), '410 abc 3.5.33 removed member\n')
  assert.equal(
    await ask('/raft/stream/msgapp/9', asMember('9', to)),
    '404 abc 3.5.33 error sender not found\n',
  )
  assert.equal(
    await ask('/raft/stream/msgapp/1', asMember('1', to)),
    '404 abc 3.5.33 error sender not found\n',
  )
  assert.equal(await ask(stream, asMember('2', { 'X-Raft-To': '01' })), '412 abc 3.5.33 to field mismatch\n')
  assert.equal(await ask(stream, asMember('2')), '412 abc 3.5.33 to field mismatch\n')

  const post = (message: Message, headers = asMember('2')): Promise<string> =>
    ask('/raft', headers, 'POST', raftpb.Message.encode(message))
  assert.equal(
    await ask('/raft', asMember('2'), 'POST', Buffer.from('nonsense')),
    '400 abc - error unmarshalling raft message\n',
  )
  assert.equal(
    await post(messageFrom(7n, 1n, MessageType.MsgApp)),
    '403 abc - {"message":"cannot process message from removed member"}',
  )
  assert.equal(
    await post(messageFrom(2n, 3n, MessageType.MsgApp)),
    '403 abc - {"message":"cannot process message to mismatch member"}',
  )
  assert.equal(
    await post(messageFrom(9n, 1n, MessageType.MsgApp)),
    '500 abc - error processing raft message\n',
  )
  assert.equal(
    await post(messageFrom(1n, 1n, MessageType.MsgApp)),
    '500 abc - error processing raft message\n',
  )
  assert.equal(
    await post(messageFrom(2n, 1n, MessageType.MsgHup)),
    '400 abc - error unmarshalling raft message\n',
  )
  assert.equal(
    await post(messageFrom(2n, 1n, MessageType.MsgSnap)),
    '400 abc - error unmarshalling raft message\n',
  )
  assert.deepEqual(a.received, [])
  assert.equal(await post(messageFrom(2n, 1n, MessageType.MsgApp)), '204 abc - ')
  assert.equal(await post(messageFrom(9n, 1n, MessageType.MsgVote), asMember('9')), '204 abc - ')
  assert.equal(a.received.length, 2)

  assert.match(await ask('/raft/probing', {}), /^200 - - \{"OK":true,"Now":"\d{4}-.*Z"\}\n$/)
  assert.equal(await ask('/raft/other', {}), '404 - - 404 page not found\n')
})

void test('a probe measures the way and compares the clocks', async (context) => {
  const clock = new FastClock()
  const a = await TestMember.start(context, 1n, { clock })
  const behind = await serveRaw(context, (socket) => {
    socket.once('data', () =>
      socket.end(head('200 OK', {}, '{"OK":true,"Now":"2020-01-01T00:00:00.123456789+01:00"}\n')),
    )
  })
  const other = await serveRaw(
    context,
    (socket) => void socket.once('data', () => socket.end(head('200 OK', {}, 'hello'))),
  )
  a.transport.addPeer(2n, [behind])
  a.transport.addPeer(3n, [other])
  await a.untilLogged('prober found high clock drift')
  await a.untilLogged('prober detected unhealthy status')
  assert.ok(a.metrics.network.peer('2').roundTripSeconds.sum > 0)
})

/** Time in which a second lasts a hundredth. */
class FastClock {
  wallMs = (): number => systemClock.wallMs()
  monotonicMs = (): number => systemClock.monotonicMs() * 100
  setTimer = (delayMs: number, run: () => void): ReturnType<typeof systemClock.setTimer> =>
    systemClock.setTimer(delayMs / 100, run)
  soon = (run: () => void): void => systemClock.soon(run)
  sleep = (delayMs: number, signal?: AbortSignal): Promise<boolean> =>
    systemClock.sleep(delayMs / 100, signal)
}
