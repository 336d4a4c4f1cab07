import type { IncomingMessage, ServerResponse } from 'node:http'
import { answer, answerError, answerNotFound, refusesMethod, targetOf } from './answer.ts'
import { type HealthSource, handleHealth } from './health.ts'

/** What the HTTP side of a client listener is made of; each part may decline a request that is not its own. */
export interface ClientHttpParts {
  readonly health: HealthSource
  readonly version: VersionSource
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>
  /** `/debug/vars`. */
  readonly debugVars: () => Readonly<Record<string, unknown>>
  /** Answers `/v3/...`; false when the path is not one of its own. Undefined: switched off by flag. */
  readonly gateway: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** Allowed hosts of plain-text requests; `*` allows all. */
  readonly hostWhitelist: readonly string[]
  /** Allowed origins of cross-origin requests; an empty list or `*` allows all. */
  readonly cors: readonly string[]
}

export interface VersionSource {
  readonly serverVersion: string
  /** `X.Y.0`, or undefined before it is decided. */
  clusterVersion(): string | undefined
}

/** `GET /version`, the same on client and peer listeners. @returns false when the path is another one */
export function handleVersion(
  source: VersionSource,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  if (targetOf(request).pathname !== '/version') return false
  if (refusesMethod(request, response, ['GET'])) return true
  const cluster = source.clusterVersion() ?? 'not_decided'
  answer(
    response,
    'application/json',
    JSON.stringify({ etcdserver: source.serverVersion, etcdcluster: cluster }),
  )
  return true
}

/** `GET /metrics`. @returns false when the path is another one */
export async function handleMetrics(
  metrics: ClientHttpParts['metrics'],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  if (targetOf(request).pathname !== '/metrics') return false
  const { contentType, body } = await metrics()
  answer(response, contentType, body)
  return true
}

/** The host of a Host header, without port and IPv6 brackets. */
function hostOf(header: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(header)
  return bracketed?.[1] ?? header.replace(/:\d*$/, '')
}

/** A browser may be led by DNS to this address under another site's name; such requests are refused. */
function refusesHost(parts: ClientHttpParts, request: IncomingMessage, response: ServerResponse): boolean {
  const allowed = parts.hostWhitelist
  if ('encrypted' in request.socket || allowed.length === 0 || allowed.includes('*')) return false
  const host = hostOf(request.headers.host ?? '')
  if (allowed.includes(host)) return false
  answerError(
    response,
    421,
    `etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist ${JSON.stringify(host)}

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
`,
  )
  return true
}

function addCorsHeaders(parts: ClientHttpParts, request: IncomingMessage, response: ServerResponse): void {
  const origin = request.headers.origin
  const allowsAll = parts.cors.length === 0 || parts.cors.includes('*')
  if (!allowsAll && (origin === undefined || !parts.cors.includes(origin))) return
  response.setHeader('Access-Control-Allow-Methods', 'POST, GET, OPTIONS, PUT, DELETE')
  response.setHeader('Access-Control-Allow-Origin', allowsAll ? '*' : (origin ?? ''))
  response.setHeader('Access-Control-Allow-Headers', 'accept, content-type, authorization')
}

async function route(
  parts: ClientHttpParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (parts.gateway?.(request, response)) return
  if (await handleHealth(parts.health, request, response)) return
  if (handleVersion(parts.version, request, response)) return
  if (await handleMetrics(parts.metrics, request, response)) return
  if (targetOf(request).pathname === '/debug/vars') {
    if (refusesMethod(request, response, ['GET'])) return
    const lines = Object.entries(parts.debugVars()).map(
      ([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`,
    )
    answer(response, 'application/json; charset=utf-8', `{\n${lines.join(',\n')}\n}\n`)
    return
  }
  answerNotFound(response)
}

/** The request listener of a client URL's HTTP side. */
export function clientHttpHandler(
  parts: ClientHttpParts,
  onError: (error: unknown) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    if (refusesHost(parts, request, response)) return
    addCorsHeaders(parts, request, response)
    if (request.method === 'OPTIONS') {
      response.writeHead(200)
      response.end()
      return
    }
    route(parts, request, response).catch((error: unknown) => {
      onError(error)
      if (response.headersSent) response.destroy()
      else answerError(response, 500, 'Internal Server Error')
    })
  }
}
