import { ApiError } from '@etcd-ts/api'
import type { Clock } from '@etcd-ts/platform'
import { MIN_CLUSTER_VERSION, textOf } from '../config/index.ts'
import { hexId } from './ids.ts'
import { type PeerVersion, type PeerVersionsPorts, peerVersions } from './peer-versions.ts'
import {
  type Version,
  clusterVersionText,
  compareMinors,
  compareVersions,
  downgradeTarget,
  knownVersion,
  parseVersion,
} from './version.ts'

export interface ClusterVersionPorts extends PeerVersionsPorts {
  readonly clock: Clock
  /** The cluster gets no higher version from this member; empty: no bound but the members' releases. */
  readonly clusterVersionMax: string
  /** Only the leader decides. */
  isLeader(): boolean
  /** Proposes the v2 node at `path` to be set; resolves once this member has applied that. */
  putV2(path: string, value: string): Promise<void>
}

const INTERVAL_MS = 4000
const VERSION_PATH = '/0/version'

/**
 * Keeps the cluster's version at the lowest release of its members, or at a lower bound that was set: the leader looks every few seconds, and as soon as
 * it may propose in its term.
 */
export class ClusterVersionMonitor {
  readonly #ports: ClusterVersionPorts
  #wake = new AbortController()
  #isTermNew = false

  constructor(ports: ClusterVersionPorts) {
    this.#ports = ports
  }

  /** The first entry of a term has been applied: a new leader looks at once. */
  termStarted(): void {
    this.#isTermNew = true
    this.#wake.abort()
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#wake.abort()
    signal.addEventListener('abort', stop)
    while (!signal.aborted) {
      if (!this.#isTermNew) await this.#ports.clock.sleep(INTERVAL_MS, this.#wake.signal)
      this.#isTermNew = false
      this.#wake = new AbortController()
      if (signal.aborted) break
      if (this.#ports.isLeader()) await this.#check()
    }
    signal.removeEventListener('abort', stop)
  }

  async #check(): Promise<void> {
    const { cluster } = this.#ports
    const lowest = this.#lowest(await peerVersions(this.#ports))
    if (!this.#ports.isLeader()) return
    const { version } = cluster
    if (version === undefined) {
      await this.#propose(lowest === undefined ? MIN_CLUSTER_VERSION : clusterVersionText(lowest))
    } else if (lowest !== undefined && mayFollow(knownVersion(version), lowest)) {
      await this.#propose(clusterVersionText(lowest))
    }
  }

  /** The version that suits all members, undefined when the release of one is not known. */
  #lowest(versions: readonly (PeerVersion | undefined)[]): Version | undefined {
    const { serverVersion, logger } = this.#ports
    const own = knownVersion(serverVersion)
    let lowest: Version | undefined
    for (const peer of versions) {
      const version = peer === undefined ? undefined : parseVersion(peer.server)
      if (peer === undefined || version === undefined) return undefined
      if (compareVersions(own, version) < 0) {
        logger.warn('leader found higher-versioned member', {
          'local-member-version': serverVersion,
          'remote-member-id': hexId(peer.memberId),
          'remote-member-version': peer.server,
        })
      }
      if (lowest === undefined || compareVersions(version, lowest) < 0) lowest = version
    }
    const max = this.#ports.clusterVersionMax
    if (lowest === undefined || max === '') return lowest
    return compareMinors(knownVersion(max), lowest) < 0 ? knownVersion(max) : lowest
  }

  async #propose(version: string): Promise<void> {
    const { cluster, logger } = this.#ports
    if (cluster.version === undefined)
      logger.info('setting up initial cluster version using v2 API', { 'cluster-version': version })
    else logger.info('updating cluster version using v2 API', { from: cluster.version, to: version })
    try {
      await this.#ports.putV2(VERSION_PATH, version)
      logger.info('cluster version is updated', { 'cluster-version': version })
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'stopped') return
      logger.warn('failed to update cluster version', { error: textOf(error) })
    }
  }
}

/** Up within a major release, or down by exactly one minor release. */
function mayFollow(from: Version, to: Version): boolean {
  const order = compareMinors(from, to)
  return (order < 0 && from.major === to.major) || compareMinors(downgradeTarget(from), to) === 0
}
