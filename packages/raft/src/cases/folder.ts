// oxlint-disable-next-line no-restricted-imports -- test code: it looks for the case files
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the case files: `$RAFT_TESTDATA`, or `raft-testdata` among the shared test material. */
export function caseFolder(): string {
  const repository = fileURLToPath(new URL('../../../..', import.meta.url))
  const { RAFT_TESTDATA, ETCD_TS_SHARED } = process.env
  return RAFT_TESTDATA !== undefined
    ? resolve(repository, RAFT_TESTDATA)
    : join(resolve(repository, ETCD_TS_SHARED ?? '../shared'), 'raft-testdata')
}

/** Why the cases cannot be run, or undefined if they can. On CI they have to be there. */
export function reasonToSkip(folder: string): string | undefined {
  if (existsSync(folder) || process.env['CI'] === 'true') return undefined
  return `no case files in ${folder}: set RAFT_TESTDATA`
}
