import { ConfigError, textOf } from './errors.ts'
import type { FlagValues } from './flag-values.ts'
import { quote } from './go-values.ts'

export const logLevels = ['debug', 'info', 'warn', 'error', 'panic', 'fatal'] as const
export type LogLevel = (typeof logLevels)[number]

export interface LogRotation {
  /** Size that a file may not exceed, in megabytes of 2^20 bytes. */
  readonly sizeMegabytesMax: number
  /** Days after which an old file is removed, 0 for never. */
  readonly ageDaysMax: number
  /** Old files kept, 0 for all. */
  readonly backupsMax: number
  /** Name old files by local time, not by UTC. */
  readonly localTime: boolean
  /** Compress old files with gzip. */
  readonly compress: boolean
}

export interface LogSettings {
  readonly level: LogLevel
  readonly format: 'json' | 'console'
  /** `default` and `stderr`, `stdout`, `systemd/journal`, or files. */
  readonly outputs: readonly string[]
  readonly rotation: LogRotation | null
}

export const defaultLogSettings: LogSettings = {
  level: 'info',
  format: 'json',
  outputs: ['default'],
  rotation: null,
}

/** A level that is none. etcd crashes over it; this names it, and ends with the same exit code. */
export class UnknownLogLevel extends ConfigError {}

/** @throws ConfigError */
export function readLogSettings(values: FlagValues): LogSettings {
  const logger = values.get('logger')
  if (logger === 'capnslog') throw new ConfigError('--logger=capnslog is removed in v3.5')
  if (logger !== 'zap') throw new ConfigError(`unknown logger option ${quote(logger)}`)
  const given = values.get('log-outputs')
  const outputs = given.length === 0 ? ['default'] : given
  if (outputs.length > 1 && outputs.includes('default')) {
    throw new ConfigError('multi logoutput for "default" is not supported yet')
  }
  const rotation = values.get('enable-log-rotation')
    ? readRotation(outputs, values.get('log-rotation-config-json'))
    : null
  const format = values.get('log-format')
  if (format !== 'json' && format !== 'console') {
    throw new ConfigError(`unknown log format: ${format}, supported values json, console`)
  }
  return { level: readLevel(values.get('log-level')), format, outputs, rotation }
}

const streams = new Set(['default', 'stderr', 'stdout', 'systemd/journal'])

/** Whether an output of the log is a file. */
export function isLogFile(output: string): boolean {
  return !streams.has(output)
}

function readLevel(text: string): LogLevel {
  const level = text.toLowerCase()
  if (level === '') return 'info'
  if (level === 'dpanic') return 'panic' // the level of development builds, of which there are none here
  const known = logLevels.find((name) => name === level)
  if (known === undefined) throw new UnknownLogLevel(`unrecognized level: ${quote(text)}`)
  return known
}

function readRotation(outputs: readonly string[], json: string): LogRotation {
  const files = outputs.filter((output) => isLogFile(output)).length
  if (files > 1 || (files === 0 && outputs.length === 1)) {
    throw new ConfigError(
      '--log-outputs requires a single file path when --log-rotate-config-json is defined',
    )
  }
  const settings = parseSettings(json)
  const size = readInt(settings, 'maxsize')
  return {
    sizeMegabytesMax: size === 0 ? 100 : size,
    ageDaysMax: readInt(settings, 'maxage'),
    backupsMax: readInt(settings, 'maxbackups'),
    localTime: readBool(settings, 'localtime'),
    compress: readBool(settings, 'compress'),
  }
}

function parseSettings(json: string): ReadonlyMap<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw new ConfigError(`improperly formatted log rotation config: ${syntaxFault(textOf(error))}`, {
      cause: error,
    })
  }
  if (value === null) return new Map()
  if (typeof value !== 'object' || Array.isArray(value))
    throw mistyped(value, 'value', 'embed.logRotationConfig')
  return new Map(Object.entries(value).map(([key, item]) => [key.toLowerCase(), item]))
}

/** Go's words for a fault that V8 has found. */
function syntaxFault(message: string): string {
  const token = /Unexpected token '?(.)'?/su.exec(message)?.[1]
  return token === undefined
    ? 'unexpected end of JSON input'
    : `invalid character '${token}' looking for beginning of value`
}

function readInt(settings: ReadonlyMap<string, unknown>, key: string): number {
  const value = settings.get(key) ?? 0
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  throw mistyped(value, `struct field logRotationConfig.${key}`, 'int')
}

function readBool(settings: ReadonlyMap<string, unknown>, key: string): boolean {
  const value = settings.get(key) ?? false
  if (typeof value === 'boolean') return value
  throw mistyped(value, `struct field logRotationConfig.${key}`, 'bool')
}

function mistyped(value: unknown, place: string, goType: string): ConfigError {
  const number = typeof value === 'number' && goType === 'int' ? ` ${value}` : ''
  const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
  return new ConfigError(
    `invalid log rotation config: json: cannot unmarshal ${kind}${number} into Go ${place} of type ${goType}`,
  )
}
