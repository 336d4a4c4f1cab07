import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import test, { after, before } from 'node:test'
import tls from 'node:tls'
import { GrpcClient } from './client.ts'
import { FrameType, PREFACE } from './frames.ts'
import { Code } from './status.ts'
import { GrpcServer } from './server.ts'
import { sniff } from './sniff.ts'
import { testCertificate, testKey } from './testing/certificate.ts'
import { frame, listen } from './testing/raw-peer.ts'
import { testServices } from './testing/test-server.ts'

/** What a member does: gRPC and HTTP/1.1, plain and with TLS, all on one port. */
const grpc = new GrpcServer({ services: testServices })
const web = http.createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (chunk: Buffer) => parts.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(parts)
    response.end(`${request.method} ${request.url} ${body.length} ${body.toString('latin1').slice(-5)}`)
  })
})
const secure = tls.createServer({ key: testKey, cert: testCertificate, ALPNProtocols: ['h2', 'http/1.1'] })
secure.on('secureConnection', (socket) => {
  if (socket.alpnProtocol === 'h2') grpc.handle(socket)
  else web.emit('connection', socket)
})
secure.on('tlsClientError', () => undefined)
const listener = net.createServer({ allowHalfOpen: true }, (socket) =>
  sniff(socket, {
    onHttp2: (s) => grpc.handle(s),
    onHttp1: (s) => web.emit('connection', s),
    onTls: (s) => secure.emit('connection', s),
    timeoutMs: 10_000,
  }),
)
let port = 0

before(async () => {
  port = await listen(listener)
})

after(async () => {
  listener.close()
  web.closeAllConnections()
  await grpc.close(0)
})

function connect(): net.Socket {
  return net.connect(port, '127.0.0.1')
}

function connectTls(...protocols: string[]): tls.TLSSocket {
  return tls.connect({ port, host: '127.0.0.1', ALPNProtocols: protocols, rejectUnauthorized: false })
}

function unexpected(): void {
  assert.fail('nothing was to be recognised')
}

async function everything(socket: net.Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

for (const { name, make, body } of [
  { name: 'plain', make: connect, body: 10 },
  { name: 'plain', make: connect, body: 1_500_000 },
  { name: 'TLS', make: () => connectTls('h2'), body: 10 },
  { name: 'TLS', make: () => connectTls('h2'), body: 1_500_000 },
])
  void test(`gRPC over ${name} carries ${body} bytes both ways`, async () => {
    const client = new GrpcClient({ connect: make, authority: 'localhost' })
    const request = Buffer.alloc(body, 'etcd')
    assert.deepEqual(Buffer.from(await client.unary('/test.Test/Echo', request)), request)
    client.close()
  })

for (const { name, make } of [
  { name: 'plain', make: connect },
  { name: 'TLS', make: () => connectTls('http/1.1') },
  { name: 'TLS without ALPN', make: () => connectTls() },
])
  void test(`HTTP/1.1 over ${name} goes to the web server, pipelined requests and large bodies whole`, async () => {
    const socket = make()
    const body = `${'x'.repeat(300_000)}-end-`
    socket.write('GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n')
    socket.end(
      `POST /three HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    const text = await everything(socket)
    assert.match(text, /GET \/one 0 [^]*GET \/two 0 [^]*POST \/three 300005 -end-/)
  })

void test('a preface that trickles in is known at its end', async () => {
  const socket = connect()
  socket.setNoDelay(true)
  const answer = once(socket, 'data')
  const opening = Buffer.concat([PREFACE, frame(FrameType.Settings, 0, 0)])
  for (const byte of opening) await new Promise((resolve) => socket.write(Buffer.of(byte), resolve))
  const [first] = (await answer) as [Buffer]
  assert.equal(first[3], FrameType.Settings)
  socket.destroy()
})

void test('a request that begins like the preface is HTTP/1.1 all the same', async () => {
  const socket = connect()
  socket.end('PRI /x HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(await everything(socket), /^HTTP\/1.1 400/)
})

for (const { name, bytes } of [
  { name: 'nothing', bytes: '' },
  { name: 'half a preface', bytes: 'PRI * HT' },
])
  void test(`a client that sends ${name} is disconnected in time`, async () => {
    const impatient = net.createServer((socket) => {
      sniff(socket, { onHttp2: unexpected, onHttp1: unexpected, timeoutMs: 20 })
    })
    const socket = net.connect(await listen(impatient), '127.0.0.1')
    socket.on('error', () => undefined)
    socket.resume()
    socket.write(bytes)
    await once(socket, 'close')
    impatient.close()
  })

void test('a client that leaves before it has said anything is forgotten', async () => {
  const socket = connect()
  socket.end('PRI')
  socket.resume()
  await once(socket, 'close')
})

void test('our client refuses a TLS server that does not choose HTTP/2', async () => {
  const plain = tls.createServer({ key: testKey, cert: testCertificate }, (socket) =>
    socket.on('error', () => undefined),
  )
  const tlsPort = await listen(plain)
  const client = new GrpcClient({
    connect: () =>
      tls.connect({ port: tlsPort, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false }),
    authority: 'localhost',
  })
  await assert.rejects(client.unary('/test.Test/Echo', Buffer.of()), {
    code: Code.Unavailable,
    message:
      'connection error: desc = "transport: authentication handshake failed: credentials: cannot check peer: missing selected ALPN property"',
  })
  client.close()
  plain.close()
})

void test('our client refuses a certificate that it does not trust', async () => {
  const client = new GrpcClient({
    connect: () => tls.connect({ port, host: '127.0.0.1', ALPNProtocols: ['h2'] }),
    authority: 'localhost',
  })
  await assert.rejects(client.unary('/test.Test/Echo', Buffer.of()), {
    code: Code.Unavailable,
    message:
      /^connection error: desc = "transport: authentication handshake failed: tls: failed to verify certificate: x509: /,
  })
  client.close()
})
