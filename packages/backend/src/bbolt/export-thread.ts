import { Worker } from 'node:worker_threads'
import type { BboltExport } from '../backend.ts'
import { BackendError } from '../error.ts'
import type { PinnedExport } from '../row-store.ts'
import { type ExportMessage, type ExportRequest, type ExportTask, fromSent } from './messages.ts'

/** So many chunks are made before the first of them is asked for. */
const CHUNKS_AHEAD = 4

interface Pending<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: Error): void
}

function pending<T>(): Pending<T> {
  let settle!: Pick<Pending<T>, 'resolve' | 'reject'>
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // Who does not wait for it does not care how it ends.
  promise.catch(() => undefined)
  return { promise, ...settle }
}

/** An export that a thread of its own makes of the LMDB file at a path, which this thread has open. */
export class ExportThread implements PinnedExport {
  readonly #worker: Worker
  readonly #pinned = pending<void>()
  readonly #measured = pending<BboltExport>()
  readonly #ended = pending<void>()
  /** Chunks that have arrived and were not asked for yet. */
  readonly #arrived: Uint8Array[] = []
  #state: 'running' | 'complete' | BackendError = 'running'
  #isRead = false
  #wake: () => void = () => undefined

  constructor(path: string) {
    const task: ExportTask = { path }
    this.#worker = new Worker(new URL('./export-worker.js', import.meta.url), {
      name: 'bbolt-export',
      workerData: task,
      execArgv: [],
    })
    this.#worker.on('message', (message: ExportMessage) => this.#received(message))
    this.#worker.on('error', (cause) => {
      this.#fail(new BackendError('transferFailed', `the export failed: ${cause.message}`, { cause }))
    })
    this.#worker.on('exit', () => {
      this.#fail(new BackendError('transferFailed', 'the exporting thread has ended'))
      this.#ended.resolve()
    })
  }

  /** Resolves once later commits do not change what is exported. */
  get pinned(): Promise<void> {
    return this.#pinned.promise
  }

  get measured(): Promise<BboltExport> {
    return this.#measured.promise
  }

  /** Resolves when the thread has let go of the file. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  /** Ends the export; who still reads it is told why. */
  close(error = new BackendError('closed', 'the export was closed')): void {
    if (this.#state !== 'running') return
    this.#fail(error)
    this.#send('close')
  }

  #send(request: ExportRequest): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage(request)
  }

  #received(message: ExportMessage): void {
    switch (message.kind) {
      case 'pinned':
        this.#pinned.resolve()
        break
      case 'measured':
        this.#measured.resolve({
          sizeBytes: message.sizeBytes,
          chunks: () => this.#chunks(),
          close: () => this.close(),
        })
        break
      case 'chunk':
        this.#arrived.push(message.bytes)
        break
      case 'end':
        if (this.#state === 'running') this.#state = 'complete'
        break
      case 'error':
        this.#fail(fromSent(message.error))
        break
    }
    this.#wake()
  }

  /** What failed once or is complete does not fail again. */
  #fail(error: BackendError): void {
    if (this.#state !== 'running') return
    this.#state = error
    this.#arrived.length = 0
    this.#pinned.reject(error)
    this.#measured.reject(error)
    this.#wake()
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    if (this.#isRead) throw new Error('the chunks of an export can be read once')
    this.#isRead = true
    this.#send({ more: CHUNKS_AHEAD })
    try {
      for (;;) {
        const chunk = this.#arrived.shift()
        if (chunk !== undefined) {
          this.#send({ more: 1 })
          yield chunk
        } else if (this.#state === 'complete') {
          return
        } else if (this.#state === 'running') {
          await new Promise<void>((resolve) => (this.#wake = resolve))
        } else {
          throw this.#state
        }
      }
    } finally {
      this.close()
    }
  }
}
