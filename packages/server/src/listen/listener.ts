import { type Server, type Socket, createServer } from 'node:net'
import { type TlsOptions, createServer as createTlsServer } from 'node:tls'
import { type EndpointUrl, isSecure, isUnix, socketPath } from '../config/index.ts'

/** Connections that the system may hold until this process accepts them. */
const BACKLOG = 4096

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
  readonly #server: Server
  #waiting: Socket[] = []
  #serve: ((socket: Socket) => void) | undefined

  private constructor(url: EndpointUrl, server: Server) {
    this.url = url
    this.#server = server
  }

  /**
   * Binds `url`.
   *
   * @param tls certificate and verification; needed for https and unixs
   * @throws Error in the words of etcd: `listen tcp HOST:PORT: bind: address already in use`
   */
  static async open(url: EndpointUrl, tls?: TlsOptions): Promise<Listener> {
    if (isSecure(url) && tls === undefined) {
      throw new Error(`TLS key/cert must be provided for client url ${url.text} with HTTPS scheme`)
    }
    const server =
      isSecure(url) && tls !== undefined
        ? createTlsServer({ ...tls, ALPNProtocols: ['h2', 'http/1.1'] })
        : createServer()
    const listener = new Listener(url, server)
    server.on(isSecure(url) ? 'secureConnection' : 'connection', (socket: Socket) => listener.#accept(socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(bindError(url, error)))
      if (isUnix(url)) server.listen({ path: socketPath(url), backlog: BACKLOG }, resolve)
      else server.listen({ host: url.hostname, port: url.port, backlog: BACKLOG }, resolve)
    })
    return listener
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
