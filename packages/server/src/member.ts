import { ApiError, type Codec, etcdserverpb, raftpb } from '@etcd-ts/api'
import type { Backend, LmdbBackendOptions } from '@etcd-ts/backend'
import type { Method, ServiceTable } from '@etcd-ts/grpc'
import { MvccStore } from '@etcd-ts/mvcc'
import type { Clock, Disk, Random, Timer } from '@etcd-ts/platform'
import { type Entry, RawNode, raftStateName } from '@etcd-ts/raft'
import { Alarms, alarmName } from './apply/alarms.ts'
import { Applier } from './apply/applier.ts'
import { Quota } from './apply/quota.ts'
import { BACKEND_PENDING_BYTES_MAX, type OpenStorage, openStorage } from './bootstrap/open-storage.ts'
import { runPeriodicCompaction, runRevisionCompaction } from './compactor/auto-compaction.ts'
import { COMPAT_CLUSTER_VERSION, COMPAT_VERSION, type ServerConfig } from './config/index.ts'
import type { HealthSource } from './http/health.ts'
import type { Logger } from './log/index.ts'
import type { Cluster } from './membership/cluster.ts'
import { hexId } from './membership/ids.ts'
import { attributesJson } from './membership/member.ts'
import { encodeV2Snapshot } from './membership/v2-snapshot.ts'
import { type Counters } from './metrics/index.ts'
import { fillFromMember } from './metrics/fill.ts'
import { ProposalField, encodeProposal } from './propose/entry-codec.ts'
import { Proposals, type Waiter } from './propose/proposals.ts'
import { type PendingRead, ReadIndex } from './propose/read-index.ts'
import { RequestIds } from './propose/request-id.ts'
import { RaftLoop } from './raft/raft-loop.ts'
import { clusterService } from './rpc/cluster.ts'
import type { HeaderSource } from './rpc/header.ts'
import { healthService } from './rpc/health.ts'
import { kvService } from './rpc/kv.ts'
import { maintenanceService } from './rpc/maintenance.ts'
import { ResponseWriter } from './rpc/response-writer.ts'

/** The world around a member. */
export interface MemberPorts {
  readonly disk: Disk
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: Counters
  /** Where a segment of the log ends; etcd's size unless told. */
  readonly walSegmentBytes?: number
  readonly openBackend: (options: LmdbBackendOptions) => Backend
  /** The member cannot go on (a failed sync, a broken invariant) and has stopped. */
  fatal(error: unknown): void
}

const REQUEST_TIMEOUT_BASE_MS = 5000
const EXPIRY_SWEEP_MS = 100
const PURGE_INTERVAL_MS = 30_000
const RAFT_MESSAGE_BYTES_MAX = 1024 * 1024
const INFLIGHT_MESSAGES_MAX = 512

/**
 * One member of a cluster: its storage, its raft node, its state and the services over them; no sockets.
 *
 * `Member.open` restores the state, `run` joins in, `stop` ends it. Everything between runs on one thread.
 */
export class Member {
  readonly id: bigint
  readonly cluster: Cluster
  readonly services: ServiceTable
  readonly store: MvccStore
  readonly health: HealthSource
  readonly #config: ServerConfig
  readonly #ports: MemberPorts
  readonly #storage: OpenStorage
  readonly #alarms: Alarms
  readonly #quota: Quota
  readonly #requestIds: RequestIds
  readonly #proposals = new Proposals()
  readonly #reads: ReadIndex
  readonly #node: RawNode
  readonly #applier: Applier
  readonly #loop: RaftLoop
  readonly #stopping = new AbortController()
  #background: Promise<void>[] = []
  #timers: Timer[] = []
  #snapshotIndex: number
  #snapshotting = false
  #outOfSpaceRaised = false

  private constructor(config: ServerConfig, ports: MemberPorts, storage: OpenStorage, store: MvccStore) {
    const { clock, logger } = ports
    this.#config = config
    this.#ports = ports
    this.#storage = storage
    this.store = store
    this.id = storage.memberId
    this.cluster = storage.cluster
    this.#snapshotIndex = storage.snapshotIndex
    this.#alarms = new Alarms(storage.backend)
    this.#quota = new Quota(config.quotaBackendBytes, () => storage.backend.sizeProjected())
    this.#requestIds = new RequestIds(this.id, clock.wallMs())
    this.#reads = new ReadIndex(() => this.#requestIds.next())
    this.#node = new RawNode({
      id: this.id,
      electionTicks: Math.floor(config.electionTimeoutMs / config.heartbeatIntervalMs),
      heartbeatTicks: 1,
      storage: storage.log,
      applied: storage.snapshotIndex,
      asyncStorageWrites: true,
      maxSizePerMessage: RAFT_MESSAGE_BYTES_MAX,
      maxInflightMessages: INFLIGHT_MESSAGES_MAX,
      checkQuorum: true,
      preVote: config.preVote,
      random: ports.random,
      // Its lines of level info come with every few entries; changes of leadership are logged here.
      logger: { warn: (text) => logger.warn(text), error: (text) => logger.error(text) },
    })
    this.#applier = new Applier(
      {
        memberId: this.id,
        cluster: this.cluster,
        store,
        backend: storage.backend,
        alarms: this.#alarms,
        quota: this.#quota,
        requestIds: this.#requestIds,
        proposals: this.#proposals,
        logger,
        metrics: ports.metrics,
        ports: {
          applyConfChange: (change) => this.#node.applyConfChange(change),
          outOfSpace: () => this.#raiseOutOfSpace(),
          termStarted: () => this.#loop.wake(),
          clusterVersionChanged: (version) => this.#logClusterVersion(version),
        },
      },
      { ...storage.consistent, confState: storage.confState },
    )
    this.#loop = new RaftLoop(
      {
        memberId: this.id,
        node: this.#node,
        storage: storage.log,
        wal: storage.wal,
        clock,
        heartbeatMs: config.heartbeatIntervalMs,
        proposals: this.#proposals,
        reads: this.#reads,
        ports: {
          apply: (entries) => this.#apply(entries),
          send: () => {},
          leadershipChanged: (leader, isLeader) => this.#leadershipChanged(leader, isLeader),
          isOnlyVoter: () => this.#isOnlyVoter(),
          fatal: (error) => this.#fail(error),
        },
      },
      storage.snapshotIndex,
    )
    storage.backend.setCommitHook(() => this.#writeConsistentIndex())
    this.services = new Map(this.#methods())
    this.health = this.#healthSource()
  }

  /**
   * Opens the data folder (or makes a new one) and restores the state; answers nobody yet.
   *
   * @throws when the folder is in use, damaged, of another cluster, or contradicts the configuration
   */
  static async open(config: ServerConfig, ports: MemberPorts): Promise<Member> {
    let member: Member | undefined
    const failed = (error: unknown): void => {
      if (member === undefined) ports.fatal(error)
      else member.#fail(error)
    }
    const storage = await openStorage(config, { ...ports, writeFailed: failed })
    try {
      const store = await MvccStore.open({
        backend: storage.backend,
        clock: ports.clock,
        random: ports.random,
        compactionBatchRows: config.compactionBatchLimit,
        compactionPauseMs: config.compactionSleepIntervalMs,
        onFailed: failed,
        onCompacted: ({ revision, tookMs }) => {
          ports.metrics.mvcc.lastCompactionSeconds = ports.clock.wallMs() / 1000
          ports.metrics.mvcc.compactionTotalMs.observe(tookMs)
          ports.logger.info('finished scheduled compaction', {
            'compact-revision': revision,
            took: `${tookMs.toFixed(3)}ms`,
          })
        },
      })
      member = new Member(config, ports, storage, store)
      return member
    } catch (error) {
      await storage.close()
      throw error
    }
  }

  /** Joins in: resolves once this member has published itself and the cluster's version is known. */
  async run(): Promise<void> {
    if (this.cluster.version !== undefined) this.#logClusterVersion(this.cluster.version)
    this.#every(EXPIRY_SWEEP_MS, () => this.#expire())
    this.#every(PURGE_INTERVAL_MS, () => this.#purge())
    this.#loop.start()
    await this.#publish()
    await this.#settleClusterVersion()
    // From the first client on the backend knows whose it is, so that a log of another cluster is told from its own.
    if (!this.#stopping.signal.aborted) await this.#storage.backend.commit()
    if (!this.#stopping.signal.aborted) this.#startCompactor()
  }

  /** Answers no more, writes what is buffered and closes the files. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const timer of this.#timers) timer.cancel()
    this.#loop.stop()
    const stopped = new ApiError('stopped')
    this.#proposals.rejectAll(stopped)
    this.#reads.rejectAll(stopped)
    await Promise.allSettled(this.#background)
    try {
      this.#loop.saveCommit()
      await this.store.close()
    } finally {
      await this.#storage.close()
    }
  }

  /** Brings the counters that mirror this member's state up to date. */
  fillMetrics(): void {
    fillFromMember(this.#ports.metrics, {
      memberId: this.id,
      cluster: this.cluster,
      store: this.store,
      backend: this.#storage.backend,
      loop: this.#loop,
      quotaBytes: this.#quota.limitBytes,
      waitingProposals: () => this.#proposals.size,
      walBytes: () => this.#storage.wal.bytesWritten,
    })
  }

  /** What `/debug/vars` shows. */
  debugVars(): Readonly<Record<string, unknown>> {
    const { hardState, raftState, applied, leadTransferee, lead } = this.#node.basicStatus()
    return {
      cmdline: process.argv,
      memstats: process.memoryUsage(),
      'raft.status': {
        id: hexId(this.id),
        term: hardState.term,
        vote: hexId(hardState.vote),
        commit: hardState.commit,
        lead: hexId(lead),
        raftState: raftStateName(raftState),
        applied,
        leadtransferee: hexId(leadTransferee),
      },
    }
  }

  #methods(): [path: string, method: Method][] {
    const header: HeaderSource = {
      clusterId: this.cluster.id,
      memberId: this.id,
      term: () => this.#loop.term,
      revision: () => this.store.revision,
    }
    return [
      ...kvService({
        store: this.store,
        writer: new ResponseWriter(this.cluster.id, this.id),
        txnOpsMax: this.#config.maxTxnOps,
        metrics: this.#ports.metrics,
        term: () => this.#loop.term,
        deadlineMs: () => this.#deadlineMs(),
        propose: (field, codec, request, waiter) => this.#propose(field, codec, request, waiter),
        readLinearizable: (read) => this.#readLinearizable(read),
        reserve: (cost) => this.#reserve(cost),
      }),
      ...clusterService({ header, cluster: this.cluster, catchUp: () => this.#catchUp() }),
      ...maintenanceService({
        header,
        store: this.store,
        backend: this.#storage.backend,
        alarms: this.#alarms,
        logger: this.#ports.logger,
        version: COMPAT_VERSION,
        proposeAlarm: (request) => this.#proposeAlarm(request),
        raftStatus: () => ({
          leader: this.#loop.leader,
          committedIndex: this.#loop.committedIndex,
          appliedIndex: this.#loop.appliedIndex,
          isLearner: this.cluster.member(this.id)?.isLearner ?? false,
        }),
      }),
      ...healthService(),
    ]
  }

  #healthSource(): HealthSource {
    const firstKey = etcdserverpb.RangeRequest.create({
      key: new Uint8Array(1),
      rangeEnd: new Uint8Array(1),
      limit: 1n,
      keysOnly: true,
    })
    return {
      activeAlarms: () => this.#alarms.list().map((alarm) => alarmName(alarm.alarm)),
      hasLeader: () => this.#loop.leader !== 0n,
      isLearner: () => this.cluster.member(this.id)?.isLearner ?? false,
      read: async ({ serializable }) => {
        if (!serializable) await this.#catchUp()
        this.store.range(firstKey)
      },
    }
  }

  get #requestTimeoutMs(): number {
    return REQUEST_TIMEOUT_BASE_MS + 2 * this.#config.electionTimeoutMs
  }

  #deadlineMs(): number {
    return this.#ports.clock.monotonicMs() + this.#requestTimeoutMs
  }

  #propose<Message, Init>(field: number, codec: Codec<Message, Init>, request: Init, waiter: Waiter): void {
    const requestId = this.#requestIds.next()
    const data = encodeProposal(this.#requestIds, requestId, field, codec, request)
    if (data.length > this.#config.maxRequestBytes) throw new ApiError('requestTooLarge')
    this.#submit(requestId, data, waiter)
  }

  #submit(requestId: number, data: Uint8Array, waiter: Waiter): void {
    if (this.#stopping.signal.aborted) throw new ApiError('stopped')
    this.#proposals.register(requestId, waiter, data.length)
    this.#loop.propose(requestId, { type: raftpb.EntryType.EntryNormal, term: 0, index: 0, data })
  }

  /** A promise of what applying the proposal gives, for the calls that are rare. */
  #proposed<Result>(submit: (waiter: Waiter<Result>) => void): Promise<Result> {
    return new Promise((resolve, reject) => {
      submit({ deadlineMs: this.#deadlineMs(), entryBytes: 0, applied: resolve, failed: reject })
    })
  }

  #proposeAlarm(request: etcdserverpb.AlarmRequest): Promise<etcdserverpb.AlarmMember[]> {
    return this.#proposed((waiter: Waiter<etcdserverpb.AlarmMember[]>) =>
      this.#propose(ProposalField.alarm, etcdserverpb.AlarmRequest, request, waiter as Waiter),
    )
  }

  /** A v2 request: how members of 3.5 publish themselves and the cluster's version. */
  #proposeV2(path: string, value: string): Promise<void> {
    return this.#proposed((waiter: Waiter<void>) => {
      const requestId = this.#requestIds.next()
      const request = { ID: this.#requestIds.full(requestId), Method: 'PUT', Path: path, Val: value }
      this.#submit(requestId, etcdserverpb.Request.encode(request), waiter as Waiter)
    })
  }

  #readLinearizable(read: PendingRead): void {
    if (this.#stopping.signal.aborted) throw new ApiError('stopped')
    this.#reads.add(read)
    this.#loop.wake()
  }

  #catchUp(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#readLinearizable({ deadlineMs: this.#deadlineMs(), ready: resolve, failed: reject })
    })
  }

  #reserve(cost: number): void {
    if (!this.#quota.allows(cost)) {
      this.#raiseOutOfSpace()
      throw new ApiError('noSpace')
    }
    const { backend } = this.#storage
    if (backend.pendingBytes() > BACKEND_PENDING_BYTES_MAX) throw new ApiError('tooManyRequests')
  }

  #raiseOutOfSpace(): void {
    if (this.#outOfSpaceRaised) return
    this.#outOfSpaceRaised = true
    const request = etcdserverpb.AlarmRequest.create({
      action: etcdserverpb.AlarmAction.ACTIVATE,
      memberID: this.id,
      alarm: etcdserverpb.AlarmType.NOSPACE,
    })
    this.#track(
      this.#proposeAlarm(request)
        .catch((error: unknown) =>
          this.#ports.logger.warn('failed to raise alarm', { alarm: 'NOSPACE', error: String(error) }),
        )
        .then(() => {
          this.#outOfSpaceRaised = false
        }),
    )
  }

  #isOnlyVoter(): boolean {
    const { voters, votersOutgoing } = this.#applier.confState
    return voters.length === 1 && voters[0] === this.id && votersOutgoing.length === 0
  }

  #apply(entries: readonly Entry[]): void {
    this.#applier.apply(entries)
    const last = entries[entries.length - 1]
    if (last !== undefined && last.index - this.#snapshotIndex > this.#config.snapshotCount)
      this.#takeSnapshot(last)
  }

  /** Writes a snapshot of everything up to `last`, so that the log before it is not needed any more. */
  #takeSnapshot(last: Entry): void {
    if (this.#snapshotting) return
    this.#snapshotting = true
    const { wal, snapshots, backend, log } = this.#storage
    const { confState } = this.#applier
    const data = encodeV2Snapshot(this.cluster)
    const { index, term } = last
    const write = async (): Promise<void> => {
      // The state that the snapshot stands for is the backend's, which must therefore be on the disk first.
      await backend.commit()
      await snapshots.save({ data, metadata: { confState, index, term } })
      // With the commit index, without which the log would not vouch for the snapshot.
      wal.append(log.initialState().hardState, [], { index, term, confState })
      await wal.sync()
      wal.releaseTo(index)
      log.createSnapshot(index, confState, data)
      const compactIndex = index - this.#config.snapshotCatchupEntries
      if (compactIndex >= log.firstIndex()) log.compact(compactIndex)
      this.#snapshotIndex = index
      this.#ports.logger.info('saved snapshot', { 'snapshot-index': index })
    }
    this.#track(
      write()
        .catch((error: unknown) => this.#fail(error))
        .then(() => {
          this.#snapshotting = false
        }),
    )
  }

  /** The backend's commit hook: what the batch holds, so that a restart applies no entry twice. */
  #writeConsistentIndex(): void {
    const { backend } = this.#storage
    const number = (value: number): Buffer => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64BE(BigInt(value))
      return bytes
    }
    if (this.#applier.consistentIndex === 0) return
    backend.put('meta', Buffer.from('consistent_index'), number(this.#applier.consistentIndex))
    backend.put('meta', Buffer.from('term'), number(this.#applier.consistentTerm))
  }

  #leadershipChanged(leader: bigint, isLeader: boolean): void {
    const { server } = this.#ports.metrics
    if (leader !== 0n) server.leaderChangesSeen++
    this.#ports.logger.info(isLeader ? 'became leader' : leader === 0n ? 'lost leader' : 'found leader', {
      'local-member-id': hexId(this.id),
      leader: hexId(leader),
      term: this.#loop.term,
    })
  }

  async #publish(): Promise<void> {
    const { logger } = this.#ports
    const attributes = {
      name: this.#config.name,
      clientUrls: this.#config.advertiseClientUrls.map((url) => url.text),
    }
    const path = `/0/members/${hexId(this.id)}/attributes`
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#proposeV2(path, attributesJson(attributes))
        logger.info('published local member to cluster through raft', {
          'local-member-id': hexId(this.id),
          'local-member-attributes': attributesJson(attributes),
          'request-path': path,
          'cluster-id': hexId(this.cluster.id),
          'publish-timeout': `${this.#requestTimeoutMs / 1000}s`,
        })
        return
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        logger.warn('failed to publish local member to cluster through raft', {
          'local-member-id': hexId(this.id),
          error: String(error),
        })
      }
    }
  }

  /** Sets the cluster's version where there is none: that of its only member. */
  async #settleClusterVersion(): Promise<void> {
    while (this.cluster.version === undefined && !this.#stopping.signal.aborted) {
      try {
        await this.#proposeV2('/0/version', COMPAT_CLUSTER_VERSION)
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        this.#ports.logger.warn('failed to update cluster version', { error: String(error) })
      }
    }
  }

  #loggedVersion: string | undefined

  #logClusterVersion(version: string): void {
    if (this.#loggedVersion === version) return
    this.#loggedVersion = version
    this.#ports.logger.info('enabled capabilities for version', {
      'cluster-version': version.replace(/\.0$/, ''),
    })
  }

  #startCompactor(): void {
    const { autoCompaction } = this.#config
    if (autoCompaction.mode === 'off') return
    const { clock, logger } = this.#ports
    const ports = {
      revision: () => this.store.revision,
      isLeader: () => this.#loop.isLeader,
      compact: async (revision: number): Promise<boolean> => {
        const request = etcdserverpb.CompactionRequest.create({ revision: BigInt(revision) })
        try {
          await this.#proposed((waiter) =>
            this.#propose(ProposalField.compaction, etcdserverpb.CompactionRequest, request, waiter),
          )
          return true
        } catch (error) {
          return error instanceof ApiError && error.reason === 'compacted'
        }
      },
    }
    const { signal } = this.#stopping
    this.#track(
      autoCompaction.mode === 'periodic'
        ? runPeriodicCompaction(autoCompaction.retentionMs, ports, clock, logger, signal)
        : runRevisionCompaction(autoCompaction.retentionRevisions, ports, clock, logger, signal),
    )
  }

  #expire(): void {
    const nowMs = this.#ports.clock.monotonicMs()
    this.#proposals.expire(nowMs, () => new ApiError('timeout'))
    this.#reads.expire(nowMs)
    this.#loop.wake()
  }

  #purge(): void {
    const { snapshots, wal } = this.#storage
    const { maxSnapshots, maxWals } = this.#config
    const purge = async (): Promise<void> => {
      if (maxSnapshots > 0) await snapshots.purge({ keep: maxSnapshots })
      if (maxWals > 0) await wal.purge({ keep: maxWals })
    }
    this.#track(purge().catch((error: unknown) => this.#fail(error)))
  }

  /** Runs `run` again and again until the member stops. */
  #every(intervalMs: number, run: () => void): void {
    const slot = this.#timers.length
    const arm = (): void => {
      this.#timers[slot] = this.#ports.clock.setTimer(intervalMs, () => {
        try {
          run()
        } catch (error) {
          this.#fail(error)
        }
        if (!this.#stopping.signal.aborted) arm()
      })
    }
    arm()
  }

  /** Work that `stop` waits for. */
  #track(work: Promise<void>): void {
    this.#background.push(work)
    void work.finally(() => {
      this.#background = this.#background.filter((other) => other !== work)
    })
  }

  #fail(error: unknown): void {
    if (this.#stopping.signal.aborted) return
    this.#stopping.abort()
    for (const timer of this.#timers) timer.cancel()
    this.#loop.stop()
    this.#ports.fatal(error)
  }
}
