import { type BRANCH, ELEMENT_BYTES, LEAF, PAGE_HEADER_BYTES, pagesFor, writePageNumber } from './format.ts'

const FIELDS = 3
/** Room for what fits into a page, to begin with. */
const DATA_BYTES = 4096

/** A branch or leaf that is being filled. */
export class OpenPage {
  readonly #kind: typeof BRANCH | typeof LEAF
  /** Of each element: its flags or page, the length of its key, and that of its value. */
  #fields: number[] = []
  /** Keys and values, one behind the other. */
  #data = Buffer.allocUnsafeSlow(DATA_BYTES)
  #dataLength = 0
  count = 0

  constructor(kind: typeof BRANCH | typeof LEAF) {
    this.#kind = kind
  }

  /** Length of the page as it is, without what fills its last page up. */
  get byteLength(): number {
    return PAGE_HEADER_BYTES + this.count * ELEMENT_BYTES + this.#dataLength
  }

  /** Whether a further element makes the page take more room. */
  growsWith(key: Uint8Array, value: Uint8Array): boolean {
    const { byteLength } = this
    return pagesFor(byteLength + ELEMENT_BYTES + key.length + value.length) > pagesFor(byteLength)
  }

  /** @param field flags of a leaf's element, page of a branch's */
  add(field: number, key: Uint8Array, value: Uint8Array): void {
    const end = this.#dataLength + key.length + value.length
    if (end > this.#data.length) {
      const data = Buffer.allocUnsafeSlow(2 * end)
      data.set(this.#data.subarray(0, this.#dataLength))
      this.#data = data
    }
    this.#data.set(key, this.#dataLength)
    this.#data.set(value, this.#dataLength + key.length)
    this.#dataLength = end
    this.#fields.push(field, key.length, value.length)
    this.count++
  }

  /** A copy of the first key. */
  firstKey(): Buffer {
    return Buffer.from(this.#data.subarray(0, this.#fields[1]))
  }

  /** Takes the last element of a branch away. */
  takeLast(): { readonly page: number; readonly key: Buffer } {
    const [page = 0, keyLength = 0] = this.#fields.splice(-FIELDS)
    this.#dataLength -= keyLength
    this.count--
    return { page, key: Buffer.from(this.#data.subarray(this.#dataLength, this.#dataLength + keyLength)) }
  }

  /**
   * Header and elements, then keys and values.
   *
   * @param page its number, 0 within a bucket's value
   */
  encode(page: number): [head: Buffer, data: Buffer] {
    const headBytes = PAGE_HEADER_BYTES + this.count * ELEMENT_BYTES
    const head = Buffer.alloc(headBytes)
    writePageNumber(head, page, 0)
    head.writeUInt16LE(this.#kind, 8)
    head.writeUInt16LE(this.count, 10)
    head.writeUInt32LE(pagesFor(this.byteLength) - 1, 12)
    let dataAt = headBytes
    for (let i = 0, at = PAGE_HEADER_BYTES; i < this.#fields.length; i += FIELDS, at += ELEMENT_BYTES) {
      const field = this.#fields[i]!
      const keyLength = this.#fields[i + 1]!
      const valueLength = this.#fields[i + 2]!
      if (this.#kind === LEAF) {
        head.writeUInt32LE(field, at)
        head.writeUInt32LE(dataAt - at, at + 4)
        head.writeUInt32LE(keyLength, at + 8)
        head.writeUInt32LE(valueLength, at + 12)
      } else {
        head.writeUInt32LE(dataAt - at, at)
        head.writeUInt32LE(keyLength, at + 4)
        writePageNumber(head, field, at + 8)
      }
      dataAt += keyLength + valueLength
    }
    return [head, this.#data.subarray(0, this.#dataLength)]
  }

  clear(): void {
    this.#fields.length = 0
    this.#dataLength = 0
    this.count = 0
    if (this.#data.length > 16 * DATA_BYTES) this.#data = Buffer.allocUnsafeSlow(DATA_BYTES)
  }
}
