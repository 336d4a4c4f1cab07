import { type ConnectionOptions, type PeerCertificate, checkServerIdentity } from 'node:tls'

/** What connections to other members need of TLS. Plain http and unix URLs go without. */
export interface PeerTls {
  /** Certificate, key, authorities and versions of the connections that this member opens. */
  readonly connection: ConnectionOptions
  /** Whom certificates must be made out to; undefined: the host that is dialled. */
  readonly serverName?: string
  /** Members have certificates that they made themselves: any will do, and all that is left is encryption. */
  readonly skipsVerification?: boolean
  /** Which of the certificates that verify are members': the same rule in both directions. */
  readonly identity: PeerIdentity
}

/** `--peer-cert-allowed-cn` and `--peer-cert-allowed-hostname`, of which at most one is given; empty lists allow all. */
export interface PeerIdentity {
  readonly allowedCommonNames: readonly string[]
  readonly allowedHostnames: readonly string[]
}

/** Why a certificate of another member is not good enough, although its chain verifies; undefined when it is. */
export function identityFault(identity: PeerIdentity, certificate: PeerCertificate): Error | undefined {
  const { allowedCommonNames, allowedHostnames } = identity
  const subject: Partial<PeerCertificate['subject']> = certificate.subject ?? {}
  const allowed =
    allowedCommonNames.length > 0
      ? typeof subject.CN === 'string' && allowedCommonNames.includes(subject.CN)
      : allowedHostnames.length === 0 ||
        allowedHostnames.some((name) => hostFault(name, certificate) === undefined)
  return allowed ? undefined : new Error('client certificate authentication failed')
}

/** Why a certificate is not made out to `host`; a common name alone does not count as one. */
export function hostFault(host: string, certificate: PeerCertificate): Error | undefined {
  if (certificate.subjectaltname === undefined) {
    return new Error(`certificate is not valid for any names, but wanted to match ${host}`)
  }
  return checkServerIdentity(host, certificate)
}
