/**
 * JSON as etcd's HTTP gateway speaks it: the proto3 mapping (https://protobuf.dev/programming-guides/json/)
 * with the declared field names, zero values left out, 64-bit numbers as strings.
 *
 * Numbers are never rounded: the reader keeps their literals, which JSON.parse would turn into doubles. Its
 * errors have the texts that clients of etcd's gateway see.
 */
// oxlint-disable typescript/no-unsafe-type-assertion -- what a value is, its field's row in the codec says
import type { AnyCodec, Codec, Field } from './codec.ts'
import { EMPTY } from './wire.ts'

/** A number as it was written. */
export class JsonNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | JsonNumber
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue }

/** The text is not JSON, or the value does not describe the message. */
export class JsonError extends Error {
  override readonly name = 'JsonError'
}

/** What a string may not hold as it is. */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const NOT_PLAIN = /[\\\u0000-\u001f]/

/** Arrays and objects nested deeper than this are refused. */
const DEPTH_MAX = 1000

/**
 * Reads JSON values that follow one another in a text, with nothing or white space between them.
 *
 * Objects have no prototype, numbers are `JsonNumber`; of equal names the last one counts.
 */
export class JsonReader {
  readonly #text: string
  readonly #endsEarly: string
  #at = 0

  constructor(text: string, endsEarly = 'unexpected EOF') {
    this.#text = text
    this.#endsEarly = endsEarly
  }

  /**
   * @returns the next value, or undefined when nothing but white space is left
   * @throws JsonError when it is not JSON, or ends early ("unexpected EOF")
   */
  next(): JsonValue | undefined {
    this.#skipSpace()
    if (this.#at === this.#text.length) return undefined
    return this.#value(0, 'looking for beginning of value')
  }

  /** @throws JsonError when anything but white space is left */
  end(): void {
    this.#skipSpace()
    if (this.#at < this.#text.length) throw this.#invalid('after top-level value')
  }

  #skipSpace(): void {
    const text = this.#text
    for (;;) {
      const unit = text.charCodeAt(this.#at)
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return
      this.#at++
    }
  }

  /** The character at the current position is not allowed there; at the end of the text, more is needed. */
  #invalid(where: string): JsonError {
    const point = this.#text.codePointAt(this.#at)
    return new JsonError(point === undefined ? this.#endsEarly : `invalid character ${quote(point)} ${where}`)
  }

  #value(depth: number, where: string): JsonValue {
    if (depth > DEPTH_MAX) throw new JsonError('exceeded max depth')
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth)
      case '[':
        return this.#array(depth)
      case '"':
        return this.#string()
      case 't':
        return this.#literal('true', true)
      case 'f':
        return this.#literal('false', false)
      case 'n':
        return this.#literal('null', null)
      default:
        return this.#number(where)
    }
  }

  #object(depth: number): JsonValue {
    const object: Record<string, JsonValue> = Object.create(null)
    this.#at++
    this.#skipSpace()
    if (this.#text[this.#at] === '}') {
      this.#at++
      return object
    }
    for (;;) {
      if (this.#text[this.#at] !== '"') throw this.#invalid('looking for beginning of object key string')
      const name = this.#string()
      this.#skipSpace()
      if (this.#text[this.#at] !== ':') throw this.#invalid('after object key')
      this.#at++
      this.#skipSpace()
      object[name] = this.#value(depth + 1, 'looking for beginning of value')
      this.#skipSpace()
      const separator = this.#text[this.#at]
      if (separator !== ',' && separator !== '}') throw this.#invalid('after object key:value pair')
      this.#at++
      if (separator === '}') return object
      this.#skipSpace()
    }
  }

  #array(depth: number): JsonValue {
    const array: JsonValue[] = []
    this.#at++
    this.#skipSpace()
    if (this.#text[this.#at] === ']') {
      this.#at++
      return array
    }
    for (;;) {
      array.push(this.#value(depth + 1, 'looking for beginning of value'))
      this.#skipSpace()
      const separator = this.#text[this.#at]
      if (separator !== ',' && separator !== ']') throw this.#invalid('after array element')
      this.#at++
      if (separator === ']') return array
      this.#skipSpace()
    }
  }

  #literal<Value extends JsonValue>(word: string, value: Value): Value {
    for (let i = 0; i < word.length; i++, this.#at++) {
      if (this.#text[this.#at] !== word[i]) {
        throw this.#invalid(`in literal ${word} (expecting '${word[i]}')`)
      }
    }
    return value
  }

  #number(where: string): JsonNumber {
    const start = this.#at
    if (this.#text[this.#at] === '-') this.#at++
    if (this.#text[this.#at] === '0') this.#at++
    else this.#digits(this.#at === start ? where : 'in numeric literal')
    if (this.#text[this.#at] === '.') {
      this.#at++
      this.#digits('after decimal point in numeric literal')
    }
    if (this.#text[this.#at] === 'e' || this.#text[this.#at] === 'E') {
      this.#at++
      if (this.#text[this.#at] === '+' || this.#text[this.#at] === '-') this.#at++
      this.#digits('in exponent of numeric literal')
    }
    return new JsonNumber(this.#text.slice(start, this.#at))
  }

  #digits(where: string): void {
    const start = this.#at
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at)
      if (!(unit >= 0x30 && unit <= 0x39)) break
      this.#at++
    }
    if (this.#at === start) throw this.#invalid(where)
  }

  #string(): string {
    const text = this.#text
    const start = ++this.#at
    // Most strings are plain and some are long: the engine's own search does those.
    const quote = text.indexOf('"', start)
    if (quote >= 0) {
      const plain = text.slice(start, quote)
      if (!NOT_PLAIN.test(plain)) {
        this.#at = quote + 1
        return plain
      }
    }
    for (;;) {
      const unit = text.charCodeAt(this.#at)
      if (unit === 0x22) break
      if (!(unit >= 0x20)) throw this.#invalid('in string literal')
      this.#at++
      if (unit === 0x5c) this.#escape()
    }
    this.#at++
    return JSON.parse(text.slice(start - 1, this.#at)) as string
  }

  /** Checks the escape sequence behind a backslash. */
  #escape(): void {
    const letter = this.#text[this.#at]
    if (letter === 'u') {
      this.#at++
      for (let i = 0; i < 4; i++, this.#at++) {
        if (!/^[0-9a-fA-F]$/.test(this.#text[this.#at] ?? '')) {
          throw this.#invalid(String.raw`in \u hexadecimal character escape`)
        }
      }
    } else if (letter !== undefined && String.raw`bfnrt\/"`.includes(letter)) {
      this.#at++
    } else {
      throw this.#invalid('in string escape code')
    }
  }
}

/** The first UTF-8 byte of a character in quotes, as etcd prints the byte that it stumbled over. */
function quote(point: number): string {
  let byte = point
  if (point >= 0x1_0000) byte = 0xf0 | (point >> 18)
  else if (point >= 0x800) byte = 0xe0 | (point >> 12)
  else if (point >= 0x80) byte = 0xc0 | (point >> 6)
  if (byte === 0x27) return String.raw`'\''`
  if (byte === 0x5c) return String.raw`'\\'`
  const letter = { 7: 'a', 8: 'b', 9: 't', 10: 'n', 11: 'v', 12: 'f', 13: 'r' }[byte]
  if (letter !== undefined) return `'\\${letter}'`
  if (byte < 0x20 || byte === 0x7f) return `'\\x${byte.toString(16).padStart(2, '0')}'`
  return `'${String.fromCharCode(byte)}'`
}

/**
 * Parses a text that is one JSON value.
 *
 * @throws JsonError
 */
export function parseJson(text: string): JsonValue {
  const endsEarly = 'unexpected end of JSON input'
  // The space ends a number, and is what the error is about when a word or an escape is cut short.
  const reader = new JsonReader(`${text} `, endsEarly)
  const value = reader.next()
  if (value === undefined) throw new JsonError(endsEarly)
  reader.end()
  return value
}

const NOT_IN_HTML = /[<>&\u2028\u2029]/g

/** The value as etcd's gateway writes it: compact, and safe inside of HTML. */
export function formatJson(value: JsonValue): string {
  return JSON.stringify(value).replace(
    NOT_IN_HTML,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

type Properties = Record<string, unknown>

/** What `Codec.toJson` does. */
export function toJson(codec: AnyCodec, message: unknown): JsonValue {
  const json: Record<string, JsonValue> = {}
  for (const field of codec.fields) {
    let value: unknown
    if (field.oneof === undefined) {
      value = (message as Properties)[field.property]
      if (isZero(value)) continue
    } else {
      const chosen = (message as Properties)[field.oneof.property] as
        { case: string; value: unknown } | undefined
      if (chosen?.case !== field.property) continue
      value = chosen.value
    }
    if (field.label === 'repeated')
      json[field.name] = (value as unknown[]).map((item) => scalarToJson(field, item))
    else if (field.label === 'map') json[field.name] = mapToJson(field, value as ReadonlyMap<string, unknown>)
    else json[field.name] = scalarToJson(field, value)
  }
  return json
}

function isZero(value: unknown): boolean {
  switch (typeof value) {
    case 'object':
      return value instanceof Map ? value.size === 0 : (value as { length?: number }).length === 0
    case 'bigint':
      return value === 0n
    default:
      return value === undefined || value === 0 || value === '' || value === false
  }
}

function mapToJson(field: Field, map: ReadonlyMap<string, unknown>): JsonValue {
  return Object.fromEntries(Array.from(map, ([key, value]) => [key, scalarToJson(field, value)]))
}

function scalarToJson(field: Field, value: unknown): JsonValue {
  switch (field.kind) {
    case 'message':
      return field.codec!().toJson(value)
    case 'bytes': {
      const bytes = value as Uint8Array
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
    }
    case 'enum':
      for (const name in field.values) if (field.values[name] === value) return name
      return value as number
    case 'uint64':
    case 'int64':
      return String(value)
    default:
      return value as boolean | number | string
  }
}

/** What `Codec.fromJson` does. */
export function fromJson<Message>(codec: Codec<Message, never>, value: JsonValue): Message {
  const created = codec.create()
  if (value === null) return created
  const message = created as Properties
  if (!isObject(value)) throw mismatch(value, 'map[string]json.RawMessage')
  for (const field of codec.fields) {
    // The declared name first, so that the other one wins when both are given.
    let input: JsonValue = null
    if (Object.hasOwn(value, field.name)) input = value[field.name]!
    if (Object.hasOwn(value, field.property)) input = value[field.property]!
    if (input === null) continue
    if (field.label === 'repeated') {
      if (!Array.isArray(input)) throw mismatch(input, '[]json.RawMessage')
      message[field.property] = (input as readonly JsonValue[]).map((item) => scalarFromJson(field, item))
    } else if (field.label === 'map') {
      if (!isObject(input)) throw mismatch(input, 'map[string]json.RawMessage')
      message[field.property] = new Map(
        Object.entries(input).map(([key, item]) => [key, scalarFromJson(field, item)]),
      )
    } else if (field.oneof === undefined) {
      message[field.property] = scalarFromJson(field, input)
    } else {
      message[field.oneof.property] = { case: field.property, value: scalarFromJson(field, input) }
    }
  }
  return created
}

function isObject(value: JsonValue): value is { readonly [name: string]: JsonValue } {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber)
  )
}

/** The value has another type than the field; `type` is the name that etcd prints for the field's type. */
function mismatch(value: JsonValue, type: string): JsonError {
  const is = isObject(value)
    ? 'object'
    : Array.isArray(value)
      ? 'array'
      : typeof value === 'boolean'
        ? 'bool'
        : typeof value === 'string'
          ? 'string'
          : 'number'
  return new JsonError(`json: cannot unmarshal ${is} into Go value of type ${type}`)
}

function scalarFromJson(field: Field, value: JsonValue): unknown {
  switch (field.kind) {
    case 'message':
      return field.codec!().fromJson(value)
    case 'string':
      if (value === null) return ''
      if (typeof value !== 'string') throw mismatch(value, 'string')
      return value
    case 'bool':
      if (value === null) return false
      if (typeof value !== 'boolean') throw mismatch(value, 'bool')
      return value
    case 'bytes':
      if (value === null) return EMPTY
      if (typeof value === 'string') return decodeBase64(value)
      if (!Array.isArray(value)) throw mismatch(value, '[]uint8')
      // No encoder writes bytes as numbers, but etcd reads them.
      return Uint8Array.from(value as readonly JsonValue[], byteFromJson)
    case 'enum': {
      if (typeof value !== 'string') return Number(integer(value, 'protoreflect.EnumNumber', 32, true))
      const values = field.values!
      if (Object.hasOwn(values, value)) return values[value]
      throw new JsonError(`unknown value ${JSON.stringify(JSON.stringify(value))} for enum ${field.type}`)
    }
    case 'uint32':
      return Number(integer(value, 'uint32', 32, false))
    case 'uint64':
    case 'int64': {
      const number = integer(value, field.kind, 64, field.kind === 'int64')
      if (field.counter === undefined) return number
      if (!Number.isSafeInteger(Number(number))) {
        throw new JsonError(`${field.name} outside of ±(2^53 - 1): ${number}`)
      }
      return Number(number)
    }
  }
}

function byteFromJson(value: JsonValue): number {
  if (typeof value === 'string') throw mismatch(value, 'uint8')
  return Number(integer(value, 'uint8', 8, false))
}

/** An integer that came as a number or, for all widths, as a number in a string. */
function integer(value: JsonValue, type: string, bits: number, signed: boolean): bigint {
  const literal = typeof value === 'string' ? parseJson(value) : value
  if (literal === null) return 0n
  if (!(literal instanceof JsonNumber) && typeof literal !== 'number') throw mismatch(literal, type)
  const text = typeof literal === 'number' ? exactText(literal) : literal.text
  // A fraction or an exponent is refused even when the number is whole.
  if (/^-?\d+$/.test(text)) {
    const number = BigInt(text)
    if ((signed ? BigInt.asIntN(bits, number) : BigInt.asUintN(bits, number)) === number) {
      if (signed || !text.startsWith('-')) return number
    }
  }
  throw new JsonError(`json: cannot unmarshal number ${text} into Go value of type ${type}`)
}

function exactText(value: number): string {
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new JsonError(`${value} may have been rounded: pass it as a string`)
  }
  return String(value)
}

const NOT_BASE64_DIGIT = /[^A-Za-z0-9+/]/

/**
 * Decodes standard base64, whose padding is required; line ends in it are ignored.
 *
 * @throws JsonError in etcd's words
 */
export function decodeBase64(text: string): Uint8Array {
  if (text === '') return EMPTY
  // Node's decoder stops at what it does not understand, so that the text is checked first.
  const digits = text.search(NOT_BASE64_DIGIT)
  const tail = digits < 0 ? '' : text.slice(digits)
  const isPlain = text.length % 4 === 0 && (tail === '' || tail === '=' || tail === '==')
  if (!isPlain) checkBase64(text)
  const bytes = Buffer.from(text, 'base64')
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

function checkBase64(text: string): void {
  let digits = 0
  let padding = 0
  let offset = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    const at = offset
    offset += unit < 0x80 ? 1 : unit < 0x800 ? 2 : unit >= 0xd800 && unit < 0xe000 ? 2 : 3
    if (unit === 0x0a || unit === 0x0d) continue
    if (padding > 0 && (digits + padding) % 4 === 0) throw illegalBase64(at)
    if (unit === 0x3d) {
      if (padding === 0 && digits % 4 < 2) throw illegalBase64(at)
      padding++
    } else {
      if (padding > 0) throw illegalBase64(at - 1)
      if (NOT_BASE64_DIGIT.test(text[i]!)) throw illegalBase64(at)
      digits++
    }
  }
  if ((digits + padding) % 4 === 0) return
  // Missing padding is found at the end; digits without any are blamed themselves.
  throw illegalBase64(padding > 0 ? offset : text.length - (digits % 4))
}

function illegalBase64(offset: number): JsonError {
  return new JsonError(`illegal base64 data at input byte ${offset}`)
}
