/**
 * Messages as Go's encoding/json prints the structs that the protocol files become: the declared field names,
 * zero values left out, bytes in base64, 64-bit numbers as numbers, enums as numbers, members of a oneof
 * inside two objects named as in Go (`"Response":{"ResponseRange":{..}}`).
 */
import type { AnyCodec, Field } from '@etcd-ts/api'

type Message = Readonly<Record<string, unknown>>

/** What replaces a field's value; undefined leaves the value as it is. */
export type Replace = (field: Field, value: unknown) => string | undefined

/** A message as one JSON object. */
export function messageJson(codec: AnyCodec, message: object, replace?: Replace): string {
  const members: string[] = []
  for (const field of codec.fields) {
    const value = memberOf(field, message as Message)
    if (isZero(value)) continue
    const shown = Array.isArray(value)
      ? `[${value.map((item) => valueJson(field, item, replace)).join(',')}]`
      : valueJson(field, value, replace)
    if (field.oneof) members.push(`"${goName(field.oneof.name)}":{"${goName(field.name)}":${shown}}`)
    else members.push(`"${field.name}":${shown}`)
  }
  return `{${members.join(',')}}`
}

function memberOf(field: Field, message: Message): unknown {
  if (!field.oneof) return message[field.property]
  const chosen = message[field.oneof.property] as { case: string; value: unknown } | undefined
  return chosen?.case === field.property ? chosen.value : undefined
}

function isZero(value: unknown): boolean {
  if (value === undefined || value === 0 || value === 0n || value === false || value === '') return true
  return (Array.isArray(value) || value instanceof Uint8Array) && value.length === 0
}

function valueJson(field: Field, value: unknown, replace: Replace | undefined): string {
  const replaced = replace?.(field, value)
  if (replaced !== undefined) return replaced
  if (field.kind === 'message') return messageJson(field.codec!(), value as object, replace)
  if (value instanceof Uint8Array) return `"${base64(value)}"`
  return typeof value === 'string' ? textJson(value) : String(value)
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function goName(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** A string as JSON; like Go's encoder it also escapes what HTML would read. */
export function textJson(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (letter) => {
    return `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
