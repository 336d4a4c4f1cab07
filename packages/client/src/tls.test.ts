import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { test, type TestContext } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { GrpcServer } from '@etcd-ts/grpc'
import { Client } from './client.ts'
import type { TlsOptions } from './dial.ts'

const { KVService } = etcdserverpb

function testdata(name: string): Buffer {
  return readFileSync(new URL(`../testdata/${name}`, import.meta.url))
}

/** A member that speaks TLS and asks for a client certificate. */
async function startMember(t: TestContext): Promise<string> {
  const answer = KVService.Range.response.encode({ count: 1 })
  const services = new Map([
    [KVService.Range.path, { kind: 'unary', handle: (call) => call.respond(answer) }],
  ]) satisfies ConstructorParameters<typeof GrpcServer>[0]['services']
  const grpc = new GrpcServer({ services })
  const server = createServer(
    {
      cert: testdata('server.crt'),
      key: testdata('server.key'),
      ca: testdata('server.crt'),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    },
    (socket) => grpc.handle(socket),
  )
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.after(async () => {
    server.close()
    await grpc.close(0)
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

const authorities = testdata('server.crt')
const pair = { certificate: testdata('server.crt'), key: testdata('server.key') }

for (const { name, scheme, tls, reached } of [
  { name: 'https with the right authority', scheme: 'https://', tls: { authorities }, reached: true },
  {
    name: 'https with a client certificate',
    scheme: 'https://',
    tls: { authorities, ...pair },
    reached: true,
  },
  { name: 'no scheme, but an authority', scheme: '', tls: { authorities }, reached: true },
  { name: 'https without verification', scheme: 'https://', tls: { skipVerify: true }, reached: true },
  {
    name: 'https with another authority',
    scheme: 'https://',
    tls: { authorities: testdata('stranger.crt') },
    reached: false,
  },
  {
    name: 'https with another name',
    scheme: 'https://',
    tls: { authorities, serverName: 'example.com' },
    reached: false,
  },
  { name: 'http, whatever the TLS settings', scheme: 'http://', tls: { authorities }, reached: false },
  {
    name: 'no scheme, and TLS only on request',
    scheme: '',
    tls: { authorities, onlyOnRequest: true },
    reached: false,
  },
] satisfies { name: string; scheme: string; tls: TlsOptions; reached: boolean }[]) {
  void test(`${reached ? 'reached' : 'not reached'}: ${name}`, async (t) => {
    const client = await Client.connect({ endpoints: [scheme + (await startMember(t))], tls })
    t.after(() => client.close())
    const call = client.kv.range({ key: Buffer.from('a') }, { timeoutMs: reached ? 5_000 : 150 })
    if (reached) assert.equal((await call).count, 1)
    else await assert.rejects(call, { message: 'context deadline exceeded' })
  })
}
