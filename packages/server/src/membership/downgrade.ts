import { ApiError, type membershippb } from '@etcd-ts/api'
import type { Clock } from '@etcd-ts/platform'
import { textOf } from '../config/index.ts'
import { type PeerVersionsPorts, peerVersions } from './peer-versions.ts'
import {
  type Version,
  clusterVersionText,
  compareMinors,
  downgradeTarget,
  knownVersion,
  parseVersion,
} from './version.ts'

export interface DowngradePorts extends PeerVersionsPorts {
  readonly clock: Clock
  isLeader(): boolean
  /** Resolves once this member's state covers everything committed by now. */
  catchUp(): Promise<void>
  /** Proposes to begin or end a downgrade; resolves once this member has applied that. */
  proposeDowngrade(request: membershippb.DowngradeInfoSetRequestInit): Promise<void>
}

/** Downgrades of the whole cluster by one minor release: begun and ended by operators, ended also when all members run it. */
export class Downgrades {
  readonly #ports: DowngradePorts

  constructor(ports: DowngradePorts) {
    this.#ports = ports
  }

  /**
   * Whether a downgrade to `target` (`X.Y` or `X.Y.Z`) may begin.
   *
   * @returns the present cluster version
   * @throws ApiError `wrongDowngradeVersionFormat`, `clusterVersionUnavailable`, `invalidDowngradeTargetVersion`,
   * `downgradeInProcess`, and those of a linearizable read
   */
  async validate(target: string): Promise<string> {
    const asked = parseTarget(target)
    await this.#ports.catchUp()
    const { version, downgrade } = this.#ports.cluster
    if (version === undefined) throw new ApiError('clusterVersionUnavailable')
    const present = knownVersion(version)
    // Members older than this release stop at the log entry that begins a downgrade, so a cluster with one of them begins none.
    const isTooOld = compareMinors(present, knownVersion(this.#ports.serverVersion)) < 0
    if (isTooOld || compareMinors(asked, downgradeTarget(present)) !== 0)
      throw new ApiError('invalidDowngradeTargetVersion')
    if (downgrade.enabled) throw new ApiError('downgradeInProcess')
    return version
  }

  /** Begins a downgrade. @returns the present cluster version @throws as `validate` and proposals */
  async enable(target: string): Promise<string> {
    const { logger } = this.#ports
    try {
      await this.validate(target)
      await this.#ports.proposeDowngrade({ enabled: true, ver: clusterVersionText(parseTarget(target)) })
    } catch (error) {
      logger.warn('reject downgrade request', { error: textOf(error) })
      throw error
    }
    return this.#ports.cluster.version ?? ''
  }

  /** Ends a downgrade, wherever it is. @returns the present cluster version @throws ApiError `noInflightDowngrade` */
  async cancel(): Promise<string> {
    const { cluster } = this.#ports
    await this.#ports.catchUp()
    if (!cluster.downgrade.enabled) throw new ApiError('noInflightDowngrade')
    await this.#ports.proposeDowngrade({ enabled: false })
    return cluster.version ?? ''
  }

  /** On the leader, ends a downgrade once all members say that the cluster is there. Runs until `signal` aborts. */
  async runMonitor(intervalMs: number, signal: AbortSignal): Promise<void> {
    if (intervalMs <= 0) return
    const { clock, cluster, logger } = this.#ports
    while (await clock.sleep(intervalMs, signal)) {
      if (!this.#ports.isLeader() || !cluster.downgrade.enabled) continue
      const target = cluster.downgrade.targetVersion
      const versions = await peerVersions(this.#ports)
      if (!versions.every((version) => version?.cluster === target)) continue
      logger.info('the cluster has been downgraded', { 'cluster-version': target })
      try {
        await this.cancel()
      } catch (error) {
        logger.warn('failed to cancel downgrade', { error: textOf(error) })
      }
    }
  }
}

/** @throws ApiError `wrongDowngradeVersionFormat` */
function parseTarget(text: string): Version {
  const version = parseVersion(text) ?? parseVersion(`${text}.0`)
  if (version === undefined) throw new ApiError('wrongDowngradeVersionFormat')
  return version
}
