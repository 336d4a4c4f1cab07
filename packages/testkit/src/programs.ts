import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of this repository. */
export const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')

/** A server under test: how it is started, and what it logs once it answers clients. */
export interface ServerProgram {
  readonly title: string
  readonly command: readonly string[]
  readonly readyLine: RegExp
}

/** Our server, or the program that the environment variable ETCD_TS_SERVER names instead (words split at blanks). */
export function ourServer(): ServerProgram {
  const other = process.env['ETCD_TS_SERVER']
  if (other !== undefined && other !== '') {
    return {
      title: other,
      command: other.split(/\s+/),
      readyLine: /enabled capabilities for version|ready to serve client requests/,
    }
  }
  return {
    title: 'etcd-ts',
    command: [process.execPath, join(repositoryRoot, 'bin', 'etcd')],
    readyLine: /ready to serve client requests/,
  }
}

/** Our etcdctl. */
export function ourCtlCommand(): readonly string[] {
  return [process.execPath, join(repositoryRoot, 'bin', 'etcdctl')]
}

/** The etcd that is installed on this machine, or undefined. */
export function realServer(): ServerProgram | undefined {
  const path = findProgram('etcd')
  return path === undefined
    ? undefined
    : {
        title: 'real etcd',
        command: [path],
        readyLine: /enabled capabilities for version|ready to serve client requests/,
      }
}

/** The path of an executable on PATH that is not part of this repository, or undefined. */
export function findProgram(name: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name)
    if (folder === '' || !existsSync(path) || resolve(path).startsWith(repositoryRoot)) continue
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // A file of that name that may not be run is not the program.
    }
  }
  return undefined
}

/** The folder of recorded facts beside the repository, or the one ETCD_TS_SHARED names; undefined when absent. */
export function sharedFolder(): string | undefined {
  const path = process.env['ETCD_TS_SHARED'] ?? join(repositoryRoot, '..', 'shared')
  return existsSync(path) ? path : undefined
}

/**
 * The `skip` option of a test that needs something from outside: undefined when it is there, else the reason, which the
 * test runner prints. With CI=true nothing may be missing: then this throws.
 */
export function skipWithout(present: unknown, what: string): string | undefined {
  if (present !== undefined && present !== false && present !== '') return undefined
  if (process.env['CI'] === 'true') throw new Error(`${what} is missing, and CI=true`)
  return `${what} is missing`
}
