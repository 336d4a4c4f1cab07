import { Worker } from 'node:worker_threads'

/**
 * A thread that closes a data file after everybody else has: the last one to do so unmaps it and, as its name is gone, frees
 * its blocks, which takes a while (486 ms for 2.5 GB, measured). LMDB shares one map among the threads of a process.
 */
export class CloserThread {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /** Resolves when the thread has the file at `path` open, which must still have that name. */
  static open(path: string): Promise<CloserThread> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./closer-worker.js', import.meta.url), {
        name: 'lmdb-closer',
        workerData: path,
        execArgv: [],
      })
      worker.once('message', () => {
        // A file that is still being read when the process ends needs no closing.
        worker.unref()
        resolve(new CloserThread(worker))
      })
      worker.once('error', reject)
      worker.once('exit', () => reject(new Error('the thread that closes a data file has ended')))
    })
  }

  close(): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage('close')
  }
}
