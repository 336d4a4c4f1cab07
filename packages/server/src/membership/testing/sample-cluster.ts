import { Cluster } from '../cluster.ts'
import type { Member } from '../member.ts'

/** A member that has started, unless it is told otherwise. */
export function sampleMember(id: bigint, overrides: Partial<Member> = {}): Member {
  return {
    id,
    peerUrls: [`http://m${id}:2380`],
    isLearner: false,
    name: `m${id}`,
    clientUrls: [`http://m${id}:2379`],
    ...overrides,
  }
}

/** A cluster of these members. */
export function sampleCluster(...members: readonly Member[]): Cluster {
  const cluster = new Cluster(0xcdf818194e3a8c32n)
  for (const member of members) cluster.apply({ kind: 'add', member })
  return cluster
}
