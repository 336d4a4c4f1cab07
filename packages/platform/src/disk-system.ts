import {
  chmodSync,
  close,
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
  writevSync,
} from 'node:fs'
import { uptime } from 'node:os'
import { lockDirectory } from './disk-lock.ts'
import { SyncThread } from './disk-sync-thread.ts'
import type { DirectoryLock, Disk, DiskFile, FileStat, OpenMode } from './disk.ts'

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC } = constants

/** Freeing the blocks of a file takes about 0.2 ms a megabyte. */
const SLOW_TO_FREE_BYTES = 1 << 20

const OPEN_FLAGS = {
  read: O_RDONLY,
  write: O_RDWR,
  create: O_RDWR | O_CREAT | O_EXCL,
  replace: O_RDWR | O_CREAT | O_TRUNC,
} as const satisfies Record<OpenMode, number>

/** The machine's own files. Several members in one process may share one; a separate one has a sync thread of its own. */
export class SystemDisk implements Disk {
  readonly #syncs = new SyncThread()

  open(path: string, mode: OpenMode, permissions = 0o600): DiskFile {
    const file = new SystemFile(path, openSync(path, OPEN_FLAGS[mode], permissions), this.#syncs)
    if (mode !== 'read') this.#syncs.start()
    return file
  }

  readFile(path: string): Uint8Array {
    return readFileSync(path)
  }

  writeFile(path: string, bytes: Uint8Array, permissions = 0o600): void {
    writeFileSync(path, bytes, { mode: permissions })
  }

  stat(path: string): FileStat | undefined {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined) return undefined
    return {
      kind: found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other',
      sizeBytes: found.size,
      permissions: found.mode & 0o7777,
    }
  }

  exists(path: string): boolean {
    return existsSync(path)
  }

  list(path: string): string[] {
    return readdirSync(path).sort()
  }

  makeDirectory(path: string, permissions = 0o700): void {
    mkdirSync(path, { recursive: true, mode: permissions })
  }

  removeDirectory(path: string): void {
    rmdirSync(path)
  }

  rename(from: string, to: string): void {
    renameSync(from, to)
  }

  unlink(path: string): void {
    if (statSync(path).size < SLOW_TO_FREE_BYTES) {
      unlinkSync(path)
      return
    }
    // Its blocks are freed when the last descriptor is closed: in libuv's pool, not here.
    const descriptor = openSync(path, O_RDONLY)
    unlinkSync(path)
    close(descriptor, () => {
      // Nothing of the file is wanted any more, so there is nothing that could be lost.
    })
  }

  chmod(path: string, permissions: number): void {
    chmodSync(path, permissions)
  }

  async syncDirectory(path: string): Promise<void> {
    const descriptor = openSync(path, O_RDONLY)
    try {
      await this.#syncs.sync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }

  syncDirectoryNow(path: string): void {
    const descriptor = openSync(path, O_RDONLY)
    try {
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }

  mayHaveLostPower(path: string): boolean {
    return statSync(path).mtimeMs <= bootMs()
  }

  lockDirectory(path: string): DirectoryLock {
    return lockDirectory(path)
  }
}

/** The machine's own files, for everybody who does not need a sync thread of their own. */
export const systemDisk: Disk = new SystemDisk()

class SystemFile implements DiskFile {
  readonly path: string
  readonly #descriptor: number
  readonly #syncs: SyncThread
  #syncsRunning = 0
  #isClosed = false

  constructor(path: string, descriptor: number, syncs: SyncThread) {
    this.path = path
    this.#descriptor = descriptor
    this.#syncs = syncs
  }

  size(): number {
    return fstatSync(this.#open()).size
  }

  readAt(out: Uint8Array, position: number): number {
    const descriptor = this.#open()
    let done = 0
    while (done < out.length) {
      const count = readSync(descriptor, out, done, out.length - done, position + done)
      if (count === 0) break
      done += count
    }
    return done
  }

  writeAt(bytes: Uint8Array, position: number): void {
    const descriptor = this.#open()
    // The system may take a part only (a disk that fills up): the next call says why.
    for (let done = 0; done < bytes.length;) {
      done += writeSync(descriptor, bytes, done, bytes.length - done, position + done)
    }
  }

  writeManyAt(pieces: readonly Uint8Array[], position: number): void {
    let lengthBytes = 0
    for (const piece of pieces) lengthBytes += piece.length
    const written = writevSync(this.#open(), pieces, position)
    if (written === lengthBytes) return
    for (let i = 0, start = 0; i < pieces.length; i++) {
      const piece = pieces[i]!
      const done = Math.max(0, written - start)
      if (done < piece.length) this.writeAt(piece.subarray(done), position + start + done)
      start += piece.length
    }
  }

  truncate(sizeBytes: number): void {
    ftruncateSync(this.#open(), sizeBytes)
  }

  async datasync(): Promise<void> {
    const descriptor = this.#open()
    this.#syncsRunning++
    try {
      await this.#syncs.datasync(descriptor)
    } finally {
      this.#syncsRunning--
      // The descriptor's number must not be given to another file while the sync thread may still use it.
      if (this.#isClosed && this.#syncsRunning === 0) closeSync(descriptor)
    }
  }

  datasyncNow(): void {
    fdatasyncSync(this.#open())
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#syncsRunning === 0) closeSync(this.#descriptor)
  }

  #open(): number {
    if (this.#isClosed) throw Object.assign(new Error(`${this.path} is closed`), { code: 'EBADF' })
    return this.#descriptor
  }
}

/** When the machine started, in milliseconds of wall time. */
function bootMs(): number {
  try {
    // Unlike now minus uptime, this is what the kernel compares file times with.
    const line = /^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'latin1'))
    if (line !== null) return Number(line[1]) * 1000
  } catch {
    // Not Linux.
  }
  return Date.now() - uptime() * 1000
}
