import { isIP } from 'node:net'
import { ConfigError, type ServerConfig, quote, textOf } from '../../config/index.ts'
import type { Logger } from '../../log/index.ts'
import type { Resolver } from '../resolver.ts'

type Self = Pick<ServerConfig, 'name' | 'advertisePeerUrls' | 'discovery'>

/**
 * The members that the records of a domain name: first those of `_etcd-server-ssl._tcp`, which speak TLS, and then those
 * of `_etcd-server._tcp`. The one at an address that this member advertises is this member; the names of the others are
 * numbers.
 *
 * @returns the members as `--initial-cluster` lists them
 * @throws ConfigError with etcd's text when there is none, or when this member is not among them
 */
export async function clusterFromRecords(self: Self, resolver: Resolver, logger: Logger): Promise<string> {
  const { srvDomain, srvName } = self.discovery
  const suffix = srvName === '' ? '' : `-${srvName}`
  const found: string[] = []
  const faults: string[] = []
  for (const { scheme, base } of [
    { scheme: 'https', base: 'etcd-server-ssl' },
    { scheme: 'http', base: 'etcd-server' },
  ] as const) {
    const service = base + suffix
    const fields = {
      'service-scheme': scheme,
      'service-name': service,
      'server-name': self.name,
      'discovery-srv': srvDomain,
      'advertise-peer-urls': self.advertisePeerUrls.map((url) => url.text),
    }
    const message = `get cluster for ${base} SRV`
    try {
      const members = await membersAt(service, scheme, self, resolver)
      found.push(...members)
      logger.info(message, { ...fields, 'found-cluster': members })
    } catch (error) {
      const fault = `error querying DNS SRV records for _${service} ${textOf(error)}`
      faults.push(fault)
      logger.info(message, { ...fields, 'found-cluster': [], error: fault })
    }
  }
  const fault = faults.join('; ')
  if (fault !== '') logger.warn('failed to resolve during SRV discovery', { error: fault })
  if (found.length === 0 && fault !== '') throw new ConfigError(`error setting up initial cluster: ${fault}`)
  for (const node of found) logger.info('got bootstrap from DNS for etcd-server', { node })
  if (!found.some((node) => node.startsWith(`${self.name}=`))) {
    throw new ConfigError(
      `error setting up initial cluster: cannot find local etcd member ${quote(self.name)} in SRV records`,
    )
  }
  return found.join(',')
}

async function membersAt(
  service: string,
  scheme: 'http' | 'https',
  self: Self,
  resolver: Resolver,
): Promise<string[]> {
  const own = new Map<string, string>()
  for (const url of self.advertisePeerUrls) {
    own.set(joinHostPort(await resolver.address(url.hostname), url.port), url.text)
  }
  const members: string[] = []
  let fault: unknown
  let strangers = 0
  for (const { target, port } of await resolver.services(`_${service}._tcp.${self.discovery.srvDomain}`)) {
    let address: string
    try {
      address = await resolver.address(target)
    } catch (error) {
      fault = error
      continue
    }
    const ownUrl = own.get(joinHostPort(address, port))
    // URLs do not end in the dot that records have.
    const url = `${scheme}://${joinHostPort(target.replace(/\.$/, ''), port)}`
    const name = ownUrl === undefined ? String(strangers++) : self.name
    if (ownUrl === undefined || ownUrl.startsWith(`${scheme}://`)) members.push(`${name}=${url}`)
    else {
      fault = new Error(
        `bootstrap at ${url} from DNS for ${service} has scheme mismatch with expected peer ${ownUrl}`,
      )
    }
  }
  if (members.length === 0 && fault !== undefined) throw fault
  return members
}

function joinHostPort(host: string, port: number): string {
  return isIP(host) === 6
    ? `[${new URL(`http://[${host}]`).hostname.slice(1, -1)}]:${port}`
    : `${host}:${port}`
}
