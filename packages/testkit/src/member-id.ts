import { createHash } from 'node:crypto'

/** The id of a member of a new cluster: the start of a SHA-1 over its sorted peer URLs and the cluster's token. */
export function bootstrapMemberId(peerUrls: readonly string[], token: string): bigint {
  const text = [...peerUrls].toSorted().join('') + token
  return createHash('sha1').update(text).digest().readBigUInt64BE(0)
}

/** An id as etcd prints it and sends it in headers: hexadecimal without leading zeros. */
export function hexOfId(id: bigint): string {
  return id.toString(16)
}
