import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { Code, GrpcServer, type Method, type Status } from '@etcd-ts/grpc'
import { type Clock, systemClock } from '@etcd-ts/platform'
import { FastClock } from '../testing/fast-clock.ts'
import { configOf } from '../testing/config.ts'
import { LogLines } from '../testing/log-lines.ts'
import type { RegistryConfig } from './registry.ts'
import { joinByV3Token } from './v3-discovery.ts'

const { AuthService, KVService } = etcdserverpb

interface Row {
  readonly key: Buffer
  readonly value: Buffer
  readonly createRevision: number
}

/** As much of an etcd cluster as discovery uses: keys, and a user. */
class RegistryStub {
  readonly #rows = new Map<string, Row>()
  #revision = 1
  /** The token that calls must carry; undefined when there are no users. */
  token: string | undefined
  password = 'secret'
  /** What calls fail with, one after the other. */
  readonly failures: Status[] = []
  /** Called before an answer. */
  onRange: () => void = () => undefined

  set(key: string, value: string): void {
    const known = this.#rows.get(key)
    const createRevision = known?.createRevision ?? ++this.#revision
    this.#rows.set(key, { key: Buffer.from(key), value: Buffer.from(value), createRevision })
  }

  get services(): ReadonlyMap<string, Method> {
    return new Map<string, Method>([
      [
        KVService.Range.path,
        this.#method((request) => {
          this.onRange()
          const { key, rangeEnd } = KVService.Range.request.decode(request)
          const [first, end] = [Buffer.from(key).toString(), Buffer.from(rangeEnd).toString()]
          const kvs = [...this.#rows]
            .filter(([name]) => (end === '' ? name === first : name >= first && name < end))
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([, { key: k, value, createRevision }]) => ({ key: k, value, createRevision }))
          return KVService.Range.response.encode({ kvs })
        }),
      ],
      [
        KVService.Put.path,
        this.#method((request) => {
          const { key, value } = KVService.Put.request.decode(request)
          this.set(Buffer.from(key).toString(), Buffer.from(value).toString())
          return KVService.Put.response.encode({})
        }),
      ],
      [
        AuthService.Authenticate.path,
        {
          kind: 'unary',
          handle: (call, request) => {
            const { name, password } = AuthService.Authenticate.request.decode(request)
            if (this.token === undefined) {
              call.fail({
                code: Code.FailedPrecondition,
                message: 'etcdserver: authentication is not enabled',
              })
            } else if (name !== 'root' || password !== this.password) {
              const message = 'etcdserver: authentication failed, invalid user ID or password'
              call.fail({ code: Code.InvalidArgument, message })
            } else call.respond(AuthService.Authenticate.response.encode({ token: this.token }))
          },
        },
      ],
    ])
  }

  #method(answer: (request: Uint8Array) => Uint8Array): Method {
    return {
      kind: 'unary',
      handle: (call, request) => {
        const failure = this.failures.shift()
        if (failure !== undefined) call.fail(failure)
        else if (this.token !== undefined && call.metadata.get('token') !== this.token) {
          call.fail({ code: Code.Unauthenticated, message: 'etcdserver: invalid auth token' })
        } else call.respond(answer(request))
      },
    }
  }
}

/** Serves until the test ends. @returns `host:port` */
async function serve(context: TestContext, stub: RegistryStub): Promise<string> {
  const grpc = new GrpcServer({ services: stub.services })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    grpc.handle(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : ''
}

const flags = configOf('').discovery.v3
const noFiles = {
  readFile(): never {
    throw new Error('no such file')
  },
}

interface Options {
  readonly registry?: Partial<RegistryConfig>
  readonly self?: string
  readonly logger?: LogLines
  readonly clock?: Clock
}

function join(endpoints: readonly string[], memberId: bigint, options: Options = {}): Promise<string> {
  const { self = `m${memberId}=http://127.0.0.1:${memberId}`, logger = new LogLines() } = options
  const { clock = new FastClock(), registry = {} } = options
  return joinByV3Token({
    registry: { ...flags, token: 'token', endpoints, ...registry },
    memberId,
    self,
    clock,
    logger,
    disk: noFiles,
  })
}

const SIZE = '/_etcd/registry/token/_config/size'

void test('three members find each other, oldest first, and the log tells of them', async (context) => {
  const stub = new RegistryStub()
  stub.set(SIZE, '3')
  const endpoint = await serve(context, stub)
  const logger = new LogLines()
  const real = { clock: systemClock }
  const first = join([endpoint], 0xffn, { ...real, logger })
  while (logger.count('waiting for peers from discovery service') === 0) await turn()
  const others = [join([endpoint], 2n, real), join([`http://${endpoint}/`], 3n, real)]
  const cluster = await first
  assert.ok(cluster.startsWith('m255=http://127.0.0.1:255,'))
  assert.deepEqual(cluster.split(',').slice(1).sort(), ['m2=http://127.0.0.1:2', 'm3=http://127.0.0.1:3'])
  assert.deepEqual(await Promise.all(others), [cluster, cluster])
  assert.equal(logger.count('found peer from discovery service'), 3)
  assert.deepEqual(
    logger.lines.find(({ message }) => message === 'register member itself successfully')?.fields,
    {
      'discovery-token': 'token',
      'discovery-endpoints': endpoint,
      memberKey: '/_etcd/registry/token/members/ff',
      memberInfo: 'm255=http://127.0.0.1:255',
    },
  )
  await assert.rejects(join([endpoint], 4n), { message: 'discovery: cluster is full' })
  assert.equal(await join([endpoint], 3n), cluster, 'a member may register again')
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

void test('refused: a token without a size', async (context) => {
  const endpoint = await serve(context, new RegistryStub())
  await assert.rejects(join([endpoint], 1n), { message: 'discovery: size key not found' })
})

for (const size of ['', '0', '-3', 'three', '1e3', '99999999999999999999']) {
  void test(`refused: the size '${size}'`, async (context) => {
    const stub = new RegistryStub()
    stub.set(SIZE, size)
    await assert.rejects(join([await serve(context, stub)], 1n), { message: 'discovery: size key is bad' })
  })
}

void test('what is no member is left out, and URLs that are none make no cluster', async (context) => {
  const stub = new RegistryStub()
  stub.set(SIZE, '2')
  stub.set('/_etcd/registry/token/members/7', 'nonsense')
  stub.set('/_etcd/registry/token/members0', 'x=http://127.0.0.1:9')
  stub.set('/_etcd/registry/token2/members/9', 'x=http://127.0.0.1:9')
  stub.set('/_etcd/registry/token/members/8', 'm8=http://127.0.0.1:8')
  const endpoint = await serve(context, stub)
  const logger = new LogLines()
  assert.equal(await join([endpoint], 1n, { logger }), 'm8=http://127.0.0.1:8,m1=http://127.0.0.1:1')
  assert.equal(logger.count('invalid peer info returned from discovery service'), 1)

  stub.set('/_etcd/registry/token/members/8', 'm8=nonsense')
  await assert.rejects(join([endpoint], 1n), { message: 'discovery: invalid peer URL' })
})

void test('two members of one name make no cluster', async (context) => {
  const stub = new RegistryStub()
  stub.set(SIZE, '2')
  stub.set('/_etcd/registry/token/members/8', 'same=http://127.0.0.1:8')
  const endpoint = await serve(context, stub)
  await assert.rejects(join([endpoint], 1n, { self: 'same=http://127.0.0.1:1' }), {
    message: 'discovery: found duplicate name',
  })
})

void test('the next endpoint is asked when one is down, and all again after a pause', async (context) => {
  const stub = new RegistryStub()
  stub.set(SIZE, '1')
  const closed = createServer()
  closed.listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const address = closed.address()
  const dead = typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : ''
  closed.close()
  const endpoint = await serve(context, stub)
  stub.failures.push(
    { code: Code.Unavailable, message: 'etcdserver: no leader' },
    { code: Code.ResourceExhausted, message: 'etcdserver: mvcc: database space exceeded' },
  )
  const clock = new FastClock()
  const logger = new LogLines()
  assert.equal(await join([dead, endpoint], 1n, { clock, logger }), 'm1=http://127.0.0.1:1')
  assert.deepEqual(clock.slept, [2_000, 4_000])
  assert.equal(logger.count('retry connecting to discovery service'), 2)
})

void test('a user is authenticated, and again when the token is not good any more', async (context) => {
  const stub = new RegistryStub()
  stub.set(SIZE, '1')
  stub.token = 'first'
  const endpoint = await serve(context, stub)
  stub.onRange = () => {
    stub.token = 'second'
    stub.onRange = () => undefined
  }
  for (const registry of [{ user: 'root:secret' }, { user: 'root', password: 'secret' }]) {
    assert.equal(await join([endpoint], 1n, { registry }), 'm1=http://127.0.0.1:1')
  }
  await assert.rejects(join([endpoint], 1n, { registry: { user: 'root:wrong' } }), {
    message: 'etcdserver: authentication failed, invalid user ID or password',
  })
  stub.token = undefined
  assert.equal(await join([endpoint], 1n, { registry: { user: 'root:x' } }), 'm1=http://127.0.0.1:1')
})

for (const { name, endpoints, registry, error } of [
  { name: 'no port', endpoints: ['host'], error: 'dial tcp: address host: missing port in address' },
  {
    name: 'half a key pair',
    endpoints: ['https://host:1'],
    registry: { certFile: 'c.pem' },
    error: 'KeyFile and CertFile must both be present[key: , cert: c.pem]',
  },
  {
    name: 'a file that is missing',
    endpoints: ['host:1'],
    registry: { insecureTransport: false, trustedCaFile: 'ca.pem' },
    error: 'no such file',
  },
]) {
  void test(`refused: ${name}`, async () => {
    await assert.rejects(join(endpoints, 1n, registry === undefined ? {} : { registry }), { message: error })
  })
}
