import { ConfigError, textOf } from './errors.ts'
import { parseUrl, type EndpointUrl } from './urls.ts'

/** The list of members with which a data folder begins: the URLs of each name. */
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
