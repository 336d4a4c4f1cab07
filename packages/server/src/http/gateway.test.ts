import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  createServer,
  request as httpRequest,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { ApiError, etcdserverpb } from '@etcd-ts/api'
import type { CancelReason, Metadata, Method, StreamCall, UnaryCall } from '@etcd-ts/grpc'
import { Gateway } from './gateway.ts'

const { KVService, LeaseService, MaintenanceService, WatchService } = etcdserverpb

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: NodeJS.Dict<string>
  readonly body: string
}

/** What the services of these tests do, for each test to set. */
let put: (call: UnaryCall, request: etcdserverpb.PutRequest) => void
let snapshot: (call: StreamCall) => void
let keepAlive: (call: StreamCall) => void

const services = new Map<string, Method>([
  [
    KVService.Put.path,
    {
      kind: 'unary',
      handle: (call, bytes) => put(call, etcdserverpb.PutRequest.decode(Uint8Array.from(bytes))),
    },
  ],
  [MaintenanceService.Snapshot.path, { kind: 'stream', handle: (call) => snapshot(call) }],
  [LeaseService.LeaseKeepAlive.path, { kind: 'stream', handle: (call) => keepAlive(call) }],
])

const header = { clusterId: 14841639068965178418n, memberId: 10276657743932975437n, revision: 3, raftTerm: 2 }
const headerJson =
  '{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"3","raft_term":"2"}'
const answerPut = (call: UnaryCall): void => call.respond(etcdserverpb.PutResponse.encode({ header }))

let server: Server
let base: string

function listen(gateway: Gateway): Promise<Server> {
  const created = createServer((request, response) => {
    if (gateway.handle(request, response)) return
    response.writeHead(404)
    response.end('not the gateway')
  })
  return new Promise((resolve) => created.listen(0, '127.0.0.1', () => resolve(created)))
}

const urlOf = (of: Server): string => `http://127.0.0.1:${(of.address() as AddressInfo).port}`

before(async () => {
  server = await listen(new Gateway(services, { maxConcurrentCalls: 100, maxRequestMessageBytes: 1000 }))
  base = urlOf(server)
})

after(() => {
  server.closeAllConnections()
  server.close()
})

interface Ask {
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly to?: string
}

async function ask(
  body: string,
  { path = '/v3/kv/put', method = 'POST', headers = {}, to = base }: Ask = {},
): Promise<Answer> {
  const outgoing = httpRequest(to + path, { method, headers })
  outgoing.end(body)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  incoming.setEncoding('utf8')
  let text = ''
  for await (const chunk of incoming) text += String(chunk)
  return {
    status: incoming.statusCode ?? 0,
    headers: incoming.headers,
    trailers: incoming.trailers,
    body: text,
  }
}

void describe('one request, one answer', () => {
  void test('a put', async () => {
    const asked: etcdserverpb.PutRequest[] = []
    put = (call, request) => {
      asked.push(request)
      answerPut(call)
    }
    const answer = await ask('{"key":"Zm9v","value":"YmFy","lease":"-9223372036854775808"}')
    assert.equal(answer.status, 200)
    assert.equal(answer.body, `{"header":${headerJson}}`)
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.headers['grpc-metadata-content-type'], 'application/grpc')
    assert.equal(answer.headers['content-length'], String(answer.body.length))
    assert.deepEqual(
      asked,
      [
        etcdserverpb.PutRequest.create({
          key: Buffer.from('foo'),
          value: Buffer.from('bar'),
          lease: -(2n ** 63n),
        }),
      ].map(plain),
    )
  })

  for (const { name, body } of [
    { name: 'an empty body is the empty message', body: '' },
    { name: 'so are white space', body: ' \n' },
    { name: 'null', body: 'null' },
    { name: 'and an empty object before anything', body: '{} trailing' },
  ]) {
    void test(name, async () => {
      put = (call, request) => {
        assert.deepEqual(request, etcdserverpb.PutRequest.create())
        answerPut(call)
      }
      assert.equal((await ask(body)).status, 200)
    })
  }

  void test('an answer without a field is {}', async () => {
    put = (call) => call.respond(new Uint8Array(0))
    assert.equal((await ask('{}')).body, '{}')
  })

  for (const { name, path } of [
    { name: "etcd 3.3's prefix", path: '/v3beta/kv/put' },
    { name: 'a query is ignored', path: '/v3/kv/put?key=YQ==' },
    { name: 'escapes in the path', path: '/v3/kv/p%75t' },
  ]) {
    void test(name, async () => {
      put = answerPut
      assert.equal((await ask('{}', { path })).status, 200)
    })
  }

  void test('response metadata becomes headers', async () => {
    put = (call) => {
      call.setHeader('x-one', '1')
      call.setHeader('x-one', '2')
      answerPut(call)
    }
    assert.equal((await ask('{}')).headers['grpc-metadata-x-one'], '1, 2')
  })

  void test('trailers are sent to those who accept them', async () => {
    put = (call) => {
      call.setTrailer('x-end', 'yes')
      answerPut(call)
    }
    assert.deepEqual((await ask('{}')).trailers, {})
    const answer = await ask('{}', { headers: { TE: 'trailers' } })
    assert.equal(answer.headers.trailer, 'Grpc-Trailer-X-End')
    assert.deepEqual({ ...answer.trailers }, { 'grpc-trailer-x-end': 'yes' })
  })
})

/** The same with plain arrays in place of views, so that the two sides compare. */
function plain(request: etcdserverpb.PutRequest): etcdserverpb.PutRequest {
  return { ...request, key: Uint8Array.from(request.key), value: Uint8Array.from(request.value) }
}

void describe('errors', () => {
  const text = 'etcdserver: key is not provided'

  void test('have the code twice: as HTTP status and in the body', async () => {
    put = (call) => call.fail(new ApiError('emptyKey'))
    const answer = await ask('{}')
    assert.equal(answer.status, 400)
    assert.equal(answer.body, `{"error":"${text}","code":3,"message":"${text}"}`)
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.headers['grpc-metadata-content-type'], undefined)
    assert.equal(answer.headers.trailer, undefined)
  })

  void test('come with the trailers of a gRPC error to those who accept trailers', async () => {
    put = (call) => call.fail(new ApiError('emptyKey'))
    const answer = await ask('{}', { headers: { TE: 'Trailers' } })
    assert.equal(answer.headers.trailer, 'Grpc-Trailer-Content-Type')
    assert.deepEqual({ ...answer.trailers }, { 'grpc-trailer-content-type': 'application/grpc' })
  })

  for (const [code, status] of [
    [1, 408],
    [2, 500],
    [3, 400],
    [4, 504],
    [5, 404],
    [6, 409],
    [7, 403],
    [8, 429],
    [9, 400],
    [10, 409],
    [11, 400],
    [12, 501],
    [13, 500],
    [14, 503],
    [15, 500],
    [16, 401],
    [99, 500],
  ] as const) {
    void test(`code ${code} is HTTP ${status}`, async () => {
      put = (call) => call.fail({ code, message: '' })
      const answer = await ask('{}')
      assert.equal(answer.status, status)
      assert.equal(answer.body, `{"code":${code}}`)
    })
  }

  void test('of a service that throws are Unknown', async () => {
    put = () => {
      throw new Error('<broken>')
    }
    const answer = await ask('{}')
    assert.equal(
      answer.body,
      String.raw`{"error":"\u003cbroken\u003e","code":2,"message":"\u003cbroken\u003e"}`,
    )
  })

  for (const { body, message } of [
    { body: '{"key":', message: 'unexpected EOF' },
    { body: '{bad}', message: "invalid character 'b' looking for beginning of object key string" },
    { body: '{"key":"?"}', message: 'illegal base64 data at input byte 0' },
    { body: '[]', message: 'json: cannot unmarshal array into Go value of type map[string]json.RawMessage' },
  ]) {
    void test(`${body} is refused`, async () => {
      const answer = await ask(body)
      assert.equal(answer.status, 400)
      assert.deepEqual(JSON.parse(answer.body), { error: message, code: 3, message })
    })
  }

  void test('unknown paths', async () => {
    for (const path of ['/v3/kv/nope', '/v3/', '/v3/kv/put/', '/v3/kv/put:x', '/v3/%ff']) {
      const answer = await ask('{}', { path })
      assert.equal(answer.status, 404)
      assert.equal(answer.body, 'Not Found\n')
      assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
      assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    }
  })

  void test('paths of others are left alone', async () => {
    for (const path of ['/v3', '/v3alpha/kv/put', '//v3/kv/put', '/version']) {
      assert.equal((await ask('', { path, method: 'GET' })).body, 'not the gateway')
    }
  })

  void test('other methods', async () => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await ask('', { method })
      assert.equal(answer.status, 405)
      assert.equal(answer.body, 'Method Not Allowed\n')
    }
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
    put = answerPut
    assert.equal((await ask('{}', { headers: form })).status, 200)
    assert.equal((await ask('{}', { headers: { ...form, 'X-HTTP-Method-Override': 'get' } })).status, 405)
  })

  void test('methods that the member does not have', async () => {
    const range = await ask('{}', { path: '/v3/kv/range' })
    assert.equal(range.status, 501)
    assert.equal(JSON.parse(range.body).error, 'unknown method Range for service etcdserverpb.KV')
    const lock = await ask('{}', { path: '/v3/lock/lock' })
    assert.equal(JSON.parse(lock.body).error, 'unknown service v3lockpb.Lock')
  })

  void test('requests above the limit, as a message and as a body', async () => {
    put = answerPut
    const message = await ask(JSON.stringify({ value: Buffer.alloc(1001 - 3).toString('base64') }))
    assert.equal(message.status, 429)
    assert.equal(JSON.parse(message.body).error, 'grpc: received message larger than max (1001 vs. 1000)')
    assert.equal(
      (await ask(JSON.stringify({ value: Buffer.alloc(1000 - 3).toString('base64') }))).status,
      200,
    )
    const body = await ask(' '.repeat(4001), { headers: { 'Content-Length': '4001' } })
    assert.equal(body.status, 429)
    assert.equal(body.headers.connection, 'close')
    assert.equal(JSON.parse(body.body).error, 'grpc: received message larger than max (4001 vs. 1000)')
  })
})

void describe('metadata', () => {
  let seen: Metadata
  const seePut = (call: UnaryCall): void => {
    seen = call.metadata
    answerPut(call)
  }

  void test('headers of HTTP itself and those with the prefix', async () => {
    put = seePut
    await ask('{}', {
      headers: {
        Authorization: 'secret',
        Accept: 'text/html',
        'Grpc-Metadata-Token': 'abc',
        'grpc-metadata-hasleader': 'true',
        'Grpc-Metadata-Data-Bin': '/w',
        'Grpc-Metadata-Content-Type': 'evil',
        'X-Other': 'dropped',
      },
    })
    const pairs = Object.fromEntries(seen.entries())
    assert.deepEqual(pairs, {
      authorization: 'secret',
      'grpcgateway-authorization': 'secret',
      'grpcgateway-accept': 'text/html',
      token: 'abc',
      hasleader: 'true',
      'data-bin': '/w',
      'x-forwarded-host': base.slice('http://'.length),
      'x-forwarded-for': '127.0.0.1',
    })
    assert.deepEqual(seen.getBinary('data-bin')?.[0], 0xff)
  })

  void test('proxies on the way', async () => {
    put = seePut
    await ask('{}', { headers: { 'X-Forwarded-For': '10.0.0.1', 'X-Forwarded-Host': 'etcd.example' } })
    assert.equal(seen.get('x-forwarded-for'), '10.0.0.1, 127.0.0.1')
    assert.equal(seen.get('x-forwarded-host'), 'etcd.example')
  })

  for (const { name, headers, status, message } of [
    {
      name: 'bytes that are not base64',
      headers: { 'Grpc-Metadata-Foo-Bin': '!!' },
      status: 400,
      message: 'invalid binary header Grpc-Metadata-Foo-Bin: illegal base64 data at input byte 0',
    },
    {
      name: 'bytes with a digit too many',
      headers: { 'Grpc-Metadata-Foo-Bin': 'Y' },
      status: 400,
      message: 'invalid binary header Grpc-Metadata-Foo-Bin: illegal base64 data at input byte 0',
    },
    {
      name: 'a name that gRPC does not have',
      headers: { 'Grpc-Metadata-a!b': '1' },
      status: 500,
      message: 'header key "a!b" contains illegal characters not in [0-9a-z-_.]',
    },
    {
      name: 'a value that gRPC does not have',
      headers: { 'User-Agent': 'caf\u00e9' },
      status: 500,
      message: 'header key "grpcgateway-user-agent" contains value with non-printable ASCII characters',
    },
    {
      name: 'a timeout without a unit',
      headers: { 'Grpc-Timeout': '5' },
      status: 400,
      message: 'invalid grpc-timeout: 5',
    },
    {
      name: 'a timeout with an unknown unit',
      headers: { 'Grpc-Timeout': '1x' },
      status: 400,
      message: 'invalid grpc-timeout: 1x',
    },
  ] as readonly { name: string; headers: Record<string, string>; status: number; message: string }[]) {
    void test(`${name} is refused`, async () => {
      const answer = await ask('{}', { headers })
      assert.equal(answer.status, status)
      assert.equal(JSON.parse(answer.body).error, message)
    })
  }
})

void describe('the end of a call', () => {
  void test('comes at its deadline', async () => {
    let reason: CancelReason | undefined
    put = (call) => {
      assert.ok((call.remainingMs() ?? Infinity) <= 20)
      call.onCancel = (why) => {
        assert.ok(call.ended)
        reason = why
        answerPut(call) // too late, and harmless
      }
    }
    const answer = await ask('{}', { headers: { 'Grpc-Timeout': '20m', TE: 'trailers' } })
    assert.equal(answer.status, 504)
    const message = 'context deadline exceeded'
    assert.deepEqual(JSON.parse(answer.body), { error: message, code: 4, message })
    assert.deepEqual({ ...answer.trailers }, {})
    assert.equal(reason, 'deadline')
  })

  void test('comes before it begins when its deadline has passed by then', async () => {
    put = () => assert.fail('the service has the call')
    snapshot = () => assert.fail('the service has the call')
    for (const path of ['/v3/kv/put', '/v3/maintenance/snapshot']) {
      const answer = await ask('{}', { path, headers: { 'Grpc-Timeout': '-1S' } })
      assert.equal(answer.status, 504)
      assert.equal(JSON.parse(answer.body).code, 4)
    }
  })

  void test('a timeout of 0 is none', async () => {
    put = (call) => {
      assert.equal(call.remainingMs(), undefined)
      answerPut(call)
    }
    assert.equal((await ask('{}', { headers: { 'Grpc-Timeout': '0S' } })).status, 200)
  })

  void test('comes when the client goes', async () => {
    const gone = new Promise<CancelReason>((resolve) => {
      put = (call) => {
        call.onCancel = resolve
        outgoing.destroy()
      }
    })
    const outgoing = httpRequest(`${base}/v3/kv/put`, { method: 'POST' })
    outgoing.on('error', () => undefined) // of the destroyed socket
    outgoing.end('{}')
    assert.equal(await gone, 'disconnected')
  })
})

void describe('a stream of answers', () => {
  const path = '/v3/maintenance/snapshot'
  const blob = (text: string) =>
    etcdserverpb.SnapshotResponse.encode({ blob: Buffer.from(text), remainingBytes: 5 })

  void test('is a line for each', async () => {
    let asked = 0
    snapshot = (call) => {
      call.onMessage = () => asked++
      call.onHalfClose = () => {
        call.write(blob('foo'))
        call.write(blob('bar'))
        call.end()
      }
    }
    const answer = await ask('{}', { path })
    assert.equal(answer.status, 200)
    assert.equal(asked, 1)
    assert.equal(
      answer.body,
      '{"result":{"remaining_bytes":"5","blob":"Zm9v"}}\n{"result":{"remaining_bytes":"5","blob":"YmFy"}}\n',
    )
    assert.equal(answer.headers['transfer-encoding'], 'chunked')
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.headers['grpc-metadata-content-type'], 'application/grpc')
  })

  void test('that fails has the error as its last piece', async () => {
    snapshot = (call) => {
      call.write(blob('foo'))
      call.end(new ApiError('noLeader'))
    }
    const answer = await ask('{}', { path })
    assert.equal(answer.status, 200)
    assert.equal(
      answer.body,
      '{"result":{"remaining_bytes":"5","blob":"Zm9v"}}\n' +
        '{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}}',
    )
  })

  void test('that fails at once has the status of its error', async () => {
    snapshot = (call) => call.end(new ApiError('permissionDenied'))
    const answer = await ask('{}', { path })
    assert.equal(answer.status, 403)
    assert.equal(
      answer.body,
      '{"error":{"grpc_code":7,"http_code":403,"message":"etcdserver: permission denied","http_status":"Forbidden"}}',
    )
  })

  void test('of a request that is not JSON is an error like any other', async () => {
    const answer = await ask('{', { path })
    assert.equal(answer.status, 400)
    assert.equal(answer.body, '{"error":"unexpected EOF","code":3,"message":"unexpected EOF"}')
  })

  void test('waits for a client that does not read', async () => {
    const total = 2000
    snapshot = (call) => {
      let sent = 0
      const large = blob('x'.repeat(10_000))
      const send = (): void => {
        while (sent < total) {
          sent++
          if (!call.write(large)) {
            assert.ok(call.bufferedBytes > 0)
            return
          }
        }
        call.end()
      }
      call.onDrain = send
      send()
    }
    const answer = await ask('{}', { path })
    assert.equal(answer.body.split('\n').length, total + 1)
  })
})

void describe('a stream of requests', () => {
  const path = '/v3/lease/keepalive'
  const answerAll = (call: StreamCall): void => {
    call.onMessage = (bytes) => {
      const { ID } = etcdserverpb.LeaseKeepAliveRequest.decode(bytes)
      call.write(etcdserverpb.LeaseKeepAliveResponse.encode({ ID, TTL: 5n }))
    }
    call.onHalfClose = () => call.end()
  }
  const line = (id: number) => `{"result":{"ID":"${id}","TTL":"5"}}\n`

  void test('is answered one by one', async () => {
    keepAlive = answerAll
    const answer = await ask('{"ID":1}{"ID":"2"}\n\n {"ID":3}', { path })
    assert.equal(answer.status, 200)
    assert.equal(answer.body, line(1) + line(2) + line(3))
  })

  void test('may be empty', async () => {
    keepAlive = answerAll
    const answer = await ask('', { path })
    assert.equal(answer.status, 200)
    assert.equal(answer.body, '')
    assert.equal(answer.headers['grpc-metadata-content-type'], undefined)
  })

  void test('ends at the first value that is no request', async () => {
    keepAlive = answerAll
    assert.equal((await ask('{"ID":1} {"ID":x} {"ID":3}', { path })).body, line(1))
    assert.equal((await ask('{"ID":1} {"ID"', { path })).body, line(1))
  })

  void test('that begins with such a value is refused', async () => {
    for (const [body, message] of [
      ['{"ID":x}', "invalid character 'x' looking for beginning of value"],
      ['[]', 'json: cannot unmarshal array into Go value of type map[string]json.RawMessage'],
      ['{"ID"', 'unexpected EOF'],
      ['7', 'json: cannot unmarshal number into Go value of type map[string]json.RawMessage'],
    ]) {
      const answer = await ask(body!, { path })
      assert.equal(answer.status, 500)
      assert.deepEqual(JSON.parse(answer.body), { error: message, code: 2, message })
    }
  })

  void test('is answered while it goes on, in whatever pieces it comes', async () => {
    keepAlive = answerAll
    const outgoing = httpRequest(base + path, { method: 'POST' })
    const text = '{"ID":"1"}{"ID":"2"}'
    for (const character of text.slice(0, 12)) outgoing.write(character)
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    incoming.setEncoding('utf8')
    assert.equal((await once(incoming, 'data'))[0], line(1))
    for (const character of text.slice(12)) outgoing.write(character)
    assert.equal((await once(incoming, 'data'))[0], line(2))
    outgoing.end()
    await once(incoming, 'end')
  })

  void test('waits for a service that pauses it', async () => {
    const ids: bigint[] = []
    keepAlive = (call) => {
      call.onMessage = (bytes) => {
        ids.push(etcdserverpb.LeaseKeepAliveRequest.decode(bytes).ID)
        call.pause(true)
        setImmediate(() => call.pause(false))
      }
      call.onHalfClose = () => call.end()
    }
    await ask('{"ID":1}{"ID":2}{"ID":3}', { path })
    assert.deepEqual(ids, [1n, 2n, 3n])
  })

  void test('has a limit for each message and for each text', async () => {
    keepAlive = answerAll
    const large = JSON.stringify({ create_request: { key: Buffer.alloc(1001).toString('base64') } })
    services.set(WatchService.Watch.path, { kind: 'stream', handle: () => undefined })
    const watch = await ask(large, { path: '/v3/watch' })
    services.delete(WatchService.Watch.path)
    assert.equal(watch.status, 429)
    assert.match(watch.body, /grpc_code":8.*larger than max \(1007 vs. 1000\)/)
    const endless = await ask(`{"ID":"${'1'.repeat(5000)}`, { path })
    assert.equal(endless.status, 429)
  })
})

void test('calls above the limit wait their turn', async () => {
  const limited = await listen(new Gateway(services, { maxConcurrentCalls: 1 }))
  try {
    const calls: UnaryCall[] = []
    let onCall: (() => void) | undefined
    put = (call) => {
      calls.push(call)
      onCall?.()
    }
    const nextCall = () => new Promise<void>((resolve) => (onCall = resolve))
    const to = urlOf(limited)
    let arrived = nextCall()
    const first = ask('{}', { to })
    await arrived
    const expired = await ask('{}', { to, headers: { 'Grpc-Timeout': '10m' } })
    assert.equal(expired.status, 504)
    const second = ask('{}', { to })
    assert.equal(calls.length, 1)
    arrived = nextCall()
    answerPut(calls[0]!)
    assert.equal((await first).status, 200)
    await arrived
    assert.equal(calls.length, 2)
    answerPut(calls[1]!)
    assert.equal((await second).status, 200)
  } finally {
    limited.closeAllConnections()
    limited.close()
  }
})
