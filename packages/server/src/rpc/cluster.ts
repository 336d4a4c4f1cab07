import { etcdserverpb } from '@etcd-ts/api'
import type { Method } from '@etcd-ts/grpc'
import type { Cluster } from '../membership/cluster.ts'
import type { Member } from '../membership/member.ts'
import type { Reconfiguration } from '../membership/reconfiguration.ts'
import { type HeaderSource, memberHeader } from './header.ts'
import { unaryAsync } from './respond.ts'

export interface ClusterPorts {
  readonly header: HeaderSource
  readonly cluster: Cluster
  readonly reconfiguration: Reconfiguration
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
  const { cluster, reconfiguration } = ports
  const service = etcdserverpb.ClusterService
  const answer = (
    members: readonly Member[],
  ): { header: etcdserverpb.ResponseHeader; members: etcdserverpb.Member[] } => ({
    header: memberHeader(ports.header),
    members: members.map(memberMessage),
  })
  return [
    unaryAsync(service.MemberAdd, async (request) => {
      const { member, members } = await reconfiguration.add(request.peerURLs, request.isLearner)
      return { ...answer(members), member: memberMessage(member) }
    }),
    unaryAsync(service.MemberRemove, async (request) => answer(await reconfiguration.remove(request.ID))),
    unaryAsync(service.MemberUpdate, async (request) =>
      answer(await reconfiguration.update(request.ID, request.peerURLs)),
    ),
    unaryAsync(service.MemberPromote, async (request) => answer(await reconfiguration.promote(request.ID))),
    unaryAsync(service.MemberList, async (request) => {
      if (request.linearizable) await ports.catchUp()
      return answer(cluster.members())
    }),
  ]
}
