import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type RequestListener, createServer } from 'node:http'
import { type TestContext, test } from 'node:test'
import type { Clock, Timer } from '@etcd-ts/platform'
import { FastClock } from '../testing/fast-clock.ts'
import { answering, serve } from '../testing/http-servers.ts'
import { LogLines } from '../testing/log-lines.ts'
import { joinByV2Token } from './v2-discovery.ts'

/** As much of a v2 store as discovery uses: keys below folders, `prevExist=false`, and waiting. */
class V2Store {
  readonly #keys = new Map<string, { value: string; createdIndex: number }>()
  #waiting: (() => void)[] = []
  /** How many requests wait for a change. */
  get waiting(): number {
    return this.#waiting.length
  }

  set(key: string, value: string): void {
    this.#keys.set(key, { value, createdIndex: this.#keys.size + 1 })
    for (const wake of this.#waiting.splice(0)) wake()
  }

  readonly handle: RequestListener = (request, response) => {
    const { pathname: key, searchParams } = new URL(request.url ?? '', 'http://store')
    const send = (status: number, body: object): void => {
      response.writeHead(status, { 'X-Etcd-Index': String(this.#keys.size) }).end(JSON.stringify(body))
    }
    if (request.method === 'PUT') {
      let form = ''
      request.setEncoding('utf8')
      request.on('data', (chunk: string) => (form += chunk))
      request.on('end', () => {
        if (this.#keys.has(key) && searchParams.get('prevExist') === 'false') {
          send(412, { errorCode: 105, message: 'Key already exists', cause: key, index: this.#keys.size })
          return
        }
        this.set(key, new URLSearchParams(form).get('value') ?? '')
        send(201, { action: 'create', node: this.#node(key) })
      })
      return
    }
    if (searchParams.get('wait') !== 'true') {
      const node = this.#node(key)
      if (node === undefined) send(404, { errorCode: 100, message: 'Key not found', cause: key, index: 7 })
      else send(200, { action: 'get', node })
      return
    }
    const answer = (): void => send(200, { action: 'set', node: { key, value: '' } })
    if (Number(searchParams.get('waitIndex')) <= this.#keys.size) answer()
    else this.#waiting.push(answer)
  }

  #node(key: string): object | undefined {
    const found = this.#keys.get(key)
    if (found !== undefined) return { key, ...found }
    const below = [...this.#keys.keys()].filter((other) => other.startsWith(`${key}/`))
    if (below.length === 0) return undefined
    const children = new Set(below.map((other) => `${key}/${other.slice(key.length + 1).split('/')[0]}`))
    return { key, dir: true, nodes: [...children].map((child) => this.#node(child)) }
  }
}

interface Options {
  readonly self?: string
  readonly logger?: LogLines
  readonly clock?: Clock
  readonly httpProxy?: string
}

function join(url: string, memberId: bigint, options: Options = {}): Promise<string> {
  const { self = `m${memberId}=http://127.0.0.1:${memberId}`, logger = new LogLines() } = options
  const { clock = new FastClock(), httpProxy = '' } = options
  return joinByV2Token({ url, httpProxy, memberId, self, clock, logger })
}

async function storeFor(context: TestContext, size: string): Promise<{ store: V2Store; url: string }> {
  const store = new V2Store()
  store.set('/v2/keys/token/_config/size', size)
  return { store, url: `${await serve(context, store.handle)}/v2/keys/token` }
}

void test('three members find each other, oldest first, and the log tells of them', async (context) => {
  const { url } = await storeFor(context, '3')
  const logger = new LogLines()
  const first = join(url, 0xabcn, { logger })
  while (logger.count('found peers from discovery server; waiting for more') === 0) await turn()
  const second = join(url, 2n, { self: 'm2=http://127.0.0.1:2,m2=http://127.0.0.1:22' })
  while (logger.count('found peers from discovery server; waiting for more') === 1) await turn()
  const third = join(`${url}/`, 3n)
  const cluster =
    'm2748=http://127.0.0.1:2748,m2=http://127.0.0.1:2,m2=http://127.0.0.1:22,m3=http://127.0.0.1:3'
  assert.deepEqual(await Promise.all([first, second, third]), [cluster, cluster, cluster])
  assert.deepEqual(
    logger.lines.map(({ message, fields }) => {
      const { self = '', peer = '', 'needed-peers': needed = '' } = fields as Record<string, string>
      return `${message} ${self}${peer}${needed}`
    }),
    [
      'found self from discovery server abc',
      'found peers from discovery server; waiting for more 2',
      'found peer from discovery server 2',
      'found peers from discovery server; waiting for more 1',
      'found peer from discovery server 3',
      'found all needed peers from discovery server ',
    ],
  )
  await assert.rejects(join(url, 4n), { message: 'discovery: cluster is full' })
  await assert.rejects(join(url, 3n), { message: 'discovery: found duplicate id' })
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

void test('two members of one name make no cluster', async (context) => {
  const { url } = await storeFor(context, '2')
  const first = join(url, 1n, { self: 'same=http://127.0.0.1:1' })
  const second = join(url, 2n, { self: 'same=http://127.0.0.1:2' })
  await assert.rejects(first, { message: 'discovery: found duplicate name' })
  await assert.rejects(second, { message: 'discovery: found duplicate name' })
})

void test('a member that registered nonsense makes no cluster', async (context) => {
  const { store, url } = await storeFor(context, '2')
  store.set('/v2/keys/token/9', 'nonsense')
  await assert.rejects(join(url, 1n), { message: 'discovery: invalid URL' })
})

for (const { size, error } of [
  { size: 'x', error: 'discovery: size key is bad' },
  { size: '-1', error: 'discovery: size key is bad' },
  { size: '0', error: 'discovery: size key is bad' },
  { size: '99999999999999999999', error: 'discovery: size key is bad' },
]) {
  void test(`refused: the size ${size}`, async (context) => {
    const { url } = await storeFor(context, size)
    await assert.rejects(join(url, 1n), { message: error })
  })
}

void test('refused: a token that the service does not know', async (context) => {
  const { url } = await storeFor(context, '3')
  await assert.rejects(join(`${url}2`, 1n), {
    message: '100: Key not found (/v2/keys/token2/_config/size) [7]',
  })
})

for (const { name, handle } of [
  { name: 'a page', handle: answering({ '/token/_config/size': '<html>' }) },
  { name: 'other JSON', handle: answering({ '/token/_config/size': '[1]' }) },
  { name: 'no node', handle: answering({ '/token/_config/size': '{}' }) },
  {
    name: 'an error of another kind',
    handle: answering({
      '/token/_config/size': (_, response) => response.writeHead(404).end('{"error":"x"}'),
    }),
  },
]) {
  void test(`refused: a service that answers with ${name}`, async (context) => {
    const url = await serve(context, handle)
    await assert.rejects(join(`${url}/token`, 1n), { message: 'discovery: bad discovery endpoint' })
  })
}

for (const { url, error } of [
  { url: 'nonsense', error: 'parse "nonsense": not a URL of a discovery service' },
  { url: 'ftp://host/token', error: 'parse "ftp://host/token": not a URL of a discovery service' },
]) {
  void test(`refused: the URL ${url}`, () => assert.rejects(join(url, 1n), { message: error }))
}

void test('a service that is down is asked again, less and less often', async (context) => {
  const { store, url } = await storeFor(context, '1')
  let failures = 10
  const flaky = await serve(context, (request, response) => {
    if (failures-- > 0) response.writeHead(503).end('not now')
    else store.handle(request, response)
  })
  const clock = new FastClock()
  const logger = new LogLines()
  assert.equal(await join(flaky + new URL(url).pathname, 1n, { clock, logger }), 'm1=http://127.0.0.1:1')
  assert.deepEqual(
    clock.slept,
    [2, 4, 8, 16, 32, 64, 128, 256, 256, 256].map((seconds) => seconds * 1_000),
  )
  const line = logger.lines.find(({ message }) => message === 'retry connecting to discovery service')
  assert.deepEqual(line?.fields, { url: flaky, reason: 'cluster status check', backoff: '2s' })
})

void test('a watch that the service ends is begun again', async (context) => {
  const { store, url } = await storeFor(context, '2')
  let cut = 0
  const impatient = await serve(context, (request, response) => {
    if (request.url?.includes('wait=true') !== true) store.handle(request, response)
    else if (cut++ === 0) response.writeHead(200, { 'X-Etcd-Index': '1' }).end()
    else if (cut === 2) {
      response.writeHead(400).end('{"errorCode":401,"message":"The event is outdated","cause":"","index":9}')
    } else {
      store.set('/v2/keys/token/2', 'm2=http://127.0.0.1:2')
      store.handle(request, response)
    }
  })
  assert.equal(
    await join(impatient + new URL(url).pathname, 1n),
    'm1=http://127.0.0.1:1,m2=http://127.0.0.1:2',
  )
})

void test('redirects are followed, but not without end', async (context) => {
  const { url } = await storeFor(context, '1')
  const redirecting = await serve(context, (request, response) => {
    const location = new URL(url).origin + (request.url ?? '')
    response.writeHead(307, { Location: location }).end()
  })
  assert.equal(await join(redirecting + new URL(url).pathname, 1n), 'm1=http://127.0.0.1:1')

  let asked = 0
  const logger = new LogLines()
  const circle = await serve(context, (request, response) => {
    asked++
    if (asked > 11) response.end('<html>')
    else response.writeHead(302, { Location: request.url ?? '' }).end()
  })
  await assert.rejects(join(`${circle}/token`, 2n, { logger }), {
    message: 'discovery: bad discovery endpoint',
  })
  assert.match(String(logger.lines[0]?.fields['error']), /too many redirects$/)
})

void test('a proxy is asked for the whole URL', async (context) => {
  const { url, store } = await storeFor(context, '1')
  const asked: string[] = []
  const proxy = await serve(context, (request, response) => {
    asked.push(`${request.headers['proxy-authorization']} ${request.url?.split('?', 1)[0]}`)
    request.url = new URL(request.url ?? '').pathname + new URL(request.url ?? '').search
    store.handle(request, response)
  })
  const httpProxy = proxy.replace('http://', 'http://user:secret@')
  assert.equal(await join(url, 1n, { httpProxy }), 'm1=http://127.0.0.1:1')
  assert.equal(asked[0], `Basic dXNlcjpzZWNyZXQ= ${url}/_config/size`)
})

void test('a proxy is asked for a tunnel to a service with TLS', async (context) => {
  const asked: string[] = []
  const proxy = createServer()
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    const isFirst = asked.length === 1
    socket.end(isFirst ? 'HTTP/1.1 403 Forbidden\r\n\r\n' : 'HTTP/1.1 200 OK\r\n\r\nnot TLS')
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  context.after(() => proxy.close())
  const address = proxy.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const logger = new LogLines()
  // A clock that stops the test once both answers have been seen.
  class Enough extends FastClock {
    override sleep(delayMs: number): Promise<boolean> {
      return asked.length < 2 ? super.sleep(delayMs) : Promise.reject(new Error('enough'))
    }
  }
  const joining = join('https://discovery.test/token', 1n, {
    httpProxy: `127.0.0.1:${port}`,
    logger,
    clock: new Enough(),
  })
  await assert.rejects(joining, { message: 'enough' })
  assert.deepEqual(asked, ['discovery.test:443', 'discovery.test:443'])
  const errors = logger.lines.flatMap(({ fields: { error } }) => (typeof error === 'string' ? [error] : []))
  assert.match(errors[0] ?? '', /answers CONNECT with status 403$/)
  assert.equal(errors.length, 2)
})

void test('a service that takes the connection and says nothing is given up, and asked again', async (context) => {
  const { store, url } = await storeFor(context, '1')
  let asked = 0
  const sleepy = await serve(context, (request, response) => {
    if (asked++ > 0) store.handle(request, response)
  })
  class ImpatientClock extends FastClock {
    override setTimer(delayMs: number, run: () => void): Timer {
      assert.equal(delayMs, 5_000)
      if (asked > 1) return super.setTimer(delayMs, run)
      const timer = setTimeout(run, 20)
      return { cancel: () => clearTimeout(timer) }
    }
  }
  const logger = new LogLines()
  assert.equal(
    await join(sleepy + new URL(url).pathname, 1n, { clock: new ImpatientClock(), logger }),
    'm1=http://127.0.0.1:1',
  )
  assert.match(String(logger.lines[0]?.fields['error']), /i\/o timeout$/)
})
