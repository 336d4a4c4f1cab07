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
import { type ConfState, MemoryStorage, type Snapshot } from '@etcd-ts/raft'
import { SnapshotStore, Wal, type WalOptions } from '@etcd-ts/wal'
import { type ConsistentIndex, readConsistentIndex } from '../apply/consistent-index.ts'
import type { ServerConfig } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import type { Counters } from '../metrics/index.ts'
import { Cluster } from '../membership/cluster.ts'
import { hexId } from '../membership/ids.ts'
import { type Member, memberJson } from '../membership/member.ts'
import { restoreV2Snapshot } from '../membership/v2-snapshot.ts'
import type { PeerHttp } from '../peer/peer-http.ts'
import { receivedDatabaseName, removeReceivedDatabases } from '../snapshots/received-database.ts'
import { type Start, decideStart } from './decide-start.ts'
import { forceNewCluster } from './force-new-cluster.ts'

/** What a member finds, or makes, in its data folder. */
export interface OpenStorage {
  readonly memberId: bigint
  readonly cluster: Cluster
  /** Whether there was a log. */
  readonly isRestart: boolean
  /** The other members of a cluster that is being joined, which the membership here does not hold yet. */
  readonly remotes: readonly Member[]
  readonly wal: Wal
  readonly snapshots: SnapshotStore
  readonly backend: Backend
  /** The log in memory, as the WAL and the newest snapshot hold it. */
  readonly log: MemoryStorage
  /** Index of the newest snapshot, 0 for none. */
  readonly snapshotIndex: number
  readonly confState: ConfState
  readonly consistent: ConsistentIndex
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
  /** Asks the other members when there is no log yet. */
  readonly peerHttp: PeerHttp
  /** The backend cannot write any more: the member must stop. */
  writeFailed(error: Error): void
}

const LOCK_RETRY_MS = 100
/** Bytes that may wait to be written to the backend: above it writes are refused until the disk has caught up. */
export const BACKEND_PENDING_BYTES_MAX = 256 * 1024 * 1024

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
  const start = hasLog ? undefined : await decideStart(config, ports)
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
  const log = new MemoryStorage()
  try {
    const { walFsyncSeconds } = ports.metrics.disk
    const walOptions: WalOptions = {
      syncs: { clock, observe: (durationMs) => walFsyncSeconds.observe(durationMs / 1000) },
      ...(ports.walSegmentBytes === undefined ? {} : { segmentBytes: ports.walSegmentBytes }),
    }
    if (start !== undefined) {
      if (readConsistentIndex(backend).index > 0) {
        throw new Error(
          `${paths.db} holds data, but there is no log in ${paths.wal}: one of the two was moved or removed`,
        )
      }
      await createLog(disk, paths.wal, start, walOptions)
    }
    const opened = restore(paths, disk, snapshots, log, walOptions, config.maxLearners)
    await useReceivedState(backend, opened.snapshotIndex, paths, disk, logger)
    const consistent = readConsistentIndex(backend)
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
    knowCommitted(log, consistent.index)
    if (config.forceNewCluster && hasLog) await makeNewCluster(opened, log, consistent.index, logger)
    logger.info(hasLog ? 'restarting local member' : 'starting local member', {
      'cluster-id': hexId(opened.cluster.id),
      'local-member-id': hexId(opened.memberId),
      'commit-index': log.initialState().hardState.commit,
    })
    return {
      ...opened,
      isRestart: hasLog,
      remotes: start?.kind === 'join' ? start.members.filter((member) => member.id !== opened.memberId) : [],
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
 * Makes the log of a member. That of a new cluster begins with an entry for each member, committed by definition; one that
 * joins is empty, and gets these entries, or a snapshot, from the leader.
 *
 * It gets its name when it is whole: a new cluster's log without these entries knows no voter, and would never have a leader.
 */
async function createLog(disk: Disk, path: string, start: Start, options: WalOptions): Promise<void> {
  const { memberId, clusterId } = start
  const members = start.kind === 'new' ? start.members : []
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
  if (entries.length > 0) wal.append({ term: 1, vote: 0n, commit: entries.length }, entries)
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
  learnersMax: number,
): OpenedLog {
  const inLog = Wal.snapshotsIn(disk, paths.wal)
  const newest: Snapshot | undefined = snapshots.loadNewest((point) =>
    inLog.some((known) => known.index === point.index && known.term === point.term),
  )
  const from = newest?.metadata ?? { index: 0, term: 0 }
  const { index, term } = from
  const { wal, metadata, hardState, entries } = Wal.open(disk, paths.wal, { index, term }, options)
  const { NodeID: memberId, ClusterID: clusterId } = etcdserverpb.Metadata.decode(metadata)
  const cluster = new Cluster(clusterId, learnersMax)
  if (newest !== undefined) {
    log.applySnapshot(newest)
    restoreV2Snapshot(cluster, newest.data ?? new Uint8Array())
  }
  if (hardState !== undefined) {
    // A snapshot is of committed entries, also where the log was not told so before a crash.
    const commit = Math.max(hardState.commit, from.index)
    checkCommit(commit, from.index, entries.at(-1)?.index ?? from.index, paths.wal)
    log.setHardState({ ...hardState, commit })
  }
  log.append(entries)
  return { memberId, cluster, wal, snapshotIndex: from.index }
}

/**
 * Finishes what a crash interrupted after a snapshot had been received and was in the log: its state replaces the older one.
 * States that were received and that no snapshot in the log vouches for are removed.
 */
async function useReceivedState(
  backend: Backend,
  snapshotIndex: number,
  paths: Paths,
  disk: Disk,
  logger: Logger,
): Promise<void> {
  removeReceivedDatabases(disk, paths.snap, (index) => index === snapshotIndex)
  const received = join(paths.snap, receivedDatabaseName(snapshotIndex))
  if (readConsistentIndex(backend).index >= snapshotIndex || !disk.exists(received)) return
  logger.info('finishing the installation of a received snapshot', {
    'snapshot-index': snapshotIndex,
    path: received,
  })
  await backend.install(received)
}

/** Makes this member the only one of its cluster (`--force-new-cluster`), as entries that follow what is committed. */
async function makeNewCluster(
  opened: OpenedLog,
  log: MemoryStorage,
  appliedIndex: number,
  logger: Logger,
): Promise<void> {
  const { hardState, confState } = log.initialState()
  const first = log.firstIndex()
  const entries = log.entries(first, log.lastIndex() + 1, Infinity)
  const forced = forceNewCluster({ memberId: opened.memberId, hardState, confState, entries, appliedIndex })
  logger.info('forcing restart member', {
    'cluster-id': hexId(opened.cluster.id),
    'local-member-id': hexId(opened.memberId),
    'commit-index': forced.hardState.commit,
  })
  opened.wal.append(forced.hardState, forced.append)
  await opened.wal.sync()
  log.append(forced.append)
  log.setHardState(forced.hardState)
}

/**
 * What the backend holds was committed, also where the log was not told so before the power went. Without that a leader
 * might wait for votes of members that are none any more, and could not send its state to those that lack it.
 */
function knowCommitted(log: MemoryStorage, index: number): void {
  const { hardState } = log.initialState()
  if (index > hardState.commit) log.setHardState({ ...hardState, commit: index })
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

function checkCommit(commit: number, first: number, last: number, wal: string): void {
  if (commit <= last) return
  throw new Error(
    `the log in ${wal} covers entries ${first} to ${last}, but says that ${commit} are committed`,
  )
}
