import { dirname } from 'node:path'

/**
 * Files as the rest of the program may see them.
 *
 * Reads and writes go to the operating system's page cache and return at once; nothing of them is promised to survive a
 * loss of power before `datasync` of the file and, for names, `syncDirectory` of the folder. Both come in two forms: one
 * that resolves later and keeps the calling thread free, and one that blocks, for start-up and tools.
 *
 * A call that fails throws (or rejects with) an `Error` whose `code` is the system's name of the reason, such as
 * `ENOENT`, `ENOSPC` or `EIO`. What a failed `datasync` left on the disk is unknown and a second call proves nothing:
 * whoever relied on it must stop.
 */
export interface Disk {
  /**
   * Opens a file.
   *
   * `read` and `write` need it to exist, `create` makes an empty one and refuses an existing one (`EEXIST`), `replace`
   * makes an empty one in any case. All but `read` may read and write.
   *
   * @param permissions of a file that is made; 0o600 unless told
   */
  open(path: string, mode: OpenMode, permissions?: number): DiskFile
  /** The whole content of a file, owned by the caller. */
  readFile(path: string): Uint8Array
  /** Makes or replaces a file. */
  writeFile(path: string, bytes: Uint8Array, permissions?: number): void
  /** What is at `path`, or undefined when there is nothing. */
  stat(path: string): FileStat | undefined
  exists(path: string): boolean
  /** The names in a folder, ascending. */
  list(path: string): string[]
  /** Makes a folder and those above it as far as they are missing. `permissions` (0o700 unless told) are of all made. */
  makeDirectory(path: string, permissions?: number): void
  /** Removes an empty folder. */
  removeDirectory(path: string): void
  /** Moves a file or folder, over a file or empty folder of that name. */
  rename(from: string, to: string): void
  unlink(path: string): void
  /** Sets the permission bits. */
  chmod(path: string, permissions: number): void
  /** Resolves when names made, moved and removed in the folder before the call survive a loss of power. */
  syncDirectory(path: string): Promise<void>
  /** `syncDirectory`, blocking. */
  syncDirectoryNow(path: string): void
  /**
   * Whether the machine was started after the file was last written: then, and only then, parts of it that were written
   * but not synced may be missing. A process that merely ended leaves all that it wrote.
   */
  mayHaveLostPower(path: string): boolean
  /**
   * Takes a folder for this process alone, until `release` or the end of the process, however it ends.
   *
   * @throws DirectoryInUseError while another live process, or this one, holds it
   */
  lockDirectory(path: string): DirectoryLock
}

export type OpenMode = 'read' | 'write' | 'create' | 'replace'

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other'
  readonly sizeBytes: number
  /** The permission bits, such as 0o700. */
  readonly permissions: number
}

/** An open file. Positions and sizes are in bytes. */
export interface DiskFile {
  readonly path: string
  size(): number
  /** Fills `out` from `position` on. @returns how many bytes there were, less than asked for at the end of the file */
  readAt(out: Uint8Array, position: number): number
  /** Writes all of `bytes`, which the caller may change afterwards. */
  writeAt(bytes: Uint8Array, position: number): void
  /** Writes several pieces one after the other, in one call of the system. */
  writeManyAt(pieces: readonly Uint8Array[], position: number): void
  truncate(sizeBytes: number): void
  /** Resolves when everything written before the call, and the size, survive a loss of power. */
  datasync(): Promise<void>
  /** `datasync`, blocking. */
  datasyncNow(): void
  /** Closes the file; a `datasync` that is under way ends first. A second call does nothing. */
  close(): void
}

export interface DirectoryLock {
  /** Gives the folder back; a second call does nothing. */
  release(): void
}

/** The folder belongs to another process. */
export class DirectoryInUseError extends Error {
  override readonly name = 'DirectoryInUseError'
  readonly path: string

  /** @param holder who has it, in words */
  constructor(path: string, holder: string) {
    super(`directory ${path} is in use by ${holder}`)
    this.path = path
  }
}

/** The `code` of an error of the file system (`ENOENT`, ...), or undefined for any other value. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/**
 * Makes a folder and those above it as far as they are missing, and makes the names of all of them durable. It blocks.
 *
 * Whoever promises durability inside a folder must have called this: a file is as lost with a folder above it as it is
 * without its own name. Folders that exist count too: the process that made them may have ended before it synced them.
 */
export function makeDurableDirectory(disk: Disk, path: string, permissions?: number): void {
  const above = dirname(path)
  if (above === path) return
  makeDurableDirectory(disk, above, permissions)
  if (!disk.exists(path)) disk.makeDirectory(path, permissions)
  try {
    disk.syncDirectoryNow(above)
  } catch (error) {
    const code = errorCode(error)
    // A folder that may not be read, or cannot be written to at all, is older than any process of ours.
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS' && code !== 'EINVAL') throw error
  }
}
