import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const child = fileURLToPath(new URL('./exit-child.js', import.meta.url))

void describe('a process that ends while a thread is at work', () => {
  let folder: string
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'etcd-ts-exit-'))
    await run('fill', 0)
  })
  after(() => rmSync(folder, { recursive: true }))

  const run = (kind: string, delayMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const started = spawn(process.execPath, [child, join(folder, 'db'), kind, String(delayMs)], {
        stdio: 'inherit',
        timeout: 30_000,
        killSignal: 'SIGKILL',
      })
      started.on('exit', (code, signal) => {
        if (code === 0) resolve()
        else reject(new Error(`${kind} ended with ${code ?? signal}`))
      })
    })

  for (const kind of ['import', 'measure', 'export', 'close']) {
    void test(`does end: ${kind}`, async () => {
      for (const delayMs of [0, 30, 60, 80, 100, 130]) await assert.doesNotReject(run(kind, delayMs))
    })
  }
})
