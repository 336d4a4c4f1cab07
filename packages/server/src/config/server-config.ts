import type { AuthToken } from './auth-token.ts'
import type { AutoCompaction } from './auto-compaction.ts'
import type { Features } from './feature-gates.ts'
import type { LogSettings } from './log-settings.ts'
import type { EndpointUrl } from './urls.ts'

/** TLS of one side, clients or peers. File names are empty when not given. */
export interface TlsConfig {
  readonly certFile: string
  readonly keyFile: string
  /** For connections that this process opens; `certFile` and `keyFile` when not given. */
  readonly clientCertFile: string
  readonly clientKeyFile: string
  readonly clientCertAuth: boolean
  readonly trustedCaFile: string
  readonly crlFile: string
  readonly allowedCommonNames: readonly string[]
  readonly allowedHostnames: readonly string[]
  /** Serve with a certificate made here. */
  readonly auto: boolean
  readonly skipClientSanVerification: boolean
}

/** A side without TLS. */
export const noTls: TlsConfig = {
  certFile: '',
  keyFile: '',
  clientCertFile: '',
  clientKeyFile: '',
  clientCertAuth: false,
  trustedCaFile: '',
  crlFile: '',
  allowedCommonNames: [],
  allowedHostnames: [],
  auto: false,
  skipClientSanVerification: false,
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

export interface DiscoveryConfig {
  /** v2 discovery: the token's URL, empty for none. */
  readonly url: string
  readonly fallback: 'exit' | 'proxy'
  readonly httpProxy: string
  /** DNS discovery: the domain, empty for none. */
  readonly srvDomain: string
  readonly srvName: string
  /** v3 discovery, in use when there is an endpoint. */
  readonly v3: {
    readonly token: string
    readonly endpoints: readonly string[]
    readonly dialTimeoutMs: number
    readonly requestTimeoutMs: number
    readonly keepAliveTimeMs: number
    readonly keepAliveTimeoutMs: number
    readonly insecureTransport: boolean
    readonly insecureSkipVerify: boolean
    readonly certFile: string
    readonly keyFile: string
    readonly trustedCaFile: string
    readonly user: string
    readonly password: string
  }
}

export interface V2ProxyConfig {
  readonly mode: 'off' | 'readonly' | 'on'
  readonly failureWaitMs: number
  readonly refreshIntervalMs: number
  readonly dialTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly readTimeoutMs: number
}

/** Everything that a member is told at its start, with defaults resolved and the rules of `validate.ts` obeyed. */
export interface ServerConfig {
  readonly name: string
  /** Never empty; relative to the working folder as given. */
  readonly dataDir: string
  /** Empty: inside the data folder. */
  readonly walDir: string

  readonly snapshotCount: number
  readonly snapshotCatchupEntries: number
  /** 0: all are kept. */
  readonly maxSnapshots: number
  readonly maxWals: number

  readonly heartbeatIntervalMs: number
  readonly electionTimeoutMs: number
  readonly initialElectionTickAdvance: boolean
  readonly preVote: boolean
  readonly strictReconfigCheck: boolean
  readonly maxLearners: number
  /** `X.Y.0`; empty: this program's own. */
  readonly clusterVersionMax: string

  readonly listenPeerUrls: readonly EndpointUrl[]
  readonly listenClientUrls: readonly EndpointUrl[]
  /** When there is one, HTTP is served here alone and `listenClientUrls` speak gRPC alone. */
  readonly listenClientHttpUrls: readonly EndpointUrl[]
  readonly listenMetricsUrls: readonly EndpointUrl[]
  readonly advertisePeerUrls: readonly EndpointUrl[]
  readonly advertiseClientUrls: readonly EndpointUrl[]
  readonly socketReusePort: boolean
  readonly socketReuseAddress: boolean

  /** NAME=URL,NAME=URL; read by `parseInitialCluster` when a new data folder is made, and only then. */
  readonly initialCluster: string
  readonly initialClusterState: 'new' | 'existing'
  readonly initialClusterToken: string
  readonly forceNewCluster: boolean
  readonly discovery: DiscoveryConfig
  readonly v2Proxy: V2ProxyConfig

  /** Bytes; negative: no quota. */
  readonly quotaBackendBytes: number
  /** Whether that is the default, which is logged in other words. */
  readonly quotaIsDefault: boolean
  readonly backendBatchIntervalMs: number
  readonly backendBatchLimit: number
  readonly backendFreelistType: string
  readonly unsafeNoFsync: boolean
  readonly memoryMlock: boolean
  /** 0: never. */
  readonly bootstrapDefragThresholdMegabytes: number
  readonly autoCompaction: AutoCompaction
  readonly compactionBatchLimit: number
  readonly compactionSleepIntervalMs: number

  readonly maxTxnOps: number
  readonly maxRequestBytes: number
  readonly maxConcurrentStreams: number
  readonly grpcKeepAliveMinTimeMs: number
  /** 0: the server sends no pings. */
  readonly grpcKeepAliveIntervalMs: number
  readonly grpcKeepAliveTimeoutMs: number
  readonly raftReadTimeoutMs: number
  readonly raftWriteTimeoutMs: number
  readonly watchProgressNotifyIntervalMs: number
  readonly warningApplyDurationMs: number
  readonly warningUnaryRequestDurationMs: number

  readonly clientTls: TlsConfig
  readonly peerTls: TlsConfig
  readonly selfSignedCertValidityYears: number
  /** In OpenSSL's names; empty: the runtime's choice. */
  readonly tlsCiphers: readonly string[]
  readonly tlsMinVersion: TlsVersion
  /** null: the highest that both sides have. */
  readonly tlsMaxVersion: TlsVersion | null
  /** Origins as text; `*` for all. */
  readonly cors: readonly string[]
  /** Host names; `*` for all. */
  readonly hostWhitelist: readonly string[]
  readonly authToken: AuthToken
  readonly authTokenTtlSeconds: number
  readonly bcryptCost: number

  readonly enableV2: boolean
  readonly enableV2V3Prefix: string
  readonly v2Deprecation: string
  readonly enableGrpcGateway: boolean
  readonly enablePprof: boolean
  readonly extensiveMetrics: boolean
  readonly features: Features
  /** 0: never. */
  readonly corruptCheckIntervalMs: number
  readonly compactHashCheckIntervalMs: number
  readonly downgradeCheckIntervalMs: number
  readonly tracing: {
    readonly enabled: boolean
    readonly address: string
    readonly serviceName: string
    readonly instanceId: string
    readonly samplingRatePerMillion: number
  }
  readonly log: LogSettings
}
