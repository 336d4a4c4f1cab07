import { DynamicTable } from './dynamic-table.ts'
import { HeaderField } from './header-field.ts'
import { huffmanDecode } from './huffman.ts'
import { STATIC_COUNT, staticTable } from './static-table.ts'

/** A block that cannot be decoded; the connection's compression state is lost with it (COMPRESSION_ERROR). */
export class HpackError extends Error {
  override readonly name = 'HpackError'
}

/** Largest dynamic table that we let peers keep: the protocol's default, so SETTINGS need not mention it. */
export const DECODER_TABLE_BYTES = 4096

/** Two updates may open a block: the smallest size used since the last block, and the final one (RFC 7541, 4.2). */
const SIZE_UPDATES_MAX = 2

let scratch = Buffer.allocUnsafeSlow(4096)

/**
 * Decodes the header blocks of one connection and direction. The fields of the newest block are in
 * `fields[0, count)` until the next call.
 */
export class HpackDecoder {
  readonly table: DynamicTable
  readonly fields: HeaderField[] = []
  count = 0
  /** Size of the whole list as RFC 9113, 6.5.2, counts it. */
  listBytes = 0

  readonly #listBytesMax: number
  readonly #tableBytesMax: number
  #at = 0

  /**
   * @param listBytesMax fields beyond this size are decoded, for the table's sake, but not kept: `listBytes`
   *   then tells that the list was too large
   */
  constructor(listBytesMax: number, tableBytesMax: number = DECODER_TABLE_BYTES) {
    this.#listBytesMax = listBytesMax
    this.#tableBytesMax = tableBytesMax
    this.table = new DynamicTable(tableBytesMax)
  }

  get overflowed(): boolean {
    return this.listBytes > this.#listBytesMax
  }

  /** @throws HpackError when the block is malformed */
  decode(block: Buffer, start: number, end: number): void {
    this.count = 0
    this.listBytes = 0
    this.#at = start
    let sizeUpdates = 0
    while (this.#at < end) {
      const first = block[this.#at]!
      if (first >= 0x80) {
        const index = first & 0x7f
        if (index < 0x7f) this.#at++
        this.#keep(this.#entry(index < 0x7f ? index : this.#integer(block, end, 7)))
      } else if (first >= 0x40) {
        const field = this.#literal(block, end, 6)
        this.table.add(field)
        this.#keep(field)
      } else if (first >= 0x20) {
        if (this.listBytes > 0 || ++sizeUpdates > SIZE_UPDATES_MAX)
          throw new HpackError('dynamic table size update in a wrong place')
        const size = this.#integer(block, end, 5)
        if (size > this.#tableBytesMax) throw new HpackError('dynamic table size update too large')
        this.table.resize(size)
      } else this.#keep(this.#literal(block, end, 4))
    }
  }

  #keep(field: HeaderField): void {
    this.listBytes += field.size
    if (this.listBytes <= this.#listBytesMax) this.fields[this.count++] = field
  }

  #entry(index: number): HeaderField {
    const field = index <= STATIC_COUNT ? staticTable[index - 1] : this.table.get(index - STATIC_COUNT)
    if (field === undefined) throw new HpackError(`no table entry ${index}`)
    return field
  }

  #literal(block: Buffer, end: number, prefixBits: number): HeaderField {
    const nameIndex = this.#integer(block, end, prefixBits)
    const name = nameIndex === 0 ? this.#string(block, end) : this.#entry(nameIndex).name
    return new HeaderField(name, this.#string(block, end))
  }

  #string(block: Buffer, end: number): string {
    if (this.#at >= end) throw new HpackError('block ends inside a field')
    const coded = block[this.#at]! >= 0x80
    const length = this.#integer(block, end, 7)
    const start = this.#at
    if (length > end - start) throw new HpackError('string longer than its block')
    this.#at = start + length
    if (!coded) return block.toString('latin1', start, start + length)
    if (scratch.length < length * 2) scratch = Buffer.allocUnsafeSlow(length * 4)
    const decoded = huffmanDecode(block, start, start + length, scratch)
    if (decoded < 0) throw new HpackError('malformed Huffman text')
    return scratch.toString('latin1', 0, decoded)
  }

  /** RFC 7541, 5.1. Values that matter fit 28 bits; longer encodings are refused. */
  #integer(block: Buffer, end: number, prefixBits: number): number {
    const mask = (1 << prefixBits) - 1
    let value = block[this.#at++]! & mask
    if (value < mask) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= end) throw new HpackError('block ends inside an integer')
      const byte = block[this.#at++]!
      value += (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    throw new HpackError('integer too large')
  }
}
