/**
 * Where a log ends, when its last frames are not valid: a write that did not get to its end, or damage?
 *
 * A write that was cut off was never acknowledged, so the log may go on from the last valid frame. Damage may have hit what
 * was acknowledged, and cutting that off would lose it silently: the log must not be used. What decides:
 *
 * - A process that ends leaves every write that it finished, and of the one it was in the first part. So nothing that was
 *   written stands behind what is missing. Valid frames there, a length of zero with anything behind it, or a record that
 *   checks out but for its length are damage.
 * - A machine that loses power may keep any of the sectors that were not synced. Valid frames behind a gap then prove
 *   nothing by themselves. They do if one of them says that an entry at or behind the gap was committed: this log states a
 *   commit index only once the entries up to it have been synced (see `Wal.append`), and a sync covers all that is before.
 *
 * `Disk.mayHaveLostPower` tells which of the two applies.
 */
import { raftpb } from '@etcd-ts/api'
import { FRAME_ALIGN, type FrameProblem, FrameReader, RecordType } from './frame.ts'

const SECTOR_BYTES = 512

export interface Tail {
  /** The content of the last segment. */
  readonly bytes: Uint8Array
  /** Where the first frame that is not valid starts. */
  readonly offset: number
  /** The CRC over all valid frames. */
  readonly crc: number | undefined
  readonly problem: FrameProblem
  /** The last entry, or snapshot, before `offset`. */
  readonly lastIndex: number
  readonly mayHaveLostPower: boolean
}

export type TailVerdict =
  /** Nothing but zeros follows. */
  | { readonly kind: 'clean' }
  /** A write was cut off. */
  | { readonly kind: 'torn' }
  | { readonly kind: 'damaged'; readonly evidence: string }

export function judgeTail(tail: Tail): TailVerdict {
  const { bytes, offset, problem } = tail
  const contentEnd = endOfContent(bytes, offset)
  if (contentEnd === offset && problem === 'zero length') return { kind: 'clean' }
  const behind = framesBehind(tail, contentEnd)
  if (tail.mayHaveLostPower) return judgeAfterPowerLoss(tail, behind)
  if (behind.length > 0) return damaged(`a valid frame follows at offset ${behind[0]!.offset}`)
  if (problem === 'zero length')
    return damaged(`the length is zero, but bytes follow up to offset ${contentEnd}`)
  const reader = new FrameReader(bytes, tail.crc)
  reader.end = offset
  if (reader.isLengthWrong()) return damaged('the record is intact, its length is not')
  if (problem === 'incomplete' || isCutOff(tail, contentEnd)) return { kind: 'torn' }
  return damaged(problem === 'wrong crc' ? 'crc mismatch' : 'malformed frame')
}

function damaged(evidence: string): TailVerdict {
  return { kind: 'damaged', evidence }
}

function judgeAfterPowerLoss(tail: Tail, behind: readonly FrameBehind[]): TailVerdict {
  // The entry after the last good one was at or behind the gap, if it was anywhere.
  let lowestBehind = tail.lastIndex + 1
  for (const frame of behind) {
    if (frame.entryIndex !== undefined) lowestBehind = Math.min(lowestBehind, frame.entryIndex)
    if (frame.isLinked && frame.committed !== undefined && frame.committed >= lowestBehind) {
      return damaged(
        `the frame at offset ${frame.offset} says that index ${frame.committed} had been committed`,
      )
    }
  }
  return { kind: 'torn' }
}

/** Whether the content ends within the frame at `offset`, or one of the frame's sectors was never written. */
function isCutOff({ bytes, offset }: Tail, contentEnd: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const recordEnd = offset + FRAME_ALIGN + view.getUint32(offset, true)
  if (contentEnd < recordEnd) return true
  for (let at = offset + FRAME_ALIGN; at < recordEnd;) {
    const next = Math.min(at - (at % SECTOR_BYTES) + SECTOR_BYTES, recordEnd)
    if (isZero(bytes, at, next)) return true
    at = next
  }
  return false
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false
  return true
}

/** The offset behind the last byte that is not zero, `from` at the least. */
export function endOfContent(bytes: Uint8Array, from: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let end = bytes.length
  while (end - 4 >= from && view.getInt32(end - 4) === 0) end -= 4
  while (end > from && bytes[end - 1] === 0) end--
  return end
}

interface FrameBehind {
  readonly offset: number
  /** Whether its CRC follows from the frame before it or leads to the frame behind it. */
  isLinked: boolean
  /** Of an entry. */
  readonly entryIndex: number | undefined
  /** The index up to which it says that the log was committed. */
  readonly committed: number | undefined
}

/** The well-formed frames behind the one at the tail's offset, wherever they start. */
function framesBehind({ bytes, offset }: Tail, contentEnd: number): FrameBehind[] {
  const found: FrameBehind[] = []
  const reader = new FrameReader(bytes, undefined)
  for (let at = offset + FRAME_ALIGN; at < contentEnd;) {
    reader.end = at
    reader.crc = undefined
    let before: FrameBehind | undefined
    while (reader.next() === undefined) {
      const frame = describe(reader)
      if (before !== undefined) {
        before.isLinked = true
        frame.isLinked = true
      }
      found.push(frame)
      before = frame
    }
    at = before === undefined ? at + FRAME_ALIGN : reader.end
  }
  return found
}

function describe(reader: FrameReader): FrameBehind {
  let entryIndex: number | undefined
  let committed: number | undefined
  try {
    const { type, bytes, dataStart, dataEnd } = reader
    if (type === RecordType.entry) entryIndex = raftpb.Entry.decode(bytes, dataStart, dataEnd).index
    else if (type === RecordType.state) committed = raftpb.HardState.decode(bytes, dataStart, dataEnd).commit
  } catch {
    // Well-formed outside, not inside: it proves a frame, but says nothing.
  }
  return { offset: reader.start, isLinked: false, entryIndex, committed }
}
