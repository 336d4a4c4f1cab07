import { ConfigError } from './errors.ts'
import { note, type Note } from './notes.ts'
import type { ServerConfig, TlsConfig } from './server-config.ts'
import { isSecure, type EndpointUrl } from './urls.ts'

/**
 * Checks that every https address has a certificate to show. The files themselves are read by the listeners.
 *
 * @returns warnings about TLS that was set up for addresses without it
 * @throws ConfigError
 */
export function checkTlsFiles(config: ServerConfig): readonly Note[] {
  checkPair(config.peerTls)
  for (const url of config.listenPeerUrls) {
    if (isSecure(url) && !hasCertificate(config.peerTls)) {
      throw new ConfigError(`cannot listen on TLS for ${url.host}: KeyFile and CertFile are not presented`)
    }
  }
  for (const url of [...config.listenClientUrls, ...config.listenClientHttpUrls]) {
    if (isSecure(url) && !hasCertificate(config.clientTls) && partOf(config.clientTls) === '') {
      throw new ConfigError(
        `TLS key/cert (--cert-file, --key-file) must be provided for client url ${url.text} with HTTPS scheme`,
      )
    }
  }
  checkPair(config.clientTls)
  return [
    ...warnings('peer-url', config.listenPeerUrls, config.peerTls),
    ...warnings('client-url', [...config.listenClientUrls, ...config.listenClientHttpUrls], config.clientTls),
  ]
}

function hasCertificate(tls: TlsConfig): boolean {
  return tls.auto || (tls.certFile !== '' && tls.keyFile !== '')
}

function partOf(tls: TlsConfig): string {
  return tls.certFile + tls.keyFile
}

function checkPair(tls: TlsConfig): void {
  if (tls.auto || (tls.certFile === '') === (tls.keyFile === '')) return
  throw new ConfigError(
    `KeyFile and CertFile must both be present[key: ${tls.keyFile}, cert: ${tls.certFile}]`,
  )
}

function warnings(field: string, urls: readonly EndpointUrl[], tls: TlsConfig): readonly Note[] {
  return urls
    .filter((url) => !isSecure(url))
    .flatMap((url) => [
      ...(partOf(tls) === ''
        ? []
        : [
            note('warn', 'scheme is HTTP while key and cert files are present; ignoring key and cert files', {
              [field]: url.text,
            }),
          ]),
      ...(tls.clientCertAuth
        ? [
            note(
              'warn',
              'scheme is HTTP while --client-cert-auth is enabled; ignoring client cert auth for this URL',
              { [field]: url.text },
            ),
          ]
        : []),
    ])
}
