import { etcdserverpb } from '@etcd-ts/api'
import type { Method } from '@etcd-ts/grpc'
import type { Cluster } from '../membership/cluster.ts'
import type { Member } from '../membership/member.ts'
import { type HeaderSource, memberHeader } from './header.ts'
import { unaryAsync } from './respond.ts'

export interface ClusterPorts {
  readonly header: HeaderSource
  readonly cluster: Cluster
  /** Resolves once this member's state covers everything committed by now. */
  catchUp(): Promise<void>
}

function memberMessage(member: Member): etcdserverpb.Member {
  return {
    ID: member.id,
    name: member.name,
    peerURLs: [...member.peerUrls],
    clientURLs: [...member.clientUrls],
    isLearner: member.isLearner,
  }
}

/** The Cluster service. */
export function clusterService(ports: ClusterPorts): [path: string, method: Method][] {
  return [
    unaryAsync(etcdserverpb.ClusterService.MemberList, async (request) => {
      if (request.linearizable) await ports.catchUp()
      return { header: memberHeader(ports.header), members: ports.cluster.members().map(memberMessage) }
    }),
  ]
}
