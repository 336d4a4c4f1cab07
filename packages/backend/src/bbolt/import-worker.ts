/**
 * The thread that makes an LMDB file of a bbolt file, so that no other thread waits for it. `import-thread.ts` starts it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { systemDisk } from '@etcd-ts/platform'
import { bucketIndex } from '../buckets.ts'
import { LmdbFile } from '../lmdb-open.ts'
import { BackendError } from '../error.ts'
import { BboltRows } from './import.ts'
import { IS_STOPPED, IS_WRITING, type ImportMessage, type ImportTask, toSent } from './messages.ts'

/** Rows of one transaction; it is written when it ends. */
const TRANSACTION_ROWS_MAX = 20_000
const TRANSACTION_BYTES_MAX = 16 * 1024 * 1024

const port = parentPort!
const { source, target, shared } = workerData as ImportTask
const state = new Int32Array(shared)

function send(message: ImportMessage): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message)
}

function isStopped(): boolean {
  return Atomics.load(state, IS_STOPPED) === 1
}

/** Runs what must not be cut off by the end of this thread: the library then waits for itself for ever. */
function writing<T>(work: () => T): T {
  Atomics.store(state, IS_WRITING, 1)
  try {
    if (isStopped()) throw new BackendError('closed', 'the import was given up')
    return work()
  } finally {
    Atomics.store(state, IS_WRITING, 0)
    Atomics.notify(state, IS_WRITING)
  }
}

async function run(): Promise<void> {
  const input = systemDisk.open(source, 'read')
  const rows = new BboltRows(input)
  const file = writing(() => new LmdbFile(target, { noSync: true }))
  try {
    const all = rows.all()
    for (let isDone = false; !isDone;) {
      const endRows = rows.rows + TRANSACTION_ROWS_MAX
      const endBytes = rows.bytes + TRANSACTION_BYTES_MAX
      const putRows = (): void => {
        while (rows.rows < endRows && rows.bytes < endBytes && !isStopped()) {
          const next = all.next()
          if (next.done === true) {
            isDone = true
            return
          }
          const [bucket, { key, value }] = next.value
          file.tables[bucketIndex[bucket]]!.putSync(key, value, { append: true })
        }
      }
      writing(() => file.root.transactionSync(putRows))
      const progress = { rows: rows.rows, bytes: rows.bytes, sourceBytes: input.size() }
      send({ kind: 'progress', progress })
    }
    writing(() => file.seedFreeList())
  } finally {
    input.close()
    await file.root.close()
  }
  const output = systemDisk.open(target, 'write')
  output.datasyncNow()
  output.close()
  send({ kind: 'done', imported: rows.imported })
}

run()
  .catch((error: unknown) => send({ kind: 'error', error: toSent(error) }))
  .finally(() => port.close())
