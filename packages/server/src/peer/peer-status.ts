import type { Clock } from '@etcd-ts/platform'
import type { Logger } from '../log/index.ts'
import type { PeerMetrics } from '../metrics/index.ts'

/** Whether another member has been reached lately, by whatever way. */
export class PeerStatus {
  readonly #id: string
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #metrics: PeerMetrics
  #sinceMs: number | undefined

  constructor(id: string, clock: Clock, logger: Logger, metrics: PeerMetrics) {
    this.#id = id
    this.#clock = clock
    this.#logger = logger
    this.#metrics = metrics
  }

  /** Monotonic time since which the member has been reached, or undefined. */
  get sinceMs(): number | undefined {
    return this.#sinceMs
  }

  activate(): void {
    if (this.#sinceMs !== undefined) return
    this.#sinceMs = this.#clock.monotonicMs()
    this.#metrics.active = 1
    this.#logger.info('peer became active', { 'peer-id': this.#id })
  }

  /** @param action what failed, as in "failed to dial stream Message" */
  deactivate(action: string, error: string): void {
    if (this.#sinceMs === undefined) {
      this.#logger.debug('peer deactivated again', {
        'peer-id': this.#id,
        error: `failed to ${action} (${error})`,
      })
      return
    }
    this.#sinceMs = undefined
    this.#metrics.active = 0
    this.#metrics.disconnects++
    this.#logger.warn('peer became inactive (message send to peer failed)', {
      'peer-id': this.#id,
      error: `failed to ${action} (${error})`,
    })
  }

  /** The member is not one of the cluster any more. */
  end(): void {
    this.#sinceMs = undefined
    this.#metrics.active = 0
  }
}
