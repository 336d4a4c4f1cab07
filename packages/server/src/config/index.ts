export type { AuthToken } from './auth-token.ts'
export type { AutoCompaction } from './auto-compaction.ts'
export { opensslCiphers } from './cipher-suites.ts'
export { detectDefaultHost, type ReadFile } from './default-host.ts'
export { ConfigError, textOf } from './errors.ts'
export type { Features, FeatureName } from './feature-gates.ts'
export { formatDuration, parseDuration, quote } from './go-values.ts'
export { formatInitialCluster, parseInitialCluster, type InitialCluster } from './initial-cluster.ts'
export {
  defaultLogSettings,
  isLogFile,
  type LogLevel,
  type LogRotation,
  type LogSettings,
} from './log-settings.ts'
export type { Note, NoteField } from './notes.ts'
export { parseServerArguments, type ServerArguments } from './server-arguments.ts'
export {
  type DiscoveryConfig,
  type ServerConfig,
  type TlsConfig,
  type TlsVersion,
  type V2ProxyConfig,
  noTls,
} from './server-config.ts'
export {
  isSecure,
  isUnix,
  parseUrl,
  parseUrlList,
  socketPath,
  withHost,
  type EndpointUrl,
  type UrlScheme,
} from './urls.ts'
export {
  BUILD_ID,
  COMPAT_CLUSTER_VERSION,
  COMPAT_VERSION,
  MIN_CLUSTER_VERSION,
  OWN_VERSION,
  platformName,
  RUNTIME_VERSION,
  versionText,
} from './version.ts'
