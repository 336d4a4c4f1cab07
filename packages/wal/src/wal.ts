import { dirname, join } from 'node:path'
import type { raftpb } from '@etcd-ts/api'
import { type Clock, type Disk, type DiskFile, errorCode, makeDurableDirectory } from '@etcd-ts/platform'
import { type Entry, FrameWriter, type HardState, type SnapshotRecord } from './frame.ts'
import { type ReplayedTail, type SnapshotPoint, replay, validSnapshots } from './replay.ts'
import { type SegmentName, listSegments, segmentName } from './segment.ts'
import { WalError } from './wal-error.ts'

/** etcd's limit: a segment that has reached it is the last one no more. */
const SEGMENT_BYTES = 64_000_000
/**
 * A segment grows by zeros in steps of this size, ahead of what is written: fdatasync then has no new length and no new
 * blocks to record in the file system's journal, which saves a third of its time (docs/formats/wal.md has the figures).
 */
const ZEROS = new Uint8Array(256 << 10)
/** A batch larger than this goes to the disk in several writes. */
const WRITE_BYTES_MAX = 8 << 20
/** `EntryConfChangeV2`. */
const ENTRY_TYPE_MAX = 2
const TMP_SUFFIX = '.tmp'
const BROKEN_SUFFIX = '.broken'

export interface WalOptions {
  /** Where a segment ends; etcd's 64,000,000 unless told. */
  readonly segmentBytes?: number
  /** Told how long each fdatasync took. */
  readonly syncs?: { readonly clock: Clock; readonly observe: (durationMs: number) => void }
}

/** What `Wal.open` found. */
export interface OpenedWal {
  readonly wal: Wal
  /** As given to `Wal.create`. */
  readonly metadata: Uint8Array
  /** Undefined when none was ever written. Its commit index may be lower than the last one appended, never higher. */
  readonly hardState: raftpb.HardState | undefined
  /** Everything behind the snapshot, in order; owned by the caller. */
  readonly entries: raftpb.Entry[]
}

interface OpenSegment {
  readonly segment: SegmentName
  readonly file: DiskFile
  /** Whether the file has its final name, and whether that is durable. */
  name: 'temporary' | 'given' | 'durable'
  /** Whether all of it is durable and nothing more will be written to it. */
  isDone: boolean
}

/**
 * The write-ahead log: entries, hard states and snapshot points, in etcd's format (docs/formats/wal.md).
 *
 * `append` writes to the page cache, and `sync` makes durable what was appended before it. Nothing that depends on an entry
 * or a vote may leave the member before the `sync` behind it has resolved. After the first error of the disk the log takes
 * nothing more and says so: what a failed fdatasync left on the disk is unknown, and trying again proves nothing.
 *
 * A segment that is full is followed by the next one at once, under a temporary name: it gets its own name only after
 * the full one has been synced, so that a crash never leaves a segment behind one that ends too early.
 */
export class Wal {
  readonly #disk: Disk
  readonly #dir: string
  readonly #metadata: Uint8Array
  readonly #segmentBytes: number
  readonly #syncs: WalOptions['syncs']
  readonly #writer: FrameWriter
  /** The segments that are on the disk, oldest first; the one being written is the last. */
  readonly #segments: SegmentName[]
  /** Full segments of which not everything is durable, oldest first. */
  readonly #full: OpenSegment[] = []
  #tail: OpenSegment
  /** Where the next frame goes. */
  #offset: number
  /** Where the zeros ahead of it end. */
  #zeroedTo: number

  #appendedIndex: number
  #durableIndex: number
  /** What `#durableIndex` will be when the sync that is under way has ended. */
  #syncingIndex = 0
  /** As given last, and as written last: its commit index may lag behind. */
  #state: HardState | undefined
  #writtenState: HardState
  /** The newest snapshot point of which the commit index must be durable too. */
  #snapshotIndex = 0
  #releasedIndex = 0
  #bytesWritten = 0

  /** Counts calls of `append` that wrote something, to know what a sync covers. */
  #appends = 0
  #syncedAppends = 0
  #syncingAppends = 0
  #round: Promise<void> | undefined
  #nextRound: Promise<void> | undefined
  #failure: WalError | undefined
  #isClosed = false

  private constructor(
    disk: Disk,
    dir: string,
    options: WalOptions,
    found: {
      metadata: Uint8Array
      state: HardState | undefined
      lastIndex: number
      segments: SegmentName[]
      tail: OpenSegment
      offset: number
      zeroedTo: number
      writer: FrameWriter
    },
  ) {
    this.#disk = disk
    this.#dir = dir
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES
    this.#syncs = options.syncs
    this.#metadata = found.metadata
    this.#state = found.state
    this.#writtenState = found.state ?? { term: 0, vote: 0n, commit: 0 }
    this.#appendedIndex = found.lastIndex
    this.#durableIndex = found.lastIndex
    this.#segments = found.segments
    this.#tail = found.tail
    this.#offset = found.offset
    this.#zeroedTo = found.zeroedTo
    this.#writer = found.writer
  }

  /** Whether there is a log in the folder. */
  static exists(disk: Disk, dir: string): boolean {
    return disk.stat(dir)?.kind === 'directory' && disk.list(dir).some((name) => name.endsWith('.wal'))
  }

  /**
   * Makes a new log and the folders above it. It blocks until they are durable; a crash leaves the whole log or none.
   *
   * @param options `metadata` says whose log it is: an encoded `etcdserverpb.Metadata`
   * @throws WalError `conflict` when there is a log already, `failed` when the disk refuses
   */
  static create(disk: Disk, dir: string, options: WalOptions & { readonly metadata: Uint8Array }): Wal {
    if (Wal.exists(disk, dir)) throw new WalError('conflict', `wal: ${dir} holds a log already`)
    const first = segmentName(0, 0)
    const writer = new FrameWriter(0)
    writer.crcRecord()
    writer.metadata(options.metadata)
    writer.snapshot({ index: 0, term: 0 })
    const tmpDir = dir + TMP_SUFFIX
    try {
      makeDurableDirectory(disk, dirname(dir))
      if (disk.exists(tmpDir)) removeFilesAndFolder(disk, tmpDir)
      disk.makeDirectory(tmpDir)
      const file = disk.open(join(tmpDir, first.name), 'create')
      const zeroedTo = writeWithZeros(file, writer.encoded, 0, 0, options.segmentBytes ?? SEGMENT_BYTES)
      file.datasyncNow()
      disk.syncDirectoryNow(tmpDir)
      disk.rename(tmpDir, dir)
      disk.syncDirectoryNow(dirname(dir))
      return new Wal(disk, dir, options, {
        metadata: new Uint8Array(options.metadata),
        state: undefined,
        lastIndex: 0,
        segments: [first],
        tail: { segment: first, file, name: 'durable', isDone: false },
        offset: writer.length,
        zeroedTo,
        writer,
      })
    } catch (error) {
      throw new WalError('failed', `wal: cannot create ${dir}`, { cause: error })
    }
  }

  /**
   * Reads the log behind a snapshot and makes it ready for more. It blocks, and so does what it makes durable: all that
   * was read.
   *
   * A write that was cut off at the end is removed, once, and the file as it was is kept as `<name>.broken`. Damage is
   * not repaired: see tail.ts for how one is told from the other.
   *
   * @param snapshot one of `snapshotsIn`, or index and term 0 for all from the beginning
   * @throws WalError `damaged`, `missing`, `conflict`, or `failed` when the disk refuses
   */
  static open(disk: Disk, dir: string, snapshot: SnapshotPoint, options: WalOptions = {}): OpenedWal {
    const { metadata, hardState, entries, lastIndex, tail } = replay(disk, dir, snapshot)
    try {
      for (const name of disk.list(dir)) if (name.endsWith(TMP_SUFFIX)) disk.unlink(join(dir, name))
      const file = openTail(disk, dir, tail)
      // A process that was killed may have left writes, and names, that only the page cache knows.
      file.datasyncNow()
      disk.syncDirectoryNow(dir)
      makeDurableDirectory(disk, dir)
      const wal = new Wal(disk, dir, options, {
        metadata,
        state: hardState,
        lastIndex,
        segments: listSegments(disk, dir),
        tail: { segment: tail.segment, file, name: 'durable', isDone: false },
        offset: tail.offset,
        zeroedTo: file.size(),
        writer: new FrameWriter(tail.crc),
      })
      return { wal, metadata, hardState, entries }
    } catch (error) {
      throw new WalError('failed', `wal: cannot open ${join(dir, tail.segment.name)} for writing`, {
        cause: error,
      })
    }
  }

  /**
   * The points at which the log says that a snapshot was taken or received, and that were committed: a `.snap` file counts
   * only if it is one of them. Oldest first; the first is {0, 0} unless it has been purged.
   *
   * @throws WalError as `open`
   */
  static snapshotsIn(disk: Disk, dir: string): SnapshotPoint[] {
    return validSnapshots(disk, dir)
  }

  /** Index of the entry, or snapshot, appended last. */
  get appendedIndex(): number {
    return this.#appendedIndex
  }

  /** Index up to which entries are durable. */
  get durableIndex(): number {
    return this.#durableIndex
  }

  /** Bytes that `append` has written since the log was opened. */
  get bytesWritten(): number {
    return this.#bytesWritten
  }

  /**
   * Writes to the end of the log: the snapshot point first, then the entries, then the hard state. One write to the page
   * cache; nothing is durable before `sync`.
   *
   * A commit index is written only once the entries up to it are durable, so that the log never claims more than it has:
   * until then a lower one stands in, and the one given follows with a later write, before `sync` resolves at the latest.
   *
   * A snapshot ahead of the log, received from the leader, is made durable before this returns, and blocks. Its
   * `.snap` file must be durable already, as for any snapshot point.
   *
   * @param hardState undefined when it has not changed
   * @param entries consecutive; the first one replaces what the log had from its index on
   * @throws WalError `failed` when the disk refuses, now or before; `misuse` for entries behind a gap
   */
  append(hardState: HardState | undefined, entries: readonly Entry[], snapshot?: SnapshotRecord): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isClosed) throw new WalError('misuse', 'wal: the log is closed')
    this.#checkInput(entries, snapshot)
    this.#writer.clear()
    if (hardState !== undefined) this.#state = hardState
    if (snapshot !== undefined) this.#encodeSnapshot(snapshot)
    if (entries.length > 0) this.#encodeEntries(entries)
    this.#appendState()
  }

  /**
   * Resolves when everything appended before the call is durable. One fdatasync runs at a time; all who ask meanwhile
   * share the next.
   *
   * @returns rejects with a WalError `failed` when the disk refuses: the member must stop
   */
  sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#nextRound !== undefined) return this.#nextRound
    if (this.#round !== undefined) {
      if (this.#syncingAppends === this.#appends) return this.#round
      this.#nextRound = this.#round.then(() => {
        this.#nextRound = undefined
        return this.#startRound()
      })
      return this.#nextRound
    }
    return this.#syncedAppends === this.#appends ? Promise.resolve() : this.#startRound()
  }

  /** Says that nothing before entry `index` will be read again: segments that end before it may be purged. */
  releaseTo(index: number): void {
    this.#releasedIndex = Math.max(this.#releasedIndex, index)
  }

  /**
   * Deletes released segments, the oldest first, as long as there are more than `keep` segments.
   *
   * @returns the names of those deleted; rejects with a WalError `failed` when the disk refuses: the member must stop
   */
  async purge({ keep }: { readonly keep: number }): Promise<string[]> {
    const purged: string[] = []
    for (;;) {
      const [oldest, next] = this.#segments
      if (oldest === undefined || next === undefined) return purged
      if (this.#segments.length <= keep || next.index > this.#releasedIndex) return purged
      if (this.#full.some(({ segment }) => segment === oldest)) return purged
      try {
        this.#disk.unlink(join(this.#dir, oldest.name))
        this.#segments.shift()
        purged.push(oldest.name)
        await this.#disk.syncDirectory(this.#dir)
      } catch (error) {
        throw this.#fail(`cannot purge ${oldest.name}`, error)
      }
    }
  }

  /** Makes durable what was appended, and closes the files. A log that has failed is only closed. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    try {
      while (
        this.#failure === undefined &&
        (this.#round !== undefined || this.#syncedAppends !== this.#appends)
      ) {
        await (this.#round ?? this.sync())
      }
    } finally {
      for (const { file } of this.#full) file.close()
      this.#tail.file.close()
    }
  }

  #fail(what: string, cause: unknown): WalError {
    this.#failure ??= new WalError('failed', `wal: ${what}`, { cause })
    return this.#failure
  }

  /** Nothing is encoded unless all of it can be: half a batch would break the chain of CRCs. */
  #checkInput(entries: readonly Entry[], snapshot: SnapshotRecord | undefined): void {
    if (snapshot !== undefined && snapshot.index > 0 && snapshot.confState === undefined) {
      throw new WalError('misuse', `wal: the snapshot point of index ${snapshot.index} has no conf state`)
    }
    const first = entries[0]
    if (first === undefined) return
    const before = Math.max(this.#appendedIndex, snapshot?.index ?? 0)
    if (first.index > before + 1) throw cannotFollow(first, before)
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      if (entry.index !== first.index + i) throw cannotFollow(entry, first.index + i - 1)
      if (entry.type < 0 || entry.type > ENTRY_TYPE_MAX) {
        throw new WalError('misuse', `wal: entry ${entry.index} is of unknown type ${entry.type}`)
      }
    }
  }

  #encodeSnapshot(snapshot: SnapshotRecord): void {
    this.#writer.snapshot(snapshot)
    this.#snapshotIndex = Math.max(this.#snapshotIndex, snapshot.index)
    if (snapshot.index <= this.#appendedIndex) return
    // Entries behind it must not be readable without it, nor its commit index before it is durable.
    this.#appendedIndex = snapshot.index
    this.#flush()
    this.#syncNow()
    this.#encodeState()
  }

  #encodeEntries(entries: readonly Entry[]): void {
    const before = entries[0]!.index - 1
    // What is replaced is not durable any more, though its predecessor at this index was.
    this.#durableIndex = Math.min(this.#durableIndex, before)
    this.#syncingIndex = Math.min(this.#syncingIndex, before)
    const writer = this.#writer
    for (let i = 0; i < entries.length; i++) {
      writer.entry(entries[i]!)
      if (writer.length > WRITE_BYTES_MAX) this.#flush()
    }
    this.#appendedIndex = before + entries.length
  }

  /** The commit index that may be written now. */
  #commitToWrite(): number {
    const commit = this.#state === undefined ? 0 : Math.min(this.#state.commit, this.#durableIndex)
    return Math.max(commit, this.#writtenState.commit)
  }

  #encodeState(): void {
    if (this.#state === undefined) return
    const { term, vote } = this.#state
    const commit = this.#commitToWrite()
    const written = this.#writtenState
    if (term === written.term && vote === written.vote && commit === written.commit) return
    this.#writer.state(term, vote, commit)
    this.#writtenState = { term, vote, commit }
  }

  /** Writes what was encoded, and the hard state unless it is on the disk already. */
  #appendState(): void {
    this.#encodeState()
    this.#flush()
    if (this.#offset >= this.#segmentBytes) this.#cut()
  }

  /** Writes what was encoded. */
  #flush(): void {
    const { encoded } = this.#writer
    if (encoded.length === 0) return
    try {
      this.#zeroedTo = writeWithZeros(
        this.#tail.file,
        encoded,
        this.#offset,
        this.#zeroedTo,
        this.#segmentBytes,
      )
    } catch (error) {
      throw this.#fail(`cannot write to ${this.#tail.file.path}`, error)
    }
    this.#offset += encoded.length
    this.#bytesWritten += encoded.length
    this.#appends++
    this.#writer.clear()
  }

  /** Ends the segment and begins the next one, under a temporary name. */
  #cut(): void {
    const next = segmentName(this.#tail.segment.sequence + 1, this.#appendedIndex + 1)
    const tmpPath = join(this.#dir, `${next.sequence}${TMP_SUFFIX}`)
    try {
      if (this.#zeroedTo > this.#offset) this.#tail.file.truncate(this.#offset)
      const file = this.#disk.open(tmpPath, 'replace')
      this.#full.push(this.#tail)
      this.#tail = { segment: next, file, name: 'temporary', isDone: false }
    } catch (error) {
      throw this.#fail(`cannot begin segment ${next.name}`, error)
    }
    this.#segments.push(next)
    this.#offset = 0
    this.#zeroedTo = 0
    const { term, vote, commit } = this.#writtenState
    this.#writer.clear()
    this.#writer.crcRecord()
    this.#writer.metadata(this.#metadata)
    if (term !== 0 || vote !== 0n || commit !== 0) this.#writer.state(term, vote, commit)
    this.#flush()
  }

  #startRound(): Promise<void> {
    this.#round = this.#syncRound()
    return this.#round
  }

  async #syncRound(): Promise<void> {
    try {
      await this.#syncOnce()
      // A commit index that had to wait for its entries follows them, and where a snapshot needs it, durably.
      if (this.#commitToWrite() > this.#writtenState.commit) {
        const isNeeded = this.#snapshotIndex > this.#writtenState.commit
        this.#appendState()
        if (isNeeded) await this.#syncOnce()
      }
      this.#round = undefined
    } catch (error) {
      throw this.#fail('cannot sync', error)
    }
  }

  async #syncOnce(): Promise<void> {
    this.#syncingAppends = this.#appends
    this.#syncingIndex = this.#appendedIndex
    const tail = this.#tail
    while (this.#full.length > 0 && this.#full[0] !== tail) {
      const oldest = this.#full[0]!
      await this.#datasync(oldest)
      await this.#makeNameDurable(oldest)
      this.#closeFull(oldest)
    }
    if (!tail.isDone) await this.#datasync(tail)
    await this.#makeNameDurable(tail)
    this.#synced()
  }

  /** `#syncOnce`, blocking; the one that may be under way finds its work done. */
  #syncNow(): void {
    try {
      for (const segment of [...this.#full, this.#tail]) {
        segment.file.datasyncNow()
        this.#giveName(segment)
        if (segment.name === 'given') this.#disk.syncDirectoryNow(this.#dir)
        segment.name = 'durable'
        if (segment !== this.#tail) this.#closeFull(segment)
      }
    } catch (error) {
      throw this.#fail('cannot sync', error)
    }
    this.#syncingAppends = this.#appends
    this.#syncingIndex = this.#appendedIndex
    this.#synced()
  }

  async #datasync({ file }: OpenSegment): Promise<void> {
    if (this.#syncs === undefined) return file.datasync()
    const startMs = this.#syncs.clock.monotonicMs()
    await file.datasync()
    this.#syncs.observe(this.#syncs.clock.monotonicMs() - startMs)
  }

  async #makeNameDurable(segment: OpenSegment): Promise<void> {
    this.#giveName(segment)
    if (segment.name !== 'given') return
    await this.#disk.syncDirectory(this.#dir)
    segment.name = 'durable'
  }

  #giveName(segment: OpenSegment): void {
    if (segment.name !== 'temporary') return
    this.#disk.rename(segment.file.path, join(this.#dir, segment.segment.name))
    segment.name = 'given'
  }

  #closeFull(segment: OpenSegment): void {
    if (segment.isDone) return
    segment.isDone = true
    segment.file.close()
    this.#full.splice(this.#full.indexOf(segment), 1)
  }

  #synced(): void {
    this.#syncedAppends = Math.max(this.#syncedAppends, this.#syncingAppends)
    this.#durableIndex = Math.max(this.#durableIndex, this.#syncingIndex)
  }
}

function cannotFollow(entry: Entry, before: number): WalError {
  return new WalError('misuse', `wal: entry ${entry.index} cannot follow entry ${before}`)
}

/** Writes frames and, where they pass the end of the zeros, more zeros. @returns where these end */
function writeWithZeros(
  file: DiskFile,
  frames: Uint8Array,
  offset: number,
  zeroedTo: number,
  segmentBytes: number,
): number {
  const end = offset + frames.length
  if (end <= zeroedTo) {
    file.writeAt(frames, offset)
    return zeroedTo
  }
  const step = ZEROS.length
  const zerosEnd = Math.min(Math.ceil(end / step) * step, segmentBytes)
  if (zerosEnd <= end) {
    file.writeAt(frames, offset)
    return end
  }
  file.writeManyAt([frames, ZEROS.subarray(0, zerosEnd - end)], offset)
  return zerosEnd
}

/** Opens the last segment for writing, without what was cut off. */
function openTail(disk: Disk, dir: string, tail: ReplayedTail): DiskFile {
  const path = join(dir, tail.segment.name)
  if (tail.isTorn) keepCopy(disk, path, path + BROKEN_SUFFIX)
  const file = disk.open(path, 'write')
  if (tail.isTorn) file.truncate(tail.offset)
  return file
}

function keepCopy(disk: Disk, from: string, to: string): void {
  try {
    disk.writeFile(to, disk.readFile(from))
  } catch (error) {
    if (errorCode(error) !== 'ENOSPC') throw error
    // A full disk must not keep the member from starting, and the copy is of interest to people only.
    if (disk.exists(to)) disk.unlink(to)
  }
}

function removeFilesAndFolder(disk: Disk, dir: string): void {
  for (const name of disk.list(dir)) disk.unlink(join(dir, name))
  disk.removeDirectory(dir)
}
