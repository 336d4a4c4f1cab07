import { join } from 'node:path'
import type { Disk } from '@etcd-ts/platform'

const NAME = /^([0-9a-f]{16})\.snap\.db$/
const PERMISSIONS = 0o600
/** Bytes between two syncs, so that the last one has little left to do. */
const SYNC_EVERY_BYTES = 64 * 1024 * 1024

/** File name of the state that belongs to the snapshot of `index`, until it replaces the one in use. */
export function receivedDatabaseName(index: number): string {
  return `${index.toString(16).padStart(16, '0')}.snap.db`
}

/** Removes received states, and what opening them left behind. @param isWanted by the index of their snapshot */
export function removeReceivedDatabases(
  disk: Disk,
  folder: string,
  isWanted: (index: number) => boolean,
): void {
  for (const name of disk.list(folder)) {
    const match = NAME.exec(name.replace(/-lock$/, ''))
    if (match !== null && !isWanted(Number.parseInt(match[1] ?? '', 16))) disk.unlink(join(folder, name))
  }
}

/**
 * Writes a file as it arrives and makes it durable. @returns its size
 */
export async function writeDatabase(
  disk: Disk,
  path: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<number> {
  const file = disk.open(path, 'replace', PERMISSIONS)
  try {
    let at = 0
    let unsynced = 0
    for await (const chunk of chunks) {
      file.writeAt(chunk, at)
      at += chunk.length
      unsynced += chunk.length
      if (unsynced < SYNC_EVERY_BYTES) continue
      await file.datasync()
      unsynced = 0
    }
    await file.datasync()
    return at
  } finally {
    file.close()
  }
}
