/** What a simulated raft member keeps, in the real log and the real snapshot files on a simulated disk. */
import { type Clock, makeDurableDirectory } from '@etcd-ts/platform'
import type { HardState, Snapshot } from '@etcd-ts/raft'
import {
  type MemberStore,
  type SimRandom,
  StoreDamage,
  type StoreWrite,
  type StoredState,
  applyWrite,
  emptyState,
  holdsEntry,
  isBlank,
} from '@etcd-ts/raft/simulation'
import { SeededRandom, SimDisk, type SimDiskFault } from '@etcd-ts/testkit'
import { SnapshotStore, Wal, WalError } from '@etcd-ts/wal'

const DATA_DIR = '/data'
const WAL_DIR = `${DATA_DIR}/wal`
const DRAFT_DIR = `${WAL_DIR}.new`
const SNAP_DIR = `${DATA_DIR}/snap`
const SYNCS_MAX = 2
/** For `pointBeforeFile`. */
const LATE_FILE_MS = 20

/** Faults that can be planted on purpose under a member. */
export type StorePlant =
  /** One fdatasync in fifty does nothing. */
  | 'syncSkipped'
  /** Names of files are never made durable. */
  | 'namesNotSynced'
  /** A log that is damaged is cut off before the damage, and used. */
  | 'damageCutOff'
  /** The log says that there is a snapshot some time before there is a file. */
  | 'pointBeforeFile'

export interface WalStoreOptions {
  readonly clock: Clock
  readonly random: SimRandom
  readonly plant: StorePlant | undefined
  /** How many disks may still be damaged, of all members together. */
  readonly damages: { left: number }
  /** Told of what goes wrong while nobody waits for it. */
  failed(error: unknown): void
}

interface Damage {
  readonly path: string
  /** Where the frame starts. */
  readonly frameAt: number
}

/** One process on the store. */
interface Run {
  readonly disk: SimDisk
  readonly snapshots: SnapshotStore
  wal: Wal | undefined
  isDead: boolean
  /** Writes that wait for the one before them. */
  queue: { readonly number: number; readonly write: StoreWrite }[]
  isBusy: boolean
  /** Writes in the log that are not known to be durable. */
  unsynced: { readonly number: number; readonly write: StoreWrite }[]
  written: number
  appended: number
  synced: number
  syncsUnderWay: number
  hardState: HardState | undefined
}

/**
 * Writes as the server does: snapshots to their file first, then their point to the log; a new log under another name until it
 * is whole. Beside that it keeps in memory what must be durable, and compares when it is opened again.
 */
export class WalStore implements MemberStore {
  readonly #options: WalStoreOptions
  readonly #segmentBytes: number
  #disk: SimDisk
  #durable: StoredState = emptyState()
  #run: Run | undefined
  #damage: Damage | undefined
  #isCutOff = false

  constructor(options: WalStoreOptions) {
    this.#options = options
    this.#segmentBytes = options.random.pick([600, 2000, 10_000])
    this.#disk = new SimDisk({ clock: options.clock })
  }

  get durableState(): HardState {
    return this.#durable.hardState
  }

  get synced(): number {
    return this.#run?.synced ?? 0
  }

  holds(index: number, term: number): boolean {
    return holdsEntry(this.#durable, index, term)
  }

  open(): StoredState {
    const disk = this.#disk
    disk.injectFaults(({ operation }) => this.#fault(operation))
    makeDurableDirectory(disk, SNAP_DIR)
    const snapshots = new SnapshotStore(disk, SNAP_DIR)
    snapshots.removeTemporaries()
    const run: Run = {
      disk,
      snapshots,
      wal: undefined,
      isDead: false,
      queue: [],
      isBusy: false,
      unsynced: [],
      written: 0,
      appended: 0,
      synced: 0,
      syncsUnderWay: 0,
      hardState: undefined,
    }
    this.#run = run
    let found = emptyState()
    if (Wal.exists(disk, WAL_DIR)) found = this.#openLog(run)
    else if (!isBlank(this.#durable)) throw new Error('the log is gone')
    this.#compare(found)
    this.#durable = { ...found, entries: [...found.entries] }
    return found
  }

  #openLog(run: Run): StoredState {
    try {
      return this.#readLog(run)
    } catch (error) {
      if (!(error instanceof WalError) || this.#damage === undefined) throw error
      if (this.#options.plant !== 'damageCutOff' || this.#isCutOff) {
        throw new StoreDamage(error.message, { cause: error })
      }
      this.#isCutOff = true
      cutOff(run.disk, this.#damage)
      return this.#openLog(run)
    }
  }

  #readLog(run: Run): StoredState {
    const { disk, snapshots } = run
    const points = Wal.snapshotsIn(disk, WAL_DIR)
    const snapshot: Snapshot | undefined = snapshots.loadNewest(({ index, term }) =>
      points.some((point) => point.index === index && point.term === term),
    )
    const from = snapshot?.metadata ?? { index: 0, term: 0 }
    const { wal, hardState, entries } = Wal.open(disk, WAL_DIR, from, { segmentBytes: this.#segmentBytes })
    run.wal = wal
    run.hardState = hardState
    const last = entries.at(-1)?.index ?? from.index
    if (hardState !== undefined && (hardState.commit > last || hardState.commit < from.index)) {
      throw new Error(`the log covers ${from.index} to ${last}, but ${hardState.commit} is committed`)
    }
    return { hardState: hardState ?? emptyState().hardState, snapshot, entries }
  }

  /** What was durable is there; what was not may be as well. */
  #compare(found: StoredState): void {
    if (this.#options.plant !== undefined) return
    const before = this.#durable
    const { term, vote } = found.hardState
    const isVoteKept =
      term > before.hardState.term || (term === before.hardState.term && vote === before.hardState.vote)
    // A vote may have been given in the same term since.
    if (!isVoteKept && !(term === before.hardState.term && before.hardState.vote === 0n)) {
      throw new Error(`the vote is gone: ${before.hardState.vote} in term ${before.hardState.term}`)
    }
    const last = before.entries.at(-1)
    if (last === undefined || holdsEntry(found, last.index, last.term)) return
    const lastTerm = found.entries.at(-1)?.term ?? found.snapshot?.metadata.term ?? 0
    if (lastTerm <= last.term) throw new Error(`entry ${last.index} of term ${last.term} is gone`)
  }

  write(write: StoreWrite): number {
    const run = this.#running()
    const number = ++run.written
    run.queue.push({ number, write })
    this.#writeNext(run)
    return number
  }

  sync(upTo: number): void {
    const run = this.#running()
    const { wal } = run
    if (wal === undefined || run.appended < upTo || run.syncsUnderWay >= SYNCS_MAX) return
    const covered = run.appended
    run.syncsUnderWay++
    this.#unlessDead(run, async () => {
      await wal.sync()
      run.syncsUnderWay--
      this.#isDurable(run, covered)
    })
  }

  crash(random: SimRandom): void {
    const run = this.#running()
    run.isDead = true
    this.#run = undefined
    if (random.chance(5) && this.#options.damages.left > 0 && this.#damage === undefined) {
      this.#disk = run.disk.kill()
      this.#damage = damage(this.#disk, random)
      if (this.#damage !== undefined) this.#options.damages.left--
    } else if (random.chance(20)) {
      this.#disk = run.disk.kill()
    } else {
      this.#disk = run.disk.crash(new SeededRandom(random.below(2 ** 32)), { garbage: random.chance(50) })
    }
  }

  #running(): Run {
    if (this.#run === undefined) throw new Error('no process is running')
    return this.#run
  }

  #fault(operation: string): SimDiskFault | undefined {
    const { random, plant } = this.#options
    const isName = operation === 'syncDirectory'
    if (operation !== 'datasync' && !isName) return undefined
    if (isName ? plant === 'namesNotSynced' : plant === 'syncSkipped' && random.chance(2))
      return { lies: true }
    return random.chance(50) ? undefined : { latencyMs: random.below(6) }
  }

  /** Writes what is waiting, in order, as far as that can be done at once. */
  #writeNext(run: Run): void {
    while (!run.isBusy) {
      const next = run.queue.shift()
      if (next === undefined) return
      const { number, write } = next
      if (write.hardState !== undefined) run.hardState = write.hardState
      if (write.checkpoint !== undefined) knowCommitted(run, write.checkpoint.metadata.index)
      const snapshot = write.snapshot ?? write.checkpoint
      if (run.wal !== undefined && snapshot === undefined) {
        this.#append(run, number, write)
        continue
      }
      run.isBusy = true
      this.#unlessDead(run, async () => {
        if (snapshot !== undefined && this.#options.plant !== 'pointBeforeFile') {
          await run.snapshots.save(snapshot)
        }
        if (run.isDead) return
        if (run.wal === undefined) await this.#found(run, number, write)
        else this.#append(run, number, write)
        if (snapshot !== undefined && this.#options.plant === 'pointBeforeFile') {
          await this.#options.clock.sleep(LATE_FILE_MS)
          await run.snapshots.save(snapshot)
        }
        if (run.isDead) return
        run.isBusy = false
        this.#writeNext(run)
        if (write.checkpoint !== undefined) await this.#discard(run, write.checkpoint)
      })
    }
  }

  #append(run: Run, number: number, write: StoreWrite): void {
    const { entries = [], snapshot, checkpoint } = write
    run.wal!.append(run.hardState, entries, (snapshot ?? checkpoint)?.metadata)
    run.appended = number
    run.unsynced.push({ number, write })
  }

  /** The first write makes the log. */
  async #found(run: Run, number: number, write: StoreWrite): Promise<void> {
    const { disk } = run
    if (disk.exists(DRAFT_DIR)) removeFolder(disk, DRAFT_DIR)
    const options = { segmentBytes: this.#segmentBytes }
    const draft = Wal.create(disk, DRAFT_DIR, { ...options, metadata: Uint8Array.of(1) })
    draft.append(run.hardState, write.entries ?? [], write.snapshot?.metadata)
    await draft.close()
    disk.rename(DRAFT_DIR, WAL_DIR)
    await disk.syncDirectory(DATA_DIR)
    if (run.isDead) return
    run.wal = Wal.open(disk, WAL_DIR, write.snapshot?.metadata ?? { index: 0, term: 0 }, options).wal
    run.appended = number
    run.unsynced.push({ number, write })
    this.#isDurable(run, number)
  }

  /** Removes what a snapshot has made superfluous. */
  async #discard(run: Run, { metadata }: Snapshot): Promise<void> {
    const wal = run.wal!
    const covered = run.appended
    await wal.sync()
    this.#isDurable(run, covered)
    wal.releaseTo(metadata.index)
    await wal.purge({ keep: 1 })
    await run.snapshots.purge({ keep: 2 })
  }

  #isDurable(run: Run, number: number): void {
    if (run.isDead) return
    while (run.unsynced.length > 0 && run.unsynced[0]!.number <= number) {
      applyWrite(this.#durable, run.unsynced.shift()!.write)
    }
    run.synced = Math.max(run.synced, number)
  }

  #unlessDead(run: Run, work: () => Promise<void>): void {
    void work().catch((error: unknown) => {
      if (!run.isDead) this.#options.failed(error)
    })
  }
}

/** What a snapshot of the member's own contains is committed, though that may be only about to be written. */
function knowCommitted(run: Run, index: number): void {
  const { hardState } = run
  if (hardState !== undefined && hardState.commit < index) run.hardState = { ...hardState, commit: index }
}

function removeFolder(disk: SimDisk, path: string): void {
  for (const name of disk.list(path)) disk.unlink(`${path}/${name}`)
  disk.removeDirectory(path)
}

function segmentsOf(disk: SimDisk): string[] {
  if (!disk.exists(WAL_DIR)) return []
  return disk.list(WAL_DIR).flatMap((name) => (name.endsWith('.wal') ? [`${WAL_DIR}/${name}`] : []))
}

/** Flips a bit of a frame that others follow, in a file all of which was synced or cannot have been lost. */
function damage(disk: SimDisk, random: SimRandom): Damage | undefined {
  const paths = segmentsOf(disk).filter((path) => !disk.mayHaveLostPower(path))
  if (paths.length === 0) return undefined
  const path = random.pick(paths)
  const frames = framesOf(disk.readFile(path)).slice(0, -1)
  if (frames.length === 0) return undefined
  const { start, end } = random.pick(frames)
  disk.damage(path, random.between(start, end - 1), (byte) => byte ^ (1 << random.below(8)))
  return { path, frameAt: start }
}

function cutOff(disk: SimDisk, { path, frameAt }: Damage): void {
  const file = disk.open(path, 'write')
  file.truncate(frameAt)
  file.close()
  for (const later of segmentsOf(disk)) if (later > path) disk.unlink(later)
}

function framesOf(bytes: Uint8Array): { start: number; end: number }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const frames: { start: number; end: number }[] = []
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = view.getUint32(at, true)
    if (length === 0) break
    const start = at
    at += 8 + Math.ceil(length / 8) * 8
    frames.push({ start, end: at })
  }
  return frames
}
