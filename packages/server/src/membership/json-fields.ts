import { JsonNumber, type JsonValue } from '@etcd-ts/api'

/** The members of a JSON object, each of which may be missing or of another type than expected. */
export type JsonFields = Readonly<Record<string, JsonValue | undefined>>

/** The members of `value`; none when it is not an object. */
export function jsonFields(value: JsonValue | undefined): JsonFields {
  return typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof JsonNumber)
    ? (value as JsonFields)
    : {}
}
