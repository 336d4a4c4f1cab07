import type { BboltExport } from '../backend.ts'
import { BackendError } from '../error.ts'
import type { StoreSnapshot } from '../row-store.ts'
import { encodeBbolt, measureBbolt, sizeOf } from './encode.ts'

/** An export that the thread which asks for it makes itself, piece by piece as they are asked for. */
export function exportSnapshot(view: StoreSnapshot): BboltExport {
  const measuring = measureBbolt(view)
  let step = measuring.next()
  while (step.done !== true) step = measuring.next()
  const layout = step.value
  let state: 'new' | 'read' | 'closed' = 'new'
  const close = (): void => {
    if (state === 'closed') return
    state = 'closed'
    view.close()
  }
  return {
    sizeBytes: sizeOf(layout),
    async *chunks() {
      if (state === 'read') throw new Error('the chunks of an export can be read once')
      const chunks = encodeBbolt(view, layout)
      try {
        for (;;) {
          // Closed by somebody while a piece was being used.
          if ((state as string) === 'closed') throw new BackendError('closed', 'the export was closed')
          state = 'read'
          const { done, value } = chunks.next()
          if (done === true) return
          yield value
        }
      } finally {
        close()
      }
    },
    close,
  }
}
