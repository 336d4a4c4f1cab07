import { basename, dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
// oxlint-disable-next-line no-restricted-imports -- LMDB does its own I/O, past any Disk that could be given to it
import { renameSync, rmSync } from 'node:fs'
import { BackendError } from '../error.ts'
import { lockFileOf, syncPath } from '../lmdb-file.ts'
import type { ImportOptions, Imported } from './import.ts'
import { IS_STOPPED, IS_WRITING, type ImportMessage, type ImportTask, fromSent } from './messages.ts'

/** `BackendImporter` for LMDB files; the work is done by a thread of its own. */
export async function importBbolt(options: ImportOptions): Promise<Imported> {
  const { source, target } = options
  const temporary = join(dirname(target), `tmp.import.${basename(target)}`)
  removeFile(temporary)
  try {
    const imported = await convert({ source, target: temporary }, options)
    rmSync(lockFileOf(temporary), { force: true })
    renameSync(temporary, target)
    await syncPath(dirname(target))
    return imported
  } catch (cause) {
    removeFile(temporary)
    if (cause instanceof BackendError) throw cause
    throw new BackendError('transferFailed', `could not import ${source}: ${String(cause)}`, { cause })
  }
}

function removeFile(path: string): void {
  rmSync(path, { force: true })
  rmSync(lockFileOf(path), { force: true })
}

/** Resolves when the thread has done its work and ended. */
function convert(files: Omit<ImportTask, 'shared'>, options: ImportOptions): Promise<Imported> {
  return new Promise((resolve, reject) => {
    const { signal } = options
    const closed = new BackendError('closed', 'the import was given up')
    if (signal?.aborted === true) throw closed
    const shared = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)
    const state = new Int32Array(shared)
    const task: ImportTask = { ...files, shared }
    const worker = new Worker(new URL('./import-worker.js', import.meta.url), {
      name: 'bbolt-import',
      workerData: task,
      execArgv: [],
    })
    let outcome: Imported | BackendError = new BackendError(
      'transferFailed',
      'the importing thread has ended',
    )
    const giveUp = (): void => void Atomics.store(state, IS_STOPPED, 1)
    // A process that ends takes its threads along, wherever they are, and waits for them.
    const leave = (): void => {
      giveUp()
      Atomics.wait(state, IS_WRITING, 1)
    }
    signal?.addEventListener('abort', giveUp)
    process.on('exit', leave)
    worker.on('message', (message: ImportMessage) => {
      if (message.kind === 'progress') options.onProgress?.(message.progress)
      else if (message.kind === 'done') outcome = message.imported
      else outcome = fromSent(message.error)
    })
    worker.on('error', (cause) => {
      outcome = new BackendError('transferFailed', `the import failed: ${cause.message}`, { cause })
    })
    worker.on('exit', () => {
      signal?.removeEventListener('abort', giveUp)
      process.off('exit', leave)
      if (signal?.aborted === true) reject(closed)
      else if (outcome instanceof BackendError) reject(outcome)
      else resolve(outcome)
    })
  })
}
