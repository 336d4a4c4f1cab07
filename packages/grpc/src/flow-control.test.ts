import assert from 'node:assert/strict'
import { once } from 'node:events'
import test from 'node:test'
import { ErrorCode, FrameType, Setting } from './frames.ts'
import type { CancelReason, StreamCall, UnaryCall } from './service.ts'
import { Code, type Status } from './status.ts'
import { data, frame, headers, message, RawPeer, uint32 } from './testing/raw-peer.ts'
import { startServer, streaming, unary } from './testing/test-server.ts'

const DO = '/test.Test/Do'
const MEBIBYTE = 1 << 20

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

function windowUpdate(streamId: number, increment: number): Buffer {
  return frame(FrameType.WindowUpdate, 0, streamId, uint32(increment))
}

/** DATA bytes of a stream so far. */
function received(peer: RawPeer, streamId: number): number {
  return peer.frames
    .filter((f) => f.type === FrameType.Data && f.streamId === streamId)
    .reduce((sum, f) => sum + f.payload.length, 0)
}

void test('a message waits for the windows and leaves in the pieces that they allow', async () => {
  const server = await startServer({ services: unary((call) => call.respond(Buffer.alloc(100, 'x'))) })
  const peer = await RawPeer.connect(server.port, [Setting.InitialWindowSize, 0])
  peer.send(headers(1, DO), data(1, message(''), true))
  await peer.headers(1)
  await peer.sync()
  assert.equal(received(peer, 1), 0)
  for (const step of [1, 3, 50]) {
    peer.send(windowUpdate(1, step))
    assert.equal((await peer.type(FrameType.Data)).payload.length, step)
  }
  peer.send(windowUpdate(1, 1000))
  assert.equal((await peer.type(FrameType.Data)).payload.length, 105 - 54)
  assert.equal((await peer.headers(1)).get('grpc-status'), '0')
  peer.destroy()
  await server.stop()
})

void test('a window made negative by SETTINGS must be refilled first', async () => {
  let call: StreamCall | undefined
  const server = await startServer({ services: streaming((stream) => (call = stream)) })
  const peer = await RawPeer.connect(server.port, [Setting.InitialWindowSize, 1000])
  peer.send(headers(1, DO))
  await until(() => call !== undefined)
  call!.write(Buffer.alloc(2000))
  await peer.type(FrameType.Data)
  peer.send(
    frame(FrameType.Settings, 0, 0, Buffer.concat([Buffer.of(0, Setting.InitialWindowSize), uint32(400)])),
  )
  peer.send(windowUpdate(1, 600))
  await peer.sync()
  assert.equal(received(peer, 1), 1000)
  peer.send(windowUpdate(1, 5))
  assert.equal((await peer.type(FrameType.Data)).payload.length, 5)
  peer.destroy()
  await server.stop()
})

void test('streams share the connection window by turns', async () => {
  const server = await startServer({ services: unary((call) => call.respond(Buffer.alloc(100_000))) })
  const peer = await RawPeer.connect(server.port, [Setting.InitialWindowSize, MEBIBYTE])
  for (const id of [1, 3, 5]) peer.send(headers(id, DO), data(id, message(''), true))
  await peer.sync()
  assert.equal(received(peer, 1), 65_535)
  for (let i = 0; i < 8; i++) peer.send(windowUpdate(0, 16_384))
  await until(() => received(peer, 1) + received(peer, 3) + received(peer, 5) === 65_535 + 8 * 16_384)
  assert.ok(received(peer, 3) >= 2 * 16_384 && received(peer, 5) >= 2 * 16_384)
  peer.destroy()
  await server.stop()
})

void test('write tells a service to stop, onDrain to go on; an attentive one keeps little waiting', async () => {
  const total = 8 * MEBIBYTE
  const chunk = Buffer.alloc(32 * 1024)
  let left = total
  let most = 0
  let drains = 0
  const server = await startServer({
    services: streaming((call) => {
      const send = (): void => {
        while (left > 0) {
          left -= chunk.length
          const more = call.write(chunk)
          most = Math.max(most, call.bufferedBytes)
          if (!more) return
        }
        call.end()
      }
      call.onDrain = () => {
        drains++
        send()
      }
      send()
    }),
  })
  const stream = server.client().stream(DO)
  let got = 0
  stream.onMessage = (bytes) => (got += bytes.length)
  const status = await new Promise<Status>((resolve) => (stream.onEnd = resolve))
  assert.equal(status.code, Code.Ok)
  assert.equal(got, total)
  assert.ok(drains > 0)
  assert.ok(most <= 512 * 1024, `${most} bytes waited`)
  await server.stop()
})

void test('our client is told to stop too, and a paused service holds it back', async () => {
  let call: StreamCall | undefined
  const server = await startServer({
    services: streaming((stream) => {
      call = stream
      stream.pause(true)
    }),
  })
  const client = server.client()
  await client.connect()
  const stream = client.stream(DO)
  let sent = 0
  while (stream.write(Buffer.alloc(16 * 1024))) sent++
  assert.ok(sent > 0)
  await until(() => call !== undefined)
  let got = 0
  let ended = false
  call!.onMessage = () => got++
  call!.onHalfClose = () => (ended = true)
  stream.halfClose()
  for (let i = 0; i < 20; i++) await turn()
  assert.equal(got, 0)
  const drained = new Promise<void>((resolve) => (stream.onDrain = resolve))
  call!.pause(false)
  await drained
  await until(() => ended)
  assert.equal(got, sent + 1)
  await server.stop()
})

void test('a service may pause between two messages of one frame', async () => {
  const got: string[] = []
  let call: StreamCall | undefined
  const server = await startServer({
    services: streaming((stream) => {
      call = stream
      stream.onMessage = (bytes) => {
        got.push(Buffer.from(bytes).toString())
        stream.pause(true)
      }
      stream.onHalfClose = () => got.push('end')
    }),
  })
  const peer = await RawPeer.connect(server.port)
  peer.send(headers(1, DO), data(1, Buffer.concat([message('a'), message('b'), message('c').subarray(0, 3)])))
  peer.send(data(1, message('c').subarray(3), true))
  await until(() => got.length > 0)
  await peer.sync()
  for (const expected of [['a'], ['a', 'b'], ['a', 'b', 'c']]) {
    assert.deepEqual(got, expected)
    call!.pause(false)
  }
  assert.deepEqual(got, ['a', 'b', 'c', 'end'])
  peer.destroy()
  await server.stop()
})

void test('our client may pause, and the server is held back', async () => {
  let call: StreamCall | undefined
  const server = await startServer({ services: streaming((stream) => (call = stream)) })
  const client = server.client({ limits: { streamWindowBytes: 65_535 } })
  const stream = client.stream(DO)
  stream.pause(true)
  let got = 0
  stream.onMessage = (bytes) => (got += bytes.length)
  await until(() => call !== undefined)
  while (call!.write(Buffer.alloc(16 * 1024)));
  call!.end()
  await until(() => call!.bufferedBytes > 0)
  for (let i = 0; i < 10; i++) await turn()
  assert.equal(got, 0)
  assert.ok(call!.bufferedBytes > 128 * 1024)
  const end = new Promise<Status>((resolve) => (stream.onEnd = resolve))
  stream.pause(false)
  assert.equal((await end).code, Code.Ok)
  assert.ok(got > 256 * 1024)
  await server.stop()
})

void test('a large request gets its window as soon as its length is known', async () => {
  const server = await startServer({
    services: unary((call, request) => call.respond(Buffer.of(request.length >> 16))),
  })
  const peer = await RawPeer.connect(server.port)
  const body = message(Buffer.alloc(30 * 65_536))
  peer.send(headers(1, DO), data(1, body.subarray(0, 10)))
  const grant = await peer.type(FrameType.WindowUpdate, 1)
  assert.equal(grant.payload.readUInt32BE(0), body.length - 256 * 1024)
  peer.destroy()
  await server.stop()
})

void test('large uploads beyond the budget wait their turn, and all arrive', async () => {
  const server = await startServer({
    services: unary((call, request) => call.respond(Buffer.of(request.length >> 16))),
    limits: { grantBytesMax: 2 * MEBIBYTE, streamWindowBytes: 65_535, assemblyBytesMax: 4 * MEBIBYTE },
  })
  const client = server.client()
  const answers = await Promise.all(
    Array.from({ length: 24 }, () => client.unary(DO, Buffer.alloc(16 * 65_536))),
  )
  assert.ok(answers.every((answer) => answer[0] === 16))
  await server.stop()
})

void test('unfinished messages beyond the limit of a connection cost their stream', async () => {
  const server = await startServer({ limits: { assemblyBytesMax: 100_000 } })
  const peer = await RawPeer.connect(server.port)
  for (const id of [1, 3, 5, 7]) {
    peer.send(headers(id, '/test.Test/Echo'))
    const body = message(Buffer.alloc(1_000_000))
    for (let at = 0; at < 32_768; at += 16_384) peer.send(data(id, body.subarray(at, at + 16_384)))
  }
  assert.equal(await peer.reset(7), ErrorCode.EnhanceYourCalm)
  assert.ok(!peer.frames.some((f) => f.type === FrameType.RstStream && f.streamId !== 7))
  peer.destroy()
  await server.stop()
})

void test('a client that takes no answers has its requests held, and loses nothing', async () => {
  let handled = 0
  const server = await startServer({
    services: unary((call) => {
      handled++
      call.respond(Buffer.alloc(50_000))
    }),
    limits: { connectionHighWaterBytes: 100_000 },
  })
  const peer = await RawPeer.connect(server.port, [Setting.InitialWindowSize, 0])
  for (let id = 1; id < 41; id += 2) peer.send(headers(id, DO), data(id, message('x'), true))
  await peer.sync()
  assert.equal(handled, 2)
  peer.send(
    frame(
      FrameType.Settings,
      0,
      0,
      Buffer.concat([Buffer.of(0, Setting.InitialWindowSize), uint32(MEBIBYTE)]),
    ),
  )
  peer.send(windowUpdate(0, 2 * MEBIBYTE))
  await until(() => handled === 20)
  for (let id = 1; id < 41; id += 2) await until(() => received(peer, id) === 50_005)
  peer.destroy()
  await server.stop()
})

void test('a service that will not stop writing loses its stream', async () => {
  const reasons: CancelReason[] = []
  const server = await startServer({
    services: streaming((call) => {
      call.onCancel = (reason) => reasons.push(reason)
      for (let i = 0; i < 10; i++) call.write(Buffer.alloc(100_000))
    }),
    limits: { streamBufferBytesMax: 500_000 },
  })
  const peer = await RawPeer.connect(server.port)
  peer.send(headers(1, DO))
  assert.equal(await peer.reset(1), ErrorCode.InternalError)
  assert.deepEqual(reasons, ['disconnected'])
  peer.destroy()
  await server.stop()
})

void test('a stream whose client grants no window is reset after the stall time, with INTERNAL_ERROR', async () => {
  const reasons: CancelReason[] = []
  const server = await startServer({
    services: streaming((call) => {
      call.onCancel = (reason) => reasons.push(reason)
      call.write(Buffer.alloc(100_000))
    }),
    limits: { stallTimeoutMs: 50, sweepIntervalMs: 10 },
  })
  const peer = await RawPeer.connect(server.port)
  peer.send(headers(1, DO))
  assert.equal(await peer.reset(1), ErrorCode.InternalError)
  assert.deepEqual(reasons, ['disconnected'])
  await peer.sync()
  peer.destroy()
  await server.stop()
})

void test('a client that stops reading is disconnected after the stall time, with little memory held', async () => {
  const calls: StreamCall[] = []
  const server = await startServer({
    services: streaming((call) => {
      calls.push(call)
      const chunk = Buffer.alloc(64 * 1024)
      const send = (): void => {
        while (call.write(chunk));
      }
      call.onDrain = send
      send()
    }),
    limits: { stallTimeoutMs: 100, sweepIntervalMs: 20 },
  })
  const peer = await RawPeer.connect(server.port, [Setting.InitialWindowSize, 2 ** 31 - 1])
  peer.send(windowUpdate(0, 2 ** 31 - 1 - 65_535))
  peer.send(headers(1, DO))
  await peer.type(FrameType.Data)
  peer.socket.pause()
  const [socket] = server.sockets
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, socket!.writableLength + (calls[0]?.bufferedBytes ?? 0))
  }, 5)
  await once(socket!, 'close')
  clearInterval(watch)
  assert.ok(most > 0 && most < 2 * MEBIBYTE, `${most} bytes held`)
  assert.equal(calls[0]!.ended, true)
  peer.destroy()
  await server.stop()
})

void test('a client that sends and never reads is not read either', async () => {
  const server = await startServer({
    limits: { socketBacklogBytesMax: 10_000, stallTimeoutMs: 100, sweepIntervalMs: 20 },
  })
  const peer = await RawPeer.connect(server.port)
  await peer.sync()
  peer.socket.pause()
  const [socket] = server.sockets
  const closed = once(socket!, 'close')
  // Requests that are refused: their answers obey no window, only the socket's.
  let nextId = 1
  const send = (): void => {
    let more = true
    while (more && !socket!.destroyed) {
      const burst: Buffer[] = []
      for (let i = 0; i < 1000; i++, nextId += 2) burst.push(headers(nextId, '/no.Such/Method', true))
      more = peer.socket.write(Buffer.concat(burst))
    }
  }
  peer.socket.on('drain', send)
  let most = 0
  const watch = setInterval(() => (most = Math.max(most, socket!.writableLength)), 2)
  send()
  await closed
  clearInterval(watch)
  assert.ok(most < MEBIBYTE, `${most} bytes held`)
  peer.destroy()
  await server.stop()
})

void test('answers of one turn leave in one write for each connection', async (t) => {
  const waiting: UnaryCall[] = []
  const server = await startServer({ services: unary((call) => waiting.push(call)) })
  const clients = [server.client(), server.client(), server.client()]
  await Promise.all(clients.map((client) => client.connect()))
  const answers = clients.flatMap((client) => Array.from({ length: 50 }, () => client.unary(DO, Buffer.of())))
  await until(() => waiting.length === 150)
  const writes = server.sockets.map((socket) => t.mock.method(socket, 'write'))
  for (const call of waiting) call.respond(Buffer.alloc(100))
  await Promise.all(answers)
  assert.deepEqual(
    writes.map(({ mock }) => mock.callCount()),
    [1, 1, 1],
  )
  await server.stop()
})
