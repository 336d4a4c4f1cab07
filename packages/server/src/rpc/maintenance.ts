import { ApiError, etcdserverpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import type { Method } from '@etcd-ts/grpc'
import type { MvccStore } from '@etcd-ts/mvcc'
import { type Alarms, alarmName } from '../apply/alarms.ts'
import type { Logger } from '../log/index.ts'
import type { Downgrades } from '../membership/downgrade.ts'
import { hexId } from '../membership/ids.ts'
import type { LeaderTransfer } from '../membership/leader-transfer.ts'
import { type HeaderSource, fullHeader } from './header.ts'
import { unaryAsync } from './respond.ts'

export interface MaintenancePorts {
  readonly header: HeaderSource
  readonly store: MvccStore
  readonly backend: Backend
  readonly alarms: Alarms
  readonly downgrades: Downgrades
  readonly leaderTransfer: LeaderTransfer
  readonly logger: Logger
  /** What `Status` reports as this member's version. */
  readonly version: string
  /** Resolves to what applying the alarm request gave. */
  proposeAlarm(request: etcdserverpb.AlarmRequest): Promise<etcdserverpb.AlarmMember[]>
  raftStatus(): { leader: bigint; committedIndex: number; appliedIndex: number; isLearner: boolean }
}

/** An alarm in the text form of its message, as `Status.errors` shows it. */
function alarmText(alarm: etcdserverpb.AlarmMember): string {
  return `memberID:${alarm.memberID} alarm:${alarmName(alarm.alarm)} `
}

/** The Maintenance service. */
export function maintenanceService(ports: MaintenancePorts): [path: string, method: Method][] {
  const { header, store, backend, alarms, downgrades, leaderTransfer, logger } = ports
  const service = etcdserverpb.MaintenanceService
  return [
    unaryAsync(service.Alarm, async (request) => {
      const found = await ports.proposeAlarm(request)
      return { header: fullHeader(header), alarms: found }
    }),

    unaryAsync(service.Status, () => {
      const { leader, committedIndex, appliedIndex, isLearner } = ports.raftStatus()
      const errors = alarms.list().map(alarmText)
      if (leader === 0n) errors.unshift('etcdserver: no leader')
      return {
        header: fullHeader(header),
        version: ports.version,
        dbSize: backend.size(),
        dbSizeInUse: backend.sizeInUse(),
        leader,
        raftIndex: committedIndex,
        raftTerm: header.term(),
        raftAppliedIndex: appliedIndex,
        errors,
        isLearner,
      }
    }),

    unaryAsync(service.Defragment, async () => {
      logger.info('starting defragment', { 'local-member-id': hexId(header.memberId) })
      const before = backend.size()
      await backend.defragment()
      logger.info('finished defragment', {
        'local-member-id': hexId(header.memberId),
        'current-db-size-bytes': backend.size(),
        'current-db-size-bytes-diff': backend.size() - before,
      })
      return {}
    }),

    unaryAsync(service.Hash, async () => {
      const hash = await store.hash()
      return { header: fullHeader(header), hash }
    }),

    unaryAsync(service.HashKV, async (request) => {
      const result = await store.hashKv(request.revision)
      return { header: fullHeader(header), hash: result.hash, compactRevision: result.compactRevision }
    }),

    unaryAsync(service.MoveLeader, async (request, call) => {
      await leaderTransfer.move(request.targetID, call)
      return {}
    }),

    unaryAsync(service.Downgrade, async ({ action, version }) => {
      const { VALIDATE, ENABLE, CANCEL } = etcdserverpb.DowngradeAction
      switch (action) {
        case VALIDATE:
          return { header: fullHeader(header), version: await downgrades.validate(version) }
        case ENABLE:
          return { header: fullHeader(header), version: await downgrades.enable(version) }
        case CANCEL:
          return { header: fullHeader(header), version: await downgrades.cancel() }
        default:
          throw new ApiError('unknownMethod')
      }
    }),
  ]
}
