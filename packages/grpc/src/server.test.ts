import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { GrpcClient } from './client.ts'
import { ErrorCode, Flag, FrameType, Setting } from './frames.ts'
import { GrpcError } from './grpc-error.ts'
import { MetadataList } from './metadata.ts'
import type { CancelReason, Method, StreamCall, UnaryCall } from './service.ts'
import { Code, type Status } from './status.ts'
import { block, data, frame, headers, message, RawPeer, requestPairs, settings } from './testing/raw-peer.ts'
import { startServer, streaming, type TestServer, testServices, unary } from './testing/test-server.ts'

let server: TestServer
let client: GrpcClient

before(async () => {
  server = await startServer()
  client = server.client()
})

after(() => server.stop())

async function failure(call: Promise<unknown>): Promise<GrpcError> {
  try {
    await call
  } catch (error) {
    assert.ok(error instanceof GrpcError, String(error))
    return error
  }
  throw new Error('the call went well')
}

async function statusOfCall(call: Promise<unknown>): Promise<{ code: number; message: string }> {
  const { code, message } = await failure(call)
  return { code, message }
}

for (const size of [0, 1, 300, 16_379, 16_380, 65_530, 200_000, 1_500_000])
  void test(`a message of ${size} bytes goes there and back`, async () => {
    const request = Buffer.alloc(size, 'etcd')
    assert.deepEqual(Buffer.from(await client.unary('/test.Test/Echo', request)), request)
  })

void test('part of a buffer may be the answer', async () => {
  const own = await startServer({ services: unary((call) => call.respond(Buffer.from('[answer]'), 1, 7)) })
  assert.equal(Buffer.from(await own.client().unary('/test.Test/Do', Buffer.of())).toString(), 'answer')
  await own.stop()
})

void test('an error arrives with text, details and trailers', async () => {
  const own = await startServer({
    services: unary((call) => {
      call.setTrailer('x-trailer', 'späť'.normalize('NFKD').replaceAll(/[^a-z]/g, ''))
      call.fail({ code: Code.OutOfRange, message: 'ö 100%\n', details: Uint8Array.of(1, 2, 3) })
    }),
  })
  const error = await failure(own.client().unary('/test.Test/Do', Buffer.of()))
  assert.equal(error.code, Code.OutOfRange)
  assert.equal(error.message, 'ö 100%\n')
  assert.deepEqual([...error.details!], [1, 2, 3])
  assert.equal(error.metadata.get('x-trailer'), 'spat')
  await own.stop()
})

void test('metadata reaches the service, response metadata the client', async () => {
  let seen: (string | undefined)[] = []
  const own = await startServer({
    services: streaming((call) => {
      seen = [call.metadata.get('token'), Buffer.from(call.metadata.getBinary('data-bin')!).toString('hex')]
      call.setHeader('x-header', 'one')
      call.setHeader('x-header', 'two')
      call.setTrailer('x-trailer', 'three')
      call.write(Buffer.from('hello'))
      call.end()
    }),
  })
  const stream = own.client().stream('/test.Test/Do', {
    metadata: MetadataList.from({ token: 'secret', 'data-bin': Uint8Array.of(0, 255) }),
  })
  const header = new Promise<string[]>((resolve) => {
    stream.onHeaders = (metadata) =>
      resolve([...metadata.entries()].map(([name, value]) => `${name}=${value}`))
  })
  const trailer = new Promise<string | undefined>((resolve) => {
    stream.onEnd = (_status, trailers) => resolve(trailers.get('x-trailer'))
  })
  assert.deepEqual(
    (await header).filter((pair) => pair.startsWith('x-')),
    ['x-header=one', 'x-header=two'],
  )
  assert.equal(await trailer, 'three')
  assert.deepEqual(seen, ['secret', '00ff'])
  await own.stop()
})

for (const { path, message } of [
  { path: '/test.Test/Nope', message: 'unknown method Nope for service test.Test' },
  { path: '/no.Such/Method', message: 'unknown service no.Such' },
  { path: '/nothing', message: 'malformed method name: "/nothing"' },
  { path: 'test.Test/Echo', message: 'malformed method name: "test.Test/Echo"' },
])
  void test(`the path ${path} is Unimplemented`, async () => {
    assert.deepEqual(await statusOfCall(client.unary(path, Buffer.of(1))), {
      code: Code.Unimplemented,
      message,
    })
  })

void test('a service that throws ends its call', async () => {
  const services = new Map<string, Method>([
    ['/t.T/Error', { kind: 'unary', handle: () => assert.fail('thrown') }],
    [
      '/t.T/Status',
      {
        kind: 'unary',
        handle: () => {
          throw new GrpcError(Code.NotFound, 'not here')
        },
      },
    ],
    [
      '/t.T/Stream',
      {
        kind: 'stream',
        handle: (call) => {
          call.onMessage = () => assert.fail('in the middle')
        },
      },
    ],
  ])
  const own = await startServer({ services })
  const calls = own.client()
  assert.deepEqual(await statusOfCall(calls.unary('/t.T/Error', Buffer.of())), {
    code: Code.Unknown,
    message: 'thrown',
  })
  assert.deepEqual(await statusOfCall(calls.unary('/t.T/Status', Buffer.of())), {
    code: Code.NotFound,
    message: 'not here',
  })
  assert.deepEqual(await statusOfCall(calls.unary('/t.T/Stream', Buffer.of())), {
    code: Code.Unknown,
    message: 'in the middle',
  })
  await own.stop()
})

// ---- streams

void test('a bidirectional stream answers each message in order', async () => {
  const stream = client.stream('/test.Test/EchoStream')
  const received: string[] = []
  stream.onMessage = (bytes) => received.push(Buffer.from(bytes).toString())
  const end = new Promise<Status>((resolve) => (stream.onEnd = resolve))
  for (let i = 0; i < 500; i++) stream.write(Buffer.from(`message ${i}`))
  stream.halfClose()
  assert.deepEqual(await end, { code: Code.Ok, message: '' })
  assert.deepEqual(
    received,
    Array.from({ length: 500 }, (_, i) => `message ${i}`),
  )
})

void test('a client stream has one answer, a server stream one request', async () => {
  const services = new Map<string, Method>([
    [
      '/t.T/Count',
      {
        kind: 'stream',
        handle: (call) => {
          let count = 0
          call.onMessage = () => count++
          call.onHalfClose = () => {
            call.write(Buffer.of(count))
            call.end()
          }
        },
      },
    ],
    [
      '/t.T/Repeat',
      {
        kind: 'stream',
        handle: (call) => {
          call.onMessage = (request) => {
            for (let i = 0; i < request[0]!; i++) call.write(Buffer.of(i))
            call.end({ code: Code.DataLoss, message: 'no more' })
          }
        },
      },
    ],
  ])
  const own = await startServer({ services })
  const calls = own.client()
  const count = calls.stream('/t.T/Count')
  const counted = new Promise<number>((resolve) => (count.onMessage = (bytes) => resolve(bytes[0]!)))
  for (let i = 0; i < 7; i++) count.write(Buffer.of(i))
  count.halfClose()
  assert.equal(await counted, 7)

  const repeat = calls.stream('/t.T/Repeat')
  const received: number[] = []
  repeat.onMessage = (bytes) => received.push(bytes[0]!)
  const end = new Promise<Status>((resolve) => (repeat.onEnd = resolve))
  repeat.write(Buffer.of(5))
  assert.deepEqual(await end, { code: Code.DataLoss, message: 'no more' })
  assert.deepEqual(received, [0, 1, 2, 3, 4])
  await own.stop()
})

void test('10,000 streams on one connection', async () => {
  const open: StreamCall[] = []
  const own = await startServer({
    services: streaming((call) => {
      open.push(call)
      call.onMessage = (bytes) => {
        call.write(bytes)
      }
      call.onHalfClose = () => call.end()
    }),
  })
  const calls = own.client()
  const streams = Array.from({ length: 10_000 }, () => calls.stream('/test.Test/Do'))
  const answers = streams.map(
    (stream) => new Promise<number>((resolve) => (stream.onMessage = (m) => resolve(m[0]!))),
  )
  for (const [i, stream] of streams.entries()) stream.write(Buffer.of(i & 0xff))
  assert.deepEqual(
    await Promise.all(answers),
    streams.map((_, i) => i & 0xff),
  )
  assert.equal(own.server.stats.openStreams, 10_000)
  assert.equal(own.sockets.length, 1)
  const ends = streams.map((stream) => new Promise<Status>((resolve) => (stream.onEnd = resolve)))
  for (const stream of streams) stream.halfClose()
  assert.ok((await Promise.all(ends)).every(({ code }) => code === Code.Ok))
  assert.equal(own.server.stats.openStreams, 0)
  await own.stop()
})

void test('a concurrency limit makes our client wait and a rude one be refused', async () => {
  const waiting: UnaryCall[] = []
  const own = await startServer({ services: unary((call) => waiting.push(call)), maxConcurrentStreams: 2 })
  const calls = own.client()
  await calls.connect()
  const answers = Array.from({ length: 6 }, () => calls.unary('/test.Test/Do', Buffer.of(1)))
  for (let answered = 0; answered < 6; answered++) {
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(own.server.stats.openStreams <= 2)
    waiting.shift()!.respond(Buffer.of(answered))
  }
  await Promise.all(answers)
  const peer = await RawPeer.connect(own.port)
  for (const id of [1, 3, 5]) peer.send(headers(id, '/test.Test/Do'), data(id, message('x'), true))
  assert.equal(await peer.reset(5), ErrorCode.RefusedStream)
  peer.destroy()
  await own.stop()
})

// ---- sizes and compression

void test('a message larger than allowed is refused by its length alone', async () => {
  const own = await startServer({ maxRecvMessageBytes: 1000 })
  const peer = await RawPeer.connect(own.port)
  peer.send(headers(1, '/test.Test/Echo'), data(1, Buffer.of(0, 0xff, 0xff, 0xff, 0xff)))
  const answer = await peer.headers(1)
  assert.equal(answer.get('grpc-status'), '8')
  assert.equal(answer.get('grpc-message'), 'grpc: received message larger than max (4294967295 vs. 1000)')
  assert.equal(await peer.reset(1), ErrorCode.NoError)
  peer.destroy()
  const calls = own.client()
  assert.equal((await calls.unary('/test.Test/Echo', Buffer.alloc(1000))).length, 1000)
  assert.deepEqual(await statusOfCall(calls.unary('/test.Test/Echo', Buffer.alloc(1001))), {
    code: Code.ResourceExhausted,
    message: 'grpc: received message larger than max (1001 vs. 1000)',
  })
  await own.stop()
})

void test('an answer larger than allowed is refused on either end', async () => {
  const own = await startServer({ maxSendMessageBytes: 100 })
  const calls = own.client({ maxRecvMessageBytes: 50, maxSendMessageBytes: 150 })
  assert.deepEqual(await statusOfCall(calls.unary('/test.Test/Echo', Buffer.alloc(101))), {
    code: Code.ResourceExhausted,
    message: 'grpc: trying to send message larger than max (101 vs. 100)',
  })
  assert.deepEqual(await statusOfCall(calls.unary('/test.Test/Echo', Buffer.alloc(51))), {
    code: Code.ResourceExhausted,
    message: 'grpc: received message larger than max (51 vs. 50)',
  })
  assert.deepEqual(await statusOfCall(calls.unary('/test.Test/Echo', Buffer.alloc(151))), {
    code: Code.ResourceExhausted,
    message: 'trying to send message larger than max (151 vs. 150)',
  })
  assert.equal((await calls.unary('/test.Test/Echo', Buffer.alloc(50))).length, 50)
  await own.stop()
})

interface AnswerRow {
  readonly name: string
  readonly pairs?: [string, string][]
  readonly send: Buffer
  readonly status: string
  readonly text?: string
  readonly httpStatus?: string
}

function replaced(...replacements: [string, string | undefined][]): [string, string][] {
  const fields = requestPairs('/test.Test/Echo').map(([name, value]) => [name, value] as [string, string])
  for (const [name, value] of replacements) {
    const at = fields.findIndex(([field]) => field === name)
    if (at < 0) fields.push([name, value!])
    else if (value === undefined) fields.splice(at, 1)
    else fields[at] = [name, value]
  }
  return fields
}

const gzipped = gzipSync(Buffer.from('hello'))

const answers: AnswerRow[] = [
  { name: 'gzip', pairs: replaced(['grpc-encoding', 'gzip']), send: message(gzipped, 1), status: '0' },
  {
    name: 'gzip announced and not used',
    pairs: replaced(['grpc-encoding', 'gzip']),
    send: message('hello'),
    status: '0',
  },
  {
    name: 'a compressed message without an encoding',
    send: message(gzipped, 1),
    status: '13',
    text: 'grpc: compressed flag set with identity or empty encoding',
  },
  {
    name: 'a compressed message with the identity encoding',
    pairs: replaced(['grpc-encoding', 'identity']),
    send: message(gzipped, 1),
    status: '13',
    text: 'grpc: compressed flag set with identity or empty encoding',
  },
  {
    name: 'an unknown encoding',
    pairs: replaced(['grpc-encoding', 'snappy']),
    send: message('hello'),
    status: '12',
    text: 'grpc: Decompressor is not installed for grpc-encoding "snappy"',
  },
  {
    name: 'a flag of 2',
    send: message('hello', 2),
    status: '13',
    text: 'grpc: received unexpected payload format 2',
  },
  {
    name: 'damaged gzip',
    pairs: replaced(['grpc-encoding', 'gzip']),
    send: message('not gzip', 1),
    status: '13',
    text: 'grpc: failed to decompress the received message: incorrect header check',
  },
  {
    name: 'a gzip bomb',
    pairs: replaced(['grpc-encoding', 'gzip']),
    send: message(gzipSync(Buffer.alloc(5_000_000)), 1),
    status: '8',
    text: 'grpc: received message after decompression larger than max (4194305 vs. 4194304)',
  },
  {
    name: 'a message cut short',
    send: message('hello').subarray(0, 8),
    status: '2',
    text: 'unexpected EOF',
  },
  {
    name: 'a prefix cut short',
    send: message('hello').subarray(0, 3),
    status: '2',
    text: 'unexpected EOF',
  },
  {
    name: 'no message',
    send: Buffer.alloc(0),
    status: '2',
    text: 'EOF',
  },
  { name: 'a missing te', pairs: replaced(['te', undefined]), send: message('hello'), status: '0' },
  {
    name: 'application/grpc+proto',
    pairs: replaced(['content-type', 'application/grpc+proto']),
    send: message('hello'),
    status: '0',
  },
  {
    name: 'another content type',
    pairs: replaced(['content-type', 'application/json']),
    send: message('hello'),
    status: '3',
    httpStatus: '415',
    text: 'invalid gRPC request content-type "application/json"',
  },
  {
    name: 'a content type that begins like gRPC',
    pairs: replaced(['content-type', 'application/grpcweb']),
    send: message('hello'),
    status: '3',
    httpStatus: '415',
    text: 'invalid gRPC request content-type "application/grpcweb"',
  },
  {
    name: 'no content type',
    pairs: replaced(['content-type', undefined]),
    send: message('hello'),
    status: '3',
    httpStatus: '415',
    text: 'invalid gRPC request content-type ""',
  },
  {
    name: 'GET',
    pairs: replaced([':method', 'GET']),
    send: message('hello'),
    status: '13',
    httpStatus: '405',
    text: 'Received a HEADERS frame with :method "GET" which should be POST',
  },
  {
    name: 'a malformed timeout',
    pairs: replaced(['grpc-timeout', '5']),
    send: message('hello'),
    status: '13',
    httpStatus: '400',
    text: 'malformed grpc-timeout: transport: timeout string is too short: "5"',
  },
  {
    name: 'malformed binary metadata',
    pairs: replaced(['x-bin', 'a*bc']),
    send: message('hello'),
    status: '13',
    httpStatus: '400',
    text: 'malformed binary metadata "a*bc" in header "x-bin": illegal base64 data at input byte 1',
  },
  {
    name: 'two hosts',
    pairs: [...replaced(['host', 'a']), ['host', 'b']],
    send: message('hello'),
    status: '13',
    httpStatus: '400',
    text: 'num values of :authority: 1, num values of host: 2, both must only have 1 value as per HTTP/2 spec',
  },
  {
    name: 'a header list beyond the limit',
    pairs: [...replaced(), ...Array.from({ length: 500 }, (_, i) => [`x-${i}`, 'y'] as [string, string])],
    send: message('hello'),
    status: '8',
    text: 'request header list larger than max (19176 vs. 16384)',
  },
]

for (const { name, pairs = replaced(), send, status, text, httpStatus = '200' } of answers)
  void test(`${name} is answered with grpc-status ${status}`, async () => {
    const peer = await RawPeer.connect(server.port)
    peer.send(frame(FrameType.Headers, Flag.EndHeaders, 1, block(...pairs)), data(1, send, true))
    const first = await peer.headers(1)
    assert.equal(first.get(':status'), httpStatus)
    assert.equal(first.get('content-type'), 'application/grpc')
    const last = first.has('grpc-status') ? first : await peer.headers(1)
    assert.equal(last.get('grpc-message'), text)
    assert.equal(last.get('grpc-status'), status)
    if (name === 'an unknown encoding') assert.equal(last.get('grpc-accept-encoding'), 'gzip')
    await peer.sync()
    peer.destroy()
  })

// ---- deadlines and cancellation

void test('a deadline ends the call for both ends', async () => {
  const reasons: CancelReason[] = []
  let remaining: number | undefined
  let called: UnaryCall | undefined
  const own = await startServer({
    services: unary((call) => {
      remaining = call.remainingMs()
      called = call
      call.onCancel = (reason) => reasons.push(reason)
    }),
  })
  const peer = await RawPeer.connect(own.port)
  const pairs = [...requestPairs('/test.Test/Do'), ['grpc-timeout', '20m'] as const]
  peer.send(frame(FrameType.Headers, Flag.EndHeaders, 1, block(...pairs)), data(1, message('x'), true))
  const answer = await peer.headers(1)
  assert.equal(answer.get('grpc-status'), '4')
  assert.equal(answer.get('grpc-message'), 'context deadline exceeded')
  assert.deepEqual(reasons, ['deadline'])
  assert.ok(remaining! > 0 && remaining! <= 20)
  assert.equal(called!.ended, true)
  called!.respond(Buffer.of(1))
  await peer.sync()
  assert.equal(peer.frames.filter((f) => f.streamId === 1).length, 1)
  peer.destroy()
  assert.deepEqual(await statusOfCall(own.client().unary('/test.Test/Do', Buffer.of(), { deadlineMs: 20 })), {
    code: Code.DeadlineExceeded,
    message: 'context deadline exceeded',
  })
  await own.stop()
})

void test('a call without a deadline has none', async () => {
  let remaining: number | undefined = 0
  const own = await startServer({
    services: unary((call) => {
      remaining = call.remainingMs()
      call.respond(Buffer.of())
    }),
  })
  await own.client().unary('/test.Test/Do', Buffer.of())
  assert.equal(remaining, undefined)
  await own.stop()
})

void test('cancelling and disconnecting reach the service', async () => {
  const reasons: CancelReason[] = []
  let arrived: (() => void) | undefined
  let told: (() => void) | undefined
  const own = await startServer({
    services: streaming((call) => {
      call.onCancel = (reason) => {
        reasons.push(reason)
        told?.()
      }
      arrived?.()
    }),
  })
  const calls = own.client()
  for (const leave of ['cancel', 'signal', 'close'] as const) {
    const cancelled = new Promise<void>((resolve) => (told = resolve))
    const here = new Promise<void>((resolve) => (arrived = resolve))
    const controller = new AbortController()
    const stream = calls.stream('/test.Test/Do', { signal: controller.signal })
    const end = new Promise<Status>((resolve) => (stream.onEnd = resolve))
    await here
    if (leave === 'cancel') stream.cancel()
    else if (leave === 'signal') controller.abort()
    else calls.close()
    assert.equal((await end).code, Code.Cancelled)
    await cancelled
  }
  assert.deepEqual(reasons, ['cancelled', 'cancelled', 'disconnected'])
  await own.stop()
})

// ---- header compression of answers

void test('answers shrink to indexes, and forget them when the client shrinks its table', async () => {
  const peer = await RawPeer.connect(server.port)
  const lengths: number[] = []
  const ask = async (id: number): Promise<void> => {
    peer.send(headers(id, '/test.Test/Echo'), data(id, message('x'), true))
    const before = peer.frames.length
    assert.equal((await peer.headers(id)).get('content-type'), 'application/grpc')
    assert.equal((await peer.headers(id)).get('grpc-status'), '0')
    const blocks = peer.frames.slice(before).filter((f) => f.type === FrameType.Headers)
    lengths.push(...blocks.map(({ payload }) => payload.length))
  }
  await ask(1)
  await ask(3)
  assert.deepEqual(lengths.slice(2), [2, 1])
  peer.send(frame(FrameType.Settings, 0, 0, settings([Setting.HeaderTableSize, 0])))
  await ask(5)
  assert.equal(peer.decoder.table.count, 0)
  await ask(7)
  assert.ok(lengths.slice(4).every((length) => length > 2))
  peer.destroy()
})

void test('requests that repeat, change and grow the table are all understood', async () => {
  const own = await startServer({
    services: unary((call) => call.respond(Buffer.from(call.metadata.get('x') ?? '-'))),
  })
  const calls = own.client()
  for (let round = 0; round < 3; round++)
    for (const x of ['a', 'b', 'a', undefined, 'c'.repeat(600)]) {
      const options = x === undefined ? {} : { metadata: MetadataList.from({ x }) }
      assert.equal(Buffer.from(await calls.unary('/test.Test/Do', Buffer.of(), options)).toString(), x ?? '-')
    }
  await own.stop()
})

void test('what happened is counted', async () => {
  const own = await startServer()
  const calls = own.client()
  await calls.unary('/test.Test/Echo', Buffer.alloc(10))
  await calls.unary('/test.Test/Echo', Buffer.alloc(20))
  await failure(calls.unary('/test.Test/Hang', Buffer.alloc(3), { deadlineMs: 15 }))
  await failure(calls.unary('/no.Such/Method', Buffer.alloc(3)))
  const { stats } = own.server
  assert.equal(stats.receivedBytes, 33)
  assert.equal(stats.sentBytes, 30)
  assert.equal(stats.openConnections, 1)
  const echo = stats.methods.get('/test.Test/Echo')!
  assert.deepEqual([echo.started, echo.messagesReceived, echo.messagesSent, echo.handled[0]], [2, 2, 2, 2])
  const hang = stats.methods.get('/test.Test/Hang')!
  while (hang.handled.every((count) => count === 0)) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(hang.started, 1)
  assert.equal(hang.handled[Code.DeadlineExceeded]! + hang.handled[Code.Cancelled]!, 1)
  assert.equal(stats.methods.size, testServices.size)
  await own.stop()
})
