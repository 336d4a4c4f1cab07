import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type ServiceMethod, etcdserverpb, formatJson, gatewayMethods, services } from '@etcd-ts/api'
import {
  type GrpcClient,
  GrpcError,
  GrpcKvClient,
  HttpClient,
  ManualScope,
  SeededRandom,
  ServerProcess,
  freeAfter,
  show,
} from '@etcd-ts/testkit'
import { mutateBytes, mutateJson, nestedTxn, randomMessage } from './fuzz-corpus.ts'
import { count } from './settings.ts'

// The catalogue's D-57. ETCD_TS_FUZZ: requests of each kind. ETCD_TS_SEED: of the requests.
const requests = count('ETCD_TS_FUZZ', { ci: 20_000, local: 2_000 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const IN_FLIGHT = 32

/** Calls that may wait for somebody else, or stream without end: they are given up after a moment. */
const WAITING = ['/v3lockpb.Lock/Lock', '/v3electionpb.Election/Campaign']
const WAIT_MS = 200
const isStreaming = (method: ServiceMethod): boolean => method.clientStreaming || method.serverStreaming

void describe('damaged requests', () => {
  const scope = new ManualScope()
  let server: ServerProcess
  let kv: GrpcKvClient
  let grpc: GrpcClient
  let http: HttpClient

  after(() => scope.end())
  before(async () => {
    server = await ServerProcess.start(scope)
    kv = new GrpcKvClient(server.endpoint)
    grpc = kv.grpc
    http = new HttpClient(server.clientUrl)
    freeAfter(scope, () => {
      kv.close()
      http.close()
    })
  })

  /** Runs `one` for every number below `total`, some at a time. */
  async function inParallel(total: number, one: (i: number) => Promise<void>): Promise<void> {
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < total) {
        const i = next++
        await one(i)
        // An alarm that a request raised would make the others meet one error only.
        if (i % 500 === 499) await disarm()
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
  }

  async function disarm(): Promise<void> {
    const { alarms } = await grpc.call(etcdserverpb.MaintenanceService.Alarm, {})
    for (const alarm of alarms) {
      await grpc.call(etcdserverpb.MaintenanceService.Alarm, {
        ...alarm,
        action: etcdserverpb.AlarmAction.DEACTIVATE,
      })
    }
  }

  /** The server still does what it should, and what it holds is the same after a restart. */
  async function checkHealth(): Promise<void> {
    assert.ok(server.running)
    await disarm()
    const key = 'after the storm'
    for (const value of ['1', '2']) {
      const { answer } = await kv.call({ kind: 'put', key, value })
      assert.equal(answer.kind, 'put', show(answer))
    }
    const { answer } = await kv.call({ kind: 'range', key })
    assert.ok(answer.kind === 'range' && answer.kvs[0]?.value === '2', show(answer))
    const state = async (): Promise<unknown> => {
      const { header, hash, compactRevision } = await grpc.call(etcdserverpb.MaintenanceService.HashKV, {})
      return { revision: header?.revision, hash, compactRevision }
    }
    const before = await state()
    await server.kill()
    await server.start()
    await Promise.all([kv.grpc.connected(), grpc.connected()])
    assert.deepEqual(await state(), before, 'after a restart')
  }

  void test(`${requests} damaged gRPC requests over all methods: each gets a status`, async (t) => {
    const random = new SeededRandom(seed)
    const methods = Object.values(services).flatMap((service) => Object.values(service))
    const codes = new Map<number, number>()
    await inParallel(requests, async (i) => {
      const method = methods[i % methods.length] as ServiceMethod
      const message = method.request.encode(randomMessage(random, method.request))
      const bytes = random.chance(0.1) ? message : mutateBytes(random, message)
      const code = await statusOf(method, bytes)
      codes.set(code, (codes.get(code) ?? 0) + 1)
      // 14 is what the client says when the connection went away.
      assert.ok(
        code >= 0 && code <= 16 && code !== 14,
        `${method.path} ${Buffer.from(bytes).toString('hex')}: ${code}`,
      )
    })
    t.diagnostic(`seed ${seed}, statuses: ${[...codes].toSorted((a, b) => a[0] - b[0]).join('; ')}`)
    await checkHealth()
  })

  async function statusOf(method: ServiceMethod, bytes: Uint8Array): Promise<number> {
    if (isStreaming(method)) return (await grpc.stream(method.path, bytes, WAIT_MS)).code
    try {
      await grpc.bytes(method.path, bytes, WAITING.includes(method.path) ? { timeoutMs: WAIT_MS } : {})
      return 0
    } catch (error) {
      if (error instanceof GrpcError) return error.code
      throw error
    }
  }

  void test(`${requests} damaged JSON requests over all paths: each gets an HTTP status`, async (t) => {
    const random = new SeededRandom(seed + 1)
    const methods = [...gatewayMethods]
    const statuses = new Map<number, number>()
    await inParallel(requests, async (i) => {
      const [path, method] = methods[i % methods.length] as [string, ServiceMethod]
      const message = method.request.decode(method.request.encode(randomMessage(random, method.request)))
      const text = formatJson(method.request.toJson(message))
      const body = random.chance(0.1) ? text : mutateJson(random, text)
      const status = await httpStatusOf(path, method, body)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      assert.ok([0, 200, 400, 404, 408, 409, 412, 413, 429, 499, 500, 501, 503, 504].includes(status), `${path} ${body}: ${status}`) // prettier-ignore
    })
    t.diagnostic(`seed ${seed}, statuses: ${[...statuses].toSorted((a, b) => a[0] - b[0]).join('; ')}`)
    await checkHealth()
  })

  /** The status of an answer, whose body must be JSON when it says so; 0 when it was given up waiting for. */
  async function httpStatusOf(path: string, method: ServiceMethod, body: string): Promise<number> {
    const mayWait = isStreaming(method) || WAITING.includes(method.path)
    const signal = mayWait ? AbortSignal.timeout(WAIT_MS) : undefined
    try {
      const answer = await http.send('POST', path, body, {}, signal)
      if (!mayWait && answer.headers['content-type']?.includes('json')) JSON.parse(answer.body)
      return answer.status
    } catch (error) {
      if (signal?.aborted) return 0
      throw new Error(`${path} ${body}`, { cause: error })
    }
  }

  void test('txns nested deeper than any client nests them are refused or run, and do not end the process', async () => {
    for (const depth of [24, 99, 100, 101, 128, 1000, 10_000]) {
      const code = await statusOf(etcdserverpb.KVService.Txn, nestedTxn(depth))
      assert.ok([0, 3, 13].includes(code), `depth ${depth}: ${code}`)
    }
    for (const depth of [24, 1000, 50_000]) {
      const body = `{"success":[{"request_txn":`.repeat(depth) + '{}' + '}]}'.repeat(depth)
      const { status } = await http.post('/v3/kv/txn', body)
      assert.ok([200, 400].includes(status), `depth ${depth}: ${status}`)
    }
    await checkHealth()
  })

  void test('64-bit numbers keep every digit, in both encodings', async () => {
    const { header } = await grpc.call(etcdserverpb.MaintenanceService.Status, {})
    const status = await http.post('/v3/maintenance/status', '{}')
    assert.ok(status.body.includes(`"member_id":"${header?.memberId}"`), status.body)
    assert.ok(status.body.includes(`"cluster_id":"${header?.clusterId}"`), status.body)
    const members = await http.post('/v3/cluster/member/list', '{}')
    assert.ok(members.body.includes(`"ID":"${header?.memberId}"`), members.body)

    await kv.call({ kind: 'put', key: 'digits', value: 'v' })
    for (const number of [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n]) {
      const { answer } = await kv.call({ kind: 'range', key: 'digits', revision: number })
      assert.ok(answer.kind === 'error' && answer.code === 11, show(answer))
      for (const literal of [`${number}`, `"${number}"`]) {
        const { status, body } = await http.post('/v3/kv/range', `{"key":"ZGlnaXRz","revision":${literal}}`)
        assert.equal(status, 400, body)
        assert.match(body, /required revision is a future revision/)
      }
    }
    // As doubles, these two would be the same number.
    for (const [operand, equal] of [
      [2n ** 53n, false],
      [0n, true],
    ] as const) {
      const compare = [{ key: 'digits', target: 4, result: 0, number: operand }]
      const { answer } = await kv.call({ kind: 'txn', compare, success: [], failure: [] })
      assert.ok(answer.kind === 'txn' && answer.succeeded === equal, show(answer))
    }
    for (const tooLarge of ['9223372036854775808', '"9223372036854775808"', '1e19', '-9223372036854775809']) {
      const { status } = await http.post('/v3/kv/range', `{"key":"ZGlnaXRz","revision":${tooLarge}}`)
      assert.equal(status, 400, tooLarge)
    }
  })

  void test('names that mean something to JavaScript are names like others', async () => {
    const body =
      '{"key":"cHJvdG8=","value":"dg==","__proto__":{"prev_kv":true},"constructor":{"prototype":{"lease":"7"}},"toString":1}'
    const { status, body: answer } = await http.post('/v3/kv/put', body)
    assert.equal(status, 200, answer)
    const { answer: stored } = await kv.call({ kind: 'range', key: 'proto' })
    assert.ok(stored.kind === 'range' && stored.kvs[0]?.lease === 0n, show(stored))
    await checkHealth()
  })
})
