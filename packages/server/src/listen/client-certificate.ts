import { lookup, reverse } from 'node:dns/promises'
import {
  type DetailedPeerCertificate,
  type PeerCertificate,
  type TLSSocket,
  checkServerIdentity,
} from 'node:tls'
import { type PeerIdentity, identityFault } from '../peer/peer-tls.ts'
import { serialText } from './revoked-serials.ts'

/** What a listener demands of those who connect to it, beyond a finished handshake. */
export interface ClientCertificateRules {
  /** There has to be a certificate, and its chain has to verify. */
  readonly isRequired: boolean
  /** In the form of `serialText`. */
  readonly revokedSerials: ReadonlySet<string>
  /** For connections of other members. */
  readonly identity: PeerIdentity | undefined
  /** A certificate that names hosts or addresses has to name the one it comes from. */
  readonly checksAddress: boolean
}

/** Asks the DNS. */
export interface NameResolver {
  /** The names of an address. */
  reverse(address: string): Promise<readonly string[]>
  /** The addresses of a name. */
  lookup(name: string): Promise<readonly string[]>
}

const systemResolver: NameResolver = {
  reverse: (address) => reverse(address),
  lookup: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
}

/** Why a connection is not to be served; undefined when it is. */
export async function connectionFault(
  socket: TLSSocket,
  rules: ClientCertificateRules,
  resolver: NameResolver = systemResolver,
): Promise<Error | undefined> {
  const certificate = presented(socket)
  if (rules.isRequired) {
    if (certificate === undefined) return new Error("tls: client didn't provide a certificate")
    if (!socket.authorized) {
      return new Error(`tls: failed to verify client certificate: ${String(socket.authorizationError)}`)
    }
    if (rules.identity !== undefined) {
      const fault = identityFault(rules.identity, certificate)
      if (fault !== undefined) return fault
    }
  }
  if (certificate === undefined) return undefined
  for (const serial of serialsOf(certificate)) {
    if (rules.revokedSerials.has(serialText(serial)))
      return new Error(`transport: certificate serial ${serial} revoked`)
  }
  return rules.checksAddress
    ? addressFault(certificate, plainAddress(socket.remoteAddress ?? ''), resolver)
    : undefined
}

function presented(socket: TLSSocket): DetailedPeerCertificate | undefined {
  // Null once the connection is gone, and an object without anything in it when there is none.
  const certificate: Partial<DetailedPeerCertificate> | null = socket.getPeerCertificate(true)
  return certificate?.raw === undefined ? undefined : socket.getPeerCertificate(true)
}

function serialsOf(leaf: DetailedPeerCertificate): readonly string[] {
  const seen = new Set<DetailedPeerCertificate>()
  for (
    let at: DetailedPeerCertificate | undefined = leaf;
    at !== undefined && !seen.has(at);
    at = at.issuerCertificate
  )
    seen.add(at)
  return [...seen].map((certificate) => certificate.serialNumber)
}

/**
 * Why a certificate is not one of the host at `address`; undefined when it names no host at all, or that one. Its names
 * are looked for among those of the address, and the address among those of its names.
 */
export async function addressFault(
  certificate: PeerCertificate,
  address: string,
  resolver: NameResolver,
): Promise<Error | undefined> {
  const entries = (certificate.subjectaltname ?? '').split(', ')
  const dnsNames = entries
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length))
  const hasAddresses = entries.some((entry) => entry.startsWith('IP Address:'))
  if (hasAddresses) {
    const fault = checkServerIdentity(address, certificate)
    if (fault === undefined || dnsNames.length === 0) return fault
  }
  if (dnsNames.length === 0) return undefined
  const wildcards = dnsNames.filter((name) => name.startsWith('*.')).map((name) => name.slice(1))
  const names = dnsNames.filter((name) => !name.startsWith('*.'))
  const known = await resolver.reverse(address).catch((): string[] => [])
  for (const name of known.map((text) => text.replace(/\.$/, ''))) {
    if (names.includes(name) || wildcards.some((wildcard) => name.endsWith(wildcard))) return undefined
  }
  for (const name of names) {
    const addresses = await resolver.lookup(name).catch((): string[] => [])
    if (addresses.includes(address)) return undefined
  }
  return new Error(`tls: "${address}" does not match any of DNSNames ${JSON.stringify(dnsNames)}`)
}

/** An IPv4 address that came through a socket for both kinds, as it is written elsewhere. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}
