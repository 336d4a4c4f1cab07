import { ApiError } from '@etcd-ts/api'
import type { Clock, Timer } from '@etcd-ts/platform'
import {
  type Entry,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type MemoryStorage,
  type Message,
  type RawNode,
  type Snapshot,
  type Status,
} from '@etcd-ts/raft'
import type { Wal } from '@etcd-ts/wal'
import type { Proposals } from '../propose/proposals.ts'
import type { ReadIndex } from '../propose/read-index.ts'
import type { RequestIds } from '../propose/request-id.ts'

/** What the loop drives; the member plugs these in. */
export interface RaftLoopPorts {
  /** Applies committed entries in order, synchronously. */
  apply(entries: readonly Entry[]): void
  /** Hands messages to the peers; never blocks. */
  send(messages: readonly Message[]): void
  /** Makes the `.snap` file of a snapshot received from the leader durable. */
  saveSnapshot(snapshot: Snapshot): Promise<void>
  /** Replaces the state by that of a snapshot that log and disk hold; nothing is applied meanwhile. */
  installSnapshot(snapshot: Snapshot): Promise<void>
  /** The leader (0n: none) or this member's role changed. */
  leadershipChanged(leader: bigint, isLeader: boolean): void
  /** Whether messages to another member have a way now. */
  isReachable(id: bigint): boolean
  /** Whether this member is the only voter: there is nobody to wait for, so it need not wait for a timeout to lead. */
  isOnlyVoter(): boolean
  /** The log has taken no sync for `stalledMs`: leadership goes to another member. */
  handingOver(to: bigint, stalledMs: number): void
  /** Persistence failed or an invariant broke: the member must stop at once. */
  fatal(error: unknown): void
}

export interface RaftLoopOptions {
  readonly memberId: bigint
  readonly node: RawNode
  readonly storage: MemoryStorage
  readonly wal: Wal
  readonly clock: Clock
  readonly heartbeatMs: number
  readonly electionTimeoutMs: number
  readonly requestIds: RequestIds
  readonly proposals: Proposals
  readonly reads: ReadIndex
  readonly ports: RaftLoopPorts
}

/**
 * Big-endian 8-byte form of a read's request id: the context that raft carries along, to the leader and back. The
 * member's part of the id keeps the rounds of two members apart at the leader.
 */
function readContext(requestIds: RequestIds, requestId: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(requestIds.full(requestId))
  return bytes
}

function requestIdOf(requestIds: RequestIds, context: Uint8Array): number | undefined {
  if (context.length !== 8) return undefined
  const id = Buffer.from(context.buffer, context.byteOffset, context.byteLength).readBigUInt64BE()
  return requestIds.suffixOf(id)
}

/**
 * Drives raft: everything that arrived in one turn of the event loop becomes one batch.
 *
 *     proposals of the turn -> one raft step -> one WAL write -> (fdatasync off this thread, shared by the
 *     batches that arrive meanwhile) -> acknowledgement -> committed entries -> apply -> answers
 *
 * Raft runs with asynchronous storage writes: a message that promises durability is held back by its
 * `responses` until the sync it promises, and new batches are accepted while a sync is running.
 */
export class RaftLoop {
  readonly #options: RaftLoopOptions
  readonly #node: RawNode
  #batch: Entry[] = []
  #batchIds: number[] = []
  /** The batch could not be proposed when it was begun: some of it may not be wanted any more. */
  #isWaiting = false
  #scheduled = false
  #stopped = false
  #tickTimer: Timer | undefined
  #leader = 0n
  #isLeader = false
  #isFollower = true
  /** Set while a received snapshot is made durable and installed. */
  #installing: Promise<void> | undefined
  /** What raft wanted on disk meanwhile, which has to follow the snapshot. */
  #heldAppends: Message[] = []
  /** Syncs of the log under way, and when the last one began or ended. */
  #syncs = 0
  #syncProgressMs = 0
  /** Set while the newest HardState (a commit index only) is not in the WAL yet; it rides with the next write. */
  #hardStateUnsaved = false
  appliedIndex: number

  constructor(options: RaftLoopOptions, appliedIndex: number) {
    this.#options = options
    this.#node = options.node
    this.appliedIndex = appliedIndex
  }

  get leader(): bigint {
    return this.#leader
  }

  get isLeader(): boolean {
    return this.#isLeader
  }

  get term(): number {
    return this.#node.raft.term
  }

  get committedIndex(): number {
    return this.#node.raft.log.committed
  }

  /** What this member knows of itself and, as the leader, of the others. */
  status(): Status {
    return this.#node.status()
  }

  start(): void {
    this.#armTick()
    this.wake()
  }

  /** Lets `ticks` pass at once: time in which a member that starts would only wait for a leader. */
  advanceTicks(ticks: number): void {
    for (let i = 0; i < ticks; i++) this.#node.tick()
    this.wake()
  }

  /** Resolves when no snapshot is being installed. */
  async idle(): Promise<void> {
    await this.#installing
  }

  /** Stops at once; what was not acknowledged is not lost, only unanswered. */
  stop(): void {
    this.#stopped = true
    this.#tickTimer?.cancel()
  }

  /** Writes the commit index that would otherwise ride with the next entries. */
  saveCommit(): void {
    if (this.#hardStateUnsaved && this.#installing === undefined)
      this.#options.wal.append(this.#options.storage.initialState().hardState, [])
    this.#hardStateUnsaved = false
  }

  /** Proposes `entry` with the turn's batch; `requestId`'s waiter fails if raft does not take it. */
  propose(requestId: number, entry: Entry): void {
    this.#batch.push(entry)
    this.#batchIds.push(requestId)
    this.wake()
  }

  /** Forgets the proposals that nobody waits for any more, which there are while there is no leader. */
  dropAbandoned(): void {
    if (this.#batch.length === 0) return
    const { proposals } = this.#options
    const kept = this.#batchIds.map((id) => proposals.isAwaited(id))
    this.#batch = this.#batch.filter((_, i) => kept[i])
    this.#batchIds = this.#batchIds.filter((_, i) => kept[i])
  }

  /** Takes in a message of another member. */
  receive(message: Message): void {
    this.#input(() => this.#node.step(message))
  }

  transferLeader(transferee: bigint): void {
    this.#input(() => this.#node.transferLeader(transferee))
  }

  reportUnreachable(id: bigint): void {
    this.#input(() => this.#node.reportUnreachable(id))
  }

  reportSnapshot(id: bigint, isDelivered: boolean): void {
    this.#input(() => this.#node.reportSnapshot(id, isDelivered))
  }

  #input(step: () => void): void {
    if (this.#stopped) return
    try {
      step()
      this.wake()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Runs the loop once the events that have arrived are handled. */
  wake(): void {
    if (this.#scheduled || this.#stopped) return
    this.#scheduled = true
    this.#options.clock.soon(() => {
      this.#scheduled = false
      this.#turn()
    })
  }

  #armTick(): void {
    this.#tickTimer = this.#options.clock.setTimer(this.#options.heartbeatMs, () => {
      if (this.#stopped) return
      this.#node.tick()
      this.#leaveStalledDisk()
      this.#armTick()
      this.wake()
    })
  }

  #turn(): void {
    if (this.#stopped) return
    try {
      this.#proposeBatch()
      const readId = this.#options.reads.startRound(this.#options.clock.monotonicMs())
      if (readId !== undefined) this.#node.readIndex(readContext(this.#options.requestIds, readId))
      this.#handleReady()
      if (this.#leader === 0n && this.#isFollower && this.#options.ports.isOnlyVoter()) {
        this.#isFollower = false
        this.#node.campaign()
        this.#handleReady()
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  #proposeBatch(): void {
    if (this.#batch.length === 0) return
    // Without a leader proposals wait for one, as they do while there is no way to it: what is sent then is lost, and its
    // proposer would not know. The proposers' deadlines bound the wait.
    if (this.#leader === 0n || (!this.#isLeader && !this.#options.ports.isReachable(this.#leader))) {
      this.#isWaiting = true
      return
    }
    if (this.#isWaiting) {
      this.#isWaiting = false
      this.dropAbandoned()
    }
    const entries = this.#batch
    const ids = this.#batchIds
    if (entries.length === 0) return
    this.#batch = []
    this.#batchIds = []
    const refused = this.#node.proposeEntries(entries)
    if (refused === undefined) return
    for (const id of ids) this.#options.proposals.reject(id, new ApiError('proposalDropped'))
  }

  #handleReady(): void {
    const { reads, requestIds, ports, memberId } = this.#options
    while (this.#node.hasReady()) {
      const ready = this.#node.ready()
      if (ready.softState !== undefined) {
        const { lead, raftState } = ready.softState
        const isLeader = raftState === 'leader'
        this.#isFollower = raftState === 'follower'
        if (lead !== this.#leader || isLeader !== this.#isLeader) {
          if (lead !== 0n && lead !== this.#leader) reads.leaderChanged()
          this.#leader = lead
          this.#isLeader = isLeader
          ports.leadershipChanged(lead, isLeader)
          this.wake()
        }
      }
      for (const { requestCtx, index } of ready.readStates) {
        const requestId = requestIdOf(requestIds, requestCtx)
        if (requestId !== undefined) reads.confirm(requestId, index, this.appliedIndex)
      }
      const outgoing: Message[] = []
      for (const message of ready.messages) {
        if (message.to === LOCAL_APPEND_THREAD) this.#append(message)
        else if (message.to === LOCAL_APPLY_THREAD) this.#apply(message)
        else if (message.to === memberId) this.#node.step(message)
        else outgoing.push(message)
      }
      if (outgoing.length > 0) ports.send(outgoing)
    }
  }

  /** Writes what raft wants on disk; its responses go out once that is durable. */
  #append(message: Message): void {
    if (this.#installing !== undefined) {
      this.#heldAppends.push(message)
      return
    }
    if (message.snapshot !== undefined) {
      this.#installing = this.#install(message, message.snapshot)
      return
    }
    const { storage, wal, clock } = this.#options
    const hasHardState = message.term !== 0 || message.vote !== 0n || message.commit !== 0
    const hardState = { term: message.term, vote: message.vote, commit: message.commit }
    const previousState = storage.initialState().hardState
    if (hasHardState) storage.setHardState(hardState)
    storage.append(message.entries)
    const termOrVoteChanged =
      hasHardState && (hardState.term !== previousState.term || hardState.vote !== previousState.vote)
    if (message.entries.length === 0 && !termOrVoteChanged) {
      this.#hardStateUnsaved ||= hasHardState
    } else {
      wal.append(
        hasHardState || this.#hardStateUnsaved ? storage.initialState().hardState : undefined,
        message.entries,
      )
      this.#hardStateUnsaved = false
    }
    if (message.responses.length === 0) return
    if (this.#syncs++ === 0) this.#syncProgressMs = clock.monotonicMs()
    wal.sync().then(
      () => {
        this.#syncs--
        this.#syncProgressMs = clock.monotonicMs()
        this.#acknowledge(message.responses)
      },
      (error: unknown) => this.#fail(error),
    )
  }

  /**
   * A leader whose log takes no sync for an election timeout hands over: the others can commit without it, but its own
   * clients wait for as long as its disk stands still.
   */
  #leaveStalledDisk(): void {
    const { clock, electionTimeoutMs, memberId, ports } = this.#options
    if (!this.#isLeader || this.#syncs === 0) return
    const nowMs = clock.monotonicMs()
    const stalledMs = nowMs - this.#syncProgressMs
    if (stalledMs < electionTimeoutMs) return
    this.#syncProgressMs = nowMs
    let best: { readonly id: bigint; readonly match: number } | undefined
    for (const [id, { match, isLearner, recentActive }] of this.#node.status().progress) {
      if (id === memberId || isLearner || !recentActive) continue
      if (best === undefined || match > best.match) best = { id, match }
    }
    if (best === undefined) return
    ports.handingOver(best.id, stalledMs)
    this.#node.transferLeader(best.id)
  }

  /**
   * Takes over a snapshot, in an order that a crash may end anywhere: its file, its point in the log with the hard state,
   * and then the state, whose file the transport has left beside the old one.
   */
  async #install(message: Message, snapshot: Snapshot): Promise<void> {
    const { storage, wal, ports, reads } = this.#options
    try {
      await ports.saveSnapshot(snapshot)
      if (this.#stopped) return
      storage.applySnapshot(snapshot)
      if (message.term !== 0 || message.vote !== 0n || message.commit !== 0)
        storage.setHardState({ term: message.term, vote: message.vote, commit: message.commit })
      storage.append(message.entries)
      wal.append(storage.initialState().hardState, message.entries, snapshot.metadata)
      this.#hardStateUnsaved = false
      await wal.sync()
      if (this.#stopped) return
      await ports.installSnapshot(snapshot)
      this.appliedIndex = snapshot.metadata.index
      this.#installing = undefined
      if (this.#stopped) return
      reads.applied(this.appliedIndex)
      const held = this.#heldAppends
      this.#heldAppends = []
      for (const later of held) this.#append(later)
      this.#acknowledge(message.responses)
    } catch (error) {
      this.#fail(error)
    }
  }

  #acknowledge(responses: readonly Message[]): void {
    if (this.#stopped) return
    try {
      const outgoing: Message[] = []
      for (const response of responses) {
        if (response.to === this.#options.memberId) this.#node.step(response)
        else outgoing.push(response)
      }
      if (outgoing.length > 0) this.#options.ports.send(outgoing)
      this.#handleReady()
    } catch (error) {
      this.#fail(error)
    }
  }

  #apply(message: Message): void {
    const { entries } = message
    this.#options.ports.apply(entries)
    this.appliedIndex = entries[entries.length - 1]?.index ?? this.appliedIndex
    for (const response of message.responses) this.#node.step(response)
    this.#options.reads.applied(this.appliedIndex)
  }

  #fail(error: unknown): void {
    if (this.#stopped) return
    this.stop()
    this.#options.ports.fatal(error)
  }
}
