import { CorruptionChecks, type CorruptionPorts } from '../corruption/corruption-checks.ts'
import { type ClusterVersionPorts, ClusterVersionMonitor } from './cluster-version.ts'
import { type DowngradePorts, Downgrades } from './downgrade.ts'
import { LeaderTransfer, type LeaderTransferPorts } from './leader-transfer.ts'
import { Reconfiguration, type ReconfigurationPorts } from './reconfiguration.ts'

export interface ClusterDutiesPorts
  extends ReconfigurationPorts, ClusterVersionPorts, DowngradePorts, LeaderTransferPorts, CorruptionPorts {
  /** Milliseconds; 0: never. */
  readonly downgradeCheckIntervalMs: number
  readonly corruptCheckIntervalMs: number
  readonly compactHashCheckIntervalMs: number
}

/** What a member does for the cluster as a whole, by itself or when asked to. */
export class ClusterDuties {
  readonly reconfiguration: Reconfiguration
  readonly downgrades: Downgrades
  readonly leaderTransfer: LeaderTransfer
  readonly corruption: CorruptionChecks
  readonly #versions: ClusterVersionMonitor
  readonly #ports: ClusterDutiesPorts

  constructor(ports: ClusterDutiesPorts) {
    this.#ports = ports
    this.reconfiguration = new Reconfiguration(ports)
    this.downgrades = new Downgrades(ports)
    this.leaderTransfer = new LeaderTransfer(ports)
    this.corruption = new CorruptionChecks(ports)
    this.#versions = new ClusterVersionMonitor(ports)
  }

  /** The first entry of a term has been applied. */
  termStarted(): void {
    this.#versions.termStarted()
  }

  /** Watches over versions and data until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { downgradeCheckIntervalMs, corruptCheckIntervalMs, compactHashCheckIntervalMs } = this.#ports
    await Promise.all([
      this.#versions.run(signal),
      this.downgrades.runMonitor(downgradeCheckIntervalMs, signal),
      this.corruption.runPeriodic(corruptCheckIntervalMs, signal),
      this.corruption.runAtCompactions(compactHashCheckIntervalMs, signal),
    ])
  }
}
