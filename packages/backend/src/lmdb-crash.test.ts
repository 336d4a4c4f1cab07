import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@etcd-ts/platform'
import type { Backend, DefragmentStep } from './backend.ts'
import { checkState } from './crash-state.ts'
import { openLmdbBackend } from './lmdb-backend.ts'

const child = fileURLToPath(new URL('./crash-child.js', import.meta.url))
const steps: readonly DefragmentStep[] = ['copied', 'synced', 'opened', 'renamed', 'finished']

function openAt(path: string): Backend {
  return openLmdbBackend({
    path,
    clock: systemClock,
    onWriteFailed: (error) => {
      throw error
    },
  })
}

interface Run {
  readonly process: ChildProcess
  /** The last step that the child said was committed. */
  committed: number
  readonly lines: string[]
  /** Resolves when the child is gone. */
  readonly gone: Promise<void>
  /** Resolves when the child has printed `count` lines. */
  printed(count: number): Promise<void>
}

const running = new Set<ChildProcess>()

function run(command: string, args: readonly string[]): Run {
  const started = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  running.add(started)
  started.on('close', () => running.delete(started))
  const lines: string[] = []
  const waiting: { count: number; resolve: () => void }[] = []
  const state: Run = {
    process: started,
    committed: 0,
    lines,
    gone: new Promise((resolve) => started.on('close', () => resolve())),
    printed: (count) =>
      new Promise((resolve) => {
        if (lines.length >= count) resolve()
        else waiting.push({ count, resolve })
      }),
  }
  createInterface({ input: started.stdout }).on('line', (line) => {
    lines.push(line)
    const committed = /^committed (\d+)$/.exec(line)
    if (committed) state.committed = Number(committed[1])
    for (const { count, resolve } of waiting) if (lines.length >= count) resolve()
  })
  return state
}

void describe('LMDB backend, killed', () => {
  let folder: string
  let path: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'etcd-ts-backend-'))
    path = join(folder, 'db')
  })
  after(() => {
    for (const process of running) process.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  })

  /** Opens what a child left: whole, with everything that was acknowledged, and nothing beside the two files. */
  const checkAfter = async (committed: number): Promise<void> => {
    const backend = openAt(path)
    assert.ok(checkState(backend) >= committed, `${checkState(backend)} after ${committed} was acknowledged`)
    await backend.close()
    for (const name of [
      'db.export',
      'db.import',
      'db.import-lock',
      'tmp.import.db.import',
      'tmp.import.db.import-lock',
    ]) {
      rmSync(join(folder, name), { force: true })
    }
    assert.deepEqual(readdirSync(folder).sort(), ['db', 'db-lock'])
    assert.equal(statSync(path).mode & 0o777, 0o600)
  }

  void test('20 SIGKILLs in a write loop leave a prefix of the writes, with the index that belongs to it', async () => {
    for (let round = 0; round < 20; round++) {
      const writer = run(process.execPath, [child, path])
      await writer.printed(2 + ((round * 7) % 23))
      writer.process.kill('SIGKILL')
      await writer.gone
      await checkAfter(writer.committed)
    }
  })

  for (const step of steps) {
    void test(`SIGKILL when a defragmentation is at "${step}"`, async () => {
      for (let round = 0; round < 2; round++) {
        const writer = run(process.execPath, [child, path, 'defragment', step])
        await writer.gone
        assert.equal(writer.process.signalCode, 'SIGKILL')
        await checkAfter(writer.committed)
      }
    })
  }

  void test('SIGKILL at some moment while defragmentations follow one another', async () => {
    for (let round = 0; round < 5; round++) {
      const writer = run(process.execPath, [child, path, 'defragment'])
      await writer.printed(14 + round * 9)
      writer.process.kill('SIGKILL')
      await writer.gone
      await checkAfter(writer.committed)
    }
  })

  for (const step of ['importing', 'imported', 'opened', 'swapped', 'installed']) {
    void test(`SIGKILL when other rows take the place of all, at "${step}"`, async () => {
      const writer = run(process.execPath, [child, path, 'install', step])
      await writer.gone
      assert.equal(writer.process.signalCode, 'SIGKILL')
      await checkAfter(writer.committed)
    })
  }

  void test('SIGKILL at some moment while one installation follows another', async () => {
    for (let round = 0; round < 5; round++) {
      const writer = run(process.execPath, [child, path, 'install'])
      await writer.printed(7 + round * 5)
      writer.process.kill('SIGKILL')
      await writer.gone
      await checkAfter(writer.committed)
    }
  })

  // A limit on the size of files stands in for a full disk: the write fails in the middle.
  const limited = (args: readonly string[], limitBytes: number): Run =>
    run('/bin/sh', [
      '-c',
      'ulimit -f "$0" && exec "$@"',
      String(Math.floor(limitBytes / 512)),
      process.execPath,
      child,
      ...args,
    ])

  void test('a commit that fails is reported and leaves what was committed before', async () => {
    const writer = limited([path], statSync(path).size / 2)
    await writer.gone
    assert.equal(writer.process.exitCode, 3)
    assert.equal(writer.lines.at(-1), 'failed writeFailed')
    await checkAfter(writer.committed)
  })

  void test('a defragmentation that fails leaves the old file in use and nothing beside it', async () => {
    const writer = limited([path, 'defragment-fails'], 64 * 1024)
    await writer.gone
    assert.match(writer.lines.at(-1) ?? '', /^defragment failed at [1-9]/)
    assert.ok(!existsSync(`${path}.tmp.defragment`))
    await checkAfter(0)
  })
})
