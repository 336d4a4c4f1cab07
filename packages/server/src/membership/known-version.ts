import type { Logger } from '../log/index.ts'

/** Whether the cluster's version is known, before which clients are not answered. */
export class KnownVersion {
  readonly #logger: Logger
  #version: string | undefined
  #known: (() => void) | undefined

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** The cluster's version is this, now or still. */
  set(version: string): void {
    if (this.#version === version) return
    this.#version = version
    this.#logger.info('enabled capabilities for version', { 'cluster-version': version.replace(/\.0$/, '') })
    this.#known?.()
  }

  /** Resolves once there is one, or `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#version !== undefined || signal.aborted) return
    await new Promise<void>((resolve) => {
      this.#known = resolve
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }
}
