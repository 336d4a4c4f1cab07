import assert from 'node:assert/strict'
import test from 'node:test'
import { raftpb } from '@etcd-ts/api'
import { type Message, MessageType, emptySnapshot } from '@etcd-ts/raft'
import { systemPeerHttp } from './system-peer-http.ts'
import { TestMember, serveRaw, startPair } from './test-member.ts'
import type { SnapshotBody } from './transport.ts'

function snapshotMessage(from: bigint, to: bigint, dataBytes = 1000): Message {
  const message = raftpb.Message.create({ type: MessageType.MsgSnap, from, to, term: 3 })
  message.snapshot = emptySnapshot()
  message.snapshot.data = Buffer.alloc(dataBytes, 1)
  message.snapshot.metadata = { ...message.snapshot.metadata, index: 100, term: 3 }
  return message
}

class TestBody implements SnapshotBody {
  readonly sizeBytes: number
  closed = 0
  readonly #chunks: () => AsyncIterable<Uint8Array>

  constructor(sizeBytes: number, chunks: () => AsyncIterable<Uint8Array>) {
    this.sizeBytes = sizeBytes
    this.#chunks = chunks
  }

  chunks(): AsyncIterable<Uint8Array> {
    return this.#chunks()
  }

  close(): void {
    this.closed++
  }
}

async function* pieces(
  count: number,
  sizeBytes: number,
  end?: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield Buffer.alloc(sizeBytes, i)
  await end?.()
}

for (const { name, dataBytes } of [
  { name: 'a small v2 store', dataBytes: 100 },
  { name: 'a large v2 store', dataBytes: 3_000_000 },
]) {
  void test(`a snapshot with ${name} arrives whole`, async (context) => {
    const [a, b] = await startPair(context)
    const body = new TestBody(50 * 100_000, () => pieces(50, 100_000))
    const message = snapshotMessage(1n, 2n, dataBytes)
    a.transport.sendSnapshot(message, body)
    await a.changed.until(() => a.snapshotReports.length > 0)
    assert.deepEqual(a.snapshotReports, [[2n, true]])
    assert.equal(body.closed, 1)
    const [snapshot] = b.snapshots
    assert.deepEqual(
      Buffer.from(raftpb.Message.encode(snapshot?.message ?? raftpb.Message.create())),
      Buffer.from(raftpb.Message.encode(message)),
    )
    assert.equal(snapshot?.bytes.length, 5_000_000)
    for (let i = 0; i < 50; i++) assert.equal(snapshot?.bytes[i * 100_000 + 5], i)
    assert.equal(a.metrics.network.peer('2').snapshotsSent.successes, 1)
    assert.equal(b.metrics.network.peer('1').snapshotsReceived.successes, 1)
    assert.equal(b.metrics.network.peer('1').snapshotsReceived.inFlight, 0)
  })
}

for (const { name, body } of [
  { name: 'whose database is shorter than announced', body: () => new TestBody(2001, () => pieces(20, 100)) },
  { name: 'whose database is longer than announced', body: () => new TestBody(1999, () => pieces(20, 100)) },
  {
    name: 'whose database is not to be read',
    body: () => new TestBody(2000, () => pieces(20, 100, () => Promise.reject(new Error('EIO')))),
  },
]) {
  void test(`a snapshot ${name} breaks off at the receiver too`, async (context) => {
    const [a, b] = await startPair(context)
    const sent = body()
    const faults: unknown[] = []
    b.takeSnapshot = async (database) => {
      try {
        for await (const _ of database);
        faults.push('it ended cleanly')
      } catch (error) {
        faults.push(error)
        throw error
      } finally {
        b.changed.notify()
      }
    }
    a.transport.sendSnapshot(snapshotMessage(1n, 2n), sent)
    await a.changed.until(() => a.snapshotReports.length > 0)
    assert.deepEqual(a.snapshotReports, [[2n, false]])
    assert.equal(sent.closed, 1)
    await b.changed.until(() => faults.length > 0)
    assert.ok(faults[0] instanceof Error, String(faults[0]))
    await b.untilLogged('failed to save incoming database snapshot')
    assert.equal(b.metrics.network.peer('1').snapshotsReceived.failures, 1)
  })
}

void test('a receiver that cannot save it says so at once, and the sender stops sending', async (context) => {
  const [a, b] = await startPair(context)
  b.takeSnapshot = async (database) => {
    for await (const _ of database) throw new Error('no space left on device')
  }
  let given = 0
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (; given < 100_000; given++) {
      yield Buffer.alloc(100_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const body = new TestBody(1e10, endless)
  a.transport.sendSnapshot(snapshotMessage(1n, 2n), body)
  await a.changed.until(() => a.snapshotReports.length > 0)
  assert.deepEqual(a.snapshotReports, [[2n, false]])
  assert.ok(given < 100_000)
  assert.equal(body.closed, 1)
  assert.equal(a.removed, 0)
  assert.ok(a.logged.some((line) => line.includes('failed to send database snapshot')))
})

void test('a second snapshot of the same member is refused while the first is being received', async (context) => {
  const [a, b] = await startPair(context)
  let finish = (): void => undefined
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const first = new TestBody(200, () => pieces(2, 100, () => finished))
  a.transport.sendSnapshot(snapshotMessage(1n, 2n), first)
  await b.untilLogged('receiving database snapshot')
  a.transport.sendSnapshot(snapshotMessage(1n, 2n), new TestBody(100, () => pieces(1, 100)))
  await a.changed.until(() => a.snapshotReports.length > 0)
  assert.deepEqual(a.snapshotReports, [[2n, false]])
  finish()
  await a.changed.until(() => a.snapshotReports.length > 1)
  assert.deepEqual(a.snapshotReports[1], [2n, true])
})

void test('the removal of a peer breaks off a snapshot in both directions', async (context) => {
  for (const remover of ['sender', 'receiver'] as const) {
    const [a, b] = await startPair(context)
    const body = new TestBody(200, () => pieces(1, 100, () => stopped))
    let stop = (): void => undefined
    const stopped = new Promise<void>((resolve) => (stop = resolve))
    a.transport.sendSnapshot(snapshotMessage(1n, 2n), body)
    await b.untilLogged('receiving database snapshot')
    if (remover === 'sender') a.transport.removePeer(2n)
    else b.transport.removePeer(1n)
    await b.untilLogged('failed to save incoming database snapshot')
    stop()
    await a.changed.until(() => a.snapshotReports.length > 0)
    assert.deepEqual(a.snapshotReports, [[2n, false]])
    assert.equal(body.closed, 1)
  }
})

void test('a transport stops in the middle of a snapshot', async (context) => {
  const [a, b] = await startPair(context)
  const body = new TestBody(1e9, () => pieces(10_000, 100_000))
  b.takeSnapshot = async (database) => {
    for await (const _ of database) await new Promise((resolve) => setImmediate(resolve))
  }
  a.transport.sendSnapshot(snapshotMessage(1n, 2n), body)
  await b.untilLogged('receiving database snapshot')
  await Promise.all([a.transport.stop(), b.transport.stop()])
  assert.equal(body.closed, 1)
  assert.deepEqual(a.snapshotReports, [])
})

void test('a snapshot for a member without connection, or for nobody, is reported as failed', async (context) => {
  const a = await TestMember.start(context, 1n)
  a.transport.addPeer(2n, ['http://127.0.0.1:1'])
  for (const id of [2n, 3n]) {
    const body = new TestBody(100, () => pieces(1, 100))
    a.transport.sendSnapshot(snapshotMessage(1n, id), body)
    await a.changed.until(() => a.snapshotReports.some(([to, isDelivered]) => to === id && !isDelivered))
    assert.equal(body.closed, 1)
  }
})

void test('success that comes before everything was sent is none', async (context) => {
  const a = await TestMember.start(context, 1n)
  const url = await serveRaw(context, (socket) => {
    socket.once('data', () => void socket.write('HTTP/1.1 204 No Content\r\nX-Etcd-Cluster-ID: abc\r\n\r\n'))
  })
  a.transport.addPeer(2n, [url])
  let stop = (): void => undefined
  const stopped = new Promise<void>((resolve) => (stop = resolve))
  a.transport.sendSnapshot(snapshotMessage(1n, 2n), new TestBody(200, () => pieces(1, 100, () => stopped)))
  setImmediate(() => stop())
  await a.changed.until(() => a.snapshotReports.length > 0)
  assert.deepEqual(a.snapshotReports, [[2n, false]])
})

const http = systemPeerHttp(undefined)
const headers = {
  'X-Server-From': '2',
  'X-Server-Version': '3.5.33',
  'X-Min-Cluster-Version': '3.0.0',
  'X-Etcd-Cluster-ID': 'abc',
}

/** Posts a body, and gives the answer as text. */
async function post(url: string, body: Uint8Array): Promise<string> {
  const answer = await http.request({
    url: `${url}/raft/snapshot`,
    method: 'POST',
    headers,
    body,
    timeoutMs: 5000,
  })
  return `${answer.status} ${answer.body.toString()}`
}

function framed(message: Message): Buffer {
  const body = raftpb.Message.encode(message)
  const size = Buffer.alloc(8)
  size.writeUInt32BE(body.length, 4)
  return Buffer.concat([size, body])
}

void test('a body that does not begin with a snapshot is refused with the words of etcd', async (context) => {
  const b = await TestMember.start(context, 1n)
  b.removedIds.add(2n)
  const other = await TestMember.start(context, 1n)
  for (const { body, answer } of [
    { body: Buffer.alloc(3), answer: '400 failed to decode raft message (unexpected EOF)\n' },
    {
      body: Buffer.alloc(8, 255),
      answer: '400 failed to decode raft message (rafthttp: error limit exceeded',
    },
    {
      body: framed({ ...snapshotMessage(2n, 1n), type: MessageType.MsgApp }),
      answer: '400 wrong raft message type\n',
    },
    { body: framed(snapshotMessage(9n, 1n)), answer: '400 failed to decode raft message (message of 9)\n' },
    {
      body: framed(snapshotMessage(2n, 3n)),
      answer: '403 {"message":"cannot process message to mismatch member"}',
    },
  ]) {
    const got = await post(other.url, body)
    assert.ok(got.startsWith(answer), got)
  }
  assert.equal(
    await post(b.url, framed(snapshotMessage(2n, 1n))),
    '403 {"message":"cannot process message from removed member"}',
  )
  assert.equal(
    await post(other.url, Buffer.concat([framed(snapshotMessage(2n, 1n)), Buffer.from('db')])),
    '204 ',
  )
  assert.equal(other.snapshots[0]?.bytes.toString(), 'db')
})
