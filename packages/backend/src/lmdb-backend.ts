import type { Backend } from './backend.ts'
import { BufferedBackend, type BufferedBackendOptions } from './buffered-backend.ts'
import { LmdbStore } from './lmdb-store.ts'

export interface LmdbBackendOptions extends BufferedBackendOptions {
  /** The data file; it and its lock file are created when missing, their folder must exist. */
  readonly path: string
}

/**
 * Opens the backend in the LMDB file at `path`, after removing what an interrupted defragmentation left beside it.
 *
 * @throws BackendError `bboltFile`, `foreignFile` or `damagedFile`
 * @see docs/formats/backend.md
 */
export function openLmdbBackend(options: LmdbBackendOptions): Backend {
  return new BufferedBackend(new LmdbStore(options.path), options)
}
