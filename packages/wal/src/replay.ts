/** Reading a log back. */
import { join } from 'node:path'
import { DecodeError, raftpb, walpb } from '@etcd-ts/api'
import type { Disk } from '@etcd-ts/platform'
import { FrameReader, RecordType } from './frame.ts'
import { type SegmentName, lastRun, listSegments, segmentsFrom } from './segment.ts'
import { judgeTail } from './tail.ts'
import { WalError, type WalErrorReason } from './wal-error.ts'

/** A snapshot of the state machine, by the last entry that it contains. */
export interface SnapshotPoint {
  readonly index: number
  readonly term: number
}

/** The end of the last segment. */
export interface ReplayedTail {
  readonly segment: SegmentName
  /** Where the next frame goes. */
  readonly offset: number
  readonly crc: number
  /** Whether a write that was cut off stands behind `offset`. */
  readonly isTorn: boolean
}

export interface Replay {
  readonly metadata: Uint8Array
  /** Undefined when none was ever written. */
  readonly hardState: raftpb.HardState | undefined
  /** Those behind the snapshot asked for, each index once. */
  readonly entries: raftpb.Entry[]
  /** Of the last entry, or else the snapshot's. */
  readonly lastIndex: number
  readonly tail: ReplayedTail
}

/**
 * Reads all that is behind `snapshot`.
 *
 * @throws WalError `damaged`, `missing` or `conflict`
 */
export function replay(disk: Disk, dir: string, snapshot: SnapshotPoint): Replay {
  const collector = new Collector(snapshot)
  const tail = readSegments(disk, dir, segmentsFrom(listSegments(disk, dir), snapshot.index, dir), collector)
  return collector.finish(dir, tail)
}

/** @see Wal.snapshotsIn */
export function validSnapshots(disk: Disk, dir: string): SnapshotPoint[] {
  const segments = lastRun(listSegments(disk, dir))
  const found: { point: SnapshotPoint; segment: SegmentName }[] = []
  let commit = 0
  let lastIndex = 0
  readSegments(disk, dir, segments, {
    get lastIndex() {
      return lastIndex
    },
    take(reader, segment) {
      if (reader.type === RecordType.state) commit = decodeState(reader).commit
      else if (reader.type === RecordType.entry) lastIndex = decodeEntry(reader).index
      else if (reader.type === RecordType.snapshot) {
        const { index, term } = decodeSnapshot(reader)
        found.push({ point: { index, term }, segment })
        lastIndex = Math.max(lastIndex, index)
      }
    },
  })
  // A point received before a crash, without its commit index, is one that the log never went on from; it may have got there
  // by itself since. Whoever starts at that index reads from a later segment.
  const isLeftBehind = (index: number, { sequence }: SegmentName): boolean =>
    segments.some((later) => later.sequence > sequence && later.index <= index)
  return found
    .filter(({ point, segment }) => point.index <= commit && !isLeftBehind(point.index, segment))
    .map(({ point }) => point)
}

/** A record cannot be what it says it is, or does not fit those before it. */
class BadRecordError extends Error {
  override readonly name = 'BadRecordError'
  readonly reason: WalErrorReason

  constructor(reason: WalErrorReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/*
 * The CRC covers a record's data and not its type. What tells the types apart is that each has its own fields, always the
 * same ones in the same order, so that what is encoded again has the same length; and that no term and no index of an entry
 * is 0, which an entry without data taken for a hard state, or the other way round, would have.
 */

function decodeEntry({ bytes, dataStart, dataEnd }: FrameReader): raftpb.Entry {
  const entry = raftpb.Entry.decode(bytes, dataStart, dataEnd)
  const { type, term, index } = entry
  if (
    raftpb.Entry.encodedSize(entry) !== dataEnd - dataStart ||
    type < 0 ||
    type > 2 ||
    term < 1 ||
    index < 1
  ) {
    throw new BadRecordError('damaged', 'the record is not an entry')
  }
  return entry
}

function decodeState({ bytes, dataStart, dataEnd }: FrameReader): raftpb.HardState {
  const state = raftpb.HardState.decode(bytes, dataStart, dataEnd)
  if (raftpb.HardState.encodedSize(state) !== dataEnd - dataStart || state.term < 1) {
    throw new BadRecordError('damaged', 'the record is not a hard state')
  }
  return state
}

function decodeSnapshot({ bytes, dataStart, dataEnd }: FrameReader): walpb.Snapshot {
  return walpb.Snapshot.decode(bytes, dataStart, dataEnd)
}

interface RecordSink {
  /** Index of the entry or snapshot taken last. */
  readonly lastIndex: number
  /** Takes the record that the reader is at; the bytes are the segment's. */
  take(reader: FrameReader, segment: SegmentName): void
}

/** What a segment begins with. */
const HEAD = [RecordType.crc, RecordType.metadata] as const

function readSegments(
  disk: Disk,
  dir: string,
  segments: readonly SegmentName[],
  sink: RecordSink,
): ReplayedTail {
  let tail: ReplayedTail | undefined
  for (const [i, segment] of segments.entries()) {
    tail = readSegment(disk, dir, segment, tail?.crc, i === segments.length - 1, sink)
  }
  if (tail === undefined) throw new WalError('missing', `wal: file not found: no segment in ${dir}`)
  return tail
}

function readSegment(
  disk: Disk,
  dir: string,
  segment: SegmentName,
  crcBefore: number | undefined,
  isLast: boolean,
  sink: RecordSink,
): ReplayedTail {
  const path = join(dir, segment.name)
  const bytes = disk.readFile(path)
  const reader = new FrameReader(bytes, crcBefore)
  const damaged = (offset: number, what: string): WalError =>
    new WalError('damaged', `wal: ${path}: offset ${offset}: damaged: ${what}`)
  let problem = reader.next()
  for (let count = 0; problem === undefined; count++) {
    const isMisplaced =
      count < HEAD.length ? reader.type !== HEAD[count] : reader.type === RecordType.metadata
    if (isMisplaced)
      throw damaged(reader.start, 'a segment begins with a crc and the metadata, and has no other metadata')
    try {
      sink.take(reader, segment)
    } catch (error) {
      if (error instanceof DecodeError) throw damaged(reader.start, error.message)
      if (!(error instanceof BadRecordError)) throw error
      throw new WalError(
        error.reason,
        `wal: ${path}: offset ${reader.start}: ${error.reason}: ${error.message}`,
      )
    }
    problem = reader.next()
  }
  const verdict = judgeTail({
    bytes,
    offset: reader.end,
    crc: reader.crc,
    problem,
    lastIndex: sink.lastIndex,
    // A segment was synced before the next one got its name.
    mayHaveLostPower: isLast && disk.mayHaveLostPower(path),
  })
  if (verdict.kind === 'damaged') throw damaged(reader.end, verdict.evidence)
  if (verdict.kind === 'torn' && !isLast) throw damaged(reader.end, `${problem}, and segments follow`)
  if (reader.end === 0 || reader.crc === undefined) throw damaged(0, 'the segment has no records')
  return { segment, offset: reader.end, crc: reader.crc, isTorn: verdict.kind === 'torn' }
}

class Collector implements RecordSink {
  readonly #snapshot: SnapshotPoint
  readonly #entries: raftpb.Entry[] = []
  readonly #arena = new Arena()
  #metadata: Uint8Array | undefined
  #hardState: raftpb.HardState | undefined
  #snapshotFound = false
  /** Of the entry that the snapshot ends with, where the log has it. */
  #termAtSnapshot: number | undefined
  lastIndex = 0

  constructor(snapshot: SnapshotPoint) {
    this.#snapshot = snapshot
  }

  take(reader: FrameReader): void {
    switch (reader.type) {
      case RecordType.entry:
        this.#takeEntry(decodeEntry(reader))
        break
      case RecordType.state:
        this.#takeState(decodeState(reader))
        break
      case RecordType.metadata:
        this.#takeMetadata(reader.bytes.subarray(reader.dataStart, reader.dataEnd))
        break
      case RecordType.snapshot:
        this.#takeSnapshot(decodeSnapshot(reader))
        break
      default:
    }
  }

  /** An entry replaces what was collected from its index on: the log had been cut there. */
  #takeEntry(entry: raftpb.Entry): void {
    this.lastIndex = entry.index
    const entries = this.#entries
    const place = entry.index - this.#snapshot.index - 1
    if (place < 0) {
      entries.length = 0
      if (place === -1) this.#termAtSnapshot = entry.term
      return
    }
    if (place > entries.length) {
      const before = this.#snapshot.index + entries.length
      throw new BadRecordError(
        'missing',
        `slice bounds out of range: entry ${entry.index} follows entry ${before}`,
      )
    }
    if (place < entries.length && this.#hardState !== undefined && entry.index <= this.#hardState.commit) {
      throw new BadRecordError('damaged', `entry ${entry.index} replaces one that had been committed`)
    }
    const before = entries[place - 1]
    if (before !== undefined && before.term > entry.term) {
      throw new BadRecordError(
        'damaged',
        `entry ${entry.index} of term ${entry.term} follows one of term ${before.term}`,
      )
    }
    if (entry.data !== undefined) entry.data = this.#arena.copy(entry.data)
    entries.length = place
    entries.push(entry)
  }

  #takeState(state: raftpb.HardState): void {
    const before = this.#hardState
    if (before !== undefined && (before.term > state.term || before.commit > state.commit)) {
      throw new BadRecordError('damaged', 'the hard state goes back')
    }
    this.#hardState = state
  }

  #takeMetadata(metadata: Uint8Array): void {
    if (this.#metadata === undefined) this.#metadata = new Uint8Array(metadata)
    else if (Buffer.compare(this.#metadata, metadata) !== 0) {
      throw new BadRecordError('conflict', 'conflicting metadata found: segments of different members')
    }
  }

  /** A snapshot whose last entry was not the log's came from the leader: the log was dropped for it. */
  #takeSnapshot({ index, term }: walpb.Snapshot): void {
    this.lastIndex = Math.max(this.lastIndex, index)
    const place = index - this.#snapshot.index - 1
    const there = place === -1 ? this.#termAtSnapshot : this.#entries[place]?.term
    if (there !== undefined && there !== term) this.#entries.length = Math.max(place, 0)
    if (place !== -1) return
    if (term !== this.#snapshot.term) {
      throw new BadRecordError(
        'conflict',
        `snapshot mismatch: index ${index} is of term ${term}, not ${this.#snapshot.term}`,
      )
    }
    this.#snapshotFound = true
  }

  finish(dir: string, tail: ReplayedTail): Replay {
    const { index, term } = this.#snapshot
    if (this.#metadata === undefined) throw new WalError('damaged', `wal: no metadata in ${dir}`)
    if (!this.#snapshotFound) {
      throw new WalError(
        'missing',
        `wal: snapshot not found: no record of index ${index}, term ${term} in ${dir}`,
      )
    }
    const last = index + this.#entries.length
    const commit = this.#hardState?.commit
    if (commit !== undefined && (commit < index || commit > last)) {
      const message = `wal: ${dir}: commit index ${commit} is out of range: the log holds entries ${index + 1} to ${last}`
      throw new WalError('damaged', message)
    }
    return {
      metadata: this.#metadata,
      hardState: this.#hardState,
      entries: this.#entries,
      lastIndex: last,
      tail,
    }
  }
}

const ARENA_BYTES = 256 << 10
const ARENA_PIECE_BYTES_MAX = 16 << 10

/** Copies small pieces side by side: an entry that is kept must not keep its whole segment in memory. */
class Arena {
  #bytes = new Uint8Array(0)
  #used = 0

  copy(piece: Uint8Array): Uint8Array {
    if (piece.length > ARENA_PIECE_BYTES_MAX) return piece.slice()
    if (this.#used + piece.length > this.#bytes.length) {
      this.#bytes = new Uint8Array(ARENA_BYTES)
      this.#used = 0
    }
    const copy = this.#bytes.subarray(this.#used, this.#used + piece.length)
    copy.set(piece)
    this.#used += piece.length
    return copy
  }
}
