import { dirname, join } from 'node:path'
import { etcdserverpb, raftpb } from '@etcd-ts/api'
import type { Backend, LmdbBackendOptions } from '@etcd-ts/backend'
import {
  type Clock,
  DirectoryInUseError,
  type DirectoryLock,
  type Disk,
  makeDurableDirectory,
} from '@etcd-ts/platform'
import { type ConfState, type HardState, MemoryStorage, type Snapshot } from '@etcd-ts/raft'
import { SnapshotStore, Wal, type WalOptions } from '@etcd-ts/wal'
import type { ServerConfig } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import type { Counters } from '../metrics/index.ts'
import { Cluster } from '../membership/cluster.ts'
import { hexId } from '../membership/ids.ts'
import { memberJson } from '../membership/member.ts'
import { restoreV2Snapshot } from '../membership/v2-snapshot.ts'
import { type InitialMembers, initialMembers } from './initial-members.ts'

/** What a member finds, or makes, in its data folder. */
export interface OpenStorage {
  readonly memberId: bigint
  readonly cluster: Cluster
  readonly wal: Wal
  readonly snapshots: SnapshotStore
  readonly backend: Backend
  /** The log in memory, as the WAL and the newest snapshot hold it. */
  readonly log: MemoryStorage
  /** Index of the newest snapshot, 0 for none. */
  readonly snapshotIndex: number
  readonly confState: ConfState
  /** What the backend holds: the index and term of the last entry whose effects are in it. */
  readonly consistent: { readonly index: number; readonly term: number }
  close(): Promise<void>
}

/** What opening needs of the world. */
export interface StoragePorts {
  readonly disk: Disk
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Counters
  /** Where a segment of the log ends; etcd's size unless told. */
  readonly walSegmentBytes?: number
  /** Opens the state's file, or makes it. @throws BackendError */
  readonly openBackend: (options: LmdbBackendOptions) => Backend
  /** The backend cannot write any more: the member must stop. */
  writeFailed(error: Error): void
}

const LOCK_RETRY_MS = 100
/** Bytes that may wait to be written to the backend: above it writes are refused until the disk has caught up. */
export const BACKEND_PENDING_BYTES_MAX = 256 * 1024 * 1024

function counter(backend: Backend, name: string): number {
  const bytes = backend.get('meta', Buffer.from(name))
  return bytes === undefined ? 0 : Number(Buffer.from(bytes).readBigUInt64BE())
}

/** Locations inside the data folder, as etcd lays it out. */
export function pathsOf(config: ServerConfig): { member: string; wal: string; snap: string; db: string } {
  const member = join(config.dataDir, 'member')
  const snap = join(member, 'snap')
  return {
    member,
    wal: config.walDir === '' ? join(member, 'wal') : config.walDir,
    snap,
    db: join(snap, 'db'),
  }
}

/**
 * Opens the data folder, or makes a new one from the initial cluster.
 *
 * @throws WalError, BackendError, ConfigError: the folder cannot or may not be used
 */
export async function openStorage(config: ServerConfig, ports: StoragePorts): Promise<OpenStorage> {
  const { disk } = ports
  const paths = pathsOf(config)
  makeDurableDirectory(disk, paths.snap)
  const lock = await takeFolder(paths.member, ports)
  try {
    return await openLocked(config, ports, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Waits, as etcd does, for another process to give the folder up: a restart may overlap with the end of the last run. */
async function takeFolder(path: string, { disk, clock, logger }: StoragePorts): Promise<DirectoryLock> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      return disk.lockDirectory(path)
    } catch (error) {
      if (!(error instanceof DirectoryInUseError)) throw error
      if (isFirst) {
        logger.warn('another process holds the data directory; waiting for it to exit', {
          path,
          error: error.message,
        })
      }
      await clock.sleep(LOCK_RETRY_MS)
    }
  }
}

async function openLocked(
  config: ServerConfig,
  ports: StoragePorts,
  lock: DirectoryLock,
): Promise<OpenStorage> {
  const { disk, clock, logger } = ports
  const paths = pathsOf(config)
  const hasLog = Wal.exists(disk, paths.wal)
  // Everything that can be wrong with a new member is found before a file is made.
  const initial = hasLog ? undefined : await initialMembers(config)
  if (initial !== undefined && initial.members.length > 1) {
    throw new Error('this release runs clusters of one member: --initial-cluster names several')
  }
  const snapshots = new SnapshotStore(disk, paths.snap)
  snapshots.removeTemporaries()
  const backend = ports.openBackend({
    path: paths.db,
    clock,
    batchIntervalMs: config.backendBatchIntervalMs,
    batchLimit: config.backendBatchLimit,
    pendingBytesMax: BACKEND_PENDING_BYTES_MAX,
    onCommitted: (durationMs) => ports.metrics.disk.backendCommitSeconds.observe(durationMs / 1000),
    onWriteFailed: (error) => ports.writeFailed(error),
  })
  const consistent = { index: counter(backend, 'consistent_index'), term: counter(backend, 'term') }
  const log = new MemoryStorage()
  try {
    const { walFsyncSeconds } = ports.metrics.disk
    const walOptions: WalOptions = {
      syncs: { clock, observe: (durationMs) => walFsyncSeconds.observe(durationMs / 1000) },
      ...(ports.walSegmentBytes === undefined ? {} : { segmentBytes: ports.walSegmentBytes }),
    }
    if (initial !== undefined) {
      if (consistent.index > 0) {
        throw new Error(
          `${paths.db} holds data, but there is no log in ${paths.wal}: one of the two was moved or removed`,
        )
      }
      await createLog(disk, paths.wal, initial, walOptions)
    }
    const opened = restore(paths, disk, snapshots, log, walOptions)
    if (consistent.index < opened.snapshotIndex) {
      throw new Error(
        `the backend (${paths.db}) ends at entry ${consistent.index}, before the snapshot at ${opened.snapshotIndex}: it is not the one that belongs to this log`,
      )
    }
    checkSameMember(backend, opened.memberId, paths)
    // An entry is applied once it is durable in the log: a log that ends before it is not whole.
    if (consistent.index > log.lastIndex()) {
      throw new Error(
        `the log in ${paths.wal} ends at entry ${log.lastIndex()}, but the backend (${paths.db}) holds entry ${consistent.index}: the log has lost entries`,
      )
    }
    logger.info(hasLog ? 'restarting local member' : 'starting local member', {
      'cluster-id': hexId(opened.cluster.id),
      'local-member-id': hexId(opened.memberId),
      'commit-index': log.initialState().hardState.commit,
    })
    return {
      ...opened,
      snapshots,
      backend,
      log,
      confState: log.initialState().confState,
      consistent,
      async close() {
        try {
          await opened.wal.close()
        } finally {
          await backend.close().finally(() => lock.release())
        }
      },
    }
  } catch (error) {
    await backend.close()
    throw error
  }
}

interface OpenedLog {
  readonly memberId: bigint
  readonly cluster: Cluster
  readonly wal: Wal
  readonly snapshotIndex: number
}

type Paths = ReturnType<typeof pathsOf>

/**
 * Makes the log of a new cluster, which begins with an entry for each member, committed by definition.
 *
 * It gets its name when it is whole: a log without these entries knows no voter, and would never have a leader.
 */
async function createLog(
  disk: Disk,
  path: string,
  initial: InitialMembers,
  options: WalOptions,
): Promise<void> {
  const { memberId, clusterId, members } = initial
  const draft = `${path}.new`
  if (disk.exists(draft)) removeFolder(disk, draft)
  const metadata = etcdserverpb.Metadata.encode({ NodeID: memberId, ClusterID: clusterId })
  const wal = Wal.create(disk, draft, { ...options, metadata })
  const entries = members.map((member, i) => {
    const type = raftpb.ConfChangeType.ConfChangeAddNode
    const context = Buffer.from(memberJson(member))
    const data = raftpb.ConfChange.encode({ id: 0n, type, nodeId: member.id, context })
    return { type: raftpb.EntryType.EntryConfChange, term: 1, index: i + 1, data }
  })
  wal.append({ term: 1, vote: 0n, commit: entries.length }, entries)
  await wal.close()
  disk.rename(draft, path)
  disk.syncDirectoryNow(dirname(path))
}

function removeFolder(disk: Disk, path: string): void {
  for (const name of disk.list(path)) disk.unlink(join(path, name))
  disk.removeDirectory(path)
}

function restore(
  paths: Paths,
  disk: Disk,
  snapshots: SnapshotStore,
  log: MemoryStorage,
  options: WalOptions,
): OpenedLog {
  const inLog = Wal.snapshotsIn(disk, paths.wal)
  const newest: Snapshot | undefined = snapshots.loadNewest((point) =>
    inLog.some((known) => known.index === point.index && known.term === point.term),
  )
  const from = newest?.metadata ?? { index: 0, term: 0 }
  const { index, term } = from
  const { wal, metadata, hardState, entries } = Wal.open(disk, paths.wal, { index, term }, options)
  const { NodeID: memberId, ClusterID: clusterId } = etcdserverpb.Metadata.decode(metadata)
  const cluster = new Cluster(clusterId)
  if (newest !== undefined) {
    log.applySnapshot(newest)
    restoreV2Snapshot(cluster, newest.data ?? new Uint8Array())
  }
  checkHardState(hardState, from.index, entries.at(-1)?.index ?? from.index, paths.wal)
  if (hardState !== undefined) log.setHardState(hardState)
  log.append(entries)
  return { memberId, cluster, wal, snapshotIndex: from.index }
}

/** The backend knows the members since the first entries: a log of another member, or cluster, is not its own. */
function checkSameMember(backend: Backend, memberId: bigint, paths: Paths): void {
  const id = Buffer.from(hexId(memberId))
  const knowsOthers = backend.range('members').length > 0
  const knowsUs = backend.get('members', id) !== undefined || backend.get('members_removed', id) !== undefined
  if (knowsOthers && !knowsUs) {
    throw new Error(
      `the log in ${paths.wal} is that of member ${hexId(memberId)}, which the backend (${paths.db}) does not know: one of the two is of another cluster`,
    )
  }
}

function checkHardState(state: HardState | undefined, first: number, last: number, wal: string): void {
  if (state === undefined || (state.commit >= first && state.commit <= last)) return
  throw new Error(
    `the log in ${wal} covers entries ${first} to ${last}, but says that ${state.commit} are committed`,
  )
}
