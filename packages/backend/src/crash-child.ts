// Run by lmdb-crash.test.ts: writes to the backend at argv[2] until it is killed, in the way that argv[3] says.
//
// State after step i: rows `key`/j for i - WINDOW < j <= i, each with a value made from j, and `meta`/at = i, written
// by the commit hook. Prints the step of each commit that has been acknowledged.
// oxlint-disable-next-line no-restricted-imports -- a test, of LMDB's own I/O
import { appendFileSync, rmSync, writeFileSync } from 'node:fs'
import { systemClock } from '@etcd-ts/platform'
import type { DefragmentStep } from './backend.ts'
import { importBbolt } from './bbolt/import-thread.ts'
import { openLmdbBackend } from './lmdb-backend.ts'
import { AT, WINDOW, rowKey, rowValue, stepOf } from './crash-state.ts'

type InstallStep = 'importing' | 'imported' | 'opened' | 'swapped' | 'installed'

const [path = '', mode = 'write', killAt = ''] = process.argv.slice(2)

const backend = openLmdbBackend({
  path,
  clock: systemClock,
  batchIntervalMs: 5,
  batchLimit: 200,
  onWriteFailed: (error) => {
    process.stdout.write(`failed ${error.reason}\n`)
    process.exit(3)
  },
})
let step = stepOf(backend)
if (mode !== 'defragment-fails')
  backend.setCommitHook(() => backend.put('meta', AT, Buffer.from(String(step))))

function write(steps: number): void {
  for (let i = 0; i < steps; i++) {
    step++
    backend.put('key', rowKey(step), rowValue(step))
    if (step > WINDOW) backend.delete('key', rowKey(step - WINDOW))
  }
}

async function acknowledge(): Promise<void> {
  const acknowledged = step
  await backend.commit()
  process.stdout.write(`committed ${acknowledged}\n`)
}

function reached(at: DefragmentStep | InstallStep): void {
  if (at === killAt) process.kill(process.pid, 'SIGKILL')
}

/** Writes the rows to a bbolt file, imports that and puts the outcome in the place of the rows, which it equals. */
async function carryAround(): Promise<void> {
  const file = await backend.exportBbolt()
  const source = `${path}.export`
  writeFileSync(source, '')
  for await (const chunk of file.chunks()) appendFileSync(source, chunk)
  const imported = `${path}.import`
  await importBbolt({ source, target: imported, onProgress: () => reached('importing') })
  rmSync(source)
  reached('imported')
  const replacement = backend.openReplacement(imported)
  reached('opened')
  await backend.install(replacement, () => reached('swapped'))
  reached('installed')
}

process.stdout.write(`opened ${step}\n`)
if (mode === 'defragment-fails') {
  await backend.defragment().then(
    () => process.stdout.write('defragmented\n'),
    () => process.stdout.write(`defragment failed at ${stepOf(backend)}\n`),
  )
} else {
  for (let turn = 0; ; turn++) {
    write(1 + (turn % 37))
    if (turn % 3 === 0) await acknowledge()
    else await systemClock.sleep(0)
    if (mode === 'install' && turn % 10 === 9) {
      await acknowledge()
      await carryAround()
    }
    if (mode === 'defragment' && turn % 40 === 39) await backend.defragment(reached)
  }
}
