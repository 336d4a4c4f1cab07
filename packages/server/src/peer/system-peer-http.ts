import { type ClientRequest, request as httpRequest } from 'node:http'
import { type Clock, systemClock } from '@etcd-ts/platform'
import { HANDSHAKE_TIMEOUT_MS, dialPeer, splitPeerUrl } from './peer-address.ts'
import type { PeerHttp, PeerRequest, PeerResponse } from './peer-http.ts'
import type { PeerTls } from './peer-tls.ts'

/** Larger answers are refused. */
const RESPONSE_BYTES_MAX = 16 * 1024 * 1024

/** Asks other members over the machine's network, with a connection for each request. */
export function systemPeerHttp(tls: PeerTls | undefined, clock: Clock = systemClock): PeerHttp {
  return { request: (request) => exchange(request, tls, clock) }
}

function exchange(request: PeerRequest, tls: PeerTls | undefined, clock: Clock): Promise<PeerResponse> {
  const { url, method = 'GET', headers = {}, body, timeoutMs } = request
  const split = splitPeerUrl(url)
  if (split === undefined) return Promise.reject(new Error(`not a URL of a member: ${url}`))
  const { address, path } = split
  return new Promise((resolve, reject) => {
    const limits = {
      connectTimeoutMs: timeoutMs,
      handshakeTimeoutMs: Math.min(timeoutMs, HANDSHAKE_TIMEOUT_MS),
    }
    const outgoing: ClientRequest = httpRequest({
      method,
      path: path === '' ? '/' : path,
      headers: { Host: address.authority, ...headers },
      createConnection: () => dialPeer(address, tls, limits, clock),
    })
    const timer = clock.setTimer(timeoutMs, () => {
      outgoing.destroy(new Error(`${method} ${url}: no answer within ${timeoutMs} ms`))
    })
    const fail = (error: Error): void => {
      timer.cancel()
      outgoing.destroy()
      reject(error)
    }
    outgoing.once('error', fail)
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = []
      let sizeBytes = 0
      response.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
        if (sizeBytes > RESPONSE_BYTES_MAX) fail(new Error(`${method} ${url}: the answer is too large`))
        else chunks.push(chunk)
      })
      response.once('error', fail)
      response.once('end', () => {
        timer.cancel()
        outgoing.destroy()
        resolve({
          status: response.statusCode ?? 0,
          headers: singleHeaders(response.headers),
          body: Buffer.concat(chunks),
        })
      })
    })
    // An empty body is announced as such: members post without one.
    if (body !== undefined || method !== 'GET') outgoing.setHeader('Content-Length', body?.length ?? 0)
    outgoing.end(body)
  })
}

function singleHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
}
