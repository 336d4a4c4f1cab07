/**
 * Frames and records: what a segment of the log consists of. docs/formats/wal.md has an example.
 *
 *     frame   = length field, record, padding zeros up to a multiple of 8 bytes
 *     length  = 8 bytes, little-endian: the low 56 bits count the record's bytes n; the top byte is 0 when n is a
 *               multiple of 8, else 0x80 | number of padding bytes
 *     record  = 08 type, 10 crc, [1a length data]         protobuf walpb.Record, the fields in this order
 *     crc     = CRC-32C of the data of this record and of all before it, from the first segment on
 *
 * A record is valid when it has just these fields, one of the types below, fills n bytes exactly and stores the CRC that
 * its data gives. A record of type `crc` has no data and states the CRC so far; each segment begins with one.
 */
import type { raftpb } from '@etcd-ts/api'
import { walpb } from '@etcd-ts/api'
import { crc32cOfView } from '@etcd-ts/platform'

export const RecordType = { metadata: 1, entry: 2, state: 3, crc: 4, snapshot: 5 } as const

/** Bytes of the length field; frames start at multiples of it. */
export const FRAME_ALIGN = 8

const TAG_RECORD_TYPE = 0x08
const TAG_RECORD_CRC = 0x10
const TAG_RECORD_DATA = 0x1a

// raftpb.Entry and raftpb.HardState: all fields but the entry's data are always written.
const TAG_ENTRY_TYPE = 0x08
const TAG_ENTRY_TERM = 0x10
const TAG_ENTRY_INDEX = 0x18
const TAG_ENTRY_DATA = 0x22
const TAG_STATE_TERM = 0x08
const TAG_STATE_VOTE = 0x10
const TAG_STATE_COMMIT = 0x18

/** More than everything of an entry's frame but the data takes: length field, record, entry fields, padding. */
const FRAME_OVERHEAD_MAX = 64
const CRC_SIZE_MAX = 5
const INITIAL_BYTES = 64 << 10
/** A buffer that one large batch needed is not kept. */
const KEPT_BYTES_MAX = 4 << 20
/** Below this a loop copies faster than the call into the engine. */
const SHORT_COPY_BYTES = 24

/** A log entry, as raft and the peer wire have it. */
export interface Entry {
  readonly type: raftpb.EntryType
  readonly term: number
  readonly index: number
  readonly data?: Uint8Array | undefined
}

export interface HardState {
  readonly term: number
  /** 0n: nobody. */
  readonly vote: bigint
  readonly commit: number
}

/** What a snapshot record says: that the `.snap` file of this index and term is in place. */
export interface SnapshotRecord {
  readonly index: number
  readonly term: number
  /** Must be there when `index` is above 0. */
  readonly confState?: raftpb.ConfStateInit | undefined
}

/** Encodes frames one behind the other into a buffer that is used again, and carries the running CRC. */
export class FrameWriter {
  /** The CRC over the data of all records so far. */
  crc: number
  #bytes = new Uint8Array(INITIAL_BYTES)
  #view = new DataView(this.#bytes.buffer)
  #length = 0
  /** The bytes of the vote written last: it changes once in an election, and is the only bigint here. */
  #vote = 0n
  #voteBytes: Uint8Array = Uint8Array.of(0)

  constructor(crc: number) {
    this.crc = crc
  }

  get length(): number {
    return this.#length
  }

  /** What was encoded since `clear`: a view, valid until the next call. */
  get encoded(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  clear(): void {
    this.#length = 0
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#allocate(INITIAL_BYTES)
  }

  entry(entry: Entry): void {
    const { type, data } = entry
    const dataLength = data === undefined ? 0 : data.length
    const dataAt = this.#startRecord(
      RecordType.entry,
      2 +
        1 +
        sizeOfVarint(entry.term) +
        1 +
        sizeOfVarint(entry.index) +
        (data === undefined ? 0 : 1 + sizeOfVarint(dataLength) + dataLength),
    )
    const bytes = this.#bytes
    let at = dataAt
    bytes[at++] = TAG_ENTRY_TYPE
    bytes[at++] = type
    bytes[at++] = TAG_ENTRY_TERM
    at = writeVarint(bytes, at, entry.term)
    bytes[at++] = TAG_ENTRY_INDEX
    at = writeVarint(bytes, at, entry.index)
    if (data !== undefined) {
      bytes[at++] = TAG_ENTRY_DATA
      at = writeVarint(bytes, at, dataLength)
      if (dataLength <= SHORT_COPY_BYTES) for (let i = 0; i < dataLength; i++) bytes[at + i] = data[i]!
      else bytes.set(data, at)
      at += dataLength
    }
    this.#endRecord(dataAt, at)
  }

  state(term: number, vote: bigint, commit: number): void {
    if (vote !== this.#vote) {
      this.#vote = vote
      this.#voteBytes = varintOf(vote)
    }
    const voteBytes = this.#voteBytes
    const dataAt = this.#startRecord(
      RecordType.state,
      3 + sizeOfVarint(term) + voteBytes.length + sizeOfVarint(commit),
    )
    const bytes = this.#bytes
    let at = dataAt
    bytes[at++] = TAG_STATE_TERM
    at = writeVarint(bytes, at, term)
    bytes[at++] = TAG_STATE_VOTE
    for (let i = 0; i < voteBytes.length; i++) bytes[at++] = voteBytes[i]!
    bytes[at++] = TAG_STATE_COMMIT
    at = writeVarint(bytes, at, commit)
    this.#endRecord(dataAt, at)
  }

  metadata(metadata: Uint8Array): void {
    this.#record(RecordType.metadata, metadata)
  }

  snapshot(snapshot: SnapshotRecord): void {
    this.#record(RecordType.snapshot, walpb.Snapshot.encode(snapshot))
  }

  /** The record that a segment begins with. */
  crcRecord(): void {
    this.#reserve(FRAME_OVERHEAD_MAX)
    const at = this.#startHead(RecordType.crc)
    this.#endFrame(writeVarint(this.#bytes, at, this.crc))
  }

  #record(type: number, data: Uint8Array): void {
    const dataAt = this.#startRecord(type, data.length)
    this.#bytes.set(data, dataAt)
    this.#endRecord(dataAt, dataAt + data.length)
  }

  /** Writes all that precedes the data, as if the CRC took 5 bytes. @returns where the data goes */
  #startRecord(type: number, dataLength: number): number {
    this.#reserve(FRAME_OVERHEAD_MAX + dataLength)
    const at = this.#startHead(type) + CRC_SIZE_MAX
    this.#bytes[at] = TAG_RECORD_DATA
    return writeVarint(this.#bytes, at + 1, dataLength)
  }

  /** @returns where the CRC goes */
  #startHead(type: number): number {
    const bytes = this.#bytes
    const at = this.#length + FRAME_ALIGN
    bytes[at] = TAG_RECORD_TYPE
    bytes[at + 1] = type
    bytes[at + 2] = TAG_RECORD_CRC
    return at + 3
  }

  /** Brings the CRC forward over the data and puts it in its place. */
  #endRecord(dataAt: number, dataEnd: number): void {
    const crc = crc32cOfView(this.#view, dataAt, dataEnd, this.crc)
    this.crc = crc
    const bytes = this.#bytes
    const crcAt = this.#length + FRAME_ALIGN + 3
    const crcEnd = writeVarint(bytes, crcAt, crc)
    const excess = crcAt + CRC_SIZE_MAX - crcEnd
    // One CRC in 16 is shorter than 5 bytes: what follows it moves up.
    if (excess > 0) bytes.copyWithin(crcEnd, crcAt + CRC_SIZE_MAX, dataEnd)
    this.#endFrame(dataEnd - excess)
  }

  #endFrame(recordEnd: number): void {
    const start = this.#length
    const recordLength = recordEnd - start - FRAME_ALIGN
    const padding = -recordLength & 7
    this.#view.setUint32(start, recordLength, true)
    this.#view.setUint32(start + 4, highWord(recordLength), true)
    for (let i = 0; i < padding; i++) this.#bytes[recordEnd + i] = 0
    this.#length = recordEnd + padding
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const before = this.encoded
    this.#allocate(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.set(before)
  }

  #allocate(length: number): void {
    this.#bytes = new Uint8Array(length)
    this.#view = new DataView(this.#bytes.buffer)
  }
}

/** Why no valid frame is at an offset. */
export type FrameProblem =
  /** The length field is zero: the end, if nothing follows. */
  | 'zero length'
  /** The file ends in the length field or in the record. */
  | 'incomplete'
  /** Length and padding contradict each other, or the record is not one. */
  | 'malformed'
  | 'wrong crc'

/** Reads frames one after the other. After `next` has returned undefined the fields describe the record read. */
export class FrameReader {
  readonly bytes: Uint8Array
  /** Where the frame read last starts. */
  start = 0
  /** Where the frame after it starts, which `next` reads. */
  end = 0
  type = 0
  dataStart = 0
  dataEnd = 0
  /** The CRC over all data so far; undefined while it is not known: then the next record is taken at its word. */
  crc: number | undefined
  readonly #view: DataView
  #recordType = 0
  #recordDataStart = 0
  #recordEnd = 0
  #varintEnd = 0

  constructor(bytes: Uint8Array, crc: number | undefined) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.crc = crc
  }

  /** Reads the frame at `end`. @returns undefined, or why there is no valid one: then no field has changed */
  next(): FrameProblem | undefined {
    const start = this.end
    const size = this.bytes.length
    if (start + FRAME_ALIGN > size) return start === size ? 'zero length' : 'incomplete'
    const low = this.#view.getUint32(start, true)
    const high = this.#view.getUint32(start + 4, true)
    if (low === 0 && high === 0) return 'zero length'
    const recordStart = start + FRAME_ALIGN
    const recordEnd = recordStart + low
    const padding = -low & 7
    // Records of 2^32 bytes and more cannot be written here, so the length's upper bits say that it is not one.
    if ((high & 0xffffff) !== 0 || recordEnd + padding > size) return 'incomplete'
    if (high !== highWord(low)) return 'malformed'
    const stored = this.#readRecord(recordStart)
    if (stored === undefined || this.#recordEnd !== recordEnd) return 'malformed'
    const crc = this.#crcAfter(stored)
    if (crc !== stored) return 'wrong crc'
    this.crc = crc
    this.start = start
    this.end = recordEnd + padding
    this.type = this.#recordType
    this.dataStart = this.#recordDataStart
    this.dataEnd = recordEnd
    return undefined
  }

  /** Whether a valid record follows the length field at `end`, and the field does not say how long it is. */
  isLengthWrong(): boolean {
    const recordStart = this.end + FRAME_ALIGN
    if (recordStart > this.bytes.length) return false
    const stored = this.#readRecord(recordStart)
    if (stored === undefined || this.crc === undefined || this.#crcAfter(stored) !== stored) return false
    const length = this.#recordEnd - recordStart
    return (
      this.#view.getUint32(this.end, true) !== length ||
      this.#view.getUint32(this.end + 4, true) !== highWord(length)
    )
  }

  /** Reads a record without knowing its length. @returns the CRC that it stores, or undefined when it is not a record */
  #readRecord(at: number): number | undefined {
    const { bytes } = this
    if (bytes[at] !== TAG_RECORD_TYPE || bytes[at + 2] !== TAG_RECORD_CRC) return undefined
    const type = bytes[at + 1]!
    if (type < RecordType.metadata || type > RecordType.snapshot) return undefined
    const crc = this.#readVarint(at + 3)
    if (crc === undefined || crc > 0xffff_ffff) return undefined
    at = this.#varintEnd
    this.#recordType = type
    if (type === RecordType.crc) {
      this.#recordDataStart = at
      this.#recordEnd = at
      return crc
    }
    if (bytes[at] !== TAG_RECORD_DATA) return undefined
    const length = this.#readVarint(at + 1)
    if (length === undefined || this.#varintEnd + length > bytes.length) return undefined
    this.#recordDataStart = this.#varintEnd
    this.#recordEnd = this.#varintEnd + length
    return crc
  }

  /** The CRC that the record read last should store. */
  #crcAfter(stored: number): number {
    if (this.crc === undefined) return stored
    return crc32cOfView(this.#view, this.#recordDataStart, this.#recordEnd, this.crc)
  }

  /** A varint below 2^35, or undefined. */
  #readVarint(at: number): number | undefined {
    const { bytes } = this
    let value = 0
    for (let scale = 1; scale < 2 ** 35; scale *= 128) {
      const byte = bytes[at++]
      if (byte === undefined) return undefined
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        this.#varintEnd = at
        return value
      }
    }
    return undefined
  }
}

/** The upper half of the length field of a record of `length` bytes. */
function highWord(length: number): number {
  const padding = -length & 7
  return padding === 0 ? 0 : ((0x80 | padding) << 24) >>> 0
}

function sizeOfVarint(value: number): number {
  let size = 1
  for (; value >= 0x80; value = Math.floor(value / 0x80)) size++
  return size
}

function writeVarint(out: Uint8Array, at: number, value: number): number {
  for (; value >= 0x8000_0000; value = Math.floor(value / 0x80)) out[at++] = (value % 0x80) | 0x80
  for (; value >= 0x80; value >>>= 7) out[at++] = (value & 0x7f) | 0x80
  out[at] = value
  return at + 1
}

function varintOf(value: bigint): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}
