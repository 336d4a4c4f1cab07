import assert from 'node:assert/strict'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ApiError, errorTable, etcdserverpb, type ErrorReason } from '@etcd-ts/api'
import { Code, GrpcServer, type Method, type UnaryCall } from '@etcd-ts/grpc'
import { Client, type ClientOptions } from './client.ts'
import { RpcError } from './errors.ts'

const { AuthService, KVService, MaintenanceService } = etcdserverpb

type Handler = (call: UnaryCall, request: Uint8Array) => void

/** A member that answers as the test says. */
class StubMember {
  readonly #server: Server
  readonly #grpc: GrpcServer

  private constructor(handlers: Readonly<Record<string, Handler>>) {
    const methods = Object.entries(handlers).map(([path, handle]): [string, Method] => [
      path,
      { kind: 'unary', handle },
    ])
    this.#grpc = new GrpcServer({ services: new Map(methods) })
    this.#server = createServer((socket) => this.#grpc.handle(socket))
  }

  static async start(t: TestContext, handlers: Readonly<Record<string, Handler>>): Promise<StubMember> {
    const member = new StubMember(handlers)
    await new Promise<void>((resolve) => {
      member.#server.listen(0, '127.0.0.1', resolve)
    })
    t.after(async () => {
      member.#server.close()
      await member.#grpc.close(0)
    })
    return member
  }

  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }
}

async function connect(t: TestContext, options: ClientOptions): Promise<Client> {
  const client = await Client.connect(options)
  t.after(() => client.close())
  return client
}

const key = Buffer.from('foo')

function answerRange(call: UnaryCall, count = 1): void {
  call.respond(KVService.Range.response.encode({ count }))
}

function refuse(call: UnaryCall, reason: ErrorReason): void {
  const { code, text } = errorTable[reason]
  call.fail({ code, message: text })
}

void test('a read is sent again while members are unavailable', async (t) => {
  let calls = 0
  const member = await StubMember.start(t, {
    [KVService.Range.path]: (call) => (++calls < 3 ? refuse(call, 'noLeader') : answerRange(call)),
  })
  const attempts: number[] = []
  const client = await connect(t, {
    endpoints: [member.endpoint],
    onRetry: ({ attempt }) => attempts.push(attempt),
  })
  assert.equal((await client.kv.range({ key })).count, 1)
  assert.deepEqual(attempts, [0, 1])
})

void test('a write that a member has seen is not sent again', async (t) => {
  let calls = 0
  const member = await StubMember.start(t, {
    [KVService.Put.path]: (call) => {
      calls++
      refuse(call, 'timeout')
    },
  })
  const client = await connect(t, { endpoints: [member.endpoint] })
  await assert.rejects(
    client.kv.put({ key }),
    (error) => error instanceof ApiError && error.reason === 'timeout',
  )
  assert.equal(calls, 1)
})

void test("an error that is none of etcd's keeps its status", async (t) => {
  const member = await StubMember.start(t, {
    [KVService.Put.path]: (call) => call.fail({ code: Code.ResourceExhausted, message: 'too much' }),
  })
  const client = await connect(t, { endpoints: [member.endpoint] })
  await assert.rejects(client.kv.put({ key }), (error) => {
    assert(error instanceof RpcError)
    assert.equal(error.code, Code.ResourceExhausted)
    return error.message === 'rpc error: code = ResourceExhausted desc = too much'
  })
})

/** An endpoint where nothing listens. */
async function deadEndpoint(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => {
    server.close(resolve)
  })
  return `127.0.0.1:${port}`
}

void test('calls go to the endpoints that can be reached', async (t) => {
  const member = await StubMember.start(t, { [KVService.Put.path]: (call) => call.respond(new Uint8Array()) })
  const client = await connect(t, { endpoints: [await deadEndpoint(), member.endpoint] })
  await client.kv.put({ key })
})

void test('without a reachable endpoint a call waits until its deadline', async (t) => {
  const texts: string[] = []
  const endpoint = await deadEndpoint()
  const client = await connect(t, { endpoints: [endpoint], onRetry: ({ text }) => texts.push(text) })
  await assert.rejects(
    client.kv.put({ key }, { timeoutMs: 50 }),
    (error) => error instanceof ApiError && error.message === 'context deadline exceeded',
  )
  assert.match(
    texts.join('\n'),
    /^rpc error: code = DeadlineExceeded desc = latest balancer error: .*refused"$/,
  )
})

void test('an abort ends a call that waits for a connection', async (t) => {
  const client = await connect(t, { endpoints: [await deadEndpoint()] })
  const abort = new AbortController()
  const call = client.kv.range({ key }, { signal: abort.signal })
  abort.abort()
  await assert.rejects(call, (error) => error instanceof ApiError && error.reason === 'contextCanceled')
})

void test('closing the client ends a call that waits for a connection', async (t) => {
  const client = await connect(t, { endpoints: [await deadEndpoint()] })
  const call = client.kv.range({ key })
  client.close()
  await assert.rejects(call, /closing/)
})

void test('calls carry the token of the user, and a new one when it has expired', async (t) => {
  let issued = 0
  const seen: (string | undefined)[] = []
  const member = await StubMember.start(t, {
    [AuthService.Authenticate.path]: (call, request) => {
      const { name, password } = AuthService.Authenticate.request.decode(request)
      assert.deepEqual([name, password], ['root', 'pw'])
      call.respond(AuthService.Authenticate.response.encode({ token: `token.${++issued}` }))
    },
    [KVService.Range.path]: (call) => {
      seen.push(call.metadata.get('token'))
      if (issued < 2) refuse(call, 'invalidAuthToken')
      else answerRange(call)
    },
  })
  const credentials = { name: 'root', password: 'pw' }
  const client = await connect(t, { endpoints: [member.endpoint], credentials })
  await client.kv.range({ key })
  assert.deepEqual(seen, ['token.1', 'token.2'])
})

void test('a user is no obstacle where authentication is off', async (t) => {
  const member = await StubMember.start(t, {
    [AuthService.Authenticate.path]: (call) => refuse(call, 'authNotEnabled'),
    [KVService.Range.path]: (call) => answerRange(call),
  })
  const credentials = { name: 'root', password: 'pw' }
  const client = await connect(t, { endpoints: [member.endpoint], credentials })
  await client.kv.range({ key })
})

void test('a wrong password is refused when the client is made', async (t) => {
  const member = await StubMember.start(t, {
    [AuthService.Authenticate.path]: (call) => refuse(call, 'authFailed'),
  })
  const credentials = { name: 'root', password: 'no' }
  await assert.rejects(
    Client.connect({ endpoints: [member.endpoint], credentials }),
    (error) => error instanceof ApiError && error.reason === 'authFailed',
  )
})

void test('maintenance of one member asks its endpoint', async (t) => {
  const answers = (leader: bigint): Record<string, Handler> => ({
    [MaintenanceService.Status.path]: (call) => {
      call.respond(MaintenanceService.Status.response.encode({ leader }))
    },
  })
  const [first, second] = [await StubMember.start(t, answers(1n)), await StubMember.start(t, answers(2n))]
  const client = await connect(t, { endpoints: [first.endpoint] })
  assert.equal((await client.maintenance.status(second.endpoint)).leader, 2n)
  assert.equal((await client.maintenance.status(first.endpoint)).leader, 1n)
})

void test('a client needs an endpoint', async () => {
  await assert.rejects(Client.connect({ endpoints: [] }), { message: 'etcdclient: no available endpoints' })
})
