// Run by exit.test.ts: ends while a thread of the kind that argv[3] names is at work on the backend at argv[2].
import { systemClock } from '@etcd-ts/platform'
// oxlint-disable-next-line no-restricted-imports -- a test, of LMDB's own I/O
import { appendFileSync, writeFileSync } from 'node:fs'
import { importBbolt } from './bbolt/import-thread.ts'
import { CloserThread } from './closer-thread.ts'
import { openLmdbBackend } from './lmdb-backend.ts'

const [path = '', kind = '', delayMs = '0'] = process.argv.slice(2)

const backend = openLmdbBackend({
  path,
  clock: systemClock,
  onWriteFailed: (error) => {
    throw error
  },
})
if (kind === 'fill') {
  for (let i = 0; i < 100_000; i++) {
    backend.put('key', Buffer.from(`key ${String(i).padStart(8, '0')}`), Buffer.alloc(400, i))
  }
  const file = await backend.exportBbolt()
  writeFileSync(`${path}.export`, '')
  for await (const chunk of file.chunks()) appendFileSync(`${path}.export`, chunk)
  await backend.close()
  process.exit(0)
}
if (kind === 'import') {
  void importBbolt({ source: `${path}.export`, target: `${path}.import` })
} else if (kind === 'measure') {
  void backend.exportBbolt()
} else if (kind === 'export') {
  const file = await backend.exportBbolt()
  void (async () => {
    for await (const _chunk of file.chunks());
  })()
} else {
  await CloserThread.open(path)
}
await systemClock.sleep(Number(delayMs))
process.exit(0)
