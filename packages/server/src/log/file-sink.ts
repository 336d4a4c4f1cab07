// oxlint-disable-next-line no-restricted-imports -- the log is not part of the member's state
import { closeSync, openSync, writeSync } from 'node:fs'
import { ConfigError, textOf } from '../config/errors.ts'
import type { Sink } from './sink.ts'

/** Appends to a file, which others may move or cut meanwhile. A disk that refuses a line loses it. */
export function openFileSink(path: string): Sink {
  let fd: number | undefined
  try {
    fd = openSync(path, 'a')
  } catch (error) {
    throw cannotOpen(path, error)
  }
  return {
    write: (line) => {
      try {
        if (fd !== undefined) writeSync(fd, line)
      } catch {
        // Nowhere to say so.
      }
    },
    flush: () => {},
    close: () => {
      if (fd !== undefined) closeSync(fd)
      fd = undefined
    },
  }
}

export function cannotOpen(path: string, error: unknown): ConfigError {
  const reason = /^E[A-Z]+: ([^,]*)/.exec(textOf(error))?.[1] ?? textOf(error)
  return new ConfigError(`couldn't open sink "${path}": open ${path}: ${reason}`, { cause: error })
}
