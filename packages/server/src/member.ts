import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApiError } from '@etcd-ts/api'
import type { Backend, BackendImporter, LmdbBackendOptions } from '@etcd-ts/backend'
import type { ServiceTable } from '@etcd-ts/grpc'
import { MvccStore } from '@etcd-ts/mvcc'
import type { Clock, Disk, Random } from '@etcd-ts/platform'
import { type Entry, type Message, MessageType, RawNode, type Snapshot, raftStateName } from '@etcd-ts/raft'
import { Alarms } from './apply/alarms.ts'
import { Applier } from './apply/applier.ts'
import { writeConsistentIndex } from './apply/consistent-index.ts'
import { SpaceAlarm } from './apply/space-alarm.ts'
import { Quota } from './apply/quota.ts'
import { type OpenStorage, openStorage, pathsOf } from './bootstrap/open-storage.ts'
import { runAutoCompaction } from './compactor/auto-compaction.ts'
import { COMPAT_VERSION, type ServerConfig } from './config/index.ts'
import type { HealthSource } from './http/health.ts'
import type { Logger } from './log/index.ts'
import type { Cluster } from './membership/cluster.ts'
import { ClusterDuties } from './membership/cluster-duties.ts'
import { hexId } from './membership/ids.ts'
import { KnownVersion } from './membership/known-version.ts'
import type { Member as ClusterMember } from './membership/member.ts'
import { encodeV2Snapshot, restoreV2Snapshot } from './membership/v2-snapshot.ts'
import { type Counters } from './metrics/index.ts'
import { fillFromMember } from './metrics/fill.ts'
import { peerEndpoints } from './peer/endpoints.ts'
import type { PeerHttp } from './peer/peer-http.ts'
import type { PeerPorts, PeerTransport } from './peer/transport.ts'
import { Proposals } from './propose/proposals.ts'
import { Proposer } from './propose/proposer.ts'
import { ReadIndex } from './propose/read-index.ts'
import { RequestIds } from './propose/request-id.ts'
import { timeoutError } from './propose/timeouts.ts'
import { publish } from './publish/publication.ts'
import { advanceFirstElection } from './raft/first-election.ts'
import { RaftLoop } from './raft/raft-loop.ts'
import { type ServiceParts, catchUp, memberHealth, memberServices } from './services.ts'
import { Snapshots } from './snapshots/snapshots.ts'
import { Tasks } from './tasks.ts'

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
  /** Turns the bbolt file of a snapshot into a data file of the backend. */
  readonly importBackend: BackendImporter
  /** Reaches the other members. */
  readonly openTransport: (options: TransportOptions) => PeerTransport
  /** Asks the other members' HTTP endpoints. */
  readonly peerHttp: PeerHttp
  /** The member has been removed from its cluster, and must be stopped for good. */
  removed(): void
  /** The member cannot go on (a failed sync, a broken invariant) and has stopped. */
  fatal(error: unknown): void
}

/** For whom a transport is opened. */
export interface TransportOptions {
  readonly memberId: bigint
  readonly clusterId: bigint
  readonly ports: PeerPorts
}

const REQUEST_TIMEOUT_BASE_MS = 5000
const EXPIRY_SWEEP_MS = 100
const PURGE_INTERVAL_MS = 30_000
const RAFT_MESSAGE_BYTES_MAX = 1024 * 1024
const INFLIGHT_MESSAGES_MAX = 512
/** What a removed member goes on for, so that the others hear from it that the removal is committed. */
const REMOVED_LINGER_MS = 1000

function electionTicksOf({ electionTimeoutMs, heartbeatIntervalMs }: ServerConfig): number {
  return Math.floor(electionTimeoutMs / heartbeatIntervalMs)
}

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
  /** Answers what other members ask over HTTP, beside raft's messages. @returns false when the path is another one */
  readonly answerPeer: (request: IncomingMessage, response: ServerResponse) => boolean
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
  readonly #proposer: Proposer
  readonly #transport: PeerTransport
  readonly #snapshots: Snapshots
  readonly #duties: ClusterDuties
  readonly #space: SpaceAlarm
  readonly #version: KnownVersion
  readonly #tasks: Tasks
  #leaderSinceMs = 0

  private constructor(config: ServerConfig, ports: MemberPorts, storage: OpenStorage, store: MvccStore) {
    const { clock, logger } = ports
    this.#config = config
    this.#ports = ports
    this.#storage = storage
    this.store = store
    this.id = storage.memberId
    this.cluster = storage.cluster
    this.#transport = ports.openTransport({
      memberId: this.id,
      clusterId: this.cluster.id,
      ports: this.#peerPorts(),
    })
    this.#tasks = new Tasks(clock, (error) => this.#fail(error))
    this.#version = new KnownVersion(logger)
    this.#alarms = new Alarms(storage.backend)
    this.#quota = new Quota(config.quotaBackendBytes, () => storage.backend.sizeProjected())
    this.#requestIds = new RequestIds(this.id, clock.wallMs())
    this.#reads = new ReadIndex(
      () => this.#requestIds.next(),
      (deadlineMs) => this.#timeoutError(deadlineMs),
    )
    this.#node = new RawNode({
      id: this.id,
      electionTicks: electionTicksOf(config),
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
      logger: {
        ...(logger.isEnabled('debug') ? { info: (text: string) => logger.debug(text) } : {}),
        warn: (text) => logger.warn(text),
        error: (text) => logger.error(text),
      },
    })
    this.#applier = new Applier(
      {
        memberId: this.id,
        cluster: this.cluster,
        serverVersion: COMPAT_VERSION,
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
          outOfSpace: () => this.#space.raise(),
          termStarted: () => this.#duties.termStarted(),
          clusterVersionChanged: (version) => this.#version.set(version),
          memberAdded: ({ id, peerUrls }) => this.#transport.addPeer(id, peerUrls),
          memberUpdated: ({ id, peerUrls }) => this.#transport.updatePeer(id, peerUrls),
          memberRemoved: (id) => this.#transport.removePeer(id),
          removedSelf: () => this.#tasks.track(this.#leave()),
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
        electionTimeoutMs: config.electionTimeoutMs,
        requestIds: this.#requestIds,
        proposals: this.#proposals,
        reads: this.#reads,
        ports: {
          apply: (entries) => this.#apply(entries),
          send: (messages) => this.#send(messages),
          saveSnapshot: (snapshot) => this.#snapshots.save(snapshot),
          installSnapshot: (snapshot) => this.#snapshots.install(snapshot),
          leadershipChanged: (leader, isLeader) => this.#leadershipChanged(leader, isLeader),
          isReachable: (id) => this.#transport.activeSinceMs(id) !== undefined,
          isOnlyVoter: () => this.#isOnlyVoter(),
          handingOver: (to, stalledMs) =>
            logger.warn('the disk of the log stands still; handing over leadership', {
              'local-member-id': hexId(this.id),
              'transferee-member-id': hexId(to),
              stalled: `${stalledMs.toFixed(0)}ms`,
            }),
          fatal: (error) => this.#fail(error),
        },
      },
      storage.snapshotIndex,
    )
    this.#proposer = new Proposer({
      loop: this.#loop,
      proposals: this.#proposals,
      requestIds: this.#requestIds,
      clock,
      requestTimeoutMs: this.#requestTimeoutMs,
      maxRequestBytes: config.maxRequestBytes,
      signal: this.#tasks.signal,
    })
    this.#space = new SpaceAlarm({
      memberId: this.id,
      quota: this.#quota,
      backend: storage.backend,
      logger,
      propose: (request) => this.#proposer.alarm(request),
      track: (work) => this.#tasks.track(work),
    })
    this.#snapshots = new Snapshots(
      {
        memberId: this.id,
        folder: pathsOf(config).snap,
        disk: ports.disk,
        clock,
        logger,
        wal: storage.wal,
        snapshots: storage.snapshots,
        backend: storage.backend,
        log: storage.log,
        applier: this.#applier,
        transport: this.#transport,
        importBackend: ports.importBackend,
        snapshotCount: config.snapshotCount,
        catchupEntries: config.snapshotCatchupEntries,
        ports: {
          appliedIndex: () => this.#loop.appliedIndex,
          v2Snapshot: () => encodeV2Snapshot(this.cluster),
          step: (message) => this.#loop.receive(message),
          reportSnapshot: (id, isDelivered) => this.#loop.reportSnapshot(id, isDelivered),
          replaceState: (path, snapshot) => this.#replaceState(path, snapshot),
          failed: (error) => this.#fail(error),
        },
      },
      storage.snapshotIndex,
    )
    this.#duties = this.#clusterDuties()
    storage.backend.setCommitHook(() => {
      const { consistentIndex: index, consistentTerm: term } = this.#applier
      writeConsistentIndex(storage.backend, { index, term })
    })
    const parts: ServiceParts = {
      memberId: this.id,
      config,
      cluster: this.cluster,
      store,
      backend: storage.backend,
      alarms: this.#alarms,
      space: this.#space,
      loop: this.#loop,
      reads: this.#reads,
      proposer: this.#proposer,
      duties: this.#duties,
      metrics: ports.metrics,
      logger,
      signal: this.#tasks.signal,
    }
    this.services = memberServices(parts)
    this.health = memberHealth(parts)
    this.answerPeer = peerEndpoints({
      cluster: this.cluster,
      store,
      reconfiguration: this.#duties.reconfiguration,
      version: { serverVersion: COMPAT_VERSION, clusterVersion: () => this.cluster.version },
      logger,
      catchUp: () => this.#catchUp(),
    })
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
        onCompacted: ({ revision, tookMs, removedRows, indexPauseMs }) => {
          ports.metrics.mvcc.lastCompactionSeconds = ports.clock.wallMs() / 1000
          ports.metrics.mvcc.compactionTotalMs.observe(tookMs)
          ports.metrics.mvcc.indexCompactionPauseMs.observe(indexPauseMs)
          ports.metrics.mvcc.compactedKeys += removedRows
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
    if (this.cluster.version !== undefined) this.#version.set(this.cluster.version)
    if (this.#config.features.InitialCorruptCheck && this.#storage.isRestart)
      await this.#duties.corruption.initialCheck()
    this.#tasks.every(EXPIRY_SWEEP_MS, () => this.#expire())
    this.#tasks.every(PURGE_INTERVAL_MS, () => this.#purge())
    for (const { id, peerUrls } of this.#storage.remotes) this.#transport.addRemote(id, peerUrls)
    for (const { id, peerUrls } of this.#others()) this.#transport.addPeer(id, peerUrls)
    this.#loop.start()
    this.#tasks.track(this.#advanceFirstElection())
    this.#tasks.track(this.#duties.run(this.#tasks.signal))
    await publish({
      memberId: this.id,
      clusterId: this.cluster.id,
      attributes: {
        name: this.#config.name,
        clientUrls: this.#config.advertiseClientUrls.map((url) => url.text),
      },
      requestTimeoutMs: this.#requestTimeoutMs,
      clock: this.#ports.clock,
      logger: this.#ports.logger,
      signal: this.#tasks.signal,
      putV2: (path, value) => this.#proposer.putV2(path, value),
    })
    await this.#version.wait(this.#tasks.signal)
    if (this.#tasks.isStopped) return
    // From the first client on the backend knows whose it is, so that a log of another cluster is told from its own.
    await this.#storage.backend.commit()
    this.#tasks.track(this.#runAutoCompaction())
  }

  /** Hands over leadership, answers no more, writes what is buffered and closes the files. */
  async stop(): Promise<void> {
    if (!this.#tasks.isStopped) await this.#duties.leaderTransfer.onStop()
    this.#tasks.stop()
    this.#loop.stop()
    await this.#transport.stop()
    const stopped = new ApiError('stopped')
    this.#proposals.rejectAll(stopped)
    this.#reads.rejectAll(stopped)
    await Promise.allSettled([this.#tasks.settled(), this.#loop.idle(), this.#snapshots.idle()])
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

  #clusterDuties(): ClusterDuties {
    const { clock, logger, metrics, peerHttp } = this.#ports
    const config = this.#config
    return new ClusterDuties({
      memberId: this.id,
      cluster: this.cluster,
      serverVersion: COMPAT_VERSION,
      clock,
      logger,
      metrics,
      peerHttp,
      store: this.store,
      backend: this.#storage.backend,
      clusterVersionMax: config.clusterVersionMax,
      isStrict: config.strictReconfigCheck,
      requestTimeoutMs: this.#requestTimeoutMs,
      heartbeatMs: config.heartbeatIntervalMs,
      downgradeCheckIntervalMs: config.downgradeCheckIntervalMs,
      corruptCheckIntervalMs: config.corruptCheckIntervalMs,
      compactHashCheckIntervalMs: config.features.CompactHashCheck ? config.compactHashCheckIntervalMs : 0,
      leader: () => this.#loop.leader,
      isLeader: () => this.#loop.isLeader,
      committedIndex: () => this.#loop.committedIndex,
      appliedIndex: () => this.#loop.appliedIndex,
      matchOf: (id) => this.#loop.status().progress.get(id)?.match,
      activeSinceMs: (id) => this.#transport.activeSinceMs(id),
      transferLeader: (id) => this.#loop.transferLeader(id),
      catchUp: () => this.#catchUp(),
      proposeConfChange: (change) => this.#proposer.confChange<readonly ClusterMember[]>(change),
      proposeDowngrade: (request) => this.#proposer.internal({ downgradeInfoSet: request }),
      proposeAlarm: (request) => this.#proposer.alarm(request),
      putV2: (path, value) => this.#proposer.putV2(path, value),
    })
  }

  get #requestTimeoutMs(): number {
    return REQUEST_TIMEOUT_BASE_MS + 2 * this.#config.electionTimeoutMs
  }

  #catchUp(): Promise<void> {
    return catchUp({
      reads: this.#reads,
      loop: this.#loop,
      proposer: this.#proposer,
      signal: this.#tasks.signal,
    })
  }

  /** The error of a call that was to be answered by `deadlineMs`. */
  #timeoutError(deadlineMs: number): ApiError {
    return timeoutError(
      {
        memberId: this.id,
        electionTimeoutMs: this.#config.electionTimeoutMs,
        leader: () => this.#loop.leader,
        leaderSinceMs: () => this.#leaderSinceMs,
        voters: () => this.#applier.confState.voters,
        activeSinceMs: (id) => this.#transport.activeSinceMs(id),
      },
      deadlineMs - this.#requestTimeoutMs,
    )
  }

  #peerPorts(): PeerPorts {
    return {
      receive: (message) => this.#loop.receive(message),
      receiveSnapshot: (message, database) => this.#snapshots.receive(message, database),
      isRemoved: (id) => this.cluster.isRemoved(id),
      reportUnreachable: (id) => this.#loop.reportUnreachable(id),
      reportSnapshot: (id, isDelivered) => this.#snapshots.sent(id, isDelivered),
      removedFromCluster: () => this.#removed(),
    }
  }

  #send(messages: readonly Message[]): void {
    const others: Message[] = []
    for (const message of messages) {
      if (message.type === MessageType.MsgSnap) this.#snapshots.send(message)
      else if (!this.cluster.isRemoved(message.to)) others.push(message)
    }
    if (others.length > 0) this.#transport.send(others)
  }

  async #advanceFirstElection(): Promise<void> {
    if (!this.#config.initialElectionTickAdvance) return
    await advanceFirstElection({
      clock: this.#ports.clock,
      signal: this.#tasks.signal,
      electionTicks: electionTicksOf(this.#config),
      activePeers: () =>
        this.#others().filter(({ id }) => this.#transport.activeSinceMs(id) !== undefined).length,
      advanceTicks: (ticks) => this.#loop.advanceTicks(ticks),
    })
  }

  /** Members but this one. */
  #others(): ClusterMember[] {
    return this.cluster.members().filter(({ id }) => id !== this.id)
  }

  /** Takes over the state of a snapshot: the data file at `path`, its membership and its configuration. */
  async #replaceState(path: string, snapshot: Snapshot): Promise<void> {
    await this.store.install(path, () => {
      this.#alarms.reload()
      restoreV2Snapshot(this.cluster, snapshot.data ?? new Uint8Array())
      this.#applier.restored(snapshot.metadata)
    })
    if (this.cluster.version !== undefined) this.#version.set(this.cluster.version)
    this.#transport.removeAllPeers()
    for (const { id, peerUrls } of this.#others()) this.#transport.addPeer(id, peerUrls)
  }

  /** The removal of this member is applied: it goes on for a moment, so that the others hear that it is committed. */
  async #leave(): Promise<void> {
    await this.#ports.clock.sleep(REMOVED_LINGER_MS, this.#tasks.signal)
    this.#removed()
  }

  /** Ends a member that is not part of the cluster any more. */
  #removed(): void {
    if (this.#tasks.isStopped) return
    this.#ports.logger.error('the member has been permanently removed from the cluster', {
      'local-member-id': hexId(this.id),
    })
    this.#ports.removed()
  }

  #isOnlyVoter(): boolean {
    const { voters, votersOutgoing } = this.#applier.confState
    return voters.length === 1 && voters[0] === this.id && votersOutgoing.length === 0
  }

  #apply(entries: readonly Entry[]): void {
    this.#applier.apply(entries)
    const last = entries[entries.length - 1]
    if (last !== undefined) this.#snapshots.applied(last)
  }

  #leadershipChanged(leader: bigint, isLeader: boolean): void {
    const { server } = this.#ports.metrics
    if (leader !== 0n) {
      server.leaderChangesSeen++
      this.#leaderSinceMs = this.#ports.clock.monotonicMs()
    }
    this.#ports.logger.info(isLeader ? 'became leader' : leader === 0n ? 'lost leader' : 'found leader', {
      'local-member-id': hexId(this.id),
      leader: hexId(leader),
      term: this.#loop.term,
    })
  }

  #runAutoCompaction(): Promise<void> {
    const { clock, logger } = this.#ports
    const ports = {
      revision: () => this.store.revision,
      isLeader: () => this.#loop.isLeader,
      compact: (revision: number) => this.#proposer.compaction(revision),
    }
    return runAutoCompaction(this.#config.autoCompaction, ports, clock, logger, this.#tasks.signal)
  }

  #expire(): void {
    const nowMs = this.#ports.clock.monotonicMs()
    this.#proposals.expire(nowMs, (deadlineMs) => this.#timeoutError(deadlineMs))
    this.#loop.dropAbandoned()
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
    this.#tasks.track(purge().catch((error: unknown) => this.#fail(error)))
  }

  #fail(error: unknown): void {
    if (this.#tasks.isStopped) return
    this.#tasks.stop()
    this.#loop.stop()
    // What is buffered may be half of an entry's effects, and must not reach the disk.
    this.#tasks.track(this.#storage.backend.abandon().catch(() => undefined))
    this.#ports.fatal(error)
  }
}
