import { HeaderField, isPseudo } from './hpack/header-field.ts'
import type { Metadata } from './service.ts'

/** True for names whose values are bytes, base64 on the wire. */
export function isBinaryName(name: string): boolean {
  return name.endsWith('-bin')
}

/** Bytes of a `-bin` header; several values may be joined by commas, of which this is the first. */
function decodeBinary(value: string): Uint8Array {
  const comma = value.indexOf(',')
  return Buffer.from(comma < 0 ? value : value.slice(0, comma), 'base64')
}

/** gRPC sends base64 without padding. */
export function encodeBinary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64').replace(/=+$/, '')
}

/** Metadata as a list of header fields: what a request or response brought, or what a caller has put together. */
export class MetadataList implements Metadata {
  static readonly empty: Metadata = new MetadataList()

  readonly #fields: HeaderField[]

  constructor(fields: HeaderField[] = []) {
    this.#fields = fields
  }

  /** Of a decoded header block: its fields but the pseudo headers. */
  static ofBlock(fields: readonly HeaderField[], count: number): MetadataList {
    const kept: HeaderField[] = []
    for (let i = 0; i < count; i++) if (!isPseudo(fields[i]!.kind)) kept.push(fields[i]!)
    return new MetadataList(kept)
  }

  static from(pairs: Readonly<Record<string, string | Uint8Array>>): MetadataList {
    const list = new MetadataList()
    for (const [name, value] of Object.entries(pairs)) list.add(name, value)
    return list
  }

  /**
   * Adds a pair. Bytes are for `-bin` names, strings for all others.
   * @throws TypeError for names and values that HTTP/2 cannot carry
   */
  add(name: string, value: string | Uint8Array): this {
    const lower = name.toLowerCase()
    if (isBinaryName(lower) !== (typeof value !== 'string'))
      throw new TypeError(`metadata ${lower}: -bin names have bytes, others have text`)
    const field = new HeaderField(lower, typeof value === 'string' ? value : encodeBinary(value))
    if (!field.valid || isPseudo(field.kind)) throw new TypeError(`metadata ${lower}: not a valid header`)
    this.#fields.push(field)
    return this
  }

  get(name: string): string | undefined {
    for (const field of this.#fields) if (field.name === name) return field.value
    return undefined
  }

  getBinary(name: string): Uint8Array | undefined {
    const value = this.get(name)
    return value === undefined ? undefined : decodeBinary(value)
  }

  *entries(): Generator<readonly [name: string, value: string]> {
    for (const field of this.#fields) yield [field.name, field.value]
  }
}
