import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Scope } from './scope.ts'
import { makeTempDir } from './temp-dir.ts'

/** Calls of the file system that can be made to fail or to wait; each covers its sync, callback and promise forms. */
export type FaultCall =
  'open' | 'read' | 'write' | 'fdatasync' | 'fsync' | 'ftruncate' | 'rename' | 'unlink' | 'mkdir'

/** What is done to which calls. */
export interface Fault {
  readonly calls: readonly FaultCall[]
  /** A regular expression over the path; default: every file. */
  readonly path?: string
  /** The error code the call fails with (EIO, ENOSPC, ...); without one it goes on, after `delayMs` if that is set. */
  readonly error?: string
  readonly delayMs?: number
  /**
   * Ends the process as SIGKILL does: before the call, after it, or (calls of `write` only) after the first half of the
   * bytes.
   */
  readonly crash?: 'before' | 'after' | 'halfway'
  /** How many calls are affected before the fault goes away; default: all, until it is removed. */
  readonly times?: number
}

/**
 * Disk faults of a Node process under test, switched on and off while it runs.
 *
 * The process loads `fault-preload.ts` before its own code, in its main thread and in every worker. Each fault is a
 * file in `folder` that those threads look at on every call; what they injected they append to a journal there.
 */
export class FaultInjector {
  readonly folder: string
  readonly preloadPath = join(dirname(fileURLToPath(import.meta.url)), 'fault-preload.js')
  #count = 0

  constructor(scope: Scope) {
    this.folder = makeTempDir(scope, 'faults')
    mkdirSync(join(this.folder, 'active'))
  }

  /** What a process must find in its environment, besides `nodeOptions`, to meet the faults. */
  environment(nodeOptions = ''): Record<string, string> {
    const preload = `--import ${pathToFileURL(this.preloadPath).href}`
    return { NODE_OPTIONS: `${nodeOptions} ${preload}`.trim(), TESTKIT_FAULTS: this.folder }
  }

  /**
   * Switches a fault on; the returned function switches it off. A call meets the oldest fault that is about it, so one
   * without error and delay, and with `times: n`, lets n calls pass before a younger one.
   */
  inject(fault: Fault): () => void {
    const id = String(this.#count++).padStart(6, '0')
    // A fault that applies to n calls is n files, each of which one thread claims by deleting it.
    const names =
      fault.times === undefined
        ? [`${id}.json`]
        : Array.from({ length: fault.times }, (_, i) => `${id}-${String(i).padStart(6, '0')}.once.json`)
    for (const name of names) {
      const draft = join(this.folder, name)
      writeFileSync(draft, JSON.stringify(fault))
      renameSync(draft, join(this.folder, 'active', name))
    }
    return () => {
      for (const name of names) rmSync(join(this.folder, 'active', name), { force: true })
    }
  }

  /** Switches every fault off. */
  clear(): void {
    for (const name of readdirSync(join(this.folder, 'active')))
      rmSync(join(this.folder, 'active', name), { force: true })
  }

  /** One line for each call that was made to fail or wait: `CALL PATH ERROR`. */
  journal(): string[] {
    const path = join(this.folder, 'journal')
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []
  }
}
