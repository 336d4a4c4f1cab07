/**
 * The thread that waits for the disk, so that no other thread has to. `disk-sync-thread.ts` starts it.
 *
 * In: the number of a file descriptor for fdatasync, or `-1 - descriptor` for fsync (folders).
 * Out, in the same order: 0 when it is done, or the error's message and code.
 *
 * This file is loaded by its address, on its own: it imports nothing of ours, and a bundle must keep it beside itself
 * under this name.
 */
import { fdatasyncSync, fsyncSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'

const port = parentPort
port?.on('message', (request: number) => {
  try {
    if (request >= 0) fdatasyncSync(request)
    else fsyncSync(-1 - request)
    port.postMessage(0)
  } catch (error) {
    port.postMessage([String(error), error instanceof Error && 'code' in error ? error.code : 'EIO'])
  }
})
