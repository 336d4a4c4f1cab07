import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Scope, freeAfter } from './scope.ts'

/** Makes an empty directory that is removed, with all that is in it, at the end of `scope`. */
export function makeTempDir(scope: Scope, name = 'dir'): string {
  const path = mkdtempSync(join(tmpdir(), `etcd-ts-${name}-`))
  freeAfter(scope, () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }))
  return path
}
