import { parseAuthToken } from './auth-token.ts'
import { parseAutoCompaction } from './auto-compaction.ts'
import { opensslCiphers } from './cipher-suites.ts'
import { readFeatures } from './features.ts'
import type { FlagValues } from './flag-values.ts'
import { readLogSettings } from './log-settings.ts'
import type { DiscoveryConfig, ServerConfig, TlsConfig, TlsVersion, V2ProxyConfig } from './server-config.ts'
import type { EndpointUrl } from './urls.ts'

export const QUOTA_BYTES_DEFAULT = 2 * 1024 * 1024 * 1024
/** Peers send a sign of life every few seconds, so that a lower timeout would cut good connections. */
const RAFT_TIMEOUT_MS_MIN = 5_000

/** What is settled by the way in which values were given, before any of them is looked at as a whole. */
export interface Addresses {
  readonly advertisePeerUrls: readonly EndpointUrl[]
  readonly advertiseClientUrls: readonly EndpointUrl[]
  readonly initialCluster: string
}

/**
 * The configuration that validated values make.
 *
 * @throws ConfigError for what etcd notices only when it starts: compaction retention, cipher suites, auth token
 */
export function buildConfig(values: FlagValues, addresses: Addresses): ServerConfig {
  const name = values.get('name')
  const quota = values.get('quota-backend-bytes')
  const version = (text: string): TlsVersion => (text === 'TLS1.3' ? 'TLSv1.3' : 'TLSv1.2')
  const tlsMax = values.get('tls-max-version')
  return {
    ...addresses,
    name,
    dataDir: values.get('data-dir') || `${name}.etcd`,
    walDir: values.get('wal-dir'),
    snapshotCount: values.get('snapshot-count'),
    snapshotCatchupEntries: values.get('snapshot-catchup-entries'),
    maxSnapshots: values.get('max-snapshots'),
    maxWals: values.get('max-wals'),
    heartbeatIntervalMs: values.get('heartbeat-interval'),
    electionTimeoutMs: values.get('election-timeout'),
    initialElectionTickAdvance: values.get('initial-election-tick-advance'),
    preVote: values.get('pre-vote'),
    strictReconfigCheck: values.get('strict-reconfig-check'),
    maxLearners: values.get('max-learners'),
    clusterVersionMax: values.get('cluster-version-max') && `${values.get('cluster-version-max')}.0`,
    listenPeerUrls: values.get('listen-peer-urls'),
    listenClientUrls: values.get('listen-client-urls'),
    listenClientHttpUrls: values.get('listen-client-http-urls'),
    listenMetricsUrls: values.get('listen-metrics-urls'),
    socketReusePort: values.get('socket-reuse-port'),
    socketReuseAddress: values.get('socket-reuse-address'),
    initialClusterState: values.get('initial-cluster-state') === 'existing' ? 'existing' : 'new',
    initialClusterToken: values.get('initial-cluster-token'),
    forceNewCluster: values.get('force-new-cluster'),
    discovery: discoveryOf(values),
    v2Proxy: v2ProxyOf(values),
    quotaBackendBytes: quota === 0 ? QUOTA_BYTES_DEFAULT : quota,
    quotaIsDefault: quota === 0,
    backendBatchIntervalMs: values.get('backend-batch-interval') || 100,
    backendBatchLimit: values.get('backend-batch-limit') || 10_000,
    backendFreelistType: values.get('backend-bbolt-freelist-type'),
    unsafeNoFsync: values.get('unsafe-no-fsync'),
    memoryMlock: values.get('memory-mlock'),
    bootstrapDefragThresholdMegabytes: values.get('bootstrap-defrag-threshold-megabytes'),
    autoCompaction: parseAutoCompaction(
      values.get('auto-compaction-mode'),
      values.get('auto-compaction-retention'),
    ),
    compactionBatchLimit: values.get('compaction-batch-limit') || 1_000,
    compactionSleepIntervalMs: values.get('compaction-sleep-interval') || 10,
    maxTxnOps: values.get('max-txn-ops'),
    maxRequestBytes: values.get('max-request-bytes'),
    maxConcurrentStreams: values.get('max-concurrent-streams'),
    grpcKeepAliveMinTimeMs: values.get('grpc-keepalive-min-time'),
    grpcKeepAliveIntervalMs: values.get('grpc-keepalive-interval'),
    grpcKeepAliveTimeoutMs: values.get('grpc-keepalive-timeout'),
    raftReadTimeoutMs: Math.max(values.get('raft-read-timeout'), RAFT_TIMEOUT_MS_MIN),
    raftWriteTimeoutMs: Math.max(values.get('raft-write-timeout'), RAFT_TIMEOUT_MS_MIN),
    watchProgressNotifyIntervalMs: values.get('watch-progress-notify-interval') || 600_000,
    warningApplyDurationMs: values.get('warning-apply-duration'),
    warningUnaryRequestDurationMs: values.get('warning-unary-request-duration'),
    clientTls: clientTlsOf(values),
    peerTls: peerTlsOf(values),
    selfSignedCertValidityYears: values.get('self-signed-cert-validity'),
    tlsCiphers: opensslCiphers(values.get('cipher-suites')),
    tlsMinVersion: version(values.get('tls-min-version')),
    tlsMaxVersion: tlsMax === '' ? null : version(tlsMax),
    cors: starIfEmpty(values.get('cors')),
    hostWhitelist: starIfEmpty(values.get('host-whitelist')),
    authToken: parseAuthToken(values.get('auth-token')),
    authTokenTtlSeconds: values.get('auth-token-ttl'),
    bcryptCost: values.get('bcrypt-cost'),
    enableV2: values.get('enable-v2'),
    enableV2V3Prefix: values.get('experimental-enable-v2v3'),
    v2Deprecation: values.get('v2-deprecation'),
    enableGrpcGateway: values.get('enable-grpc-gateway'),
    enablePprof: values.get('enable-pprof'),
    extensiveMetrics: values.get('metrics') === 'extensive',
    features: readFeatures(values),
    corruptCheckIntervalMs: values.get('corrupt-check-time'),
    compactHashCheckIntervalMs: values.get('compact-hash-check-time'),
    downgradeCheckIntervalMs: values.get('downgrade-check-time'),
    tracing: {
      enabled: values.get('enable-distributed-tracing'),
      address: values.get('distributed-tracing-address'),
      serviceName: values.get('distributed-tracing-service-name'),
      instanceId: values.get('distributed-tracing-instance-id'),
      samplingRatePerMillion: values.get('distributed-tracing-sampling-rate'),
    },
    log: readLogSettings(values),
  }
}

function starIfEmpty(list: readonly string[]): readonly string[] {
  return list.length === 0 ? ['*'] : list
}

function discoveryOf(values: FlagValues): DiscoveryConfig {
  return {
    url: values.get('discovery'),
    fallback: values.get('discovery-fallback') === 'exit' ? 'exit' : 'proxy',
    httpProxy: values.get('discovery-proxy'),
    srvDomain: values.get('discovery-srv'),
    srvName: values.get('discovery-srv-name'),
    v3: {
      token: values.get('discovery-token'),
      endpoints: values.get('discovery-endpoints'),
      dialTimeoutMs: values.get('discovery-dial-timeout'),
      requestTimeoutMs: values.get('discovery-request-timeout'),
      keepAliveTimeMs: values.get('discovery-keepalive-time'),
      keepAliveTimeoutMs: values.get('discovery-keepalive-timeout'),
      insecureTransport: values.get('discovery-insecure-transport'),
      insecureSkipVerify: values.get('discovery-insecure-skip-tls-verify'),
      certFile: values.get('discovery-cert'),
      keyFile: values.get('discovery-key'),
      trustedCaFile: values.get('discovery-cacert'),
      user: values.get('discovery-user'),
      password: values.get('discovery-password'),
    },
  }
}

function v2ProxyOf(values: FlagValues): V2ProxyConfig {
  const mode = values.get('proxy')
  return {
    mode: mode === 'on' || mode === 'readonly' ? mode : 'off',
    failureWaitMs: values.get('proxy-failure-wait'),
    refreshIntervalMs: values.get('proxy-refresh-interval'),
    dialTimeoutMs: values.get('proxy-dial-timeout'),
    writeTimeoutMs: values.get('proxy-write-timeout'),
    readTimeoutMs: values.get('proxy-read-timeout'),
  }
}

export function clientTlsOf(values: FlagValues): TlsConfig {
  return {
    certFile: values.get('cert-file'),
    keyFile: values.get('key-file'),
    clientCertFile: values.get('client-cert-file'),
    clientKeyFile: values.get('client-key-file'),
    clientCertAuth: values.get('client-cert-auth'),
    trustedCaFile: values.get('trusted-ca-file'),
    crlFile: values.get('client-crl-file'),
    allowedCommonNames: [],
    allowedHostnames: values.get('client-cert-allowed-hostname'),
    auto: values.get('auto-tls'),
    skipClientSanVerification: false,
  }
}

export function peerTlsOf(values: FlagValues): TlsConfig {
  return {
    certFile: values.get('peer-cert-file'),
    keyFile: values.get('peer-key-file'),
    clientCertFile: values.get('peer-client-cert-file'),
    clientKeyFile: values.get('peer-client-key-file'),
    clientCertAuth: values.get('peer-client-cert-auth'),
    trustedCaFile: values.get('peer-trusted-ca-file'),
    crlFile: values.get('peer-crl-file'),
    allowedCommonNames: values.get('peer-cert-allowed-cn'),
    allowedHostnames: values.get('peer-cert-allowed-hostname'),
    auto: values.get('peer-auto-tls'),
    skipClientSanVerification: values.get('peer-skip-client-san-verification'),
  }
}
