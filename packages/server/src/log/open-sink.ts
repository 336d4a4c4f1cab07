import type { Clock } from '@etcd-ts/platform'
import { isLogFile, type LogSettings } from '../config/log-settings.ts'
import { openFileSink } from './file-sink.ts'
import { RotatingFileSink } from './rotating-file-sink.ts'
import { fanOut, type Sink } from './sink.ts'
import { StreamSink } from './stream-sink.ts'

export type { Sink } from './sink.ts'

const STDOUT = 1
const STDERR = 2

/**
 * Opens the outputs of the log.
 *
 * @param onDropped told how many lines a slow reader has missed
 * @throws ConfigError when a file cannot be opened
 */
export function openSink(settings: LogSettings, clock: Clock, onDropped: (lines: number) => void): Sink {
  const names = new Set(settings.outputs.map((output) => (output === 'default' ? 'stderr' : output)))
  return fanOut(
    [...names].map((name): Sink => {
      if (isLogFile(name)) {
        return settings.rotation === null
          ? openFileSink(name)
          : new RotatingFileSink(name, settings.rotation, clock)
      }
      const stream = new StreamSink(name === 'stdout' ? STDOUT : STDERR, clock, onDropped)
      return name === 'systemd/journal' && process.env['JOURNAL_STREAM'] !== undefined
        ? withPriority(stream)
        : stream
    }),
  )
}

const priorities: Readonly<Record<string, number>> = {
  debug: 7,
  info: 6,
  warn: 4,
  error: 3,
  panic: 2,
  fatal: 2,
}

/** The journal reads a unit's stderr line by line, and takes a number in angle brackets for the line's priority. */
function withPriority(sink: Sink): Sink {
  return {
    write: (line) => {
      const [, json, console] = /^{"level":"(\w+)"|^\S+\t(\w+)\t/.exec(line) ?? []
      sink.write(`<${priorities[json ?? console ?? ''] ?? 6}>${line}`)
    },
    flush: () => sink.flush(),
    close: () => sink.close(),
  }
}
