/**
 * The check of a member's peer URLs before they are sent. A member refuses bad ones, too, but says only that they
 * are bad; these texts, which are those of etcd's own clients, say why.
 */

const SCHEMES = new Set(['http', 'https', 'unix', 'unixs'])

/** @throws Error when one of them is not `scheme://host:port` or a socket file's address */
export function checkPeerUrls(urls: readonly string[]): void {
  if (urls.length === 0) throw new Error('no valid URLs given')
  for (const url of urls) checkPeerUrl(url)
}

function checkPeerUrl(url: string): void {
  const text = url.trim()
  const [prefix = '', scheme = ''] = /^([a-z][a-z0-9+.-]*):/i.exec(text) ?? []
  const rest = text.slice(prefix.length).replace(/[?#].*$/s, '')
  const hasHost = rest.startsWith('//')
  const [, authority = '', path = ''] = hasHost ? /^\/\/([^/]*)(.*)$/s.exec(rest)! : []
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  const fault = syntaxFault(scheme, rest, host)
  if (fault !== undefined) throw new Error(`parse ${JSON.stringify(text)}: ${fault}`)
  if (!SCHEMES.has(scheme.toLowerCase())) {
    throw new Error(`URL scheme must be http, https, unix, or unixs: ${url}`)
  }
  if (scheme.toLowerCase().startsWith('unix')) return
  if (!/^(\[[^[\]]*\]|[^:[\]]*):[^:[\]]*$/.test(host)) {
    throw new Error(`URL address does not have the form "host:port": ${url}`)
  }
  if (path !== '') throw new Error(`URL must not contain a path: ${url}`)
}

/** What Go's parser of URLs does not take, in its words. */
function syntaxFault(scheme: string, rest: string, host: string): string | undefined {
  if (scheme === '' && rest.startsWith(':')) return 'missing protocol scheme'
  if (scheme === '' && !rest.startsWith('/') && /^[^/]*:/.test(rest)) {
    return 'first path segment in URL cannot contain colon'
  }
  const port = /:[^:\]]*$/.exec(host)?.[0] ?? ''
  if (!/^(:\d*)?$/.test(port)) return `invalid port ${JSON.stringify(port)} after host`
  const escape = /%(?![0-9a-f]{2}).{0,2}/i.exec(host)
  if (escape) return `invalid URL escape ${JSON.stringify(escape[0])}`
  const foreign = /[ "<>\\^`{|}]/.exec(host)
  return foreign ? `invalid character ${JSON.stringify(foreign[0])} in host name` : undefined
}
