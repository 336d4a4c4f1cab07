import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import test, { after, before } from 'node:test'
import { gzipSync } from 'node:zlib'
import { ErrorCode, Flag, FrameType, PREFACE, Setting } from './frames.ts'
import {
  block,
  data,
  frame,
  headers,
  message,
  RawPeer,
  requestPairs,
  settings,
  uint32,
} from './testing/raw-peer.ts'
import { startServer, type TestServer } from './testing/test-server.ts'

let server: TestServer

before(async () => {
  server = await startServer({ limits: { goAwayLingerMs: 50, sweepIntervalMs: 20 } })
})

after(() => server.stop())

const ECHO = '/test.Test/Echo'
const EMPTY = Buffer.alloc(0)

const FRAMES_PER_ROUND = 500

interface Flood {
  readonly name: string
  readonly first?: Buffer
  /** The flood's frames; `id` is the next unused stream id. */
  readonly frames: (id: number) => Buffer
}

const pairs = block(...requestPairs(ECHO))

const floods: Flood[] = [
  {
    name: 'rapid reset',
    frames: (id) =>
      Buffer.concat([
        frame(FrameType.Headers, Flag.EndHeaders, id, pairs),
        frame(FrameType.RstStream, 0, id, uint32(8)),
      ]),
  },
  {
    name: 'rapid reset of complete requests to a slow service',
    frames: (id) =>
      Buffer.concat([
        headers(id, '/test.Test/Hang'),
        data(id, message('x'), true),
        frame(FrameType.RstStream, 0, id, uint32(8)),
      ]),
  },
  {
    name: 'requests that the server must reset',
    frames: (id) => frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, id, block([':path', '/'])),
  },
  {
    name: 'CONTINUATION of 4 kB',
    first: frame(FrameType.Headers, 0, 1, pairs),
    frames: () => frame(FrameType.Continuation, 0, 1, Buffer.alloc(4096, 0x82)),
  },
  {
    name: 'empty CONTINUATION',
    first: frame(FrameType.Headers, 0, 1, pairs),
    frames: () => frame(FrameType.Continuation, 0, 1),
  },
  {
    name: 'SETTINGS',
    frames: () => frame(FrameType.Settings, 0, 0, settings([Setting.MaxFrameSize, 16_384])),
  },
  { name: 'empty SETTINGS', frames: () => frame(FrameType.Settings, 0, 0) },
  { name: 'PING', frames: () => frame(FrameType.Ping, 0, 0, Buffer.alloc(8)) },
  { name: 'PRIORITY', frames: () => frame(FrameType.Priority, 0, 1, Buffer.of(0, 0, 0, 3, 9)) },
  { name: 'WINDOW_UPDATE', frames: () => frame(FrameType.WindowUpdate, 0, 0, uint32(1)) },
  {
    name: 'empty DATA',
    first: headers(1, ECHO),
    frames: () => data(1, EMPTY),
  },
  {
    name: 'DATA that is all padding',
    first: headers(1, ECHO),
    frames: () => frame(FrameType.Data, Flag.Padded, 1, Buffer.of(3, 0, 0, 0)),
  },
  {
    name: 'DATA on an ended stream',
    first: Buffer.concat([headers(1, ECHO), data(1, message('x'), true)]),
    frames: () => data(1, EMPTY),
  },
  { name: 'unknown frames', frames: () => frame(0x42, 0, 0) },
  { name: 'GOAWAY', frames: () => frame(FrameType.GoAway, 0, 0, uint32(0, 0)) },
]

for (const { name, first = EMPTY, frames } of floods)
  for (const reads of [true, false])
    void test(
      `a flood of ${name} by a client that reads ${reads ? 'everything' : 'nothing'} is cut off`,
      { timeout: 30_000 },
      async () => {
        const before = process.memoryUsage.rss()
        const peer = await RawPeer.connect(server.port)
        peer.send(first)
        if (!reads) peer.socket.pause()
        let id = 1
        while (peer.socket.writable) {
          const burst: Buffer[] = []
          for (let i = 0; i < FRAMES_PER_ROUND; i++, id += 2) burst.push(frames(id))
          if (!peer.socket.write(Buffer.concat(burst)))
            await Promise.race([once(peer.socket, 'drain').catch(() => undefined), peer.closed])
          await new Promise((resolve) => setImmediate(resolve))
        }
        peer.socket.resume()
        await peer.closed
        const last = peer.frames.findLast((f) => f.type === FrameType.GoAway)
        // The reset that follows may overtake the GOAWAY on its way to a peer that still sends.
        if (last !== undefined) assert.equal(last.payload.readUInt32BE(4), ErrorCode.EnhanceYourCalm)
        assert.ok(process.memoryUsage.rss() - before < 64 << 20)
      },
    )

void test('others are served during and after a flood', async () => {
  const client = server.client()
  const peer = await RawPeer.connect(server.port)
  const burst = Buffer.concat(
    Array.from({ length: 900 }, (_, i) => [
      frame(FrameType.Headers, Flag.EndHeaders, 2 * i + 1, pairs),
      frame(FrameType.RstStream, 0, 2 * i + 1, uint32(8)),
    ]).flat(),
  )
  peer.send(burst)
  assert.equal((await client.unary(ECHO, Buffer.alloc(10))).length, 10)
  peer.send(burst)
  assert.equal((await client.unary(ECHO, Buffer.alloc(10))).length, 10)
  await peer.closed
})

void test('an honest client may cancel, ping and update windows as much as its calls require', async () => {
  const peer = await RawPeer.connect(server.port)
  for (let id = 1; id < 4000; id += 4) {
    peer.send(
      headers(id, ECHO),
      data(id, message('x'), true),
      headers(id + 2, '/test.Test/Hang'),
      frame(FrameType.RstStream, 0, id + 2, uint32(8)),
      frame(FrameType.WindowUpdate, 0, 0, uint32(6)),
      frame(FrameType.Ping, 0, 0, Buffer.alloc(8)),
    )
    await peer.type(FrameType.Data, id)
  }
  await peer.sync()
  peer.destroy()
})

// ---- header lists

void test('a header block that unfolds far beyond its size is answered, and the table stays usable', async () => {
  const peer = await RawPeer.connect(server.port)
  const literal = Buffer.concat([
    // A name of one byte, and a value of 4,000: 127 in the prefix, 3,873 behind it.
    Buffer.of(0x40, 1, 0x61, 0x7f, (3873 & 0x7f) | 0x80, 3873 >> 7),
    Buffer.alloc(4000, 'v'),
  ])
  const bomb = Buffer.concat([pairs, literal, Buffer.alloc(12_000, 0xbe)])
  const before = process.memoryUsage.rss()
  peer.send(frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, 1, bomb.subarray(0, 16_384)))
  const answer = await peer.headers(1)
  assert.equal(answer.get('grpc-status'), '8')
  assert.ok(process.memoryUsage.rss() - before < 32 << 20)
  peer.send(headers(3, ECHO), data(3, message('x'), true))
  await peer.type(FrameType.Data, 3)
  peer.destroy()
})

void test('a header block of 10,000 entries is refused on its stream', async () => {
  const peer = await RawPeer.connect(server.port)
  const large = block(
    ...requestPairs(ECHO),
    ...Array.from({ length: 10_000 }, (_, i) => [`x-${i}`, 'some value'] as const),
  )
  const parts = [frame(FrameType.Headers, Flag.EndStream, 1, large.subarray(0, 16_384))]
  for (let at = 16_384; at < large.length; at += 16_384)
    parts.push(
      frame(
        FrameType.Continuation,
        at + 16_384 >= large.length ? Flag.EndHeaders : 0,
        1,
        large.subarray(at, at + 16_384),
      ),
    )
  peer.send(...parts)
  assert.equal((await peer.headers(1)).get('grpc-status'), '8')
  await peer.sync()
  peer.destroy()
})

void test('a header block beyond all bounds ends the connection', async () => {
  const peer = await RawPeer.connect(server.port)
  peer.send(frame(FrameType.Headers, 0, 1, Buffer.alloc(16_384, 0x82)))
  for (let i = 0; i < 17; i++) peer.send(frame(FrameType.Continuation, 0, 1, Buffer.alloc(16_384, 0x82)))
  assert.equal((await peer.failure()).code, ErrorCode.EnhanceYourCalm)
})

// ---- messages

void test('a declared length of 4 GiB reserves nothing', async () => {
  const before = process.memoryUsage.rss()
  const peers = await Promise.all(Array.from({ length: 20 }, () => RawPeer.connect(server.port)))
  for (const peer of peers)
    for (let id = 1; id < 100; id += 2)
      peer.send(headers(id, ECHO), data(id, Buffer.of(0, 0xff, 0xff, 0xff, 0xff)))
  for (const peer of peers) assert.equal((await peer.headers(1)).get('grpc-status'), '8')
  // A length that is allowed, of which next to nothing comes.
  for (const peer of peers)
    for (let id = 101; id < 200; id += 2)
      peer.send(headers(id, ECHO), data(id, Buffer.of(0, 0, 0x3f, 0xff, 0xff, 1)))
  await Promise.all(peers.map((peer) => peer.sync()))
  assert.ok(process.memoryUsage.rss() - before < 64 << 20)
  for (const peer of peers) peer.destroy()
})

void test('gzip bombs are stopped at the limit of a message', async () => {
  const bomb = message(gzipSync(Buffer.alloc(64 << 20)), 1)
  const peer = await RawPeer.connect(server.port)
  const before = process.memoryUsage.rss()
  const head = block(...requestPairs(ECHO), ['grpc-encoding', 'gzip'])
  for (let id = 1; id < 20; id += 2) {
    peer.send(frame(FrameType.Headers, Flag.EndHeaders, id, head))
    for (let at = 0; at < bomb.length; at += 16_384)
      peer.send(data(id, bomb.subarray(at, at + 16_384), at + 16_384 >= bomb.length))
    assert.equal((await peer.headers(id)).get('grpc-status'), '8')
  }
  assert.ok(process.memoryUsage.rss() - before < 64 << 20)
  peer.destroy()
})

// ---- silence

for (const { name, bytes } of [
  { name: 'says nothing', bytes: EMPTY },
  { name: 'sends half a preface', bytes: PREFACE.subarray(0, 10) },
  { name: 'sends the preface alone', bytes: PREFACE },
  { name: 'sends half of its SETTINGS', bytes: Buffer.concat([PREFACE, Buffer.of(0, 0, 6, 4, 0)]) },
])
  void test(`a client that ${name} is disconnected when the handshake is overdue`, async () => {
    const strict = await startServer({ limits: { handshakeTimeoutMs: 50, sweepIntervalMs: 10 } })
    const socket = net.connect(strict.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.resume()
    socket.write(bytes)
    await once(socket, 'close')
    await strict.stop()
  })

void test('idle connections take little memory each', async () => {
  const idle = await startServer()
  const peers = await Promise.all(Array.from({ length: 200 }, () => RawPeer.connect(idle.port)))
  await Promise.all(peers.map((peer) => peer.sync()))
  const before = process.memoryUsage().arrayBuffers
  const more = await Promise.all(Array.from({ length: 200 }, () => RawPeer.connect(idle.port)))
  await Promise.all(more.map((peer) => peer.sync()))
  // Output buffers are shared: a connection that has nothing to write holds none.
  assert.ok((process.memoryUsage().arrayBuffers - before) / 200 < 64 * 1024)
  for (const peer of [...peers, ...more]) peer.destroy()
  await idle.stop()
})
