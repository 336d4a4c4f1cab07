import type { JsonValue } from './json.ts'

/** One field of a message, as its `.proto` file declares it. */
export interface Field {
  readonly number: number
  /** The declared name, which JSON output uses. */
  readonly name: string
  /** The property of the message's interface; JSON input may use this name too. */
  readonly property: string
  /** Scalar type, or the full name of the message or enum. */
  readonly type: string
  readonly kind: 'uint64' | 'int64' | 'uint32' | 'bool' | 'string' | 'bytes' | 'enum' | 'message'
  /** `singular` in proto3, `optional` in proto2. */
  readonly label: 'singular' | 'optional' | 'repeated' | 'map'
  /** A 64-bit field whose values are `number`; without it they are `bigint`. */
  readonly counter?: true
  readonly oneof?: { readonly name: string; readonly property: string }
  /** The numbers of an enum by name. */
  readonly values?: Readonly<Record<string, number>>
  /** The codec of a message. */
  readonly codec?: () => AnyCodec
}

/**
 * Encoder and decoder of one message type.
 *
 * Numbers: 64-bit fields that count something (declared with `jstype = JS_NUMBER`) are `number`, and a value
 * that is not a safe integer is a DecodeError; all other 64-bit fields are `bigint`. Bytes are views into
 * the decoded buffer: copy to keep one longer than the buffer. Bytes that are not UTF-8 in a string become
 * U+FFFD. Fields that the type does not have are skipped.
 */
export interface Codec<Message, Init = Message> {
  /** Full name, `package.Message`. */
  readonly name: string
  /** In ascending number. */
  readonly fields: readonly Field[]
  /** A message of its own with the given fields, all others at their defaults. */
  create(init?: Init): Message
  /** @throws DecodeError when `bytes[start, end)` is not such a message */
  decode(bytes: Uint8Array, start?: number, end?: number): Message
  /**
   * Reads the fields in `bytes[start, end)` into `message`: single values replace, lists grow, messages
   * merge, members of a oneof replace each other.
   *
   * @param depth of this message, the outermost being 1
   */
  merge(message: Message, bytes: Uint8Array, start: number, end: number, depth: number): void
  encode(message: Init): Uint8Array
  /** Bytes that `write` will need. */
  encodedSize(message: Init): number
  /**
   * Writes to `out` at `at`, where there must be space for `encodedSize` bytes.
   *
   * @returns the next offset
   */
  write(message: Init, out: Uint8Array, at: number): number
  /** proto3 JSON as etcd's gateway writes it. */
  toJson(message: Message): JsonValue
  /** @throws JsonError when `value` does not describe such a message */
  fromJson(value: JsonValue): Message
}

/** A codec whose message type does not matter here. */
export type AnyCodec = Codec<unknown, unknown>

/** A method of a service. */
export interface ServiceMethod {
  /** The `:path` of its calls. */
  readonly path: string
  readonly request: AnyCodec
  readonly response: AnyCodec
  readonly clientStreaming: boolean
  readonly serverStreaming: boolean
}

/** The methods of a service by name. */
export type Service = Readonly<Record<string, ServiceMethod>>
