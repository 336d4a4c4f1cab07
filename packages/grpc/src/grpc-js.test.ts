import assert from 'node:assert/strict'
import net from 'node:net'
import test, { after, before } from 'node:test'
import tls from 'node:tls'
import * as grpcJs from '@grpc/grpc-js'
import { GrpcClient } from './client.ts'
import { MetadataList } from './metadata.ts'
import { GrpcServer } from './server.ts'
import type { CancelReason, Method } from './service.ts'
import { Code, type Status } from './status.ts'
import { testCertificate, testKey } from './testing/certificate.ts'
import { listen } from './testing/raw-peer.ts'

/** The same service in @grpc/grpc-js and in ours: each implementation is client of the other. */

const same = (bytes: Buffer): Buffer => bytes
const coding = {
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
}
const definition = {
  Unary: { path: '/interop.Interop/Unary', requestStream: false, responseStream: false, ...coding },
  ClientStream: {
    path: '/interop.Interop/ClientStream',
    requestStream: true,
    responseStream: false,
    ...coding,
  },
  ServerStream: {
    path: '/interop.Interop/ServerStream',
    requestStream: false,
    responseStream: true,
    ...coding,
  },
  Bidi: { path: '/interop.Interop/Bidi', requestStream: true, responseStream: true, ...coding },
  Hang: { path: '/interop.Interop/Hang', requestStream: false, responseStream: false, ...coding },
}

const LARGE = Buffer.alloc(1_500_000, 'etcd')
const limits = { 'grpc.max_receive_message_length': 4 << 20, 'grpc.max_send_message_length': 4 << 20 }

// ---- their client, our server

let cancelled: (reason: CancelReason) => void = () => undefined

const services = new Map<string, Method>([
  [
    '/interop.Interop/Unary',
    {
      kind: 'unary',
      handle: (call, request) => {
        const fail = call.metadata.get('fail-with')
        call.setHeader('x-echo', call.metadata.get('x-ask') ?? '')
        call.setTrailer(
          'x-trailer-bin',
          Buffer.from(call.metadata.getBinary('x-ask-bin') ?? []).toString('base64'),
        )
        if (fail === undefined) call.respond(request)
        else call.fail({ code: Number(fail), message: 'so gewünscht: 100%', details: Buffer.from('why') })
      },
    },
  ],
  [
    '/interop.Interop/ClientStream',
    {
      kind: 'stream',
      handle: (call) => {
        let sum = 0
        call.onMessage = (bytes) => (sum += bytes.length)
        call.onHalfClose = () => {
          call.write(Buffer.from(String(sum)))
          call.end()
        }
      },
    },
  ],
  [
    '/interop.Interop/ServerStream',
    {
      kind: 'stream',
      handle: (call) => {
        call.onMessage = (bytes) => {
          const count = Number(Buffer.from(bytes).toString())
          for (let i = 0; i < count; i++) call.write(Buffer.from(`answer ${i}`))
          call.end()
        }
      },
    },
  ],
  [
    '/interop.Interop/Bidi',
    {
      kind: 'stream',
      handle: (call) => {
        call.onMessage = (bytes) => {
          call.write(bytes)
        }
        call.onHalfClose = () => call.end()
      },
    },
  ],
  [
    '/interop.Interop/Hang',
    {
      kind: 'unary',
      handle: (call) => {
        call.onCancel = (reason) => cancelled(reason)
      },
    },
  ],
])

const ours = new GrpcServer({ services })
const listener = net.createServer((socket) => ours.handle(socket))
const secure = tls.createServer({ key: testKey, cert: testCertificate, ALPNProtocols: ['h2'] }, (socket) =>
  ours.handle(socket),
)
const theirs = new grpcJs.Server(limits)
let theirClient: grpcJs.Client
let ourClient: GrpcClient

before(async () => {
  const port = await listen(listener)
  await listen(secure)
  theirClient = new grpcJs.Client(`127.0.0.1:${port}`, grpcJs.credentials.createInsecure(), limits)
  theirs.addService(definition, theirServices)
  const theirPort = await new Promise<number>((resolve, reject) => {
    theirs.bindAsync('127.0.0.1:0', grpcJs.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  ourClient = new GrpcClient({
    connect: () => net.connect(theirPort, '127.0.0.1'),
    authority: `127.0.0.1:${theirPort}`,
  })
})

after(async () => {
  theirClient.close()
  ourClient.close()
  theirs.forceShutdown()
  listener.close()
  secure.close()
  await ours.close(0)
})

interface Answer {
  readonly value: Buffer
  readonly header: grpcJs.Metadata
  readonly status: grpcJs.StatusObject
}

/** A unary call of theirs, with everything that comes of it. */
function theirUnary(
  client: grpcJs.Client,
  path: string,
  request: Buffer,
  metadata = new grpcJs.Metadata(),
  options: grpcJs.CallOptions = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let header = new grpcJs.Metadata()
    let value: Buffer = Buffer.alloc(0)
    const call = client.makeUnaryRequest(path, same, same, request, metadata, options, (error, answer) => {
      if (error !== null) reject(error)
      else value = answer!
    })
    call.on('metadata', (received) => (header = received))
    call.on('status', (status) => {
      if (status.code === grpcJs.status.OK) resolve({ value, header, status })
    })
  })
}

for (const size of [0, 100, LARGE.length])
  void test(`their client: a unary call of ${size} bytes`, async () => {
    const request = LARGE.subarray(0, size)
    assert.deepEqual((await theirUnary(theirClient, definition.Unary.path, request)).value, request)
  })

void test('their client: metadata both ways', async () => {
  const metadata = new grpcJs.Metadata()
  metadata.set('x-ask', 'what')
  metadata.set('x-ask-bin', Buffer.of(0, 1, 254, 255))
  const { header, status } = await theirUnary(theirClient, definition.Unary.path, Buffer.of(1), metadata)
  assert.deepEqual(header.get('x-echo'), ['what'])
  assert.deepEqual(status.metadata.get('x-trailer-bin'), [Buffer.of(0, 1, 254, 255)])
})

void test('their client: errors with text and details', async () => {
  const metadata = new grpcJs.Metadata()
  metadata.set('fail-with', '9')
  await assert.rejects(theirUnary(theirClient, definition.Unary.path, Buffer.of(1), metadata), (error) => {
    const { code, details, metadata: trailers } = error as grpcJs.ServiceError
    assert.equal(code, Code.FailedPrecondition)
    assert.equal(details, 'so gewünscht: 100%')
    assert.deepEqual(trailers.get('grpc-status-details-bin'), [Buffer.from('why')])
    return true
  })
})

void test('their client: unknown methods and messages too large', async () => {
  await assert.rejects(theirUnary(theirClient, '/interop.Interop/None', Buffer.of()), {
    code: Code.Unimplemented,
    details: 'unknown method None for service interop.Interop',
  })
  const small = new GrpcServer({ services, maxRecvMessageBytes: 1000 })
  const smallListener = net.createServer((socket) => small.handle(socket))
  const port = await listen(smallListener)
  const client = new grpcJs.Client(`127.0.0.1:${port}`, grpcJs.credentials.createInsecure())
  await assert.rejects(theirUnary(client, definition.Unary.path, LARGE), {
    code: Code.ResourceExhausted,
    details: 'grpc: received message larger than max (1500000 vs. 1000)',
  })
  client.close()
  smallListener.close()
  await small.close(0)
})

void test('their client: client stream', async () => {
  const sum = await new Promise<string>((resolve, reject) => {
    const call = theirClient.makeClientStreamRequest(
      definition.ClientStream.path,
      same,
      same,
      (error, answer) => (error === null ? resolve(answer!.toString()) : reject(error)),
    )
    for (let i = 0; i < 100; i++) call.write(Buffer.alloc(20_000))
    call.end()
  })
  assert.equal(sum, '2000000')
})

void test('their client: server stream', async () => {
  const call = theirClient.makeServerStreamRequest(
    definition.ServerStream.path,
    same,
    same,
    Buffer.from('1000'),
  )
  const received: string[] = []
  for await (const bytes of call) received.push(String(bytes))
  assert.equal(received.length, 1000)
  assert.equal(received[999], 'answer 999')
})

void test('their client: bidirectional stream', async () => {
  const call = theirClient.makeBidiStreamRequest(definition.Bidi.path, same, same)
  for (let i = 0; i < 300; i++) call.write(Buffer.from(`message ${i}`))
  call.end()
  const received: string[] = []
  for await (const bytes of call) received.push(String(bytes))
  assert.equal(received.length, 300)
  assert.equal(received[299], 'message 299')
})

void test('their client: deadline and cancellation', async () => {
  const deadline = new Promise<CancelReason>((resolve) => (cancelled = resolve))
  await assert.rejects(
    theirUnary(theirClient, definition.Hang.path, Buffer.of(1), new grpcJs.Metadata(), {
      deadline: Date.now() + 50,
    }),
    { code: Code.DeadlineExceeded },
  )
  assert.ok(['deadline', 'cancelled'].includes(await deadline))
  const told = new Promise<CancelReason>((resolve) => (cancelled = resolve))
  const call = theirClient.makeUnaryRequest(definition.Hang.path, same, same, Buffer.of(1), () => undefined)
  while (ours.stats.openStreams === 0) await new Promise((resolve) => setImmediate(resolve))
  call.cancel()
  assert.equal(await told, 'cancelled')
})

void test('their client over TLS', async () => {
  const address = secure.address()
  assert.ok(address !== null && typeof address !== 'string')
  const credentials = grpcJs.credentials.createSsl(Buffer.from(testCertificate), null, null, {
    rejectUnauthorized: false,
  })
  const client = new grpcJs.Client(`127.0.0.1:${address.port}`, credentials, {
    ...limits,
    'grpc.ssl_target_name_override': 'localhost',
  })
  assert.deepEqual((await theirUnary(client, definition.Unary.path, LARGE)).value, LARGE)
  client.close()
})

// ---- our client, their server

const theirServices: grpcJs.UntypedServiceImplementation = {
  Unary: (call: grpcJs.ServerUnaryCall<Buffer, Buffer>, callback: grpcJs.sendUnaryData<Buffer>) => {
    const header = new grpcJs.Metadata()
    header.set('x-echo', String(call.metadata.get('x-ask')[0] ?? ''))
    call.sendMetadata(header)
    const trailer = new grpcJs.Metadata()
    for (const value of call.metadata.get('x-ask-bin')) trailer.add('x-trailer-bin', value)
    const [fail] = call.metadata.get('fail-with')
    if (fail === undefined) callback(null, call.request, trailer)
    else callback({ code: Number(fail), details: 'so gewünscht: 100%', metadata: trailer })
  },
  ClientStream: (
    call: grpcJs.ServerReadableStream<Buffer, Buffer>,
    callback: grpcJs.sendUnaryData<Buffer>,
  ) => {
    let sum = 0
    call.on('data', (bytes: Buffer) => (sum += bytes.length))
    call.on('end', () => callback(null, Buffer.from(String(sum))))
  },
  ServerStream: (call: grpcJs.ServerWritableStream<Buffer, Buffer>) => {
    const count = Number(call.request.toString())
    for (let i = 0; i < count; i++) call.write(Buffer.from(`answer ${i}`))
    call.end()
  },
  Bidi: (call: grpcJs.ServerDuplexStream<Buffer, Buffer>) => {
    call.on('data', (bytes: Buffer) => call.write(bytes))
    call.on('end', () => call.end())
  },
  Hang: () => undefined,
}

for (const size of [0, 100, LARGE.length])
  void test(`our client: a unary call of ${size} bytes`, async () => {
    const request = LARGE.subarray(0, size)
    assert.deepEqual(Buffer.from(await ourClient.unary(definition.Unary.path, request)), request)
  })

void test('our client: errors with text and metadata', async () => {
  const metadata = MetadataList.from({ 'fail-with': '9', 'x-ask-bin': Uint8Array.of(0, 255) })
  await assert.rejects(ourClient.unary(definition.Unary.path, Buffer.of(1), { metadata }), {
    code: Code.FailedPrecondition,
    message: 'so gewünscht: 100%',
  })
  await assert.rejects(ourClient.unary('/interop.Interop/None', Buffer.of(1)), { code: Code.Unimplemented })
})

interface Received {
  readonly messages: Buffer[]
  readonly status: Status
  readonly header: string | undefined
  readonly trailer: Uint8Array | undefined
}

function ourStream(path: string, requests: Buffer[], metadata = new MetadataList()): Promise<Received> {
  return new Promise((resolve) => {
    const stream = ourClient.stream(path, { metadata })
    const messages: Buffer[] = []
    let header: string | undefined
    stream.onHeaders = (received) => (header = received.get('x-echo'))
    stream.onMessage = (bytes) => messages.push(Buffer.from(bytes))
    stream.onEnd = (status, trailers) =>
      resolve({ messages, status, header, trailer: trailers.getBinary('x-trailer-bin') })
    for (const request of requests) stream.write(request)
    stream.halfClose()
  })
}

void test('our client: metadata both ways', async () => {
  const metadata = MetadataList.from({ 'x-ask': 'what', 'x-ask-bin': Uint8Array.of(0, 1, 254, 255) })
  const { header, trailer, status } = await ourStream(definition.Unary.path, [Buffer.of(1)], metadata)
  assert.deepEqual(status, { code: Code.Ok, message: 'OK' })
  assert.equal(header, 'what')
  assert.deepEqual([...trailer!], [0, 1, 254, 255])
})

void test('our client: client stream', async () => {
  const requests = Array.from({ length: 100 }, () => Buffer.alloc(20_000))
  const { messages } = await ourStream(definition.ClientStream.path, requests)
  assert.deepEqual(messages.map(String), ['2000000'])
})

void test('our client: server stream', async () => {
  const { messages } = await ourStream(definition.ServerStream.path, [Buffer.from('1000')])
  assert.equal(messages.length, 1000)
  assert.equal(String(messages[999]), 'answer 999')
})

void test('our client: bidirectional stream', async () => {
  const requests = Array.from({ length: 300 }, (_, i) => Buffer.from(`message ${i}`))
  const { messages, status } = await ourStream(definition.Bidi.path, requests)
  assert.deepEqual(messages, requests)
  assert.equal(status.code, Code.Ok)
})

void test('our client: deadline and cancellation', async () => {
  await assert.rejects(ourClient.unary(definition.Hang.path, Buffer.of(1), { deadlineMs: 50 }), {
    code: Code.DeadlineExceeded,
  })
  const controller = new AbortController()
  const call = ourClient.unary(definition.Hang.path, Buffer.of(1), { signal: controller.signal })
  controller.abort()
  await assert.rejects(call, { code: Code.Cancelled })
})
