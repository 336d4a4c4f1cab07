import { connect as connectPlain, isIP, Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Endpoint } from './endpoint.ts'

/** How to talk TLS. Files are given as their content (PEM). */
export interface TlsOptions {
  /** Certificates of the authorities that servers' certificates must come from; default: those of Node. */
  readonly authorities?: Uint8Array
  /** The client's certificate, with `key`. */
  readonly certificate?: Uint8Array
  readonly key?: Uint8Array
  /** The name that the server's certificate must have; default: the endpoint's host. */
  readonly serverName?: string
  /** Take any certificate. */
  readonly skipVerify?: boolean
  /** Only for endpoints that say https; without it TLS is also used where an endpoint names no scheme. */
  readonly onlyOnRequest?: boolean
}

export interface DialOptions {
  readonly tls?: TlsOptions
  /** Limit for making the connection. */
  readonly timeoutMs: number
}

/** A socket that is connecting to `endpoint`; it fails with an error when that takes too long. */
export function dial(endpoint: Endpoint, { tls, timeoutMs }: DialOptions): Socket {
  if (endpoint.path === undefined && endpoint.port === 0) {
    const missing = new Error(`dial tcp: address ${endpoint.text}: missing port in address`)
    return new Socket().destroy(missing)
  }
  const secure = endpoint.tls ?? (tls !== undefined && tls.onlyOnRequest !== true)
  const socket = secure ? dialTls(endpoint, tls ?? {}) : connectPlain(addressOf(endpoint))
  const timer = setTimeout(() => {
    socket.destroy(new Error(`dial tcp ${endpoint.host}:${endpoint.port}: i/o timeout`))
  }, timeoutMs)
  const stop = (): void => clearTimeout(timer)
  socket.once(secure ? 'secureConnect' : 'connect', stop)
  socket.once('close', stop)
  return socket
}

function addressOf({ host, port, path }: Endpoint): { path: string } | { host: string; port: number } {
  return path === undefined ? { host, port } : { path }
}

function dialTls(endpoint: Endpoint, tls: TlsOptions): TLSSocket {
  const name = tls.serverName ?? (isIP(endpoint.host) === 0 ? endpoint.host : undefined)
  return connectTls({
    ...addressOf(endpoint),
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: tls.skipVerify !== true,
    ...(name !== undefined && { servername: name }),
    ...(tls.authorities && { ca: Buffer.from(tls.authorities) }),
    ...(tls.certificate && { cert: Buffer.from(tls.certificate) }),
    ...(tls.key && { key: Buffer.from(tls.key) }),
  })
}
