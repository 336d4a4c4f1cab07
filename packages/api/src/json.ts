import type { AnyCodec } from './codec.ts'

export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue }

export function toJson(_codec: AnyCodec, _message: unknown): JsonValue {
  throw new Error('not yet')
}

export function fromJson<Message>(_codec: AnyCodec, _value: JsonValue): Message {
  throw new Error('not yet')
}
