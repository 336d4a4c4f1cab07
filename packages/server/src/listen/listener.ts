import { type Server, type Socket, createServer } from 'node:net'
import { type TLSSocket, createServer as createTlsServer } from 'node:tls'
import { type EndpointUrl, isSecure, isUnix, socketPath } from '../config/index.ts'
import { BAD_CERTIFICATE_HEADER, peerErrorText } from '../peer/dial-error.ts'
import { type ClientCertificateRules, connectionFault } from './client-certificate.ts'
import type { ListenerTls } from './tls.ts'

/** Connections that the system may hold until this process accepts them. */
const BACKLOG = 4096

/**
 * By preference: gRPC clients offer h2 alone and get it; a browser or curl, which offers both, comes for JSON or pages
 * and gets HTTP/1.1, so HTTP/2 has to carry nothing but gRPC.
 */
const ALPNProtocols = ['http/1.1', 'h2']

/** What a refused connection gets to read why it is. */
const REFUSAL_TIMEOUT_MS = 1000
/** Half a handshake is given this long to become a whole one. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * What is said on a connection whose certificate is refused. The runtime has finished the handshake by then, so that it
 * is too late for the alert that belongs there.
 */
const REFUSAL = `HTTP/1.1 401 Unauthorized\r\n${BAD_CERTIFICATE_HEADER}: bad certificate\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`

/** Go's wording of why an address could not be bound. */
function bindError(url: EndpointUrl, error: NodeJS.ErrnoException): Error {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'bind: address already in use',
    EADDRNOTAVAIL: 'bind: cannot assign requested address',
    EACCES: 'bind: permission denied',
    ENOTFOUND: 'no such host',
  }
  const reason = reasons[error.code ?? ''] ?? error.message
  const where = isUnix(url) ? `unix ${socketPath(url)}` : `tcp ${url.host}`
  return new Error(`listen ${where}: ${reason}`, { cause: error })
}

/**
 * A bound address whose connections wait until someone serves them: a member binds before it is ready, so that
 * clients that come early are answered late instead of refused.
 */
export class Listener {
  readonly url: EndpointUrl
  /** Whether connections may begin with a TLS handshake although the address is a plain one. */
  readonly alsoTls: boolean
  readonly #server: Server
  /** Not bound to anything: it takes over the TLS connections of a plain address. */
  readonly #tls: Server | undefined
  /** Told of connections that are not served because of their TLS, in Go's words. */
  onRejected: (error: string, socket: Socket) => void = () => undefined
  #waiting: Socket[] = []
  #serve: ((socket: Socket) => void) | undefined

  private constructor(url: EndpointUrl, server: Server, tls: Server | undefined) {
    this.url = url
    this.alsoTls = tls !== undefined
    this.#server = server
    this.#tls = tls
  }

  /**
   * Binds `url`.
   *
   * @param tls certificate and verification; needed for https and unixs
   * @param alsoTls the plain address is an https address too
   * @throws Error in the words of etcd: `listen tcp HOST:PORT: bind: address already in use`
   */
  static async open(url: EndpointUrl, tls?: ListenerTls, alsoTls = false): Promise<Listener> {
    if ((isSecure(url) || alsoTls) && tls === undefined) {
      throw new Error(`TLS key/cert must be provided for client url ${url.text} with HTTPS scheme`)
    }
    // Half-open: a client of HTTP/1.1 may end its side before it has its answer.
    const tlsServer =
      tls !== undefined && (isSecure(url) || alsoTls)
        ? createTlsServer({
            ...tls.options,
            allowHalfOpen: true,
            ALPNProtocols,
            handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
          })
        : undefined
    const server =
      isSecure(url) && tlsServer !== undefined ? tlsServer : createServer({ allowHalfOpen: true })
    const listener = new Listener(url, server, server === tlsServer ? undefined : tlsServer)
    if (tlsServer !== undefined && tls !== undefined) {
      tlsServer.on('secureConnection', (socket) => void listener.#acceptSecure(socket, tls.rules))
      tlsServer.on('tlsClientError', (error, socket) => listener.onRejected(peerErrorText(error), socket))
    }
    if (server !== tlsServer) server.on('connection', (socket: Socket) => listener.#accept(socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(bindError(url, error)))
      if (isUnix(url)) server.listen({ path: socketPath(url), backlog: BACKLOG }, resolve)
      else server.listen({ host: url.hostname, port: url.port, backlog: BACKLOG }, resolve)
    })
    return listener
  }

  /** Takes back a connection that turned out to begin with a TLS handshake, to serve what is inside. */
  startTls(socket: Socket): void {
    this.#tls?.emit('connection', socket)
  }

  /** `HOST:PORT` as bound, with the port that the system chose for port 0. */
  get address(): string {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null
      ? `${this.url.hostname}:${address.port}`
      : socketPath(this.url)
  }

  /** Hands over the connections that wait and every later one. */
  serve(handle: (socket: Socket) => void): void {
    this.#serve = handle
    for (const socket of this.#waiting) handle(socket)
    this.#waiting = []
  }

  /** Accepts no more connections. Those handed over are their server's to end. */
  close(): void {
    this.#server.close()
    for (const socket of this.#waiting) socket.destroy()
    this.#waiting = []
  }

  async #acceptSecure(socket: TLSSocket, rules: ClientCertificateRules): Promise<void> {
    const giveUp = (): void => void socket.destroy()
    socket.on('error', giveUp)
    const fault = await connectionFault(socket, rules)
    socket.removeListener('error', giveUp)
    if (fault === undefined) {
      if (!socket.destroyed) this.#accept(socket)
      return
    }
    this.onRejected(fault.message, socket)
    socket.on('error', giveUp)
    socket.on('end', giveUp)
    socket.setTimeout(REFUSAL_TIMEOUT_MS, giveUp)
    socket.end(REFUSAL)
    socket.resume()
  }

  #accept(socket: Socket): void {
    socket.setNoDelay(true)
    if (this.#serve !== undefined) {
      this.#serve(socket)
      return
    }
    socket.on('error', () => socket.destroy())
    this.#waiting.push(socket)
  }
}
