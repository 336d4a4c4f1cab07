import type { Backend } from '@etcd-ts/backend'
import type { GrpcServer } from '@etcd-ts/grpc'
import type { MvccStore } from '@etcd-ts/mvcc'
import type { Cluster } from '../membership/cluster.ts'
import { hexId } from '../membership/ids.ts'
import type { RaftLoop } from '../raft/raft-loop.ts'
import type { Counters } from './counters.ts'

/** The parts of a member whose state the metrics mirror. */
export interface MetricSources {
  readonly memberId: bigint
  readonly cluster: Cluster
  readonly store: MvccStore
  readonly backend: Backend
  readonly loop: RaftLoop
  readonly quotaBytes: number
  waitingProposals(): number
  walBytes(): number
}

/** Sets the fields that mirror a member's state; called when somebody asks for them. */
export function fillFromMember(metrics: Counters, sources: MetricSources): void {
  const { server, mvcc, disk } = metrics
  const { memberId, cluster, store, backend, loop } = sources
  server.id = hexId(memberId)
  server.clusterVersion = cluster.version?.replace(/\.0$/, '') ?? ''
  server.hasLeader = loop.leader !== 0n
  server.isLeader = loop.isLeader
  server.isLearner = cluster.member(memberId)?.isLearner ?? false
  server.proposalsCommitted = loop.committedIndex
  server.proposalsApplied = loop.appliedIndex
  server.proposalsPending = sources.waitingProposals()
  server.quotaBackendBytes = sources.quotaBytes
  mvcc.currentRevision = store.revision
  mvcc.compactRevision = store.compactedRevision
  mvcc.keys = store.keyCount
  mvcc.dbBytes = backend.size()
  mvcc.dbBytesInUse = backend.sizeInUse()
  disk.walBytes = sources.walBytes()
}

/** Copies the counts of the gRPC servers, which count for themselves because they know no metrics. */
export function fillFromGrpc(metrics: Counters, servers: readonly GrpcServer[]): void {
  const sums = new Map<string, { started: number; received: number; sent: number; handled: number[] }>()
  metrics.network.clientReceivedBytes = 0
  metrics.network.clientSentBytes = 0
  for (const { stats } of servers) {
    metrics.network.clientReceivedBytes += stats.receivedBytes
    metrics.network.clientSentBytes += stats.sentBytes
    for (const [path, method] of stats.methods) {
      const sum = sums.get(path) ?? { started: 0, received: 0, sent: 0, handled: [] }
      sum.started += method.started
      sum.received += method.messagesReceived
      sum.sent += method.messagesSent
      for (const [code, count] of method.handled.entries())
        sum.handled[code] = (sum.handled[code] ?? 0) + count
      sums.set(path, sum)
    }
  }
  for (const [path, sum] of sums) {
    const method = metrics.grpc.method(path)
    method.started = sum.started
    method.messagesReceived = sum.received
    method.messagesSent = sum.sent
    method.handled.set(sum.handled)
  }
}
