import { posix } from 'node:path'
import type { Clock, Disk } from '@etcd-ts/platform'
import { ConfigError, textOf } from '../../config/index.ts'
import type { Logger } from '../../log/index.ts'
import { hexId } from '../../membership/ids.ts'
import { Backoff } from './backoff.ts'
import { clusterOf } from './discovered-cluster.ts'
import { DiscoveryError } from './discovery-error.ts'
import { type Registered, Registry, type RegistryConfig } from './registry.ts'

/** A member that looks for its cluster through a token in another etcd cluster. */
export interface V3Search {
  readonly registry: RegistryConfig
  readonly memberId: bigint
  /** NAME=URL,NAME=URL of this member. */
  readonly self: string
  readonly clock: Clock
  readonly logger: Logger
  readonly disk: Pick<Disk, 'readFile'>
}

const ROOT = '/_etcd/registry'
/** How often the registry is asked for those who have come since. */
const POLL_MS = 500

/**
 * Registers this member, and waits until as many as the token is for have come.
 *
 *     /_etcd/registry/TOKEN/_config/size   how many members the cluster begins with
 *     /_etcd/registry/TOKEN/members/ID     NAME=URL,.. of a member; the oldest ones make the cluster
 *
 * A registry that cannot be reached, or that refuses, is asked again without end. Who has come is polled (etcd watches):
 * the keys are few, and nothing can be missed.
 *
 * @returns the members as `--initial-cluster` lists them
 * @throws DiscoveryError, ConfigError
 */
export async function joinByV3Token(search: V3Search): Promise<string> {
  const registry = new Registry(search.registry, search.clock, search.disk)
  try {
    const text = await new V3Discovery(search, registry).join()
    search.logger.info('discovery joined cluster successfully', { cluster: text })
    return text
  } catch (error) {
    search.logger.error('discovery failed to join cluster', { error: textOf(error) })
    throw error
  } finally {
    registry.close()
  }
}

class V3Discovery {
  readonly #search: V3Search
  readonly #registry: Registry
  readonly #folder: string
  readonly #fields: { readonly 'discovery-token': string; readonly 'discovery-endpoints': string }
  readonly #backoff: Backoff
  /** Keys that the log has told of. */
  readonly #seen = new Set<string>()

  constructor(search: V3Search, registry: Registry) {
    const { token, endpoints } = search.registry
    this.#search = search
    this.#registry = registry
    this.#folder = posix.join(ROOT, token)
    this.#fields = { 'discovery-token': token, 'discovery-endpoints': endpoints.join(',') }
    this.#backoff = new Backoff(search.clock, search.logger, this.#fields)
  }

  get #membersFolder(): string {
    return `${this.#folder}/members/`
  }

  get #selfKey(): string {
    return this.#membersFolder + hexId(this.#search.memberId)
  }

  /** @throws DiscoveryError */
  async join(): Promise<string> {
    await this.#check()
    await this.#register()
    const { clock, logger } = this.#search
    let known = -1
    for (;;) {
      const { members, size } = await this.#check()
      if (members.length >= size && members.some(({ key }) => key === this.#selfKey)) {
        logger.info('found all needed peers from discovery service', {
          ...this.#fields,
          clusterSize: size,
          'found-peers': members.length,
        })
        return clusterOf(
          members.slice(0, size).map(({ value }) => value),
          'invalidPeerUrl',
        )
      }
      if (members.length !== known) {
        known = members.length
        logger.info('waiting for peers from discovery service', {
          ...this.#fields,
          clusterSize: size,
          'found-peers': members.length,
        })
      }
      await clock.sleep(POLL_MS)
    }
  }

  /** @throws DiscoveryError when the token is not for a cluster, or there is no place left */
  #check(): Promise<{ members: readonly Registered[]; size: number }> {
    return this.#retried('cluster status check', async () => {
      const size = await this.#size()
      const listed = await this.#registry.list(this.#membersFolder)
      const members = listed.filter((member) => this.#isMember(member))
      const place = members.findIndex(({ key }) => key === this.#selfKey)
      if ((place < 0 ? members.length : place) >= size) throw new DiscoveryError('fullCluster')
      return { members, size }
    })
  }

  async #size(): Promise<number> {
    const found = await this.#registry.get(`${this.#folder}/_config/size`)
    if (found === undefined) throw new DiscoveryError('sizeNotFound')
    const size = /^\+?\d{1,9}$/.test(found.value) ? Number(found.value) : 0
    if (size === 0) throw new DiscoveryError('badSizeKey')
    return size
  }

  async #register(): Promise<void> {
    const { self, logger } = this.#search
    const fields = { ...this.#fields, memberKey: this.#selfKey }
    await this.#retried('register member itself', () => this.#registry.put(this.#selfKey, self))
    logger.info('register member itself successfully', { ...fields, memberInfo: self })
  }

  #isMember({ key, value }: Registered): boolean {
    const isNew = !this.#seen.has(key)
    this.#seen.add(key)
    const fields = { ...this.#fields, memberKey: key, memberInfo: value }
    const { logger } = this.#search
    if (!value.includes('=')) {
      if (isNew) logger.warn('invalid peer info returned from discovery service', fields)
      return false
    }
    if (isNew) logger.info('found peer from discovery service', fields)
    return true
  }

  #retried<T>(step: string, ask: () => Promise<T>): Promise<T> {
    return this.#backoff.retried(step, ask, (error) => {
      if (error instanceof DiscoveryError || error instanceof ConfigError) throw error
      this.#search.logger.warn('failed to reach the discovery service', {
        ...this.#fields,
        step,
        error: textOf(error),
      })
    })
  }
}
