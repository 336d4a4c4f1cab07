import { type Socket, connect as connectTcp, isIP } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { Clock } from '@etcd-ts/platform'
import { splitHostPort } from '../config/urls.ts'
import { type PeerTls, hostFault, identityFault } from './peer-tls.ts'

/** Where another member listens: one of its peer URLs, taken apart. */
export interface PeerAddress {
  readonly url: string
  readonly secure: boolean
  /** The socket file of a unix URL. */
  readonly socketFile: string | undefined
  /** Host and port as written, which is also the `Host` header. */
  readonly authority: string
  readonly host: string
  readonly port: number
}

/** Bounds on becoming connected. */
export interface DialLimits {
  readonly connectTimeoutMs: number
  readonly handshakeTimeoutMs: number
}

/** TLS handshakes get this long. */
export const HANDSHAKE_TIMEOUT_MS = 10_000
/** Probes of the system that find a host which has gone without a word. */
const KEEPALIVE_MS = 30_000

/**
 * Takes a URL apart.
 *
 * @returns the address and the path behind it; undefined when it is no URL of a member
 */
export function splitPeerUrl(
  url: string,
): { readonly address: PeerAddress; readonly path: string } | undefined {
  const [, scheme = '', authority = '', path = ''] = /^(https?|unixs?):\/\/([^/?#]+)(\/.*)?$/.exec(url) ?? []
  // oxlint-disable-next-line no-control-regex -- these would end a line of the request's header
  if (authority === '' || /[^\x21-\x7e]/.test(url)) return undefined
  const secure = scheme === 'https' || scheme === 'unixs'
  const base = { url: `${scheme}://${authority}`, secure, authority }
  if (scheme.startsWith('unix'))
    return { address: { ...base, socketFile: authority, host: 'localhost', port: 0 }, path }
  const split = splitHostPort(authority)
  const port = Number(split?.port === '' ? NaN : split?.port)
  if (split === undefined || !Number.isInteger(port) || port < 0 || port > 65_535) return undefined
  return { address: { ...base, socketFile: undefined, host: split.host, port }, path }
}

/**
 * Opens a connection to another member. It is an error of the socket when the connection does not come about in time,
 * or when the other side's certificate is not a member's.
 */
export function dialPeer(
  address: PeerAddress,
  tls: PeerTls | undefined,
  limits: DialLimits,
  clock: Clock,
): Socket {
  const target =
    address.socketFile === undefined
      ? { host: address.host, port: address.port }
      : { path: address.socketFile }
  const socket = address.secure
    ? connectTls({ ...target, ...secureOptions(address, tls) })
    : connectTcp(target)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEPALIVE_MS)
  const failAfter = (timeoutMs: number, fault: string, event: string): void => {
    const timer = clock.setTimer(timeoutMs, () =>
      socket.destroy(new Error(`${fault} ${address.authority}: i/o timeout`)),
    )
    const cancel = (): void => timer.cancel()
    socket.once(event, cancel)
    socket.once('close', cancel)
  }
  failAfter(limits.connectTimeoutMs, 'dial', 'connect')
  if (address.secure) {
    socket.once('connect', () => failAfter(limits.handshakeTimeoutMs, 'TLS handshake with', 'secureConnect'))
  }
  return socket
}

function secureOptions(address: PeerAddress, tls: PeerTls | undefined): ConnectionOptions {
  const expected = tls?.serverName ?? address.host
  return {
    ...tls?.connection,
    // An IP address is not announced: RFC 6066 section 3.
    ...(isIP(expected) === 0 ? { servername: expected } : {}),
    rejectUnauthorized: tls?.skipsVerification !== true,
    checkServerIdentity: (_, certificate) =>
      tls?.skipsVerification === true
        ? undefined
        : (hostFault(expected, certificate) ??
          (tls === undefined ? undefined : identityFault(tls.identity, certificate))),
  }
}
