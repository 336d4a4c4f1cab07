/**
 * The URLs of listeners and of advertised addresses: a scheme of four, host and port, and nothing more.
 * What is accepted, and the text of every refusal, follow Go's `net/url` and `net.SplitHostPort`.
 */
import { ConfigError } from './errors.ts'
import { quote } from './go-values.ts'

export type UrlScheme = 'http' | 'https' | 'unix' | 'unixs'

export interface EndpointUrl {
  readonly scheme: UrlScheme
  /** As written between `//` and the path, port and brackets included; the socket file's name for unix. */
  readonly host: string
  /** Without port and without the brackets of an IPv6 address. */
  readonly hostname: string
  /** 0 when the URL names none, as with unix sockets or `http://localhost:`. */
  readonly port: number
  /** Empty but for unix sockets. */
  readonly path: string
  /** The whole URL, in the form in which it is compared, advertised and logged. */
  readonly text: string
}

/** Whether TLS is spoken at this address. */
export function isSecure(url: EndpointUrl): boolean {
  return url.scheme === 'https' || url.scheme === 'unixs'
}

/** Whether this is the address of a socket file. */
export function isUnix(url: EndpointUrl): boolean {
  return url.scheme === 'unix' || url.scheme === 'unixs'
}

/** The file of a unix URL: `unix://NAME:1` is the file `NAME:1` in the working folder. */
export function socketPath(url: EndpointUrl): string {
  return url.host + url.path
}

/** Another address with the scheme of `url`. */
export function withHost(url: EndpointUrl, host: string): EndpointUrl {
  return parseUrl(`${url.scheme}://${host}`)
}

/**
 * Reads a comma-separated list, cuts blanks around entries, drops doubles and sorts by text.
 *
 * @param list empty means no URL at all
 * @throws ConfigError
 */
export function parseUrlList(list: string): readonly EndpointUrl[] {
  if (list === '') return []
  const byText = new Map(
    list
      .split(',')
      .map((entry) => parseUrl(entry))
      .map((url) => [url.text, url]),
  )
  return [...byText.values()].sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
}

/** @throws ConfigError */
export function parseUrl(entry: string): EndpointUrl {
  const url = splitUrl(entry.trim())
  if (url.scheme === 'unix' || url.scheme === 'unixs')
    return { ...url, scheme: url.scheme, ...splitPort(url.host) }
  if (url.scheme !== 'http' && url.scheme !== 'https') {
    throw new ConfigError(`URL scheme must be http, https, unix, or unixs: ${entry}`)
  }
  if (splitHostPort(url.host) === undefined) {
    throw new ConfigError(`URL address does not have the form "host:port": ${entry}`)
  }
  if (url.path !== '') throw new ConfigError(`URL must not contain a path: ${entry}`)
  return { ...url, scheme: url.scheme, ...splitPort(url.host) }
}

interface SplitUrl {
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly text: string
}

/** Scheme, host and path by the rules of Go's `url.Parse`; user, query and fragment are only cut away. */
function splitUrl(text: string): SplitUrl {
  const refuse = (reason: string): ConfigError => new ConfigError(`parse ${quote(text)}: ${reason}`)
  // oxlint-disable-next-line no-control-regex -- control characters are what this refuses
  if (/[\x00-\x1f\x7f]/.test(text)) throw refuse('net/url: invalid control character in URL')
  const bare = text.split('#', 1)[0] ?? ''
  if (bare.startsWith(':')) throw refuse('missing protocol scheme')
  const [prefix = '', typedScheme = ''] = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(bare) ?? []
  const scheme = typedScheme.toLowerCase()
  const rest = bare.slice(prefix.length).split('?', 1)[0] ?? ''
  if (scheme === '' && !rest.startsWith('/') && (rest.split('/', 1)[0] ?? '').includes(':')) {
    throw refuse('first path segment in URL cannot contain colon')
  }
  const whole = scheme === '' ? bare : `${scheme}:${bare.slice(prefix.length)}`
  if (!rest.startsWith('//')) return { scheme, host: '', path: scheme === '' ? rest : '', text: whole }
  const authority = rest.slice(2).split('/', 1)[0] ?? ''
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  const fault = hostFault(host)
  if (fault !== undefined) throw refuse(fault)
  return { scheme, host, path: rest.slice(2 + authority.length), text: whole }
}

function hostFault(host: string): string | undefined {
  let port = host.includes(':') ? host.slice(host.lastIndexOf(':')) : ''
  if (host.startsWith('[')) {
    const end = host.lastIndexOf(']')
    if (end < 0) return "missing ']' in host"
    port = host.slice(end + 1)
  }
  if (port !== '' && !/^:\d*$/.test(port)) return `invalid port ${quote(port)} after host`
  const escape = /%(?![0-9a-fA-F]{2})(.{0,2})/.exec(host)
  if (escape !== null) return `invalid URL escape ${quote(escape[0])}`
  const foreign = /[ "<>\\^`{|}]/.exec(host)
  return foreign === null ? undefined : `invalid character ${quote(foreign[0])} in host name`
}

/** Host and port by the rules of Go's `net.SplitHostPort`, or undefined when the text is not of that form. */
export function splitHostPort(text: string): { readonly host: string; readonly port: string } | undefined {
  const colon = text.lastIndexOf(':')
  if (colon < 0) return undefined
  const port = text.slice(colon + 1)
  if (text.startsWith('[')) {
    const end = text.indexOf(']')
    const host = text.slice(1, end)
    return end + 1 === colon && !host.includes('[') && !/[[\]]/.test(port) ? { host, port } : undefined
  }
  const host = text.slice(0, colon)
  return /[:[\]]/.test(host) || /[[\]]/.test(port) ? undefined : { host, port }
}

function splitPort(host: string): { hostname: string; port: number } {
  const split = splitHostPort(host)
  return split === undefined
    ? { hostname: host, port: 0 }
    : { hostname: split.host, port: Number(split.port) }
}
