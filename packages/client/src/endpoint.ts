/** Where a member listens, as people write it: `host:port`, `http://host:port`, `https://..`, `unix://path`. */
export interface Endpoint {
  /** As it was written. */
  readonly text: string
  /** Undefined: the client's TLS settings decide. */
  readonly tls: boolean | undefined
  readonly host: string
  /** 0 when none was written: there is no default, so such an endpoint cannot be reached. */
  readonly port: number
  /** A socket in the file system; then host and port mean nothing. */
  readonly path: string | undefined
}

/** Reads an endpoint; a path behind the port is ignored. */
export function parseEndpoint(text: string): Endpoint {
  const [, scheme, rest] = /^(?:(https?|unixs?):(?:\/\/)?)?(.*)$/s.exec(text)!
  if (scheme === 'unix' || scheme === 'unixs') {
    return { text, tls: scheme === 'unixs', host: '', port: 0, path: rest! }
  }
  const address = rest!.replace(/\/.*$/s, '')
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::([0-9]+))?$/.exec(address) ?? []
  return {
    text,
    tls: scheme === undefined ? undefined : scheme === 'https',
    host: bracketed ?? plain ?? address,
    port: Number(port ?? 0),
    path: undefined,
  }
}

/** Host and port, the `:authority` of calls to the endpoint. */
export function authorityOf(endpoint: Endpoint): string {
  if (endpoint.path !== undefined) return 'localhost'
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host
  return `${host}:${endpoint.port}`
}
