/**
 * The list of members with which a data folder begins. A member that has its log already never looks at it, so these
 * checks are made at bootstrap and not with the flags.
 */
import { isIP } from 'node:net'
import { ConfigError, textOf } from './errors.ts'
import { quote } from './go-values.ts'
import type { ServerConfig } from './server-config.ts'
import { isUnix, parseUrl, withHost, type EndpointUrl } from './urls.ts'

export type InitialCluster = ReadonlyMap<string, readonly EndpointUrl[]>

/**
 * Reads NAME=URL,NAME=URL; a name may come several times, once for each of its URLs.
 *
 * @throws ConfigError
 */
export function parseInitialCluster(text: string): InitialCluster {
  const texts = new Map<string, string[]>()
  for (const entry of text.split(',')) {
    if (entry === '') continue
    const equals = entry.indexOf('=')
    const name = equals < 0 ? entry : entry.slice(0, equals)
    const urls = texts.get(name) ?? []
    urls.push(equals < 0 ? '' : entry.slice(equals + 1))
    texts.set(name, urls)
  }
  try {
    return new Map([...texts].map(([name, urls]) => [name, sortByText(urls.map((url) => parseUrl(url)))]))
  } catch (error) {
    throw new ConfigError(`error setting up initial cluster: ${textOf(error)}`, { cause: error })
  }
}

function sortByText(urls: readonly EndpointUrl[]): readonly EndpointUrl[] {
  return [...urls].sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
}

/** The list in its canonical form: sorted, one NAME=URL for each URL. */
export function formatInitialCluster(cluster: InitialCluster): string {
  return [...cluster]
    .flatMap(([name, urls]) => urls.map((url) => `${name}=${url.text}`))
    .sort()
    .join(',')
}

/** Finds the address of a host name; undefined when there is none. Errors that may pass are retried inside. */
export type ResolveHost = (hostname: string) => Promise<string | undefined>

/**
 * Checks this member's place in the list: its name must be there, with the URLs that it advertises (compared as text,
 * then by the addresses that their hosts resolve to), and no two members may share a URL.
 *
 * @throws ConfigError with the text that etcd ends with
 */
export async function verifyInitialCluster(
  config: Pick<ServerConfig, 'name' | 'advertisePeerUrls'>,
  cluster: InitialCluster,
  resolve: ResolveHost,
): Promise<void> {
  const listed = cluster.get(config.name)
  if (listed === undefined) {
    throw new ConfigError(
      `couldn't find local name ${quote(config.name)} in the initial cluster configuration`,
    )
  }
  const mismatch = await compareUrls(config.advertisePeerUrls, listed, resolve)
  if (mismatch !== undefined) throw new ConfigError(describeMismatch(config, listed, mismatch))
  const all = [...cluster.values()].flat().map((url) => url.text)
  if (new Set(all).size < all.length) {
    throw new ConfigError(`initial cluster ${formatInitialCluster(cluster)} has duplicate url`)
  }
}

/** @returns how the lists differ, or undefined when they mean the same addresses */
async function compareUrls(
  advertised: readonly EndpointUrl[],
  listed: readonly EndpointUrl[],
  resolve: ResolveHost,
): Promise<string | undefined> {
  const ours = advertised.map((url) => url.text)
  const theirs = listed.map((url) => url.text)
  if (ours.length !== theirs.length) {
    return `len([${ours.map((url) => quote(url)).join(' ')}]) != len([${theirs.map((url) => quote(url)).join(' ')}])`
  }
  if (ours.every((url, index) => url === theirs[index])) return undefined
  try {
    const resolvedOurs = (await resolveAll(advertised, resolve)).sort()
    const resolvedTheirs = (await resolveAll(listed, resolve)).sort()
    const at = resolvedOurs.findIndex((url, index) => url !== resolvedTheirs[index])
    return at < 0 ? undefined : `resolved urls: ${quote(ours[at] ?? '')} != ${quote(theirs[at] ?? '')}`
  } catch (error) {
    return textOf(error)
  }
}

async function resolveAll(urls: readonly EndpointUrl[], resolve: ResolveHost): Promise<string[]> {
  return Promise.all(
    urls.map(async (url) => {
      if (isUnix(url) || isIP(url.hostname) !== 0) return url.text
      const address = await resolve(url.hostname)
      if (address === undefined) throw new ConfigError(`could not resolve host ${url.host}`)
      return withHost(url, `${isIP(address) === 6 ? `[${address}]` : address}:${url.port}`).text
    }),
  )
}

function describeMismatch(
  config: Pick<ServerConfig, 'name' | 'advertisePeerUrls'>,
  listed: readonly EndpointUrl[],
  mismatch: string,
): string {
  const named = (urls: readonly EndpointUrl[]): string[] => urls.map((url) => `${config.name}=${url.text}`)
  const ours = new Set(config.advertisePeerUrls.map((url) => url.text))
  const theirs = new Set(listed.map((url) => url.text))
  const onlyListed = listed.filter((url) => !ours.has(url.text))
  const advertised = config.advertisePeerUrls.map((url) => url.text).join(',')
  if (onlyListed.length > 0) {
    const missing = named(onlyListed).join(',')
    return `--initial-cluster has ${missing} but missing from --initial-advertise-peer-urls=${advertised} (${mismatch})`
  }
  const onlyAdvertised = config.advertisePeerUrls
    .filter((url) => !theirs.has(url.text))
    .map((url) => url.text)
  const cluster = named(config.advertisePeerUrls).join(',')
  return `--initial-advertise-peer-urls has ${onlyAdvertised.join(',')} but missing from --initial-cluster=${cluster}`
}
