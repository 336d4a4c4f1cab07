import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { after, before, describe, test } from 'node:test'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { etcdserverpb } from '@etcd-ts/api'
import { GrpcClient } from '@etcd-ts/grpc'
import { ManualScope, ServerProcess, reservePort } from '@etcd-ts/testkit'

const file = (name: string): string =>
  fileURLToPath(new URL(`../../packages/server/testdata/${name}`, import.meta.url))
const ca = readFileSync(file('localhost.crt'))

void describe('one address for http and https', () => {
  const scope = new ManualScope()
  let port: number

  after(() => scope.end())
  before(async () => {
    port = await reservePort(scope)
    const plain = `http://127.0.0.1:${port}`
    await ServerProcess.start(scope, {
      flags: [
        `--listen-client-urls=${plain},https://127.0.0.1:${port}`,
        `--advertise-client-urls=${plain}`,
        `--cert-file=${file('localhost.crt')}`,
        `--key-file=${file('localhost.key')}`,
      ],
    })
  })

  void test('gRPC over TLS', async () => {
    const client = new GrpcClient({
      authority: `127.0.0.1:${port}`,
      connect: () => connect({ host: '127.0.0.1', port, ca, ALPNProtocols: ['h2'] }),
    })
    const put = etcdserverpb.PutRequest.encode({ key: Buffer.from('a'), value: Buffer.from('b') })
    const answer = await client.unary('/etcdserverpb.KV/Put', put)
    assert.equal(etcdserverpb.PutResponse.decode(answer).header?.revision, 2)
    client.close()
  })

  void test('a client that offers both protocols over TLS gets HTTP/1.1, as curl needs it', async () => {
    const protocol = await new Promise<unknown>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, ca, ALPNProtocols: ['h2', 'http/1.1'] }, () => {
        resolve(socket.alpnProtocol)
        socket.destroy()
      })
      socket.once('error', reject)
    })
    assert.equal(protocol, 'http/1.1')
  })

  void test('JSON over TLS and over plain HTTP', async () => {
    const secure = await new Promise<string>((resolve, reject) => {
      const call = httpsRequest({ host: '127.0.0.1', port, path: '/version', ca }, (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString()))
        response.on('end', () => resolve(body))
      })
      call.once('error', reject)
      call.end()
    })
    const plain = await (await fetch(`http://127.0.0.1:${port}/version`)).text()
    assert.equal(secure, plain)
    assert.match(plain, /"etcdserver":"3\.5\.33"/)
  })
})
