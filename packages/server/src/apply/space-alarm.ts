import { ApiError, etcdserverpb } from '@etcd-ts/api'
import type { Backend } from '@etcd-ts/backend'
import { BACKEND_PENDING_BYTES_MAX } from '../bootstrap/open-storage.ts'
import type { Logger } from '../log/index.ts'
import type { Quota } from './quota.ts'

export interface SpaceAlarmPorts {
  readonly memberId: bigint
  readonly quota: Quota
  readonly backend: Pick<Backend, 'pendingBytes'>
  readonly logger: Logger
  propose(request: etcdserverpb.AlarmRequest): Promise<unknown>
  /** Work that the member's end waits for. */
  track(work: Promise<void>): void
}

/** Refuses writes that this member has no room for, and tells the cluster. */
export class SpaceAlarm {
  readonly #ports: SpaceAlarmPorts
  #isBeingRaised = false

  constructor(ports: SpaceAlarmPorts) {
    this.#ports = ports
  }

  /** @throws ApiError `noSpace` when a write of that cost exceeds the quota, `tooManyRequests` when the disk is behind */
  reserve(cost: number): void {
    const { quota, backend } = this.#ports
    if (!quota.allows(cost)) {
      this.raise()
      throw new ApiError('noSpace')
    }
    if (backend.pendingBytes() > BACKEND_PENDING_BYTES_MAX) throw new ApiError('tooManyRequests')
  }

  /** Has the NOSPACE alarm raised by way of the log, unless that is under way. */
  raise(): void {
    if (this.#isBeingRaised) return
    this.#isBeingRaised = true
    const { memberId, logger } = this.#ports
    const request = etcdserverpb.AlarmRequest.create({
      action: etcdserverpb.AlarmAction.ACTIVATE,
      memberID: memberId,
      alarm: etcdserverpb.AlarmType.NOSPACE,
    })
    this.#ports.track(
      this.#ports
        .propose(request)
        .catch((error: unknown) =>
          logger.warn('failed to raise alarm', { alarm: 'NOSPACE', error: String(error) }),
        )
        .then(() => {
          this.#isBeingRaised = false
        }),
    )
  }
}
