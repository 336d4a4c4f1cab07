import type { TlsOptions } from 'node:tls'
import type { Disk } from '@etcd-ts/platform'
import type { ServerConfig, TlsConfig } from '../config/index.ts'

/**
 * TLS options of a listener, or undefined when no certificate is configured.
 *
 * @throws Error when a named file cannot be read
 */
export function tlsOptionsOf(tls: TlsConfig, config: ServerConfig, disk: Disk): TlsOptions | undefined {
  if (tls.certFile === '' || tls.keyFile === '') return undefined
  const verifiesClients = tls.clientCertAuth || tls.trustedCaFile !== ''
  return {
    cert: Buffer.from(disk.readFile(tls.certFile)),
    key: Buffer.from(disk.readFile(tls.keyFile)),
    minVersion: config.tlsMinVersion,
    ...(config.tlsMaxVersion === null ? {} : { maxVersion: config.tlsMaxVersion }),
    ...(config.tlsCiphers.length === 0 ? {} : { ciphers: config.tlsCiphers.join(':') }),
    ...(tls.trustedCaFile === '' ? {} : { ca: Buffer.from(disk.readFile(tls.trustedCaFile)) }),
    ...(tls.crlFile === '' ? {} : { crl: Buffer.from(disk.readFile(tls.crlFile)) }),
    requestCert: verifiesClients,
    rejectUnauthorized: verifiesClients,
  }
}
