import { etcdserverpb } from '@etcd-ts/api'
import type { CallOptions, Caller } from './caller.ts'

const { AlarmAction, AlarmResponse, MaintenanceService } = etcdserverpb

/** Gives the caller of one endpoint. */
export type CallerAt = (endpoint: string) => Caller

/** What looks after members. Calls that concern one member name its endpoint. */
export class MaintenanceClient {
  readonly #caller: Caller
  readonly #at: CallerAt

  constructor(caller: Caller, at: CallerAt) {
    this.#caller = caller
    this.#at = at
  }

  status(endpoint: string, options?: CallOptions): Promise<etcdserverpb.StatusResponse> {
    return this.#at(endpoint).call(MaintenanceService.Status, {}, 'repeatable', options)
  }

  /** Hash over keys and history up to `revision`; 0n: the newest. */
  hashKv(endpoint: string, revision: bigint, options?: CallOptions): Promise<etcdserverpb.HashKVResponse> {
    return this.#at(endpoint).call(MaintenanceService.HashKV, { revision }, 'repeatable', options)
  }

  defragment(endpoint: string, options?: CallOptions): Promise<etcdserverpb.DefragmentResponse> {
    return this.#at(endpoint).call(MaintenanceService.Defragment, {}, 'once', options)
  }

  /** Hands the leadership of the member at `endpoint`, which must have it, to another. */
  moveLeader(
    endpoint: string,
    targetID: bigint,
    options?: CallOptions,
  ): Promise<etcdserverpb.MoveLeaderResponse> {
    return this.#at(endpoint).call(MaintenanceService.MoveLeader, { targetID }, 'repeatable', options)
  }

  /** Checks, begins or cancels a downgrade of the cluster to the version `major.minor` of the request. */
  downgrade(
    request: etcdserverpb.DowngradeRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.DowngradeResponse> {
    return this.#caller.call(MaintenanceService.Downgrade, request, 'once', options)
  }

  /** The active alarms of all members. */
  alarms(options?: CallOptions): Promise<etcdserverpb.AlarmResponse> {
    const request = { action: AlarmAction.GET }
    return this.#caller.call(MaintenanceService.Alarm, request, 'repeatable', options)
  }

  /** Clears one alarm of one member. */
  disarm(
    { memberID, alarm }: etcdserverpb.AlarmMemberInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.AlarmResponse> {
    const request = { action: AlarmAction.DEACTIVATE, memberID, alarm }
    return this.#caller.call(MaintenanceService.Alarm, request, 'repeatable', options)
  }

  /** Clears every active alarm, one call each. The answer lists those cleared and has no header. */
  async disarmAll(options?: CallOptions): Promise<etcdserverpb.AlarmResponse> {
    const cleared = AlarmResponse.create()
    for (const alarm of (await this.alarms(options)).alarms) {
      cleared.alarms.push(...(await this.disarm(alarm, options)).alarms)
    }
    return cleared
  }
}
