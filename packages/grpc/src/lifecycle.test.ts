import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import test from 'node:test'
import { ErrorCode, Flag, FrameType, STREAM_ID_MAX } from './frames.ts'
import { GrpcClient } from './client.ts'
import { GrpcError } from './grpc-error.ts'
import type { CancelReason, StreamCall, UnaryCall } from './service.ts'
import { Code } from './status.ts'
import { block, data, frame, headers, listen, message, type RawFrame, RawPeer } from './testing/raw-peer.ts'
import { startServer, streaming, unary } from './testing/test-server.ts'

const DO = '/test.Test/Do'
const quick = { sweepIntervalMs: 10, goAwayLingerMs: 50 }

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

function goAway({ payload }: RawFrame): { lastStreamId: number; code: number; debug: string } {
  return {
    lastStreamId: payload.readUInt32BE(0),
    code: payload.readUInt32BE(4),
    debug: payload.toString('latin1', 8),
  }
}

function isPing(f: RawFrame): boolean {
  return f.type === FrameType.Ping && (f.flags & Flag.Ack) === 0
}

function ping(): Buffer {
  return frame(FrameType.Ping, 0, 0, Buffer.alloc(8))
}

// ---- draining

void test('a graceful end warns, learns what is under way, answers it, and refuses what comes later', async () => {
  const waiting: UnaryCall[] = []
  const server = await startServer({ services: unary((call) => waiting.push(call)), limits: quick })
  const peer = await RawPeer.connect(server.port)
  peer.send(headers(1, DO), data(1, message('a'), true))
  await until(() => waiting.length === 1)
  const closed = server.server.close(10_000)
  assert.deepEqual(goAway(await peer.type(FrameType.GoAway)), {
    lastStreamId: STREAM_ID_MAX,
    code: ErrorCode.NoError,
    debug: 'graceful_stop',
  })
  const { payload } = await peer.next(isPing)
  // Sent before the client has heard of the end: still served.
  peer.send(headers(3, DO), data(3, message('b'), true), frame(FrameType.Ping, Flag.Ack, 0, payload))
  assert.deepEqual(goAway(await peer.type(FrameType.GoAway)), {
    lastStreamId: 3,
    code: ErrorCode.NoError,
    debug: '',
  })
  peer.send(headers(5, DO), data(5, message('c'), true))
  assert.equal(await peer.reset(5), ErrorCode.RefusedStream)
  assert.equal(waiting.length, 2)
  for (const call of waiting) call.respond(Buffer.of(1))
  await peer.next((f) => f.streamId === 3 && (f.flags & Flag.EndStream) !== 0)
  await peer.closed
  await closed
  await server.stop()
})

void test('what has not ended when the grace is over is cut off', async () => {
  const reasons: CancelReason[] = []
  let opened = false
  const server = await startServer({
    services: streaming((call) => {
      opened = true
      call.onCancel = (reason) => reasons.push(reason)
    }),
    limits: quick,
  })
  const stream = server.client().stream(DO)
  const end = new Promise<number>((resolve) => (stream.onEnd = ({ code }) => resolve(code)))
  await until(() => opened)
  await server.server.close(30)
  assert.deepEqual(reasons, ['disconnected'])
  assert.equal(await end, Code.Unavailable)
  await server.stop()
})

void test('idle connections end at once, and new ones are not taken', async () => {
  const server = await startServer({ limits: quick })
  const client = server.client()
  await client.connect()
  await server.server.close(10_000)
  const socket = net.connect(server.port, '127.0.0.1')
  await once(socket, 'close')
  await server.server.close(10_000)
  await server.stop()
})

void test('our client finishes its calls on a draining connection and takes a new one for the next', async () => {
  const calls: UnaryCall[] = []
  const first = await startServer({ services: unary((call) => calls.push(call)), limits: quick })
  const second = await startServer({
    services: unary((call) => call.respond(Buffer.from('second'))),
    limits: quick,
  })
  let { port } = first
  const client = new GrpcClient({ connect: () => net.connect(port, '127.0.0.1'), authority: 'test' })
  const answer = client.unary(DO, Buffer.of())
  await until(() => calls.length === 1)
  const closed = first.server.close(10_000)
  port = second.port
  await until(() => !client.connected)
  assert.equal(Buffer.from(await client.unary(DO, Buffer.of())).toString(), 'second')
  calls[0]!.respond(Buffer.from('first'))
  assert.equal(Buffer.from(await answer).toString(), 'first')
  await closed
  client.close()
  await first.stop()
  await second.stop()
})

// ---- pings

void test('pings that come too often without calls end the connection, as in grpc-go', async () => {
  const server = await startServer({ limits: quick })
  const peer = await RawPeer.connect(server.port)
  // The first finds nothing before it; the next three are strikes.
  peer.send(ping(), ping(), ping(), ping(), ping())
  assert.deepEqual(await peer.failure(), {
    lastStreamId: 0,
    code: ErrorCode.EnhanceYourCalm,
    debug: 'too_many_pings',
  })
  await server.stop()
})

void test('permitted pings are counted by their distance alone', async () => {
  const server = await startServer({ limits: quick, keepalive: { minTimeMs: 0, permitWithoutStream: true } })
  const peer = await RawPeer.connect(server.port)
  for (let i = 0; i < 20; i++) peer.send(ping())
  await peer.sync()
  peer.destroy()
  await server.stop()
})

void test('pings during calls are measured against the least distance, and forgiven while we send', async () => {
  let call: StreamCall | undefined
  const server = await startServer({
    services: streaming((stream) => (call = stream)),
    limits: quick,
    keepalive: { minTimeMs: 60_000 },
  })
  const peer = await RawPeer.connect(server.port)
  peer.send(headers(1, DO))
  await until(() => call !== undefined)
  for (let i = 0; i < 10; i++) {
    call!.write(Buffer.of(i))
    peer.send(ping())
    await peer.sync()
  }
  peer.send(ping(), ping(), ping())
  assert.equal((await peer.failure()).debug, 'too_many_pings')
  await server.stop()
})

void test('our client is told of too many pings', async () => {
  let call: StreamCall | undefined
  const server = await startServer({ services: streaming((stream) => (call = stream)), limits: quick })
  const client = server.client({ keepalive: { intervalMs: 1, timeoutMs: 1000 }, limits: quick })
  const stream = client.stream(DO)
  const message = new Promise<string>((resolve) => (stream.onEnd = (status) => resolve(status.message)))
  await until(() => call !== undefined)
  assert.match(await message, /ENHANCE_YOUR_CALM.*too_many_pings/)
  await server.stop()
})

void test('a quiet client is pinged, and disconnected when it does not answer', async () => {
  const reasons: CancelReason[] = []
  const server = await startServer({
    services: streaming((call) => {
      call.onCancel = (reason) => reasons.push(reason)
    }),
    limits: quick,
    keepalive: { intervalMs: 30, timeoutMs: 300 },
  })
  const peer = await RawPeer.connect(server.port)
  peer.send(headers(1, DO))
  for (let i = 0; i < 2; i++) {
    const { payload } = await peer.next(isPing)
    assert.equal(peer.socket.destroyed, false)
    peer.send(frame(FrameType.Ping, Flag.Ack, 0, payload))
  }
  await peer.next(isPing)
  await peer.closed
  assert.deepEqual(reasons, ['disconnected'])
  await server.stop()
})

void test('our client finds out that its server is gone', async () => {
  const [peer, client] = await serveRaw({
    keepalive: { intervalMs: 20, timeoutMs: 30 },
    limits: { sweepIntervalMs: 10 },
  })
  const call = client.unary(DO, Buffer.of())
  await assert.rejects(call, {
    code: Code.Unavailable,
    message: 'connection error: desc = "keepalive ping failed to receive ACK within timeout"',
  })
  peer.destroy()
  client.close()
})

// ---- the client against servers of all kinds

/** A server that says only what a test says, and a client connected to it. */
async function serveRaw(
  options: Partial<ConstructorParameters<typeof GrpcClient>[0]> = {},
): Promise<[RawPeer, GrpcClient]> {
  const listener = net.createServer()
  const port = await listen(listener)
  const client = new GrpcClient({
    connect: () => net.connect(port, '127.0.0.1'),
    authority: 'test',
    ...options,
  })
  const connected = client.connect()
  const [socket] = (await once(listener, 'connection')) as [net.Socket]
  listener.close()
  const peer = new RawPeer(socket, true)
  peer.send(frame(FrameType.Settings, 0, 0))
  await connected
  return [peer, client]
}

async function failed(call: Promise<unknown>): Promise<GrpcError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof GrpcError)
  return error
}

for (const { name, code, status, unprocessed } of [
  { name: 'REFUSED_STREAM', code: ErrorCode.RefusedStream, status: Code.Unavailable, unprocessed: true },
  { name: 'CANCEL', code: ErrorCode.Cancel, status: Code.Cancelled, unprocessed: false },
  {
    name: 'ENHANCE_YOUR_CALM',
    code: ErrorCode.EnhanceYourCalm,
    status: Code.ResourceExhausted,
    unprocessed: false,
  },
  {
    name: 'INADEQUATE_SECURITY',
    code: ErrorCode.InadequateSecurity,
    status: Code.PermissionDenied,
    unprocessed: false,
  },
  { name: 'PROTOCOL_ERROR', code: ErrorCode.ProtocolError, status: Code.Internal, unprocessed: false },
])
  void test(`a stream reset with ${name} ends its call with code ${status}`, async () => {
    const [peer, client] = await serveRaw()
    const call = client.unary(DO, Buffer.of())
    await peer.type(FrameType.Data, 1)
    const code32 = Buffer.alloc(4)
    code32.writeUInt32BE(code)
    peer.send(frame(FrameType.RstStream, 0, 1, code32))
    const error = await failed(call)
    assert.equal(error.code, status)
    assert.equal(error.message, `stream terminated by RST_STREAM with error code: ${name}`)
    assert.equal(error.unprocessed, unprocessed)
    client.close()
  })

void test('GOAWAY ends the calls that it leaves out, and says that they were not processed', async () => {
  const [peer, client] = await serveRaw()
  const calls = [client.unary(DO, Buffer.of(1)), client.unary(DO, Buffer.of(2))]
  await peer.type(FrameType.Data, 3)
  const payload = Buffer.alloc(8)
  payload.writeUInt32BE(1)
  peer.send(frame(FrameType.GoAway, 0, 0, payload))
  const second = await failed(calls[1]!)
  assert.equal(second.code, Code.Unavailable)
  assert.equal(second.unprocessed, true)
  peer.destroy()
  const first = await failed(calls[0]!)
  assert.equal(first.code, Code.Unavailable)
  assert.equal(first.unprocessed, false)
  client.close()
})

for (const { name, trailers, expected } of [
  {
    name: 'trailers with an error',
    trailers: block(['grpc-status', '8'], ['grpc-message', 'too much']),
    expected: { code: Code.ResourceExhausted, message: 'too much' },
  },
  {
    name: 'good trailers',
    trailers: block(['grpc-status', '0']),
    expected: { code: Code.Internal, message: 'unexpected EOF' },
  },
  {
    name: 'trailers without a status',
    trailers: block(['x', 'y']),
    expected: { code: Code.Internal, message: 'server closed the stream without sending trailers' },
  },
])
  void test(`an answer cut short by ${name} fails`, async () => {
    const [peer, client] = await serveRaw()
    const call = client.unary(DO, Buffer.of())
    await peer.type(FrameType.Data, 1)
    peer.send(
      frame(
        FrameType.Headers,
        Flag.EndHeaders,
        1,
        block([':status', '200'], ['content-type', 'application/grpc']),
      ),
      data(1, message('hello').subarray(0, 7)),
      frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, 1, trailers),
    )
    const { code, message: text } = await failed(call)
    assert.deepEqual({ code, message: text }, expected)
    client.close()
  })

for (const { name, pairs, expected } of [
  {
    name: 'a web page',
    pairs: [
      [':status', '404'],
      ['content-type', 'text/html'],
    ],
    expected: {
      code: Code.Unimplemented,
      message:
        'unexpected HTTP status code received from server: 404; transport: received unexpected content-type "text/html"',
    },
  },
  {
    name: 'a proxy that cannot reach the server',
    pairs: [[':status', '503']],
    expected: {
      code: Code.Unavailable,
      message:
        'unexpected HTTP status code received from server: 503; malformed header: missing HTTP content-type',
    },
  },
  {
    name: 'a status that is no number',
    pairs: [
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['grpc-status', 'x'],
    ],
    expected: { code: Code.Unknown, message: '' },
  },
  {
    name: 'no :status',
    pairs: [['content-type', 'application/grpc']],
    expected: {
      code: Code.Internal,
      message: 'stream terminated by RST_STREAM with error code: PROTOCOL_ERROR',
    },
  },
] as const)
  void test(`an answer of ${name} fails with code ${expected.code}`, async () => {
    const [peer, client] = await serveRaw()
    const call = client.unary(DO, Buffer.of())
    await peer.type(FrameType.Data, 1)
    peer.send(frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, 1, block(...pairs)))
    const { code, message: text } = await failed(call)
    assert.deepEqual({ code, message: text }, expected)
    client.close()
  })

void test('a cut connection ends its calls with Unavailable, and the next call makes another', async () => {
  const server = await startServer({ limits: quick })
  const client = server.client()
  const hanging = client.unary('/test.Test/Hang', Buffer.of())
  await until(() => server.server.stats.openStreams === 1)
  server.sockets[0]!.destroy()
  const error = await failed(hanging)
  assert.equal(error.code, Code.Unavailable)
  assert.match(error.message, /^error reading from server: /)
  assert.equal((await client.unary('/test.Test/Echo', Buffer.alloc(5))).length, 5)
  assert.equal(server.sockets.length, 2)
  await server.stop()
})

void test('a connection that cannot be made fails calls and connect alike', async () => {
  const client = new GrpcClient({ connect: () => net.connect(1, '127.0.0.1'), authority: 'test' })
  const message =
    'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"'
  await assert.rejects(client.connect(), { code: Code.Unavailable, message })
  await assert.rejects(client.unary(DO, Buffer.of()), { code: Code.Unavailable, message })
  client.close()
})

void test('a server that speaks HTTP/1.1 is found out', async () => {
  const listener = net.createServer((socket) => {
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    socket.resume()
  })
  const port = await listen(listener)
  const client = new GrpcClient({ connect: () => net.connect(port, '127.0.0.1'), authority: 'test' })
  const error = await failed(client.unary(DO, Buffer.of()))
  assert.equal(error.code, Code.Unavailable)
  assert.match(error.message, /error reading server preface/)
  client.close()
  listener.close()
})

void test('calls after close, with a passed deadline or an aborted signal do not begin', async () => {
  let sockets = 0
  const client = new GrpcClient({
    connect: () => {
      sockets++
      return net.connect(1, '127.0.0.1')
    },
    authority: 'test',
  })
  await assert.rejects(client.unary(DO, Buffer.of(), { deadlineMs: 0 }), { code: Code.DeadlineExceeded })
  await assert.rejects(client.unary(DO, Buffer.of(), { signal: AbortSignal.abort() }), {
    code: Code.Cancelled,
  })
  client.close()
  await assert.rejects(client.unary(DO, Buffer.of()), {
    code: Code.Cancelled,
    message: 'grpc: the client connection is closing',
  })
  await assert.rejects(client.connect(), { code: Code.Cancelled })
  const stream = client.stream(DO)
  stream.write(Buffer.of(1))
  stream.halfClose()
  assert.equal(await new Promise((resolve) => (stream.onEnd = ({ code }) => resolve(code))), Code.Cancelled)
  assert.equal(sockets, 0)
})
