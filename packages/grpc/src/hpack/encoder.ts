import { DynamicTable } from './dynamic-table.ts'
import { FIELD_OVERHEAD_BYTES, HeaderField } from './header-field.ts'
import { huffmanEncode, huffmanLength } from './huffman.ts'
import { STATIC_COUNT, staticIndex, staticNameIndex } from './static-table.ts'

/** How a literal field is written (RFC 7541, 6.2): the bits before its index and the width of that index. */
const WITH_INDEXING = { pattern: 0x40, bits: 6 } as const
const WITHOUT_INDEXING = { pattern: 0x00, bits: 4 } as const
const NEVER_INDEXED = { pattern: 0x10, bits: 4 } as const
type Form = typeof WITH_INDEXING | typeof WITHOUT_INDEXING | typeof NEVER_INDEXED

/** Longest prefix of a string: its length in up to five bytes. */
const STRING_PREFIX_BYTES = 5

/** Room that a field may need in the output, indexes and lengths included. */
export function fieldBytesMax(name: string, value: string): number {
  return name.length + value.length + 3 * STRING_PREFIX_BYTES
}

/** Writes an integer with an n-bit prefix (RFC 7541, 5.1); returns the next offset. */
export function writeInteger(
  out: Uint8Array,
  at: number,
  pattern: number,
  prefixBits: number,
  value: number,
): number {
  const mask = (1 << prefixBits) - 1
  if (value < mask) {
    out[at] = pattern | value
    return at + 1
  }
  out[at++] = pattern | mask
  let rest = value - mask
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  out[at] = rest
  return at + 1
}

function writeString(out: Uint8Array, at: number, text: string): number {
  const coded = huffmanLength(text)
  if (coded < text.length) return huffmanEncode(text, out, writeInteger(out, at, 0x80, 7, coded))
  at = writeInteger(out, at, 0, 7, text.length)
  for (let i = 0; i < text.length; i++) out[at++] = text.charCodeAt(i)
  return at
}

function writeLiteral(
  out: Uint8Array,
  at: number,
  form: Form,
  nameIndex: number,
  name: string,
  value: string,
): number {
  at = writeInteger(out, at, form.pattern, form.bits, nameIndex)
  if (nameIndex === 0) at = writeString(out, at, name)
  return writeString(out, at, value)
}

/** Writes a field that neither reads nor changes a dynamic table; returns the next offset. */
export function writePlainField(out: Uint8Array, at: number, name: string, value: string): number {
  const index = staticIndex(name, value)
  if (index > 0) return writeInteger(out, at, 0x80, 7, index)
  return writeLiteral(out, at, WITHOUT_INDEXING, staticNameIndex(name), name, value)
}

/** Writes a secret: no intermediary may put it into a table (RFC 7541, 7.1.3). */
export function writeSecretField(out: Uint8Array, at: number, name: string, value: string): number {
  return writeLiteral(out, at, NEVER_INDEXED, staticNameIndex(name), name, value)
}

/** Writes a field that enters the peer's dynamic table as its newest entry; returns the next offset. */
export function writeIndexedField(out: Uint8Array, at: number, name: string, value: string): number {
  return writeLiteral(out, at, WITH_INDEXING, staticNameIndex(name), name, value)
}

/** Writes a dynamic table size update (RFC 7541, 6.3). */
export function writeSizeUpdate(out: Uint8Array, at: number, size: number): number {
  return writeInteger(out, at, 0x20, 5, size)
}

/** Encodes with a dynamic table of its own: for fields that come again, as a client's do. */
export class HpackEncoder {
  readonly table: DynamicTable
  #updateFrom: number | undefined

  constructor(tableBytesMax = 4096) {
    this.table = new DynamicTable(tableBytesMax)
  }

  /** Takes over the peer's limit; the next block announces the change. */
  limitTable(sizeMax: number): void {
    if (sizeMax === this.table.sizeMax) return
    this.#updateFrom = Math.min(this.#updateFrom ?? sizeMax, sizeMax)
    this.table.resize(sizeMax)
  }

  /** Opens a block: must be called before its first field. */
  begin(out: Uint8Array, at: number): number {
    if (this.#updateFrom === undefined) return at
    if (this.#updateFrom < this.table.sizeMax) at = writeSizeUpdate(out, at, this.#updateFrom)
    this.#updateFrom = undefined
    return writeSizeUpdate(out, at, this.table.sizeMax)
  }

  /** Writes one field, as an index where a table has it, else as a literal that the table then holds. */
  write(out: Uint8Array, at: number, name: string, value: string): number {
    const index = staticIndex(name, value)
    if (index > 0) return writeInteger(out, at, 0x80, 7, index)
    let nameIndex = staticNameIndex(name)
    for (let i = 1; i <= this.table.count; i++) {
      const field = this.table.get(i)!
      if (field.name !== name) continue
      if (field.value === value) return writeInteger(out, at, 0x80, 7, STATIC_COUNT + i)
      if (nameIndex === 0) nameIndex = STATIC_COUNT + i
    }
    if (name.length + value.length + FIELD_OVERHEAD_BYTES > this.table.sizeMax)
      return writeLiteral(out, at, WITHOUT_INDEXING, nameIndex, name, value)
    at = writeLiteral(out, at, WITH_INDEXING, nameIndex, name, value)
    this.table.add(new HeaderField(name, value))
    return at
  }
}
