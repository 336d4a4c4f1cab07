import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import type { Clock, Disk, Random } from '@etcd-ts/platform'
import { type EndpointUrl, type ServerConfig, type TlsConfig, noTls } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import { certificatePem } from './x509.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const SERIAL_BYTES = 16

/** What certificates are made with. */
export interface SelfSignedPorts {
  readonly disk: Disk
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/**
 * Makes the certificates of `--auto-tls` and `--peer-auto-tls`, in the data folder, unless they are there already.
 *
 * @returns the configuration with their files, in which `auto` says that they are self-signed
 * @throws Error when they cannot be written
 */
export function withSelfSignedCertificates(config: ServerConfig, ports: SelfSignedPorts): ServerConfig {
  return {
    ...config,
    clientTls: selfSigned(config, config.clientTls, 'client', config.listenClientUrls, ports),
    peerTls: selfSigned(config, config.peerTls, 'peer', config.listenPeerUrls, ports),
  }
}

function selfSigned(
  config: ServerConfig,
  tls: TlsConfig,
  side: 'client' | 'peer',
  urls: readonly EndpointUrl[],
  { disk, clock, random, logger }: SelfSignedPorts,
): TlsConfig {
  if (!tls.auto) return tls
  if (tls.certFile !== '' || tls.keyFile !== '' || tls.trustedCaFile !== '') {
    logger.warn(`ignoring ${side} auto TLS since certs given`)
    return { ...tls, auto: false }
  }
  const folder = join(config.dataDir, 'fixtures', side)
  const certFile = join(folder, 'cert.pem')
  const keyFile = join(folder, 'key.pem')
  if (!disk.exists(certFile) || !disk.exists(keyFile)) {
    for (const path of [config.dataDir, join(config.dataDir, 'fixtures'), folder]) {
      if (!disk.exists(path)) disk.makeDirectory(path, 0o700)
    }
    const hosts = [...new Set(urls.map((url) => url.hostname))]
    const { cert, key } = makePair(hosts, config.selfSignedCertValidityYears, clock, random)
    disk.writeFile(certFile, Buffer.from(cert), 0o600)
    disk.writeFile(keyFile, Buffer.from(key), 0o600)
    logger.info('created a self-signed certificate', { 'cert-file': certFile, 'key-file': keyFile, hosts })
  }
  return { ...noTls, certFile, keyFile, auto: true }
}

function makePair(
  hosts: readonly string[],
  validityYears: number,
  clock: Clock,
  random: Random,
): { cert: string; key: string } {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = { organization: 'etcd' }
  const validFromMs = clock.wallMs()
  const serial = random.bytes(SERIAL_BYTES)
  // Positive, and without leading zeros.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 1
  const cert = certificatePem({
    subject,
    issuer: subject,
    issuerKey: privateKey,
    key: privateKey,
    serial,
    validFromMs,
    validToMs: validFromMs + validityYears * 365 * DAY_MS,
    hosts,
    isAuthority: false,
  })
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}
