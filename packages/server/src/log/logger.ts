import { pino } from 'pino'
import type { Clock } from '@etcd-ts/platform'
import type { LogLevel, LogSettings } from '../config/log-settings.ts'
import type { Note } from '../config/notes.ts'
import { asConsole } from './console-format.ts'
import { openSink, type Sink } from './open-sink.ts'
import { zapTime } from './zap-time.ts'

/**
 * Values beside a message. An `Error` shows its message; an id is passed as the text in which people know it
 * (hexadecimal), never as a bigint.
 */
export type LogFields = Readonly<Record<string, unknown>>

/**
 * The log: lines of constant text with fields. `warn` may heal by itself, `error` has lost something, `panic` and
 * `fatal` are last words: they are on their way out of the process when the call returns, and the caller ends it.
 */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  panic(message: string, fields?: LogFields): void
  fatal(message: string, fields?: LogFields): void
  /** Whether lines of this level are written, for those that are costly to compose. */
  isEnabled(level: LogLevel): boolean
  /** The same log for another part of the program, whose name stands in `caller`. */
  child(caller: string): Logger
}

/** The log of a process, which its owner also ends. */
export interface RootLogger extends Logger {
  /** Waits, for at most about a second, until slow readers have taken what was written. */
  flush(): void
  /** `flush`, then gives the files back. */
  close(): void
}

/** Says nothing. */
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  panic: nothing,
  fatal: nothing,
  isEnabled: () => false,
  child: () => silentLogger,
}

function nothing(): void {
  // A line that nobody asked for.
}

/**
 * Opens the outputs and starts a log of JSON lines with zap's names: `level`, `ts`, `caller`, `msg`, then the fields.
 *
 * @param caller the part of the program that the lines of this logger come from
 * @throws ConfigError when an output cannot be opened
 */
export function createLogger(settings: LogSettings, clock: Clock, caller: string): RootLogger {
  const onDropped = (lines: number): void => {
    root.child('log/sink').warn('log lines were dropped, their reader is too slow', { lines })
  }
  const root = loggerOf(openSink(settings, clock, onDropped), settings, clock, caller)
  return root
}

/** A log into any sink. */
export function loggerOf(
  sink: Sink,
  settings: Pick<LogSettings, 'level' | 'format'>,
  clock: Clock,
  caller: string,
): RootLogger {
  const write = (line: string): void => sink.write(settings.format === 'console' ? asConsole(line) : line)
  const lines = pino(
    {
      base: null,
      level: settings.level,
      customLevels: { panic: 55 },
      timestamp: () => `,"ts":"${zapTime(clock.wallMs())}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write },
  )
  return new PinoLogger(lines, sink, caller)
}

type Lines = ReturnType<typeof pino<'panic'>>

class PinoLogger implements RootLogger {
  readonly #lines: Lines
  readonly #sink: Sink
  readonly #caller: string

  constructor(lines: Lines, sink: Sink, caller: string) {
    this.#lines = lines
    this.#sink = sink
    this.#caller = caller
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields)
  }

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields)
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields)
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields)
  }

  panic(message: string, fields?: LogFields): void {
    this.#writeLast('panic', message, fields)
  }

  fatal(message: string, fields?: LogFields): void {
    this.#writeLast('fatal', message, fields)
  }

  isEnabled(level: LogLevel): boolean {
    return this.#lines.isLevelEnabled(level)
  }

  child(caller: string): Logger {
    return new PinoLogger(this.#lines, this.#sink, caller)
  }

  flush(): void {
    this.#sink.flush()
  }

  close(): void {
    this.#sink.flush()
    this.#sink.close()
  }

  #write(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (!this.#lines.isLevelEnabled(level)) return
    // Everything goes in as one object, which pino writes in this order; its own message would come last.
    const line: Record<string, unknown> = { caller: this.#caller, msg: message }
    for (const [name, value] of Object.entries(fields))
      line[name] = value instanceof Error ? value.message : value
    this.#lines[level](line)
  }

  #writeLast(level: 'panic' | 'fatal', message: string, fields: LogFields = {}): void {
    const error = Object.values(fields).find((value) => value instanceof Error)
    this.#write(level, message, error?.stack === undefined ? fields : { ...fields, stacktrace: error.stack })
    this.#sink.flush()
  }
}

/** Writes what was noted before there was a log. */
export function writeNotes(logger: Logger, notes: readonly Note[]): void {
  for (const { level, message, fields } of notes) logger[level](message, fields)
}
