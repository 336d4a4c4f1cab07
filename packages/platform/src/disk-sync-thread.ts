import { Worker } from 'node:worker_threads'

/** What the worker answers: 0, or the message and code of the error. */
type Answer = 0 | [message: string, code: string]

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * Runs fdatasync and fsync on a thread of their own, in the order asked for, never in libuv's pool: there a slow name
 * look-up or password hash would hold up every write of the cluster.
 *
 * The thread starts with the first use and lets the process end while it has nothing to do. `disk.bench.ts` measures what
 * the way there and back costs.
 */
export class SyncThread {
  #worker: Worker | undefined
  #failure: Error | undefined
  /** Those whose answer is still to come, oldest first. */
  #waiters: Waiter[] = []

  /** Starts the thread, unless it runs: the first sync then does not wait for it. */
  start(): void {
    if (this.#worker !== undefined) return
    const worker = new Worker(new URL('./disk-sync-worker.js', import.meta.url), {
      name: 'disk-sync',
      // Neither loaders nor an inspector belong here, and it opens no file itself.
      execArgv: [],
      trackUnmanagedFds: false,
      resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
    })
    worker.on('message', (answer: Answer) => this.#answered(answer))
    worker.on('error', (error) => this.#died(error))
    worker.on('exit', () => this.#died(new Error('the thread for disk syncs has ended')))
    worker.unref()
    this.#worker = worker
  }

  datasync(descriptor: number): Promise<void> {
    return this.#ask(descriptor)
  }

  sync(descriptor: number): Promise<void> {
    return this.#ask(-1 - descriptor)
  }

  #ask(request: number): Promise<void> {
    this.start()
    return new Promise((resolve, reject) => {
      const worker = this.#worker
      if (worker === undefined || this.#failure !== undefined) {
        reject(this.#failure ?? new Error('no thread for disk syncs'))
        return
      }
      // While somebody waits, the process must not end for want of other work.
      if (this.#waiters.length === 0) worker.ref()
      this.#waiters.push({ resolve, reject })
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(request)
    })
  }

  #answered(answer: Answer): void {
    const waiter = this.#waiters.shift()
    if (this.#waiters.length === 0) this.#worker?.unref()
    if (waiter === undefined) return
    if (answer === 0) waiter.resolve()
    else waiter.reject(Object.assign(new Error(answer[0]), { code: answer[1] }))
  }

  /** Whether a lost sync was done cannot be known, so the thread is not started again. */
  #died(error: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) waiter.reject(error)
  }
}
