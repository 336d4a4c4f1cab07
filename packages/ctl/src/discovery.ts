import { Resolver } from 'node:dns/promises'
import { ExitCode, ExitError } from './exit.ts'

export interface DiscoveryOptions {
  /** Goes after the name of the service: `etcd-client-NAME`. */
  readonly serviceSuffix: string
  /** Also the records of members without TLS. */
  readonly insecure: boolean
}

/**
 * The client URLs that the SRV records of `domain` name: `_etcd-client-ssl._tcp` with https,
 * `_etcd-client._tcp` with http.
 *
 * @throws ExitError when there are none
 */
export async function discover(
  domain: string,
  { serviceSuffix, insecure }: DiscoveryOptions,
): Promise<string[]> {
  const resolver = new Resolver()
  const suffix = serviceSuffix === '' ? '' : `-${serviceSuffix}`
  const lookUp = async (service: string, scheme: string): Promise<string[]> => {
    const records = await resolver.resolveSrv(`_${service}${suffix}._tcp.${domain}`)
    records.sort((a, b) => a.priority - b.priority || b.weight - a.weight)
    return records.map(({ name, port }) => `${scheme}://${name.replace(/\.$/, '')}:${port}`)
  }
  const [secure, plain] = await Promise.allSettled([
    lookUp('etcd-client-ssl', 'https'),
    lookUp('etcd-client', 'http'),
  ])
  const found = secure.status === 'fulfilled' ? secure.value : []
  if (insecure && plain.status === 'fulfilled') found.push(...plain.value)
  if (found.length > 0) return found
  const cause: unknown = secure.status === 'rejected' ? secure.reason : undefined
  throw new ExitError(ExitCode.Error, `dns lookup errors: no SRV records for etcd of ${domain}`, { cause })
}
