// oxlint-disable-next-line no-restricted-imports -- the log is not part of the member's state
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs'
// oxlint-disable-next-line no-restricted-imports -- as above
import { readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Clock } from '@etcd-ts/platform'
import type { LogRotation } from '../config/log-settings.ts'
import { cannotOpen } from './file-sink.ts'
import type { Sink } from './sink.ts'
import { fileTime, parseFileTime } from './zap-time.ts'

const MEGABYTE = 1024 * 1024
const DAY_MS = 86_400_000
const COMPRESSED = '.gz'

/**
 * A log file that is moved aside, to `NAME-2006-01-02T15-04-05.000.EXT`, before it would grow too large; old files are
 * then removed by number and age, and compressed. Names, order and settings are lumberjack's, so that a folder may have
 * been begun by etcd.
 */
export class RotatingFileSink implements Sink {
  readonly #path: string
  readonly #settings: LogRotation
  readonly #clock: Clock
  readonly #bytesMax: number
  #fd: number
  #bytes: number
  #cleaning: Promise<void> = Promise.resolve()
  #closed = false

  /** @throws ConfigError when the file cannot be opened */
  constructor(path: string, settings: LogRotation, clock: Clock) {
    this.#path = path
    this.#settings = settings
    this.#clock = clock
    this.#bytesMax = settings.sizeMegabytesMax * MEGABYTE
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
      this.#fd = openSync(path, 'a', 0o600)
    } catch (error) {
      throw cannotOpen(path, error)
    }
    this.#bytes = fstatSync(this.#fd).size
    this.#clean()
  }

  write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.#closed) return
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#bytesMax) this.#rotate()
    try {
      this.#bytes += writeSync(this.#fd, bytes)
    } catch {
      // A disk that refuses a line loses it; there is nowhere to say so.
    }
  }

  flush(): void {
    // Every line was handed to the system when it was written.
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#fd)
  }

  /** Resolves when the old files are as the settings want them. */
  cleaned(): Promise<void> {
    return this.#cleaning
  }

  #rotate(): void {
    const old = this.#fd
    try {
      renameSync(this.#path, this.#freeBackupPath())
      this.#fd = openSync(this.#path, 'a', fstatSync(old).mode & 0o777)
    } catch {
      return // a file that is too large is better than none; the next line tries again
    }
    this.#bytes = 0
    closeSync(old)
    this.#clean()
  }

  #freeBackupPath(): string {
    const { prefix, extension } = this.#nameParts()
    for (let wallMs = this.#clock.wallMs(); ; wallMs++) {
      const time = fileTime(wallMs, this.#settings.localTime)
      const path = join(dirname(this.#path), `${prefix}${time}${extension}`)
      if (!existsSync(path) && !existsSync(path + COMPRESSED)) return path
    }
  }

  #nameParts(): { prefix: string; extension: string } {
    const extension = extname(this.#path)
    return { prefix: `${basename(this.#path, extension)}-`, extension }
  }

  /** One run at a time; a run that fails leaves its work to the next. */
  #clean(): void {
    const { ageDaysMax, backupsMax, compress } = this.#settings
    if (ageDaysMax === 0 && backupsMax === 0 && !compress) return
    this.#cleaning = this.#cleaning.then(() => this.#removeAndCompress()).catch(() => undefined)
  }

  async #removeAndCompress(): Promise<void> {
    const { ageDaysMax, backupsMax, compress } = this.#settings
    const backups = await this.#listBackups()
    const oldest = ageDaysMax === 0 ? -Infinity : this.#clock.wallMs() - ageDaysMax * DAY_MS
    for (const [index, backup] of backups.entries()) {
      const path = join(dirname(this.#path), backup.name)
      const surplus = backupsMax > 0 && index >= backupsMax
      if (surplus || backup.wallMs < oldest) await unlink(path)
      else if (compress && !backup.name.endsWith(COMPRESSED)) await compressFile(path)
    }
  }

  /** Newest first. */
  async #listBackups(): Promise<{ name: string; wallMs: number }[]> {
    const { prefix, extension } = this.#nameParts()
    const backups: { name: string; wallMs: number }[] = []
    for (const name of await readdir(dirname(this.#path))) {
      const plain = name.endsWith(COMPRESSED) ? name.slice(0, -COMPRESSED.length) : name
      if (!plain.startsWith(prefix) || !plain.endsWith(extension)) continue
      const time = plain.slice(prefix.length, plain.length - extension.length)
      const wallMs = parseFileTime(time, this.#settings.localTime)
      if (wallMs !== undefined) backups.push({ name, wallMs })
    }
    return backups.sort((a, b) => b.wallMs - a.wallMs)
  }
}

/** Under another name until it is whole, so that a crash leaves the original. */
async function compressFile(path: string): Promise<void> {
  const { mode } = await stat(path)
  const partial = `${path}${COMPRESSED}.partial`
  await pipeline(createReadStream(path), createGzip(), createWriteStream(partial, { mode: mode & 0o777 }))
  await rename(partial, path + COMPRESSED)
  await unlink(path)
}
