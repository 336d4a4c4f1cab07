import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { promisify } from 'node:util'
import { GrpcClient } from './client.ts'
import { GrpcError } from './grpc-error.ts'
import { GrpcServer } from './server.ts'
import type { Method } from './service.ts'
import { Code } from './status.ts'
import { listen, message } from './testing/raw-peer.ts'
import { testServices } from './testing/test-server.ts'

/** Other programs' HTTP/2 and gRPC against ours; each test is skipped where its program is missing. */

const run = promisify(execFile)

function skipWithout(program: string, ...probe: string[]): string | false {
  return spawnSync(program, probe, { stdio: 'ignore' }).status === 0 ? false : `${program} is not installed`
}

const folder = mkdtempSync(join(tmpdir(), 'grpc-tools-'))
const bodyFile = join(folder, 'body')
writeFileSync(bodyFile, message('hello'))

/** A protobuf field of bytes, text or a nested message. */
function field(number: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  const length: number[] = []
  for (let left = bytes.length; ; left >>>= 7) {
    length.push(left < 0x80 ? left : (left & 0x7f) | 0x80)
    if (left < 0x80) break
  }
  return Buffer.concat([Buffer.of((number << 3) | 2, ...length), bytes])
}

/** `ResponseHeader { revision: 3 }`, as field 1 of every answer. */
const putResponse = field(1, Buffer.of(0x18, 3))
const pair = Buffer.concat([field(1, 'key'), field(5, 'value')])
const rangeResponse = Buffer.concat([putResponse, field(2, pair), Buffer.of(0x20, 1)])

const services = new Map<string, Method>([
  ...testServices,
  ['/etcdserverpb.KV/Put', { kind: 'unary', handle: (call) => call.respond(putResponse) }],
  ['/etcdserverpb.KV/Range', { kind: 'unary', handle: (call) => call.respond(rangeResponse) }],
  [
    '/test.Test/Fail',
    {
      kind: 'unary',
      handle: (call) => {
        call.setTrailer('x-trailer', call.metadata.get('x-ask') ?? 'nothing')
        call.fail({ code: Code.FailedPrecondition, message: 'grün: 100%' })
      },
    },
  ],
])

const server = new GrpcServer({ services })
const listener = net.createServer((socket) => server.handle(socket))
let port = 0

before(async () => {
  port = await listen(listener)
})

after(async () => {
  listener.close()
  await server.close(0)
  rmSync(folder, { recursive: true })
})

const headerArguments = ['-H', 'content-type: application/grpc', '-H', 'te: trailers']

void test(
  'nghttp sees headers, message and trailers',
  { skip: skipWithout('nghttp', '--version') },
  async () => {
    const url = `http://127.0.0.1:${port}/test.Test/Echo`
    const { stdout } = await run('nghttp', [
      '-v',
      '-H',
      ':method: POST',
      ...headerArguments,
      '-d',
      bodyFile,
      url,
    ])
    assert.match(stdout, /:status: 200[^]*content-type: application\/grpc[^]*hello[^]*grpc-status: 0/)
    assert.match(
      stdout,
      /GOAWAY frame <length=8, flags=0x00, stream_id=0>\s+\(last_stream_id=0, error_code=NO_ERROR/,
    )
  },
)

void test('h2load gets every answer', { skip: skipWithout('h2load', '--version') }, async () => {
  const { stdout } = await run('h2load', [
    '-n5000',
    '-c5',
    '-m20',
    `-d${bodyFile}`,
    ...headerArguments,
    `http://127.0.0.1:${port}/test.Test/Echo`,
  ])
  assert.match(stdout, /5000 succeeded, 0 failed, 0 errored/)
  assert.match(stdout, /status codes: 5000 2xx/)
})

void test('curl gets the answer', { skip: skipWithout('curl', '--version') }, async () => {
  const { stdout } = await run('curl', [
    '-si',
    '--http2-prior-knowledge',
    '--data-binary',
    `@${bodyFile}`,
    ...headerArguments,
    `http://127.0.0.1:${port}/test.Test/Echo`,
  ])
  assert.match(stdout, /^HTTP\/2 200 [^]*hello[^]*grpc-status: 0/)
})

void test('curl is told that a page is no gRPC', { skip: skipWithout('curl', '--version') }, async () => {
  const { stdout } = await run('curl', [
    '-si',
    '--http2-prior-knowledge',
    `http://127.0.0.1:${port}/index.html`,
  ])
  assert.match(stdout, /^HTTP\/2 415 /)
})

void test("node's own HTTP/2 sends every printable character, and reads what we send", async () => {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  const text = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).join('')
  const request = session.request({
    ':method': 'POST',
    ':path': '/test.Test/Fail',
    'content-type': 'application/grpc',
    'x-ask': text,
  })
  request.end(message('x'))
  const [headers] = (await once(request, 'response')) as [http2.IncomingHttpHeaders]
  assert.equal(headers['x-trailer'], text)
  assert.equal(headers['grpc-status'], '9')
  assert.equal(headers['grpc-message'], 'gr%C3%BCn: 100%25')
  session.destroy()
})

const python = ['python3', '/usr/bin/python3'].find(
  (path) => skipWithout(path, '-c', 'import grpc') === false,
)

const pythonScript = `
import grpc, sys
same = lambda b: b
channel = grpc.insecure_channel(sys.argv[1], options=[('grpc.max_receive_message_length', -1)])
unary = channel.unary_unary('/test.Test/Echo', same, same)
for size in (0, 100, 1500000):
    assert unary(b'x' * size, timeout=10) == b'x' * size
stream = channel.stream_stream('/test.Test/EchoStream', same, same)
assert list(stream(iter([b'%d' % i for i in range(200)]))) == [b'%d' % i for i in range(200)]
try:
    channel.unary_unary('/test.Test/Fail', same, same)(b'', metadata=(('x-ask', 'python'),))
except grpc.RpcError as e:
    assert e.code() == grpc.StatusCode.FAILED_PRECONDITION and e.details() == 'gr\\u00fcn: 100%', e
    assert ('x-trailer', 'python') in [tuple(t) for t in e.trailing_metadata()], e
try:
    channel.unary_unary('/test.Test/Hang', same, same)(b'', timeout=0.1)
except grpc.RpcError as e:
    assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED, e
assert unary(b'gzip', compression=grpc.Compression.Gzip) == b'gzip'
print('done')
`

void test(
  "Python's grpcio makes calls of all kinds",
  { skip: python === undefined && "Python's grpc is not installed" },
  async () => {
    const { stdout } = await run(python!, ['-c', pythonScript, `127.0.0.1:${port}`])
    assert.equal(stdout, 'done\n')
  },
)

void test('etcdctl puts and gets', { skip: skipWithout('etcdctl', 'version') }, async () => {
  const env = { ...process.env, ETCDCTL_API: '3' }
  const endpoint = `--endpoints=127.0.0.1:${port}`
  assert.equal((await run('etcdctl', [endpoint, 'put', 'key', 'value'], { env })).stdout, 'OK\n')
  assert.equal((await run('etcdctl', [endpoint, 'get', 'key'], { env })).stdout, 'key\nvalue\n')
  const alarm = run('etcdctl', [endpoint, 'alarm', 'list'], { env })
  await assert.rejects(alarm, /code = Unimplemented desc = unknown service etcdserverpb.Maintenance/)
})

// ---- real etcd as the server

void test('our client talks to etcd', { skip: skipWithout('etcd', '--version') }, async () => {
  const [clientPort, peerPort] = await freePorts()
  const clientUrl = `http://127.0.0.1:${clientPort}`
  const peerUrl = `http://127.0.0.1:${peerPort}`
  const etcd = spawn(
    'etcd',
    [
      `--data-dir=${join(folder, 'etcd')}`,
      `--listen-client-urls=${clientUrl}`,
      `--advertise-client-urls=${clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
    ],
    { stdio: 'ignore' },
  )
  const client = new GrpcClient({
    connect: () => net.connect(clientPort, '127.0.0.1'),
    authority: `127.0.0.1:${clientPort}`,
  })
  try {
    await connectWhenUp(client)
    const put = Buffer.concat([field(1, 'key'), field(2, 'value')])
    for (let i = 0; i < 20; i++) await client.unary('/etcdserverpb.KV/Put', put, { deadlineMs: 5000 })
    const answer = Buffer.from(await client.unary('/etcdserverpb.KV/Range', field(1, 'key')))
    assert.ok(answer.includes('value'))
    await assert.rejects(client.unary('/etcdserverpb.KV/Range', Buffer.of()), {
      code: Code.InvalidArgument,
      message: 'etcdserver: key is not provided',
    })
    await assert.rejects(client.unary('/etcdserverpb.KV/None', Buffer.of()), {
      code: Code.Unimplemented,
      message: 'unknown method None for service etcdserverpb.KV',
    })
    const large = Buffer.alloc(1_500_000, 'large')
    await client.unary('/etcdserverpb.KV/Put', Buffer.concat([field(1, 'large'), field(2, large)]))
    const back = Buffer.from(await client.unary('/etcdserverpb.KV/Range', field(1, 'large')))
    assert.ok(back.includes(large))
  } finally {
    client.close()
    etcd.kill()
    await once(etcd, 'exit')
  }
})

async function freePorts(): Promise<[number, number]> {
  const listeners = [net.createServer(), net.createServer()] as const
  const ports = await Promise.all([listen(listeners[0]), listen(listeners[1])])
  for (const each of listeners) each.close()
  return ports
}

/** Connecting fails until etcd listens. */
async function connectWhenUp(client: GrpcClient): Promise<void> {
  for (;;) {
    try {
      await client.connect()
      return
    } catch (error) {
      if (!(error instanceof GrpcError) || error.code !== Code.Unavailable) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
