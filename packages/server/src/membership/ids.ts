import { createHash } from 'node:crypto'

/** First eight bytes of SHA-1 over `parts`, big-endian: how etcd makes every member and cluster id. */
function sha1Id(parts: readonly (string | Uint8Array)[]): bigint {
  const hash = createHash('sha1')
  for (const part of parts) hash.update(part)
  return hash.digest().readBigUInt64BE(0)
}

/**
 * Id of a member of the initial cluster.
 * @param peerUrls advertised peer URLs as they are stored (in any order)
 * @param token `--initial-cluster-token`
 */
export function bootstrapMemberId(peerUrls: readonly string[], token: string): bigint {
  return sha1Id([...[...peerUrls].sort(), token])
}

/**
 * Id of a member that is added to a running cluster.
 * @param wallSeconds time of the addition: another one with the same URLs is another member
 */
export function addedMemberId(peerUrls: readonly string[], wallSeconds: number): bigint {
  return sha1Id([...[...peerUrls].sort(), String(wallSeconds)])
}

/** Cluster id of an initial cluster; never computed again later. */
export function clusterIdOf(memberIds: readonly bigint[]): bigint {
  const bytes = [...memberIds]
    .sort((a, b) => (a < b ? -1 : 1))
    .map((id) => {
      const part = Buffer.alloc(8)
      part.writeBigUInt64BE(id)
      return part
    })
  return sha1Id(bytes)
}

/** An id as logs, file names, v2 paths and HTTP headers show it: lower-case hex without padding. */
export function hexId(id: bigint): string {
  return id.toString(16)
}
