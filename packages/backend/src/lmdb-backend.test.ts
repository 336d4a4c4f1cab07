import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backendSuite } from './backend-suite.ts'
import { importBbolt } from './bbolt/import-thread.ts'
import { openLmdbBackend } from './lmdb-backend.ts'

backendSuite('LMDB backend', () => {
  const folder = mkdtempSync(join(tmpdir(), 'etcd-ts-backend-'))
  let imports = 0
  return {
    open: (options) => openLmdbBackend({ ...options, path: join(folder, 'db') }),
    async import(file) {
      const source = join(folder, 'received')
      const target = join(folder, `${imports++}.snap.db`)
      writeFileSync(source, file)
      await importBbolt({ source, target })
      return target
    },
    remove: () => rmSync(folder, { recursive: true }),
  }
})
