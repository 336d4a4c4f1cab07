import type { Clock } from '@etcd-ts/platform'
import { formatDuration } from '../../config/index.ts'
import type { LogFields, Logger } from '../../log/index.ts'

const EXPONENT_MAX = 8

/** The growing pauses between attempts to reach a discovery service: 2, 4, 8 seconds and so on, up to 256. */
export class Backoff {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #fields: LogFields
  #retries = 0

  /** @param fields tell the service in each line */
  constructor(clock: Clock, logger: Logger, fields: LogFields) {
    this.#clock = clock
    this.#logger = logger
    this.#fields = fields
  }

  /**
   * Asks until there is an answer.
   *
   * @param step what is tried, for the log
   * @param failed told of each error; throws it if it is no reason to ask again
   */
  async retried<T>(step: string, ask: () => Promise<T>, failed: (error: unknown) => void): Promise<T> {
    for (;;) {
      try {
        const answer = await ask()
        this.#retries = 0
        return answer
      } catch (error) {
        failed(error)
        await this.#wait(step)
      }
    }
  }

  async #wait(step: string): Promise<void> {
    this.#retries = Math.min(this.#retries + 1, EXPONENT_MAX)
    const pauseMs = 2 ** this.#retries * 1_000
    this.#logger.warn('retry connecting to discovery service', {
      ...this.#fields,
      reason: step,
      backoff: formatDuration(pauseMs),
    })
    await this.#clock.sleep(pauseMs)
  }
}
