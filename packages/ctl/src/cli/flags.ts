/**
 * Command-line flags as etcdctl takes them: `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-nVALUE`, truth values
 * without a value, anywhere before `--`. Error texts are those of Go's pflag, which users' scripts match.
 */
import { bytesOf } from '../byte-text.ts'
import { formatDuration, parseBool, parseDuration, parseInteger } from './numbers.ts'
import { quoteText } from './quote.ts'

export type FlagType = 'bool' | 'string' | 'int' | 'int64' | 'duration' | 'strings'

/** What a command declares about one flag. */
export interface FlagSpec {
  readonly name: string
  /** One letter. */
  readonly short?: string
  readonly type: FlagType
  /** As on the command line; empty: the empty value of the type. */
  readonly default?: string
  readonly usage: string
  /** Not in etcdctl 3.4: listed by `help` but not in the usage that follows an error (see `help.ts`). */
  readonly newer?: true
}

type Value = boolean | string | bigint | readonly string[]

const EMPTY: Readonly<Record<FlagType, Value>> = {
  bool: false,
  string: '',
  int: 0n,
  int64: 0n,
  duration: 0n,
  strings: [],
}

/** The flags that one command accepts, and their values. */
export class FlagSet {
  readonly #specs = new Map<string, FlagSpec>()
  readonly #shorts = new Map<string, FlagSpec>()
  readonly #values = new Map<string, Value>()
  readonly #changed = new Set<string>()

  add(specs: readonly FlagSpec[]): void {
    for (const spec of specs) {
      if (this.#specs.has(spec.name)) continue
      this.#specs.set(spec.name, spec)
      if (spec.short !== undefined) this.#shorts.set(spec.short, spec)
      const text = spec.default
      this.#values.set(spec.name, text === undefined ? EMPTY[spec.type] : parseValue(spec, text))
    }
  }

  bool(name: string): boolean {
    return this.#values.get(name) === true
  }

  text(name: string): string {
    return String(this.#values.get(name) ?? '')
  }

  /** Value of an integer, or of a duration in nanoseconds. */
  integer(name: string): bigint {
    const value = this.#values.get(name)
    return typeof value === 'bigint' ? value : 0n
  }

  texts(name: string): readonly string[] {
    const value = this.#values.get(name)
    return Array.isArray(value) ? (value as readonly string[]) : []
  }

  /** Was it set, on the command line or by `set`? */
  changed(name: string): boolean {
    return this.#changed.has(name)
  }

  /** Has a flag of that name or letter its value always in the same argument? False for unknown ones. */
  standsAlone(nameOrLetter: string): boolean {
    const spec = nameOrLetter.length === 1 ? this.#shorts.get(nameOrLetter) : this.#specs.get(nameOrLetter)
    return spec?.type === 'bool'
  }

  /** Sets a flag from text. The first list replaces the default, later ones are added to it. @throws Error */
  set(name: string, text: string): void {
    const spec = this.#specs.get(name)!
    const value = parseValue(spec, text)
    const joined = Array.isArray(value) && this.#changed.has(name) ? [...this.texts(name), ...value] : value
    this.#values.set(name, joined)
    this.#changed.add(name)
  }

  /** A flag's value as Go prints it. */
  shown(spec: FlagSpec): string {
    return shownValue(spec, this.#values.get(spec.name) ?? EMPTY[spec.type])
  }

  /** Reads the flags out of `args` and returns the other arguments. @throws Error at the first bad flag */
  parse(args: readonly string[]): string[] {
    const rest: string[] = []
    const queue = [...args]
    for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
      if (arg === '--') return [...rest, ...queue]
      if (arg.startsWith('--')) this.#parseLong(arg, queue)
      else if (arg.startsWith('-') && arg.length > 1) this.#parseShort(arg, queue)
      else rest.push(arg)
    }
    return rest
  }

  #parseLong(arg: string, queue: string[]): void {
    const equals = arg.indexOf('=')
    const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals)
    if (name === '' || name.startsWith('-')) throw new Error(`bad flag syntax: ${arg}`)
    const spec = this.#specs.get(name)
    if (!spec) throw new Error(`unknown flag: --${name}`)
    if (equals >= 0) return this.#accept(spec, arg.slice(equals + 1))
    if (spec.type === 'bool') return this.#accept(spec, 'true')
    const value = queue.shift()
    if (value === undefined) throw new Error(`flag needs an argument: ${arg}`)
    this.#accept(spec, value)
  }

  #parseShort(arg: string, queue: string[]): void {
    for (let letters = arg.slice(1); letters !== '';) {
      const letter = letters[0]!
      const rest = letters.slice(1)
      const spec = this.#shorts.get(letter)
      if (!spec) throw new Error(`unknown shorthand flag: ${quotedLetter(letter)} in -${letters}`)
      if (letters.length > 2 && rest.startsWith('=')) return this.#accept(spec, rest.slice(1))
      if (spec.type === 'bool') {
        this.#accept(spec, 'true')
        letters = rest
        continue
      }
      const value = rest === '' ? queue.shift() : rest
      if (value === undefined) {
        throw new Error(`flag needs an argument: ${quotedLetter(letter)} in -${letters}`)
      }
      return this.#accept(spec, value)
    }
  }

  #accept(spec: FlagSpec, text: string): void {
    try {
      this.set(spec.name, text)
    } catch (error) {
      const flag = spec.short === undefined ? `--${spec.name}` : `-${spec.short}, --${spec.name}`
      const why = (error as Error).message
      throw new Error(`invalid argument ${quoteText(text)} for "${flag}" flag: ${why}`, { cause: error })
    }
  }
}

/** The first byte of a letter, as the reference shows it, between single quotes. */
function quotedLetter(letter: string): string {
  if (letter === '"' || letter === "'") return letter === '"' ? `'"'` : `'\\''`
  return `'${quoteText(String.fromCharCode(bytesOf(letter)[0]!)).slice(1, -1)}'`
}

function parseValue(spec: FlagSpec, text: string): Value {
  switch (spec.type) {
    case 'bool':
      return parseBool(text)
    case 'string':
      return text
    case 'int':
    case 'int64':
      return parseInteger(text, { base: 0, signed: true })
    case 'duration':
      return parseDuration(text)
    case 'strings':
      return splitList(text)
  }
}

/** A flag's value as Go prints it. */
export function shownValue(spec: FlagSpec, value: Value): string {
  if (Array.isArray(value)) return `[${(value as readonly string[]).join(',')}]`
  if (spec.type === 'duration') return formatDuration(value as bigint)
  return String(value)
}

/** A flag's default as Go prints it. */
export function shownDefault(spec: FlagSpec): string {
  return shownValue(spec, spec.default === undefined ? EMPTY[spec.type] : parseValue(spec, spec.default))
}

/** One line of comma-separated values; values with commas or quotes in them stand between double quotes. */
function splitList(line: string): string[] {
  if (line === '') return []
  const values: string[] = []
  for (let at = 0; ;) {
    if (line[at] === '"') {
      const match = /^"((?:[^"]|"")*)("?)/.exec(line.slice(at))!
      const end = at + match[0].length
      if (match[2] === '' || (end < line.length && line[end] !== ',')) {
        const column = match[2] === '' ? end + 1 : end
        throw new Error(`parse error on line 1, column ${column}: extraneous or missing " in quoted-field`)
      }
      values.push(match[1]!.replaceAll('""', '"'))
      at += match[0].length
    } else {
      const comma = line.indexOf(',', at)
      const value = line.slice(at, comma < 0 ? line.length : comma)
      const bare = value.indexOf('"')
      if (bare >= 0) {
        throw new Error(`parse error on line 1, column ${at + bare + 1}: bare " in non-quoted-field`)
      }
      values.push(value)
      at += value.length
    }
    if (at >= line.length) return values
    at++
  }
}
