import { ApiError, etcdserverpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import type { ServiceTable } from '@etcd-ts/grpc'
import type { MvccStore } from '@etcd-ts/mvcc'
import { type Alarms, alarmName } from './apply/alarms.ts'
import type { SpaceAlarm } from './apply/space-alarm.ts'
import { COMPAT_VERSION, type ServerConfig } from './config/index.ts'
import type { HealthSource } from './http/health.ts'
import type { Logger } from './log/index.ts'
import type { ClusterDuties } from './membership/cluster-duties.ts'
import type { Cluster } from './membership/cluster.ts'
import type { Counters } from './metrics/index.ts'
import type { Proposer } from './propose/proposer.ts'
import type { PendingRead, ReadIndex } from './propose/read-index.ts'
import type { RaftLoop } from './raft/raft-loop.ts'
import { clusterService } from './rpc/cluster.ts'
import { guarded } from './rpc/guard.ts'
import type { HeaderSource } from './rpc/header.ts'
import { healthService } from './rpc/health.ts'
import { kvService } from './rpc/kv.ts'
import { maintenanceService } from './rpc/maintenance.ts'
import { ResponseWriter } from './rpc/response-writer.ts'

/** The parts of a member that answer clients. */
export interface ServiceParts {
  readonly memberId: bigint
  readonly config: ServerConfig
  readonly cluster: Cluster
  readonly store: MvccStore
  readonly backend: Backend
  readonly alarms: Alarms
  readonly space: SpaceAlarm
  readonly loop: RaftLoop
  readonly reads: ReadIndex
  readonly proposer: Proposer
  readonly duties: ClusterDuties
  readonly metrics: Counters
  readonly logger: Logger
  /** Aborts when the member stops. */
  readonly signal: AbortSignal
}

/** Has `read` called back once the member's state covers everything committed by now. @throws ApiError `stopped` */
export function readLinearizable(
  { reads, loop, signal }: Pick<ServiceParts, 'reads' | 'loop' | 'signal'>,
  read: PendingRead,
): void {
  if (signal.aborted) throw new ApiError('stopped')
  reads.add(read)
  loop.wake()
}

/** `readLinearizable` as a promise. */
export function catchUp(parts: Pick<ServiceParts, 'reads' | 'loop' | 'signal' | 'proposer'>): Promise<void> {
  return new Promise((resolve, reject) => {
    const deadlineMs = parts.proposer.deadlineMs()
    readLinearizable(parts, { deadlineMs, ready: resolve, failed: reject })
  })
}

function isLearner({ cluster, memberId }: ServiceParts): boolean {
  return cluster.member(memberId)?.isLearner ?? false
}

/** The gRPC services of a member. */
export function memberServices(parts: ServiceParts): ServiceTable {
  const { memberId, config, cluster, store, backend, alarms, space, loop, proposer, duties } = parts
  const { metrics, logger, signal } = parts
  const term = (): number => loop.term
  const header: HeaderSource = { clusterId: cluster.id, memberId, term, revision: () => store.revision }
  const methods = [
    ...kvService({
      store,
      writer: new ResponseWriter(cluster.id, memberId),
      txnOpsMax: config.maxTxnOps,
      metrics,
      term,
      deadlineMs: () => proposer.deadlineMs(),
      propose: (field, codec, request, waiter) => proposer.propose(field, codec, request, waiter),
      readLinearizable: (read) => readLinearizable(parts, read),
      reserve: (cost) => space.reserve(cost),
    }),
    ...clusterService({
      header,
      cluster,
      reconfiguration: duties.reconfiguration,
      catchUp: () => catchUp(parts),
    }),
    ...maintenanceService({
      header,
      store,
      backend,
      alarms,
      downgrades: duties.downgrades,
      leaderTransfer: duties.leaderTransfer,
      logger,
      version: COMPAT_VERSION,
      proposeAlarm: (request) => proposer.alarm(request),
      raftStatus: () => ({
        leader: loop.leader,
        committedIndex: loop.committedIndex,
        appliedIndex: loop.appliedIndex,
        isLearner: isLearner(parts),
      }),
    }),
    ...healthService(),
  ]
  return new Map(
    guarded(methods, {
      isStopped: () => signal.aborted,
      isCapable: () => cluster.version !== undefined,
      isLearner: () => isLearner(parts),
      hasLeader: () => loop.leader !== 0n,
    }),
  )
}

/** What the health endpoints ask. */
export function memberHealth(parts: ServiceParts): HealthSource {
  const { alarms, loop, store } = parts
  const firstKey = etcdserverpb.RangeRequest.create({
    key: new Uint8Array(1),
    rangeEnd: new Uint8Array(1),
    limit: 1n,
    keysOnly: true,
  })
  return {
    activeAlarms: () => alarms.list().map((alarm) => alarmName(alarm.alarm)),
    hasLeader: () => loop.leader !== 0n,
    isLearner: () => isLearner(parts),
    read: async ({ serializable }) => {
      if (!serializable) await catchUp(parts)
      store.range(firstKey)
    },
  }
}
