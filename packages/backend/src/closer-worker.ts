/** Has the LMDB file at a path open until it is told to close it. `closer-thread.ts` starts it and says what for. */
import { parentPort, workerData } from 'node:worker_threads'
import { LmdbFile } from './lmdb-open.ts'

const port = parentPort!
const file = new LmdbFile(workerData as string, { readOnly: true })
port.once('message', () => {
  void file.root.close().finally(() => port.close())
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
port.postMessage('open')
