/**
 * What `--initial-cluster` must fulfil. A member that has its log already never looks at the list, so these checks are
 * made at bootstrap and not with the flags.
 */
import {
  ConfigError,
  type EndpointUrl,
  type InitialCluster,
  type ServerConfig,
  formatInitialCluster,
  quote,
} from '../config/index.ts'
import { type ResolvePorts, UrlComparer } from './same-urls.ts'

type Self = Pick<ServerConfig, 'name' | 'advertisePeerUrls'>

/**
 * Checks the list that a new cluster begins with: this member's name must be there, with the URLs that it advertises,
 * and no URL may stand there twice.
 *
 * @throws ConfigError with etcd's text
 */
export async function verifyNew(self: Self, cluster: InitialCluster, ports: ResolvePorts): Promise<void> {
  const listed = urlsOf(self.name, cluster)
  const difference = await new UrlComparer(ports).difference(self.advertisePeerUrls, listed)
  if (difference !== undefined) throw new ConfigError(describeMismatch(self, listed, difference))
  checkDuplicates('initial cluster', cluster)
}

/**
 * Checks the list with which a member joins. What it advertises does not matter, the cluster knows its URLs already.
 *
 * @throws ConfigError with etcd's text
 */
export function verifyExisting(self: Self, cluster: InitialCluster): void {
  urlsOf(self.name, cluster)
  checkDuplicates('initial cluster', cluster)
}

/** @throws ConfigError when a URL stands in the list twice */
export function checkDuplicates(what: string, cluster: InitialCluster): void {
  const all = [...cluster.values()].flat().map((url) => url.text)
  if (new Set(all).size < all.length) {
    throw new ConfigError(`${what} ${formatInitialCluster(cluster)} has duplicate url`)
  }
}

function urlsOf(name: string, cluster: InitialCluster): readonly EndpointUrl[] {
  const urls = cluster.get(name)
  if (urls !== undefined) return urls
  throw new ConfigError(`couldn't find local name ${quote(name)} in the initial cluster configuration`)
}

function describeMismatch(self: Self, listed: readonly EndpointUrl[], difference: string): string {
  const { name, advertisePeerUrls } = self
  const missing = (urls: readonly EndpointUrl[], from: readonly EndpointUrl[]): readonly EndpointUrl[] =>
    urls.filter((url) => !from.some((one) => one.text === url.text))
  const advertised = advertisePeerUrls.map((url) => url.text).join(',')
  const asCluster = formatInitialCluster(new Map([[name, advertisePeerUrls]]))

  const onlyListed = missing(listed, advertisePeerUrls)
  if (onlyListed.length > 0) {
    const named = onlyListed.map((url) => `${name}=${url.text}`).join(',')
    return `--initial-cluster has ${named} but missing from --initial-advertise-peer-urls=${advertised} (${difference})`
  }
  const onlyAdvertised = missing(advertisePeerUrls, listed)
  if (onlyAdvertised.length > 0) {
    const texts = onlyAdvertised.map((url) => url.text).join(',')
    return `--initial-advertise-peer-urls has ${texts} but missing from --initial-cluster=${asCluster}`
  }
  return `failed to resolve ${advertised} to match --initial-cluster=${asCluster} (${difference})`
}
