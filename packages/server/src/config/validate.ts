import { isIP } from 'node:net'
import type { Addresses } from './build-config.ts'
import { ConfigError } from './errors.ts'
import { readFeatures } from './features.ts'
import type { FlagValues } from './flag-values.ts'
import { formatDuration, quote } from './go-values.ts'
import { readLogSettings } from './log-settings.ts'
import { isUnix, splitHostPort, type EndpointUrl } from './urls.ts'

export const ADVERTISE_CLIENT_URLS_REQUIRED =
  '--advertise-client-urls is required when --listen-client-urls is set explicitly'
const ELECTION_TIMEOUT_MS_MAX = 50_000

/**
 * The rules that tie values together, in etcd's order, since only the first that is broken is reported.
 *
 * @throws ConfigError
 */
export function validate(values: FlagValues, addresses: Addresses & { clientUrlsMissing: boolean }): void {
  readLogSettings(values)
  checkBinding(values.get('listen-peer-urls'))
  checkBinding(values.get('listen-client-urls'))
  checkBinding(values.get('listen-client-http-urls'))
  checkBinding(values.get('listen-metrics-urls'))
  checkHosts('initial-advertise-peer-urls', addresses.advertisePeerUrls)
  checkHosts('advertise-client-urls', addresses.advertiseClientUrls)
  checkBootstrap(values, addresses.initialCluster)
  checkTimings(values.get('heartbeat-interval'), values.get('election-timeout'))
  if (addresses.clientUrlsMissing) throw new ConfigError(ADVERTISE_CLIENT_URLS_REQUIRED)
  const mode = values.get('auto-compaction-mode')
  if (!['periodic', 'revision', ''].includes(mode))
    throw new ConfigError(`unknown auto-compaction-mode ${quote(mode)}`)
  checkFeatures(values)
  if (values.get('compact-hash-check-time') <= 0) {
    const name = values.isGiven('compact-hash-check-time') ? '' : 'experimental-'
    const shown = formatDuration(values.get('compact-hash-check-time'))
    throw new ConfigError(`--${name}compact-hash-check-time must be >0 (set to ${shown})`)
  }
  checkTracing(values)
  checkTlsVersions(values)
  checkClusterVersionMax(values.get('cluster-version-max'))
}

function checkBinding(urls: readonly EndpointUrl[]): void {
  for (const url of urls) {
    if (isUnix(url) || url.hostname === 'localhost') continue
    // An address with a zone is one for the runtime, but not for etcd.
    if (isIP(url.hostname) === 0 || url.hostname.includes('%')) {
      throw new ConfigError(`expected IP in URL for binding (${url.text})`)
    }
  }
}

function checkHosts(name: string, urls: readonly EndpointUrl[]): void {
  const empty = urls.find((url) => !isUnix(url) && splitHostPort(url.host)?.host === '')
  if (empty === undefined) return
  const list = quote(urls.map((url) => url.text).join(','))
  throw new ConfigError(`--${name} ${list} must be "host:port" (unexpected empty host (${empty.text}))`)
}

function checkBootstrap(values: FlagValues, initialCluster: string): void {
  const endpoints = values.get('discovery-endpoints')
  const token = values.get('discovery-token')
  const ways = [
    values.get('discovery') !== '',
    initialCluster !== '',
    values.get('discovery-srv') !== '',
    endpoints.length > 0,
  ]
  if (ways.filter(Boolean).length > 1) {
    const names = endpoints.length > 0 ? '"discovery", "discovery-endpoints"' : '"discovery"'
    throw new ConfigError(
      `multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", ${names} or "discovery-srv"`,
    )
  }
  if ((token === '') !== (endpoints.length === 0)) {
    throw new ConfigError('both --discovery-token and --discovery-endpoints must be set')
  }
  if (endpoints.includes('')) throw new ConfigError('--discovery-endpoints must not contain empty endpoints')
}

function checkTimings(heartbeatMs: number, electionMs: number): void {
  if (heartbeatMs <= 0) throw new ConfigError(`--heartbeat-interval must be >0 (set to ${heartbeatMs}ms)`)
  if (electionMs <= 0) throw new ConfigError(`--election-timeout must be >0 (set to ${electionMs}ms)`)
  if (5 * heartbeatMs > electionMs) {
    throw new ConfigError(
      `--election-timeout[${electionMs}ms] should be at least as 5 times as --heartbeat-interval[${heartbeatMs}ms]`,
    )
  }
  if (electionMs > ELECTION_TIMEOUT_MS_MAX) {
    throw new ConfigError(
      `--election-timeout[${electionMs}ms] is too long, and should be set less than ${ELECTION_TIMEOUT_MS_MAX}ms`,
    )
  }
}

function checkFeatures(values: FlagValues): void {
  const features = readFeatures(values)
  if (!features.LeaseCheckpointPersist || features.LeaseCheckpoint) return
  throw new ConfigError(
    values.isGiven('experimental-enable-lease-checkpoint-persist')
      ? 'setting experimental-enable-lease-checkpoint-persist requires experimental-enable-lease-checkpoint'
      : 'enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint',
  )
}

function checkTracing(values: FlagValues): void {
  const rate = values.get('distributed-tracing-sampling-rate')
  if (!values.get('enable-distributed-tracing') || (rate >= 0 && rate <= 1_000_000)) return
  throw new ConfigError(
    'distributed tracing configurition is not valid: (tracing sampling rate must be between 0 and 1000000)',
  )
}

function checkClusterVersionMax(text: string): void {
  if (text !== '' && !/^3\.\d+$/.test(text))
    throw new ConfigError(`--cluster-version-max ${quote(text)} must be a version such as "3.4"`)
}

function checkTlsVersions(values: FlagValues): void {
  const min = values.get('tls-min-version')
  const max = values.get('tls-max-version')
  for (const version of [min, max]) {
    if (version !== '' && version !== 'TLS1.2' && version !== 'TLS1.3') {
      throw new ConfigError(`unexpected TLS version ${quote(version)} (must be one of: TLS1.2, TLS1.3)`)
    }
  }
  if (min === 'TLS1.3' && max === 'TLS1.2') {
    throw new ConfigError(`min version (${min}) is greater than max version (${max})`)
  }
  if (min === 'TLS1.3' && values.get('cipher-suites').length > 0) {
    throw new ConfigError('cipher suites cannot be configured when only TLS1.3 is enabled')
  }
}
