// oxlint-disable-next-line no-restricted-imports -- streams of the process, not files of the member
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs'
import type { Clock, Timer } from '@etcd-ts/platform'
import type { Sink } from './sink.ts'

/** Lines that may wait for a slow reader; those that come on top are dropped and counted. */
const QUEUED_BYTES_MAX = 1024 * 1024
const RETRY_MS = 20
/** Together about a second, for last words to a reader that may never come back. */
const FLUSH_ATTEMPTS_MAX = 200
const FLUSH_PAUSE_MS = 5

/**
 * A stream of the process. Each line is written at once and in the calling thread, so that none is lost when the
 * process ends; but when a reader does not keep up, lines wait here and the thread goes on.
 */
export class StreamSink implements Sink {
  readonly #fd: number
  readonly #ownsFd: boolean
  readonly #clock: Clock
  readonly #onDropped: (lines: number) => void
  #queue: Buffer[] = []
  #queuedBytes = 0
  #dropped = 0
  #retry: Timer | undefined
  /** The number of a closed descriptor may already be that of another file. */
  #closed = false

  /**
   * @param onDropped told, once the reader is back, how many lines it has missed
   */
  constructor(fd: number, clock: Clock, onDropped: (lines: number) => void) {
    const reopened = reopenWithoutWaiting(fd)
    this.#fd = reopened ?? fd
    this.#ownsFd = reopened !== undefined
    this.#clock = clock
    this.#onDropped = onDropped
  }

  write(line: string): void {
    if (this.#closed) return
    const bytes = Buffer.from(line)
    if (this.#queue.length === 0) {
      const rest = writeSome(this.#fd, bytes)
      if (rest.length === 0) return
      // A line that was begun is finished before any other.
      this.#enqueue(rest)
    } else if (this.#queuedBytes + bytes.length > QUEUED_BYTES_MAX) {
      this.#dropped++
    } else {
      this.#enqueue(bytes)
    }
  }

  flush(): void {
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let attempt = 0; attempt < FLUSH_ATTEMPTS_MAX && !this.#drain(); attempt++) {
      Atomics.wait(pause, 0, 0, FLUSH_PAUSE_MS)
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#retry?.cancel()
    this.#queue = []
    if (this.#ownsFd) closeSync(this.#fd)
  }

  #enqueue(bytes: Buffer): void {
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    if (this.#retry === undefined) this.#retryLater()
  }

  #retryLater(): void {
    this.#retry = this.#clock.setTimer(RETRY_MS, () => {
      this.#retry = undefined
      if (!this.#drain() && this.#retry === undefined) this.#retryLater()
    })
  }

  /** @returns whether nothing waits any more */
  #drain(): boolean {
    let written = 0
    for (const bytes of this.#queue) {
      const rest = writeSome(this.#fd, bytes)
      this.#queuedBytes -= bytes.length - rest.length
      if (rest.length > 0) {
        this.#queue = [rest, ...this.#queue.slice(written + 1)]
        return false
      }
      written++
    }
    this.#queue = []
    const dropped = this.#dropped
    this.#dropped = 0
    if (dropped > 0) this.#onDropped(dropped)
    return this.#queue.length === 0
  }
}

/**
 * Opens a pipe a second time, so that a write to it fails instead of waiting when it is full. The first descriptor
 * may be shared with other processes, which would be surprised if it changed its ways.
 */
function reopenWithoutWaiting(fd: number): number | undefined {
  try {
    if (!fstatSync(fd).isFIFO()) return undefined
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return undefined // no such file system, or no such descriptor: then writes may wait, or fail one by one
  }
}

/** @returns what could not be written now */
function writeSome(fd: number, bytes: Buffer): Buffer {
  let rest = bytes
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest))
  } catch (error) {
    // A reader that has gone for good takes the line with it.
    if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN'))
      return rest.subarray(rest.length)
  }
  return rest
}
