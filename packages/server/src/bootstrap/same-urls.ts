import { isIP } from 'node:net'
import type { Clock } from '@etcd-ts/platform'
import { type EndpointUrl, isUnix, quote, textOf, withHost } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import type { Resolver } from './resolver.ts'

/** What comparing takes. */
export interface ResolvePorts {
  readonly clock: Clock
  readonly logger: Logger
  readonly resolver: Resolver
}

const RESOLVE_MS_MAX = 30_000
const RETRY_MS = 1_000

/**
 * Tells whether lists of URLs mean the same addresses: first by their texts, and then by the addresses that their hosts
 * resolve to. A host that has no address is asked for again until 30 seconds have passed since this was made.
 */
export class UrlComparer {
  readonly #ports: ResolvePorts
  readonly #deadlineMs: number
  readonly #known = new Map<string, Promise<string>>()

  constructor(ports: ResolvePorts) {
    this.#ports = ports
    this.#deadlineMs = ports.clock.monotonicMs() + RESOLVE_MS_MAX
  }

  /** @returns how the lists differ, in etcd's words, or undefined when they do not */
  async difference(
    ours: readonly EndpointUrl[],
    theirs: readonly EndpointUrl[],
  ): Promise<string | undefined> {
    const texts = [textsOf(ours), textsOf(theirs)] as const
    if (ours.length !== theirs.length) return `len(${quoteAll(texts[0])}) != len(${quoteAll(texts[1])})`
    if (firstDifference(...texts) === undefined) return undefined
    try {
      const resolved = [await this.#resolveAll(ours), await this.#resolveAll(theirs)] as const
      const pair = firstDifference(...resolved)
      return pair === undefined ? undefined : `resolved urls: ${quote(pair[0])} != ${quote(pair[1])}`
    } catch (error) {
      return textOf(error)
    }
  }

  async #resolveAll(urls: readonly EndpointUrl[]): Promise<string[]> {
    const texts: string[] = []
    for (const url of urls) texts.push(await this.#resolve(url))
    return texts.sort()
  }

  /** @throws Error */
  async #resolve(url: EndpointUrl): Promise<string> {
    // A socket has no address, and `localhost` means the same everywhere without being one machine.
    if (isUnix(url) || url.hostname === 'localhost') return url.text
    const known = this.#known.get(url.hostname) ?? this.#addressOf(url)
    this.#known.set(url.hostname, known)
    try {
      const address = await known
      return withHost(url, `${isIP(address) === 6 ? `[${address}]` : address}:${url.port}`).text
    } catch (error) {
      throw new Error(`failed to resolve ${quote(url.text)} (${textOf(error)})`, { cause: error })
    }
  }

  async #addressOf(url: EndpointUrl): Promise<string> {
    const { clock, logger, resolver } = this.#ports
    const fields = { url: url.text, host: url.host }
    for (;;) {
      const left = this.#deadlineMs - clock.monotonicMs()
      if (left <= 0) throw new Error('context deadline exceeded')
      try {
        const address = await within(clock, left, resolver.address(url.hostname))
        logger.info('resolved URL Host', { ...fields, 'resolved-addr': `${address}:${url.port}` })
        return canonical(address)
      } catch (error) {
        const isLast = this.#deadlineMs - clock.monotonicMs() <= RETRY_MS
        logger.warn(isLast ? 'failed to resolve URL Host; returning' : 'failed to resolve URL Host', {
          ...fields,
          'retry-interval': '1s',
          error: textOf(error),
        })
        if (isLast) throw error
        await clock.sleep(RETRY_MS)
      }
    }
  }
}

/** Settles as `promise` does, or fails after `limitMs`: the system's resolver cannot be interrupted. */
async function within<T>(clock: Clock, limitMs: number, promise: Promise<T>): Promise<T> {
  const stop = new AbortController()
  try {
    return await Promise.race([
      promise,
      clock.sleep(limitMs, stop.signal).then((): never => {
        throw new Error('i/o timeout')
      }),
    ])
  } finally {
    stop.abort()
  }
}

/** IPv6 addresses have many spellings. */
function canonical(address: string): string {
  return isIP(address) === 6 && !address.includes('%')
    ? new URL(`http://[${address}]`).hostname.slice(1, -1)
    : address
}

function textsOf(urls: readonly EndpointUrl[]): string[] {
  return urls.map((url) => url.text).sort()
}

function quoteAll(texts: readonly string[]): string {
  return `[${texts.map((text) => quote(text)).join(' ')}]`
}

function firstDifference(a: readonly string[], b: readonly string[]): [string, string] | undefined {
  const at = a.findIndex((text, index) => text !== b[index])
  return at < 0 ? undefined : [a[at] ?? '', b[at] ?? '']
}
