/**
 * The document inside a raft snapshot (`.snap` files, MsgSnap): the v2 store's tree as JSON.
 *
 * Members of 3.4 and 3.5 take the membership and the cluster version from it:
 *   /0/members/<id hex>/raftAttributes   {"peerURLs":[..],"isLearner":true?}
 *   /0/members/<id hex>/attributes       {"name":..,"clientURLs":[..]}      once published
 *   /0/removed_members/<id hex>          empty
 *   /0/version                           X.Y.0
 * A node has Path, CreatedIndex, ModifiedIndex, ExpireTime, Value and Children (null for a file).
 */
import { parseJson } from '@etcd-ts/api'
import type { Cluster } from './cluster.ts'

/** Writes the membership as the v2 store that a member of 3.4, 3.5 or 3.6 recovers from. */
export function encodeV2Snapshot(cluster: Cluster): Uint8Array {
  return Buffer.from(cluster.formatV2())
}

/** Restores `cluster` from the JSON of a raft snapshot. @throws JsonError or Error when it is not a v2 store's tree */
export function restoreV2Snapshot(cluster: Cluster, data: Uint8Array): void {
  cluster.restoreV2(parseJson(Buffer.from(data).toString('utf8')))
}
