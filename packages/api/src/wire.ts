/**
 * Protocol Buffers wire format (https://protobuf.dev/programming-guides/encoding/): what the generated
 * codecs are made of.
 *
 *     message = (tag value)*
 *     tag     = varint of (field number << 3 | wire type)
 *     value   = varint (wire type 0) | 8 bytes (1) | varint length, bytes (2) | 4 bytes (5)
 *     varint  = 7 bits a byte, lowest first, the top bit set on all but the last; at most 10 bytes
 *
 * A reader takes `bytes`, where to read, and where the message ends; it returns the value and leaves the
 * offset behind it in `next`. One module variable instead of a result object: nothing is allocated.
 */

/** The bytes are not a message of the expected type. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError'
}

/** The value of every bytes field that is empty. */
export const EMPTY = new Uint8Array(0)

/** Messages nested deeper than this are refused: their depth is the sender's choice, our stack is not. */
export const DEPTH_MAX = 100

/** The offset behind what was read last. */
export let next = 0

// The two halves of the varint read last by `readHalves`.
let low = 0
let high = 0

const TWO_32 = 4_294_967_296

// One 64-bit cell, seen as a bigint and as halves: the only cheap way between bigint and bytes.
const cell = new BigUint64Array(1)
const signedCell = new BigInt64Array(cell.buffer)
const cellHalves = new Uint32Array(cell.buffer)
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1
const HIGH = 1 - LOW

function truncatedValue(): DecodeError {
  return new DecodeError('truncated value')
}

function readHalves(bytes: Uint8Array, at: number, end: number): void {
  let lo = 0
  let hi = 0
  for (let shift = 0; shift < 70; shift += 7) {
    if (at >= end) throw truncatedValue()
    const byte = bytes[at++]!
    const bits = byte & 0x7f
    if (shift < 28) lo |= bits << shift
    else if (shift === 28) {
      lo |= bits << 28
      hi = bits >>> 4
    } else if (shift < 63) hi |= bits << (shift - 32)
    else hi |= (bits & 1) << 31
    if (byte < 0x80) {
      low = lo >>> 0
      high = hi >>> 0
      next = at
      return
    }
  }
  throw new DecodeError('varint longer than 10 bytes')
}

/** Reads a tag of more than one byte. */
export function readLongTag(bytes: Uint8Array, at: number, end: number): number {
  readHalves(bytes, at, end)
  if (high !== 0) throw new DecodeError('field number out of range')
  return low
}

/** Reads a uint64 that counts something. @throws DecodeError above 2^53 - 1 */
export function readUint(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!
  if (first < 0x80) {
    next = at + 1
    return first
  }
  readHalves(bytes, at, end)
  if (high > 0x1fffff) throw new DecodeError(`counter above 2^53 - 1: ${halvesToBigint()}`)
  return high * TWO_32 + low
}

/** Reads an int64 that counts something. @throws DecodeError outside of ±(2^53 - 1) */
export function readInt(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!
  if (first < 0x80) {
    next = at + 1
    return first
  }
  readHalves(bytes, at, end)
  const value = (high | 0) * TWO_32 + low
  if (!Number.isSafeInteger(value)) {
    throw new DecodeError(`counter outside of ±(2^53 - 1): ${BigInt.asIntN(64, halvesToBigint())}`)
  }
  return value
}

function halvesToBigint(): bigint {
  cellHalves[LOW] = low
  cellHalves[HIGH] = high
  return cell[0]!
}

/** Reads a uint64. */
export function readUint64(bytes: Uint8Array, at: number, end: number): bigint {
  if (bytes[at] === 0) {
    next = at + 1
    return 0n
  }
  readHalves(bytes, at, end)
  cellHalves[LOW] = low
  cellHalves[HIGH] = high
  return cell[0]!
}

/** Reads an int64. */
export function readInt64(bytes: Uint8Array, at: number, end: number): bigint {
  if (bytes[at] === 0) {
    next = at + 1
    return 0n
  }
  readHalves(bytes, at, end)
  cellHalves[LOW] = low
  cellHalves[HIGH] = high
  return signedCell[0]!
}

/** Reads a uint32; higher bits are dropped, as all protobuf readers do. */
export function readUint32(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!
  if (first < 0x80) {
    next = at + 1
    return first
  }
  readHalves(bytes, at, end)
  return low
}

/** Reads an enum; higher bits are dropped. */
export function readEnum(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!
  if (first < 0x80) {
    next = at + 1
    return first
  }
  readHalves(bytes, at, end)
  return low | 0
}

export function readBool(bytes: Uint8Array, at: number, end: number): boolean {
  const first = bytes[at]!
  if (first < 0x80) {
    next = at + 1
    return first !== 0
  }
  readHalves(bytes, at, end)
  return low !== 0 || high !== 0
}

/** Reads a length, leaves its payload's start in `next` and returns the payload's end. */
export function readLength(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!
  if (first < 0x80) {
    next = at + 1
    const stop = at + 1 + first
    if (stop > end) throw truncatedValue()
    return stop
  }
  readHalves(bytes, at, end)
  const stop = next + high * TWO_32 + low
  if (stop > end) throw truncatedValue()
  return stop
}

/** Reads a bytes field as a view into `bytes`. */
export function readBytes(bytes: Uint8Array, at: number, end: number): Uint8Array {
  const stop = readLength(bytes, at, end)
  const start = next
  next = stop
  return start === stop ? EMPTY : new Uint8Array(bytes.buffer, bytes.byteOffset + start, stop - start)
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
const SHORT_STRING = 32

/** Reads a string; bytes that are no UTF-8 become U+FFFD. */
export function readString(bytes: Uint8Array, at: number, end: number): string {
  const stop = readLength(bytes, at, end)
  const start = next
  next = stop
  if (stop - start <= SHORT_STRING) {
    let text = ''
    for (let i = start; i < stop; i++) {
      const byte = bytes[i]!
      if (byte >= 0x80) return utf8.decode(bytes.subarray(start, stop))
      text += String.fromCharCode(byte)
    }
    return text
  }
  return utf8.decode(bytes.subarray(start, stop))
}

/**
 * Skips a field that the decoder does not know.
 *
 * @param known the numbers of the fields that it does know: here, their wire type is wrong
 * @throws DecodeError for a wrong wire type, a group, field number 0 or a truncated value
 */
export function skipField(
  name: string,
  known: ReadonlySet<number>,
  tag: number,
  bytes: Uint8Array,
  at: number,
  end: number,
): number {
  const number = tag >>> 3
  const wireType = tag & 7
  if (number === 0) throw new DecodeError(`${name}: field number 0`)
  if (known.has(number)) throw new DecodeError(`${name}: wrong wire type ${wireType} for field ${number}`)
  switch (wireType) {
    case 0:
      readHalves(bytes, at, end)
      return next
    case 1:
      at += 8
      break
    case 2:
      return readLength(bytes, at, end)
    case 5:
      at += 4
      break
    default:
      throw new DecodeError(`${name}: illegal wire type ${wireType} for field ${number}`)
  }
  if (at > end) throw truncatedValue()
  return at
}

/** The last value of a message ran past its end. */
export function truncated(name: string): DecodeError {
  return new DecodeError(`${name}: truncated value`)
}

export function tooDeep(name: string): DecodeError {
  return new DecodeError(`${name}: messages nested deeper than ${DEPTH_MAX}`)
}

/** Whether `bytes[start, end)` equals `other`. */
export function sameBytes(bytes: Uint8Array, start: number, end: number, other: Uint8Array): boolean {
  if (end - start !== other.length) return false
  for (let i = 0; i < other.length; i++) if (bytes[start + i] !== other[i]) return false
  return true
}

/** Bytes that the varint of `value` takes; for negative numbers, of its 64-bit two's complement. */
export function sizeOfVarint(value: number): number {
  if (value < 0) return 10
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value < 0x1000_0000) return 4
  if (value < 0x8_0000_0000) return 5
  if (value < 0x400_0000_0000) return 6
  if (value < 0x2_0000_0000_0000) return 7
  return 8
}

/** Bytes that the varint of a 64-bit `value` takes. */
export function sizeOfVarint64(value: bigint): number {
  if (value === 0n) return 1
  cell[0] = value
  const hi = cellHalves[HIGH]!
  if (hi === 0) {
    const lo = cellHalves[LOW]!
    return lo < 0x80 ? 1 : lo < 0x4000 ? 2 : lo < 0x20_0000 ? 3 : lo < 0x1000_0000 ? 4 : 5
  }
  // 28 bits of `hi` and below fill 4 bytes more, the first 3 of them share the fifth byte.
  if (hi < 0x8) return 5
  if (hi < 0x400) return 6
  if (hi < 0x2_0000) return 7
  if (hi < 0x100_0000) return 8
  return hi < 0x8000_0000 ? 9 : 10
}

/** Bytes that a length-prefixed payload of `length` bytes takes. */
export function sizeOfPayload(length: number): number {
  return sizeOfVarint(length) + length
}

/** Writes a whole number as a varint. @returns the next offset */
export function writeVarint(out: Uint8Array, at: number, value: number): number {
  if (value >= 0 && value < 0x80) {
    out[at] = value
    return at + 1
  }
  if (value < 0) return writeVarint64(out, at, BigInt(value))
  if (value > Number.MAX_SAFE_INTEGER) throw new RangeError(`counter above 2^53 - 1: ${value}`)
  while (value >= 0x1000_0000) {
    out[at++] = (value & 0x7f) | 0x80
    value = Math.floor(value / 0x80)
  }
  while (value >= 0x80) {
    out[at++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  out[at] = value
  return at + 1
}

/** Writes a 64-bit number, signed or not, as a varint. @returns the next offset */
export function writeVarint64(out: Uint8Array, at: number, value: bigint): number {
  if (value === 0n) {
    out[at] = 0
    return at + 1
  }
  cell[0] = value
  let lo = cellHalves[LOW]!
  let hi = cellHalves[HIGH]!
  while (hi !== 0) {
    out[at++] = (lo & 0x7f) | 0x80
    lo = ((lo >>> 7) | (hi << 25)) >>> 0
    hi >>>= 7
  }
  while (lo >= 0x80) {
    out[at++] = (lo & 0x7f) | 0x80
    lo >>>= 7
  }
  out[at] = lo
  return at + 1
}

// Below this a loop is faster than the call into the engine.
const SHORT_COPY = 24

/** Writes a length and the payload. @returns the next offset */
export function writeBytes(out: Uint8Array, at: number, value: Uint8Array): number {
  const length = value.length
  at = writeVarint(out, at, length)
  if (length <= SHORT_COPY) {
    for (let i = 0; i < length; i++) out[at + i] = value[i]!
  } else {
    out.set(value, at)
  }
  return at + length
}

/** Bytes of `text` in UTF-8; a lone surrogate counts as U+FFFD. */
export function utf8Length(text: string): number {
  let length = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    if (unit < 0x800) {
      length += 1
      continue
    }
    length += 2
    if (unit >= 0xd800 && unit < 0xdc00) {
      const second = text.charCodeAt(i + 1)
      if (second >= 0xdc00 && second < 0xe000) i++
    }
  }
  return length
}

const encoder = new TextEncoder()

/** Writes a length and the text in UTF-8. @returns the next offset */
export function writeString(out: Uint8Array, at: number, text: string): number {
  const length = utf8Length(text)
  at = writeVarint(out, at, length)
  if (length === text.length && length <= SHORT_STRING) {
    for (let i = 0; i < length; i++) out[at + i] = text.charCodeAt(i)
  } else {
    encoder.encodeInto(text, out.subarray(at, at + length))
  }
  return at + length
}

// Small messages share slabs, because a typed array with memory of its own costs more than an encoding.
const SLAB_BYTES = 16_384
const SLAB_SHARE_BYTES_MAX = 4096
let slab = new ArrayBuffer(SLAB_BYTES)
let slabUsed = 0

/** A place to encode to. */
export function allocate(size: number): Uint8Array {
  if (size === 0) return EMPTY
  if (size > SLAB_SHARE_BYTES_MAX) return new Uint8Array(size)
  if (size > SLAB_BYTES - slabUsed) {
    slab = new ArrayBuffer(SLAB_BYTES)
    slabUsed = 0
  }
  const bytes = new Uint8Array(slab, slabUsed, size)
  slabUsed += size
  return bytes
}
