import type { TlsOptions } from 'node:tls'
import type { Disk } from '@etcd-ts/platform'
import type { ServerConfig, TlsConfig } from '../config/index.ts'
import type { PeerTls } from '../peer/peer-tls.ts'
import type { ClientCertificateRules } from './client-certificate.ts'
import { revokedSerials } from './revoked-serials.ts'

/** How a listener speaks TLS, and whom it serves. */
export interface ListenerTls {
  readonly options: TlsOptions
  readonly rules: ClientCertificateRules
}

/**
 * TLS of the listeners for clients, or undefined when no certificate is configured.
 *
 * @throws Error when a named file cannot be read
 */
export function clientListenerTls(config: ServerConfig, disk: Disk): ListenerTls | undefined {
  return listenerTls(config.clientTls, config, disk, { identity: undefined, checksAddress: false })
}

/** Likewise for other members. */
export function peerListenerTls(config: ServerConfig, disk: Disk): ListenerTls | undefined {
  const { allowedCommonNames, allowedHostnames, skipClientSanVerification } = config.peerTls
  return listenerTls(config.peerTls, config, disk, {
    identity: { allowedCommonNames, allowedHostnames },
    checksAddress: !skipClientSanVerification,
  })
}

/**
 * TLS of the connections to other members, or undefined when nothing is configured for them.
 *
 * @param serverName whom the members' certificates must be made out to instead of their hosts: the domain of DNS discovery
 * @throws Error when a named file cannot be read
 */
export function peerTlsOf(config: ServerConfig, disk: Disk, serverName?: string): PeerTls | undefined {
  const tls = config.peerTls
  const certFile = tls.clientCertFile === '' ? tls.certFile : tls.clientCertFile
  const keyFile = tls.clientKeyFile === '' ? tls.keyFile : tls.clientKeyFile
  if (certFile === '' && tls.trustedCaFile === '' && serverName === undefined) return undefined
  return {
    connection: {
      ...protocolOptions(config),
      ...(certFile === '' || keyFile === '' ? {} : { cert: read(disk, certFile), key: read(disk, keyFile) }),
      ...(tls.trustedCaFile === '' ? {} : { ca: read(disk, tls.trustedCaFile) }),
    },
    ...(serverName === undefined || tls.trustedCaFile !== '' ? {} : { serverName }),
    skipsVerification: tls.auto,
    identity: { allowedCommonNames: tls.allowedCommonNames, allowedHostnames: tls.allowedHostnames },
  }
}

function listenerTls(
  tls: TlsConfig,
  config: ServerConfig,
  disk: Disk,
  rules: Pick<ClientCertificateRules, 'identity' | 'checksAddress'>,
): ListenerTls | undefined {
  if (tls.certFile === '' || tls.keyFile === '') return undefined
  const isRequired = tls.clientCertAuth || tls.trustedCaFile !== ''
  return {
    options: {
      cert: read(disk, tls.certFile),
      key: read(disk, tls.keyFile),
      ...protocolOptions(config),
      ...(tls.trustedCaFile === '' ? {} : { ca: read(disk, tls.trustedCaFile) }),
      requestCert: isRequired,
      // The listener refuses by its rules, and says why.
      rejectUnauthorized: false,
    },
    rules: {
      ...rules,
      isRequired,
      revokedSerials: tls.crlFile === '' ? new Set() : revokedSerials(disk.readFile(tls.crlFile)),
    },
  }
}

function protocolOptions(config: ServerConfig): Pick<TlsOptions, 'minVersion' | 'maxVersion' | 'ciphers'> {
  return {
    minVersion: config.tlsMinVersion,
    ...(config.tlsMaxVersion === null ? {} : { maxVersion: config.tlsMaxVersion }),
    ...(config.tlsCiphers.length === 0 ? {} : { ciphers: config.tlsCiphers.join(':') }),
  }
}

function read(disk: Disk, file: string): Buffer {
  return Buffer.from(disk.readFile(file))
}
