import type { etcdserverpb } from '@etcd-ts/api'

/** Where the common header of answers comes from. */
export interface HeaderSource {
  readonly clusterId: bigint
  readonly memberId: bigint
  term(): number
  revision(): number
}

/** All four fields, the revision being the member's current one. */
export function fullHeader(source: HeaderSource): etcdserverpb.ResponseHeader {
  return { ...memberHeader(source), revision: source.revision() }
}

/** Without a revision, as the membership calls answer. */
export function memberHeader(source: HeaderSource): etcdserverpb.ResponseHeader {
  return { clusterId: source.clusterId, memberId: source.memberId, revision: 0, raftTerm: source.term() }
}
