/**
 * The thread that makes a bbolt file of the rows of an LMDB file, which the thread that started it has open too: LMDB shares
 * one map between them, and a read transaction of its own holds the rows as they are. `export-thread.ts` starts it.
 */
import { setImmediate } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { LmdbFile } from '../lmdb-open.ts'
import { encodeBbolt, measureBbolt, sizeOf } from './encode.ts'
import { type ExportMessage, type ExportRequest, type ExportTask, toSent } from './messages.ts'

/** While it measures it looks for messages after this many slices. */
const SLICES_PER_TURN = 50

const port = parentPort!
const { path } = workerData as ExportTask

function send(message: ExportMessage, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}

async function run(): Promise<void> {
  const file = new LmdbFile(path, { readOnly: true })
  const view = file.snapshot()
  let isClosed = false
  let wanted = 0
  let wake: () => void = () => undefined
  port.on('message', (request: ExportRequest) => {
    if (request === 'close') isClosed = true
    else wanted += request.more
    wake()
  })
  try {
    send({ kind: 'pinned' })
    const measuring = measureBbolt(view)
    let step = measuring.next()
    for (let slices = 1; step.done !== true && !isClosed; slices++) {
      if (slices % SLICES_PER_TURN === 0) await setImmediate()
      step = measuring.next()
    }
    if (step.done !== true) return
    send({ kind: 'measured', sizeBytes: sizeOf(step.value) })
    const chunks = encodeBbolt(view, step.value)
    while (!isClosed) {
      if (wanted === 0) {
        await new Promise<void>((resolve) => (wake = resolve))
        continue
      }
      const chunk = chunks.next()
      if (chunk.done === true) {
        send({ kind: 'end' })
        return
      }
      wanted--
      send({ kind: 'chunk', bytes: chunk.value }, [chunk.value.buffer as ArrayBuffer])
      await setImmediate()
    }
  } finally {
    view.close()
    await file.root.close()
  }
}

run()
  .catch((error: unknown) => send({ kind: 'error', error: toSent(error) }))
  .finally(() => port.close())
