import assert from 'node:assert/strict'
import { type RequestListener, createServer } from 'node:http'
import { type Server, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import { type Scope, freeAfter, makeTempDir } from '@etcd-ts/testkit'
import { systemPeerHttp } from './system-peer-http.ts'

async function serve(scope: Scope, handle: RequestListener, socketFile?: string): Promise<string> {
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(socketFile ?? 0, resolve))
  freeAfter(scope, () => {
    server.closeAllConnections()
    server.close()
  })
  return urlOf(server)
}

function urlOf(server: Server): string {
  const address = server.address()
  return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : ''
}

const http = systemPeerHttp(undefined)

void test('a request carries method, headers and body, and its answer comes back whole', async (context) => {
  const url = await serve(context, (request, response) => {
    request.setEncoding('utf8')
    let body = ''
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      response.writeHead(418, { 'X-Etcd-Cluster-ID': 'abc' })
      response.end(
        `${request.method} ${request.url} ${String(request.headers['x-asked'])} ${request.headers['content-length']} ${body}`,
      )
    })
  })
  const answer = await http.request({
    url: `${url}/members/hashkv?x=1`,
    headers: { 'X-Asked': 'yes' },
    body: Buffer.from('{}'),
    timeoutMs: 5000,
  })
  assert.equal(answer.status, 418)
  assert.equal(answer.headers['x-etcd-cluster-id'], 'abc')
  assert.equal(answer.body.toString(), 'GET /members/hashkv?x=1 yes 2 {}')

  const post = await http.request({ url: `${url}/members/promote/1`, method: 'POST', timeoutMs: 5000 })
  assert.equal(post.body.toString(), 'POST /members/promote/1 undefined 0 ')
})

void test('a redirect is not followed', async (context) => {
  const url = await serve(context, (_, response) => {
    response.writeHead(302, { Location: 'http://127.0.0.1:1/' })
    response.end()
  })
  assert.equal((await http.request({ url: `${url}/members`, timeoutMs: 5000 })).status, 302)
})

void test('an answer without end fails', async (context) => {
  const url = await serve(context, (_, response) => {
    const more = (): void => {
      while (response.write(Buffer.alloc(1 << 20)));
      response.once('drain', more)
    }
    more()
  })
  await assert.rejects(http.request({ url: `${url}/`, timeoutMs: 10_000 }), /too large/)
})

void test('an answer that breaks off fails', async (context) => {
  const url = await serve(context, (_, response) => {
    response.writeHead(200, { 'Content-Length': 10 })
    response.write('12345', () => response.destroy())
  })
  await assert.rejects(http.request({ url: `${url}/`, timeoutMs: 5000 }), /aborted|hang up/)
})

void test('a server that says nothing, nonsense, or is not there fails', async (context) => {
  const server = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', (data) => {
      if (data.toString().includes('/nonsense')) socket.end('SSH-2.0-OpenSSH\r\n')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  freeAfter(context, () => void server.close())
  const url = urlOf(server)
  await assert.rejects(http.request({ url: `${url}/silence`, timeoutMs: 50 }), /no answer within 50 ms/)
  await assert.rejects(http.request({ url: `${url}/nonsense`, timeoutMs: 5000 }), /Parse Error/)
  await assert.rejects(http.request({ url: 'http://127.0.0.1:1/', timeoutMs: 5000 }), /ECONNREFUSED/)
  await assert.rejects(http.request({ url: 'ftp://127.0.0.1:1/', timeoutMs: 5000 }), /not a URL of a member/)
})

void test('a unix URL is the socket file of that name', async (context) => {
  const file = join(makeTempDir(context, 'unix'), 'a:1')
  await serve(context, (request, response) => response.end(request.headers.host), file)
  const before = process.cwd()
  process.chdir(join(file, '..'))
  try {
    const answer = await http.request({ url: 'unix://a:1/version', timeoutMs: 5000 })
    assert.equal(answer.body.toString(), 'a:1')
  } finally {
    process.chdir(before)
  }
})
