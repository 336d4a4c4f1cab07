import { Resolver as DnsResolver, lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

/** A server that a domain names for a service. */
export interface ServiceRecord {
  /** A host name; may end in a dot. */
  readonly target: string
  readonly port: number
}

/** What a starting member asks of the domain name system. */
export interface Resolver {
  /** The address of a host, IPv4 before IPv6. @throws Error when it has none */
  address(hostname: string): Promise<string>
  /** Who serves `name` (`_service._tcp.domain`), the preferred first. @throws Error when nobody does */
  services(name: string): Promise<readonly ServiceRecord[]>
}

const QUERY = { timeout: 3_000, tries: 2 } as const

/** The machine's own resolver. */
export const systemResolver: Resolver = {
  async address(hostname) {
    if (isIP(hostname) !== 0) return hostname
    try {
      const found = await lookup(hostname, { all: true, verbatim: true })
      const best = found.find((one) => one.family === 4) ?? found[0]
      if (best === undefined) throw new Error('no address')
      return best.address
    } catch (error) {
      throw new Error(`lookup ${hostname}: ${reasonOf(error)}`, { cause: error })
    }
  },
  services: (name) => queryServices(new DnsResolver(QUERY), name),
}

/** Asks the servers that `resolver` is set to. @throws Error */
export async function queryServices(resolver: DnsResolver, name: string): Promise<readonly ServiceRecord[]> {
  try {
    const records = await resolver.resolveSrv(name)
    records.sort((a, b) => a.priority - b.priority || b.weight - a.weight)
    return records.map(({ name: target, port }) => ({ target, port }))
  } catch (error) {
    throw new Error(`lookup ${name}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Go's words for what the system's resolver says. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOTFOUND' || code === 'ENODATA' || code === 'NOTFOUND') return 'no such host'
  if (code === 'EAI_AGAIN' || code === 'ESERVFAIL') return 'server misbehaving'
  if (code === 'ETIMEOUT') return 'i/o timeout'
  return error instanceof Error ? error.message : String(error)
}
