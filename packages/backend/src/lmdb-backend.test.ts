import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backendSuite } from './backend-suite.ts'
import { openLmdbBackend } from './lmdb-backend.ts'

backendSuite('LMDB backend', () => {
  const folder = mkdtempSync(join(tmpdir(), 'etcd-ts-backend-'))
  return {
    open: (options) => openLmdbBackend({ ...options, path: join(folder, 'db') }),
    remove: () => rmSync(folder, { recursive: true }),
  }
})
