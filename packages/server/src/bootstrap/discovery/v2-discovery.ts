import { posix } from 'node:path'
import type { Clock } from '@etcd-ts/platform'
import { ConfigError, quote, textOf } from '../../config/index.ts'
import type { Logger } from '../../log/index.ts'
import { hexId } from '../../membership/ids.ts'
import { Backoff } from './backoff.ts'
import { clusterOf } from './discovered-cluster.ts'
import { DiscoveryError } from './discovery-error.ts'
import { V2AnswerError, V2Error, V2Keys, type V2Node, V2UnavailableError, V2_NODE_EXISTS } from './v2-keys.ts'

/** A member that looks for its cluster through a token of a v2 discovery service. */
export interface V2Search {
  /** The service, with the token as its path. */
  readonly url: string
  /** An HTTP proxy, empty for none. */
  readonly httpProxy: string
  readonly memberId: bigint
  /** NAME=URL,NAME=URL of this member. */
  readonly self: string
  readonly clock: Clock
  readonly logger: Logger
}

/** The folder that holds the wanted size; every other key below the token is a member. */
const CONFIG = '_config'
/** How soon a service that does not show what it was just told is asked again. */
const CATCH_UP_MS = 500

interface Registered {
  /** By age. */
  readonly nodes: readonly V2Node[]
  readonly size: number
  /** Of the store, when it was asked. */
  readonly index: number
}

/**
 * Registers this member with the service, and waits until as many as the token is for have come.
 *
 *     TOKEN/_config/size   how many members the cluster begins with
 *     TOKEN/ID             NAME=URL,.. of a member; the oldest ones make the cluster
 *
 * A service that cannot be reached is asked again without end.
 *
 * @returns the members as `--initial-cluster` lists them
 * @throws DiscoveryError, V2Error, V2AnswerError, ConfigError
 */
export async function joinByV2Token(search: V2Search): Promise<string> {
  const discovery = new V2Discovery(search)
  await discovery.check()
  await discovery.register()
  const nodes = await discovery.waitForAll()
  return clusterOf(
    nodes.map((node) => node.value),
    'invalidUrl',
  )
}

class V2Discovery {
  readonly #search: V2Search
  readonly #keys: V2Keys
  readonly #token: string
  readonly #fields: { readonly 'discovery-url': string }
  readonly #backoff: Backoff
  /** Members that the log has told of. */
  readonly #seen = new Set<string>()

  constructor(search: V2Search) {
    const { clock, logger } = search
    const { endpoint, token } = splitUrl(search.url)
    this.#search = search
    this.#token = token
    this.#keys = new V2Keys(endpoint, proxyOf(search.httpProxy, logger), clock)
    this.#fields = { 'discovery-url': endpoint }
    this.#backoff = new Backoff(clock, logger, { url: endpoint })
  }

  get #selfKey(): string {
    return `${this.#token}/${hexId(this.#search.memberId)}`
  }

  /** Whoever is registered already, retried until the service answers. @throws DiscoveryError when there is no place left */
  check(): Promise<Registered> {
    return this.#retried('cluster status check', () => this.#checkOnce())
  }

  /** @throws DiscoveryError when this member is registered already */
  async register(): Promise<void> {
    try {
      await this.#keys.create(this.#selfKey, this.#search.self)
    } catch (error) {
      if (error instanceof V2Error && error.code === V2_NODE_EXISTS) {
        throw new DiscoveryError('duplicateId', { cause: error })
      }
      throw error
    }
  }

  /** @returns as many members as the token is for */
  async waitForAll(): Promise<readonly V2Node[]> {
    const { clock, logger } = this.#search
    for (;;) {
      const { nodes, size, index } = await this.check()
      this.#announce(nodes)
      if (!nodes.some((node) => this.#isSelf(node))) {
        await clock.sleep(CATCH_UP_MS)
        continue
      }
      if (nodes.length >= size) {
        logger.info('found all needed peers from discovery server', { ...this.#fields, 'found-peers': size })
        return nodes.slice(0, size)
      }
      logger.info('found peers from discovery server; waiting for more', {
        ...this.#fields,
        'found-peers': nodes.length,
        'needed-peers': size - nodes.length,
      })
      await this.#retried('waiting for other nodes', () => this.#keys.changed(this.#token, index))
    }
  }

  async #checkOnce(): Promise<Registered> {
    const size = await this.#size()
    const { node, index } = await this.#keys.get(this.#token)
    const nodes = node.nodes
      .filter(({ key }) => posix.basename(key) !== CONFIG)
      .sort((a, b) => a.createdIndex - b.createdIndex)
    const place = nodes.findIndex((one) => this.#isSelf(one))
    if ((place < 0 ? nodes.length : place) >= size) throw new DiscoveryError('fullCluster')
    return { nodes, size, index }
  }

  async #size(): Promise<number> {
    let value: string
    try {
      value = (await this.#keys.get(`${this.#token}/${CONFIG}/size`)).node.value
    } catch (error) {
      if (error instanceof V2AnswerError) throw new DiscoveryError('badEndpoint', { cause: error })
      throw error
    }
    const size = /^\d{1,9}$/.test(value) ? Number(value) : 0
    if (size === 0) throw new DiscoveryError('badSizeKey')
    return size
  }

  #retried<T>(step: string, ask: () => Promise<T>): Promise<T> {
    return this.#backoff.retried(step, ask, (error) => {
      if (!(error instanceof V2UnavailableError)) throw error
      this.#search.logger.warn('failed to get from discovery server', {
        ...this.#fields,
        path: this.#token,
        error: textOf(error),
      })
    })
  }

  #announce(nodes: readonly V2Node[]): void {
    for (const node of nodes) {
      if (this.#seen.has(node.key)) continue
      this.#seen.add(node.key)
      const id = posix.basename(node.key)
      if (this.#isSelf(node)) {
        this.#search.logger.info('found self from discovery server', { ...this.#fields, self: id })
      } else {
        this.#search.logger.info('found peer from discovery server', { ...this.#fields, peer: id })
      }
    }
  }

  #isSelf(node: V2Node): boolean {
    return posix.basename(node.key) === posix.basename(this.#selfKey)
  }
}

function splitUrl(text: string): { endpoint: string; token: string } {
  const url = parseHttpUrl(text)
  if (url === undefined) throw new ConfigError(`parse ${quote(text)}: not a URL of a discovery service`)
  const token = posix.join('/', decodeURI(url.pathname)).replace(/\/$/, '')
  return { endpoint: url.origin, token }
}

/** `host:port` is taken as `http://host:port`. */
function proxyOf(text: string, logger: Logger): URL | undefined {
  if (text === '') return undefined
  const proxy = parseHttpUrl(text) ?? parseHttpUrl(`http://${text}`)
  if (proxy === undefined) throw new ConfigError(`invalid proxy address ${quote(text)}`)
  logger.info('running proxy with discovery', { 'proxy-url': proxy.origin })
  return proxy
}

function parseHttpUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? url : undefined
}
