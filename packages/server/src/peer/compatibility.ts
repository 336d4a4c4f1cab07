import type { IncomingHttpHeaders } from 'node:http'
import { hexId } from '../membership/ids.ts'

/** Major and minor version; of the whole version only they decide who may talk to whom. */
interface MinorVersion {
  readonly major: number
  readonly minor: number
}

/** Who this member is, in every request to another one. */
export interface LocalIdentity {
  readonly memberId: bigint
  readonly clusterId: bigint
  /** `3.5.33`: exactly three numbers, because other members do not survive anything else. */
  readonly serverVersion: string
  readonly minClusterVersion: string
  readonly advertisePeerUrls: readonly string[]
}

/** Members from before there was a version header. */
const FIRST_VERSION = '2.0.0'
const OLDEST_WITH_STREAMS: MinorVersion = { major: 2, minor: 1 }

/** Major and minor of a version of three numbers, which a suffix may follow; undefined for any other text. */
function parseVersion(text: string): MinorVersion | undefined {
  const [, major, minor] =
    /^(\d{1,9})\.(\d{1,9})\.\d{1,9}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/.exec(text) ?? []
  return major === undefined ? undefined : { major: Number(major), minor: Number(minor) }
}

function isLower(a: MinorVersion, b: MinorVersion): boolean {
  return a.major < b.major || (a.major === b.major && a.minor < b.minor)
}

/** A header that comes at most once, or the first of several; empty when there is none. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name]
  return (typeof value === 'string' ? value : value?.[0]) ?? ''
}

function versionOf(headers: IncomingHttpHeaders, name: string): MinorVersion | undefined {
  const text = headerOf(headers, name)
  return parseVersion(text === '' ? FIRST_VERSION : text)
}

/** The headers of every stream, post and snapshot that this member sends. */
export function requestHeaders(local: LocalIdentity): Record<string, string> {
  return {
    'X-Server-From': hexId(local.memberId),
    'X-Server-Version': local.serverVersion,
    'X-Min-Cluster-Version': local.minClusterVersion,
    'X-Etcd-Cluster-ID': hexId(local.clusterId),
    'X-PeerURLs': local.advertisePeerUrls.join(','),
  }
}

export type Incompatibility = 'incompatible version' | 'cluster ID mismatch'

/** Why a request of another member is not one to answer; undefined when it is. */
export function incompatibilityOf(
  headers: IncomingHttpHeaders,
  local: LocalIdentity,
): Incompatibility | undefined {
  const own = parseVersion(local.serverVersion)
  const ownMin = parseVersion(local.minClusterVersion)
  const remote = versionOf(headers, 'x-server-version')
  const remoteMin = versionOf(headers, 'x-min-cluster-version')
  if (own === undefined || ownMin === undefined || remote === undefined || remoteMin === undefined)
    return 'incompatible version'
  if (isLower(remote, ownMin) || isLower(own, remoteMin)) return 'incompatible version'
  // As text: an id with leading zeros is another one.
  return headerOf(headers, 'x-etcd-cluster-id') === hexId(local.clusterId) ? undefined : 'cluster ID mismatch'
}

/**
 * Whether the answer to a stream request is from a member that has streams: only then its status means anything.
 * A version that is none, for which other implementations crash, is not one of them.
 */
export function supportsStreams(headers: IncomingHttpHeaders): boolean {
  const version = versionOf(headers, 'x-server-version')
  return version !== undefined && !isLower(version, OLDEST_WITH_STREAMS)
}

/** Whether an answer is from a member of this cluster, and not from whatever else may listen at its address. */
export function isFromCluster(headers: IncomingHttpHeaders, local: LocalIdentity): boolean {
  return headerOf(headers, 'x-etcd-cluster-id') === hexId(local.clusterId)
}

/** The id in a header or path, as other members write it; undefined when it is none. */
export function parseHexId(text: string): bigint | undefined {
  return /^[0-9a-fA-F]{1,64}$/.test(text) && BigInt(`0x${text}`) < 1n << 64n ? BigInt(`0x${text}`) : undefined
}
