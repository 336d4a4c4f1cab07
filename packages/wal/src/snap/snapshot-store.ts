/**
 * Snapshot files: the state that a raft snapshot carries, one file each, in etcd's format (docs/formats/snap.md).
 *
 *     <term>-<index>.snap     both 16 hexadecimal digits
 *     content = 08 crc, 12 length data          protobuf snappb.snapshot
 *     data    = raftpb.Snapshot { data: the v2 store as JSON, metadata: { conf_state, index, term } }
 *     crc     = CRC-32C of data
 *
 * A file is valid when neither crc nor data is missing or zero, the crc fits, data is a snapshot, and its index and term are
 * those of the name. A file counts only if the log says that its point was committed (`Wal.snapshotsIn`).
 */
import { join } from 'node:path'
import { DecodeError, raftpb, snappb } from '@etcd-ts/api'
import { type Disk, crc32c } from '@etcd-ts/platform'
import type { SnapshotPoint } from '../replay.ts'
import { WalError } from '../wal-error.ts'

const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.snap$/
const SUFFIXES = ['.snap', '.snap.db'] as const
const BROKEN_SUFFIX = '.broken'
const TMP_PREFIX = 'tmp'
/** As etcd's: what may be read is the umask's choice. */
const PERMISSIONS = 0o666

/** Why a file is not a snapshot. */
class BadSnapshotError extends Error {
  override readonly name = 'BadSnapshotError'
}

/** The `.snap` files of a folder. */
export class SnapshotStore {
  readonly #disk: Disk
  readonly #dir: string

  /** @param dir must exist */
  constructor(disk: Disk, dir: string) {
    this.#disk = disk
    this.#dir = dir
  }

  /**
   * Writes a snapshot. Resolves once it is durable: only then may its point go into the log.
   *
   * @throws WalError `failed` when the disk refuses; then there is no file of its name, unless there was one before
   */
  async save(snapshot: raftpb.SnapshotInit): Promise<void> {
    const { index = 0, term = 0 } = snapshot.metadata ?? {}
    const name = snapshotName({ index, term })
    const data = raftpb.Snapshot.encode(snapshot)
    const content = snappb.Snapshot.encode({ crc: crc32c(data), data })
    const tmpPath = join(this.#dir, `${TMP_PREFIX}.${name}`)
    try {
      const file = this.#disk.open(tmpPath, 'replace', PERMISSIONS)
      try {
        file.writeAt(content, 0)
        await file.datasync()
      } finally {
        file.close()
      }
      this.#disk.rename(tmpPath, join(this.#dir, name))
      await this.#disk.syncDirectory(this.#dir)
    } catch (error) {
      throw new WalError('failed', `snap: cannot write ${join(this.#dir, name)}`, { cause: error })
    }
  }

  /**
   * Reads the newest snapshot that is wanted. One that is wanted but not valid is renamed to `<name>.broken`, and the next
   * older one is tried.
   *
   * @param isWanted by index and term
   * @param onBroken told of each file renamed, and why
   * @returns undefined when there is none
   */
  loadNewest(
    isWanted: (point: SnapshotPoint) => boolean,
    onBroken?: (path: string, reason: string) => void,
  ): raftpb.Snapshot | undefined {
    for (const { name, point } of this.#names().reverse()) {
      if (!isWanted(point)) continue
      const path = join(this.#dir, name)
      try {
        return decode(this.#disk.readFile(path), point)
      } catch (error) {
        if (!(error instanceof BadSnapshotError)) throw error
        this.#disk.rename(path, path + BROKEN_SUFFIX)
        onBroken?.(path, error.message)
      }
    }
    return undefined
  }

  /**
   * Deletes all but the `keep` newest of the `.snap` files, and of the databases received with them (`.snap.db`).
   *
   * @returns the names of those deleted
   */
  async purge({ keep }: { readonly keep: number }): Promise<string[]> {
    const names = this.#disk.list(this.#dir)
    const purged: string[] = []
    for (const suffix of SUFFIXES) {
      const ofKind = names.filter((name) => name.endsWith(suffix))
      for (const name of ofKind.slice(0, Math.max(0, ofKind.length - keep))) {
        this.#disk.unlink(join(this.#dir, name))
        purged.push(name)
      }
    }
    if (purged.length > 0) await this.#disk.syncDirectory(this.#dir)
    return purged
  }

  /** Deletes what writes that were cut off left behind. For the start, before anything is saved. */
  removeTemporaries(): void {
    for (const name of this.#disk.list(this.#dir)) {
      if (name.startsWith(TMP_PREFIX)) this.#disk.unlink(join(this.#dir, name))
    }
  }

  /** Oldest first. */
  #names(): { name: string; point: SnapshotPoint }[] {
    const found: { name: string; point: SnapshotPoint }[] = []
    for (const name of this.#disk.list(this.#dir)) {
      const match = NAME.exec(name)
      if (match === null) continue
      found.push({
        name,
        point: { term: Number.parseInt(match[1]!, 16), index: Number.parseInt(match[2]!, 16) },
      })
    }
    return found
  }
}

function snapshotName({ index, term }: SnapshotPoint): string {
  return `${term.toString(16).padStart(16, '0')}-${index.toString(16).padStart(16, '0')}.snap`
}

function decode(content: Uint8Array, point: SnapshotPoint): raftpb.Snapshot {
  try {
    const { crc, data } = snappb.Snapshot.decode(content)
    if (data === undefined || data.length === 0 || crc === 0) throw new BadSnapshotError('empty snapshot')
    if (crc32c(data) !== crc) throw new BadSnapshotError('crc mismatch')
    const snapshot = raftpb.Snapshot.decode(data)
    const { index, term } = snapshot.metadata
    if (index !== point.index || term !== point.term) {
      throw new BadSnapshotError(`the content is of index ${index}, term ${term}`)
    }
    return snapshot
  } catch (error) {
    if (error instanceof DecodeError) throw new BadSnapshotError(error.message, { cause: error })
    throw error
  }
}
