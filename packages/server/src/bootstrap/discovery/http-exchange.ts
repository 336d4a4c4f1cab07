import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '@etcd-ts/platform'

/** A request to a service that is not a member of the cluster. */
export interface Exchange {
  readonly url: URL
  readonly method: 'GET' | 'PUT'
  /** A form, sent with PUT. */
  readonly form?: URLSearchParams
  /** For the whole exchange. */
  readonly timeoutMs: number
  /** The HTTP proxy to go through; undefined for none. */
  readonly proxy: URL | undefined
  readonly clock: Clock
}

export interface ExchangeAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** There was no answer in time. */
export class ExchangeTimeoutError extends Error {
  override readonly name = 'ExchangeTimeoutError'
}

const BODY_BYTES_MAX = 4 * 1024 * 1024
const REDIRECTS_MAX = 10

/**
 * Sends a request, and again where a redirect points to.
 *
 * @throws ExchangeTimeoutError, Error when there is no answer, or one that is too large or redirected without end
 */
export async function exchange(request: Exchange): Promise<ExchangeAnswer> {
  let { url } = request
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const answer = await exchangeOnce({ ...request, url })
    if (answer.status < 300 || answer.status > 399) return answer
    const { location } = answer.headers
    if (location === undefined) throw new Error('location header not set')
    url = new URL(location, url)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw new Error(`location header not valid URL: ${location}`)
    }
  }
  throw new Error('too many redirects')
}

function exchangeOnce({ url, method, form, timeoutMs, proxy, clock }: Exchange): Promise<ExchangeAnswer> {
  return new Promise((resolve, reject) => {
    const open = new Set<{ destroy(): void }>()
    const timer = clock.setTimer(timeoutMs, () => {
      settle(new ExchangeTimeoutError(`${method} ${url.href}: i/o timeout`))
    })
    const settle = (result: ExchangeAnswer | Error): void => {
      timer.cancel()
      for (const part of open) part.destroy()
      if (result instanceof Error) reject(result)
      else resolve(result)
    }
    const body = form?.toString()
    const send = (outgoing: ClientRequest): void => {
      open.add(outgoing)
      outgoing.on('error', settle)
      outgoing.once('response', (response) => collect(response, settle))
      if (body !== undefined) {
        outgoing.setHeader('Content-Type', 'application/x-www-form-urlencoded')
        outgoing.setHeader('Content-Length', Buffer.byteLength(body))
      }
      outgoing.end(body)
    }
    const isSecure = url.protocol === 'https:'
    if (proxy === undefined) {
      send((isSecure ? requestHttps : requestHttp)(url, { method, agent: false }))
    } else if (isSecure) {
      const tunnel = openTunnel(proxy, url)
      open.add(tunnel)
      tunnel.on('error', settle)
      tunnel.once('connect', ({ statusCode }, socket: Socket) => {
        open.add(socket)
        if (statusCode !== 200) {
          settle(new Error(`the proxy ${proxy.host} answers CONNECT with status ${statusCode}`))
          return
        }
        const secured = connectTls({ socket, servername: url.hostname })
        secured.on('error', settle)
        send(requestHttps(url, { method, agent: false, createConnection: () => secured }))
      })
      tunnel.end()
    } else {
      send(
        requestHttp({
          ...hostOf(proxy),
          method,
          path: url.href,
          agent: false,
          headers: { Host: url.host, ...proxyHeaders(proxy) },
        }),
      )
    }
  })
}

function openTunnel(proxy: URL, url: URL): ClientRequest {
  const target = `${url.hostname}:${url.port === '' ? '443' : url.port}`
  const request = proxy.protocol === 'https:' ? requestHttps : requestHttp
  return request({
    ...hostOf(proxy),
    method: 'CONNECT',
    path: target,
    agent: false,
    headers: { Host: target, ...proxyHeaders(proxy) },
  })
}

function hostOf(url: URL): { host: string; port: number } {
  const usual = url.protocol === 'https:' ? 443 : 80
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? usual : Number(url.port) }
}

function proxyHeaders(proxy: URL): Record<string, string> {
  if (proxy.username === '') return {}
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`
  return { 'Proxy-Authorization': `Basic ${Buffer.from(user).toString('base64')}` }
}

function collect(response: IncomingMessage, settle: (result: ExchangeAnswer | Error) => void): void {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  response.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length
    if (sizeBytes > BODY_BYTES_MAX) settle(new Error('the answer is too large'))
    else chunks.push(chunk)
  })
  response.once('error', settle)
  response.once('end', () => {
    settle({
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: Buffer.concat(chunks).toString('utf8'),
    })
  })
}
