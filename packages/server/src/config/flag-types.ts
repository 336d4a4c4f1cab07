import { ConfigError, textOf } from './errors.ts'
import { parseFeatureGates, type FeatureGates } from './feature-gates.ts'
import { parseBool, parseDuration, parseInteger, quote } from './go-values.ts'
import { parseUrlList, type EndpointUrl } from './urls.ts'

/** The type of each kind of flag, once its text has been read. */
interface ValueOfKind {
  string: string
  bool: boolean
  /** Whole numbers; beyond 2^53 they keep their size and lose their last digits, which no limit minds. */
  int: number
  int64: number
  uint: number
  uint32: number
  uint64: number
  /** Milliseconds, with fractions. */
  duration: number
  urls: readonly EndpointUrl[]
  /** `*` or a list of URLs, as text. */
  origins: readonly string[]
  /** In the order given. */
  strings: readonly string[]
  /** Without doubles. */
  set: readonly string[]
  /** One of the row's `choices`. */
  choice: string
  gates: FeatureGates
}

export type FlagKind = keyof ValueOfKind
export type FlagValue = ValueOfKind[FlagKind]

export type HelpGroup =
  | 'Member'
  | 'Clustering'
  | 'Discovery over the v3 API'
  | 'Security'
  | 'Auth'
  | 'Monitoring and profiling'
  | 'Logging'
  | 'Tuning'
  | 'v2 proxy'
  | 'Older names of flags above'
  | 'Unsafe'

interface RowOptions {
  /** Where the value stands in a configuration file, when that is not simply under the flag's name; null: nowhere. */
  readonly yaml?: readonly string[] | null
  /** The file has a list where the command line has a comma-separated text. */
  readonly yamlList?: boolean
  readonly choices?: readonly string[]
  /** The value must not be shown in logs. */
  readonly secret?: boolean
  /** The flag that took this one's place; it decides when both are given. */
  readonly oldNameOf?: string
  /** The feature gate that took this one's place. */
  readonly gate?: keyof FeatureGates
}

/** All that is known of one flag: parsing, variable, file, validation and help are derived from it. */
export interface FlagRow<Name extends string = string, Kind extends FlagKind = FlagKind> extends RowOptions {
  readonly name: Name
  readonly kind: Kind
  /** As text, as if it had been given. */
  readonly default: string
  readonly group: HelpGroup
  readonly help: string
}

export type ValueOf<Row extends FlagRow> = ValueOfKind[Row['kind']]

export function flag<const Name extends string, const Kind extends FlagKind>(
  kind: Kind,
  name: Name,
  byDefault: string,
  group: HelpGroup,
  help: string,
  more: RowOptions = {},
): FlagRow<Name, Kind> {
  return { name, kind, default: byDefault, group, help, ...more }
}

const INTEGER_TYPES = {
  int: { signed: true, bits: 64, goType: 'int' },
  int64: { signed: true, bits: 64, goType: 'int64' },
  uint: { signed: false, bits: 64, goType: 'uint' },
  uint32: { signed: false, bits: 32, goType: 'uint32' },
  uint64: { signed: false, bits: 64, goType: 'uint64' },
} as const

export type IntegerKind = keyof typeof INTEGER_TYPES

/** Width, sign and Go name of an integer kind, or undefined for the other kinds. */
export function integerType(kind: FlagKind): (typeof INTEGER_TYPES)[IntegerKind] | undefined {
  return Object.hasOwn(INTEGER_TYPES, kind) ? INTEGER_TYPES[kind as IntegerKind] : undefined
}

/**
 * Reads the text given for a flag.
 *
 * @throws ConfigError with the reason alone; the caller puts flag or variable around it
 */
export function readFlagValue(row: FlagRow, text: string): FlagValue {
  switch (row.kind) {
    case 'string':
      return text
    case 'bool': {
      const value = parseBool(text)
      if (value === undefined) throw new ConfigError('parse error')
      return value
    }
    case 'int':
    case 'int64':
    case 'uint':
    case 'uint32':
    case 'uint64':
      return readInteger(row.kind, text)
    case 'duration':
      return readDuration(text)
    case 'urls':
      return parseUrlList(text)
    case 'origins':
      return text === '*' ? ['*'] : parseUrlList(text).map((url) => url.text)
    case 'strings':
      return text === '' ? [] : text.split(',')
    case 'set':
      return text === '' ? [] : [...new Set(text.split(','))]
    case 'choice':
      if (row.choices?.includes(text) === true) return text
      throw new ConfigError(row.name === 'v2-deprecation' ? `invalid value ${quote(text)}` : 'invalid value')
    case 'gates':
      return parseFeatureGates(text)
  }
}

function readInteger(kind: IntegerKind, text: string): number {
  const value = parseInteger(text, INTEGER_TYPES[kind])
  if (typeof value === 'bigint') return Number(value)
  if (kind === 'uint32') {
    // This kind is etcd's own, and passes the conversion's error on as it is.
    const reason = value === 'range' ? 'value out of range' : 'invalid syntax'
    throw new ConfigError(`strconv.ParseUint: parsing ${quote(text)}: ${reason}`)
  }
  throw new ConfigError(value === 'range' ? 'value out of range' : 'parse error')
}

function readDuration(text: string): number {
  try {
    return Number(parseDuration(text)) / 1e6
  } catch (error) {
    throw new ConfigError('parse error', { cause: textOf(error) })
  }
}
