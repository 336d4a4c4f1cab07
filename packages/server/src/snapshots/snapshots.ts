import { join } from 'node:path'
import type { Backend, BackendImporter } from '@etcd-ts/backend'
import type { Clock, Disk } from '@etcd-ts/platform'
import type { Entry, MemoryStorage, Message, Snapshot } from '@etcd-ts/raft'
import type { SnapshotStore, Wal } from '@etcd-ts/wal'
import type { Applier } from '../apply/applier.ts'
import type { Logger } from '../log/index.ts'
import { hexId } from '../membership/ids.ts'
import type { PeerTransport } from '../peer/transport.ts'
import { receivedDatabaseName, removeReceivedDatabases, writeDatabase } from './received-database.ts'

/** Followers that may be sent the state at one time. */
const SENDING_MAX = 16
/** How long the log is kept whole after a snapshot was sent, so that it reaches back to it. */
const KEEP_LOG_AFTER_SENDING_MS = 30_000

export interface SnapshotsOptions {
  readonly memberId: bigint
  /** The folder of snapshot files and of the state. */
  readonly folder: string
  readonly disk: Disk
  readonly clock: Clock
  readonly logger: Logger
  readonly wal: Wal
  readonly snapshots: SnapshotStore
  readonly backend: Backend
  readonly log: MemoryStorage
  readonly applier: Applier
  readonly transport: PeerTransport
  readonly importBackend: BackendImporter
  /** Entries between two snapshots, and those kept in the log behind one. */
  readonly snapshotCount: number
  readonly catchupEntries: number
  readonly ports: SnapshotPorts
}

export interface SnapshotPorts {
  appliedIndex(): number
  /** The membership as the document inside a raft snapshot. */
  v2Snapshot(): Uint8Array
  /** Hands a received `MsgSnap`, whose database is in place, to raft. */
  step(message: Message): void
  /** Tells raft how sending a snapshot went. */
  reportSnapshot(id: bigint, isDelivered: boolean): void
  /** Takes over the state in the data file at `path`, and the membership and configuration of `snapshot`. */
  replaceState(path: string, snapshot: Snapshot): Promise<void>
  failed(error: unknown): void
}

/**
 * Raft snapshots: taken of the own state so that the log can be cut, sent to followers that the log does not reach any more,
 * received from the leader and installed.
 *
 * A snapshot is a `.snap` file (index, configuration, membership) and, for another member, the state as a bbolt file.
 */
export class Snapshots {
  readonly #options: SnapshotsOptions
  /** Index of the newest snapshot, own or received. */
  #index: number
  #taking: Promise<void> | undefined
  readonly #sendingTo = new Set<bigint>()
  #keepLogUntilMs = 0
  #receiving = false

  constructor(options: SnapshotsOptions, index: number) {
    this.#options = options
    this.#index = index
  }

  /** Resolves when no snapshot is being taken. */
  async idle(): Promise<void> {
    await this.#taking
  }

  /** Takes a snapshot if the log behind the last one has grown enough; `last` is the entry applied last. */
  applied(last: Entry): void {
    if (this.#taking !== undefined || last.index - this.#index <= this.#options.snapshotCount) return
    this.#taking = this.#take(last)
      .catch((error: unknown) => this.#options.ports.failed(error))
      .finally(() => {
        this.#taking = undefined
      })
  }

  /** Writes a snapshot of everything up to `last`, so that the log before it is not needed any more. */
  async #take({ index, term }: Entry): Promise<void> {
    const { backend, snapshots, wal, log, logger, applier, catchupEntries, clock, ports } = this.#options
    const { confState } = applier
    const data = ports.v2Snapshot()
    // The state that the snapshot stands for is the backend's, which must therefore be on the disk first.
    await backend.commit()
    await snapshots.save({ data, metadata: { confState, index, term } })
    // With the commit index, without which the log would not vouch for the snapshot.
    wal.append(log.initialState().hardState, [], { index, term, confState })
    await wal.sync()
    wal.releaseTo(index)
    log.createSnapshot(index, confState, data)
    this.#index = index
    logger.info('saved snapshot', { 'snapshot-index': index })
    if (this.#sendingTo.size > 0 || clock.monotonicMs() < this.#keepLogUntilMs) return
    const compactIndex = index - catchupEntries
    if (compactIndex >= log.firstIndex()) log.compact(compactIndex)
  }

  /** Sends a follower the state as it is now, which is newer than what raft's `message` asks for. */
  send(message: Message): void {
    const { backend, applier, transport, logger, memberId, ports } = this.#options
    const { to } = message
    // After a restart the backend may be ahead of the membership, until the log has been applied up to it.
    const isBehind = ports.appliedIndex() < applier.consistentIndex
    if (isBehind || this.#sendingTo.has(to) || this.#sendingTo.size >= SENDING_MAX) {
      ports.reportSnapshot(to, false)
      return
    }
    const { confState, consistentIndex: index, consistentTerm: term } = applier
    const snapshot: Snapshot = { data: ports.v2Snapshot(), metadata: { confState, index, term } }
    this.#sendingTo.add(to)
    logger.info('sending database snapshot', {
      from: hexId(memberId),
      to: hexId(to),
      'snapshot-index': index,
    })
    backend.exportBbolt().then(
      (database) => transport.sendSnapshot({ ...message, snapshot }, database),
      (error: unknown) => {
        logger.warn('failed to read the state for a snapshot', { to: hexId(to), error: String(error) })
        this.sent(to, false)
      },
    )
  }

  /** What became of a snapshot that was handed to the transport. */
  sent(id: bigint, isDelivered: boolean): void {
    const { clock, ports } = this.#options
    this.#sendingTo.delete(id)
    this.#keepLogUntilMs = clock.monotonicMs() + KEEP_LOG_AFTER_SENDING_MS
    ports.reportSnapshot(id, isDelivered)
  }

  /**
   * Stores the state that comes with a `MsgSnap` beside the present one, and hands the message to raft.
   *
   * @throws Error when the transfer breaks off, the file is damaged, or does not belong to the snapshot: nothing is left then
   */
  async receive(message: Message, database: AsyncIterable<Uint8Array>): Promise<void> {
    const { folder, disk, logger, importBackend, ports } = this.#options
    const index = message.snapshot?.metadata.index ?? 0
    if (this.#receiving) throw new Error('another snapshot is being received')
    this.#receiving = true
    try {
      const name = receivedDatabaseName(index)
      const path = join(folder, name)
      if (index > ports.appliedIndex() && !disk.exists(path)) {
        logger.info('receiving database snapshot', { from: hexId(message.from), 'snapshot-index': index })
        const draft = join(folder, `tmp.${name}`)
        try {
          const bytes = await writeDatabase(disk, draft, database)
          const { consistentIndex } = await importBackend({ source: draft, target: path })
          if (consistentIndex !== index) {
            disk.unlink(path)
            throw new Error(
              `the database ends at entry ${consistentIndex}, but its snapshot is of entry ${index}`,
            )
          }
          logger.info('received and saved database snapshot', {
            from: hexId(message.from),
            'snapshot-index': index,
            'incoming-snapshot-size-bytes': bytes,
          })
        } finally {
          if (disk.exists(draft)) disk.unlink(draft)
        }
      }
      ports.step(message)
    } finally {
      this.#receiving = false
    }
  }

  /** Makes the file of a received snapshot durable. */
  async save({ data, metadata }: Snapshot): Promise<void> {
    await this.#taking
    await this.#options.snapshots.save({ ...(data === undefined ? {} : { data }), metadata })
  }

  /** Makes the state of a received snapshot, which the log holds already, this member's. */
  async install(snapshot: Snapshot): Promise<void> {
    const { folder, disk, logger, wal, memberId, ports } = this.#options
    const { index } = snapshot.metadata
    logger.info('applying snapshot', {
      'current-applied-index': ports.appliedIndex(),
      'incoming-leader-snapshot-index': index,
    })
    await ports.replaceState(join(folder, receivedDatabaseName(index)), snapshot)
    this.#index = index
    wal.releaseTo(index)
    // Raft may have taken none of those that came before.
    removeReceivedDatabases(disk, folder, (other) => other > index)
    logger.info('applied snapshot', { 'local-member-id': hexId(memberId), 'snapshot-index': index })
  }
}
