import { ConfChangeError } from '../changer.ts'
import { type AnyConfChange, ConfChangeType, toConfChangeV2 } from '../conf-change.ts'
import { confChangeOf } from '../conf-change-codec.ts'
import { MemoryStorage } from '../memory-storage.ts'
import {
  type ConfState,
  type Entry,
  type HardState,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  MessageType,
  NONE,
  type Snapshot,
  emptyConfState,
  isEmptyHardState,
} from '../messages.ts'
import type { Raft } from '../raft.ts'
import type { RaftConfig } from '../raft-config.ts'
import { type Peer, RawNode } from '../raw-node.ts'
import type { Ready } from '../ready.ts'
import { type MemberStore, type StoreWrite, isBlank } from './member-store.ts'
import type { Plant } from './plants.ts'
import type { SimRandom } from './sim-random.ts'
import { type Observed, type Truth, digestOf } from './truth.ts'

export type MemberOptions = Omit<RaftConfig, 'id' | 'storage' | 'random' | 'logger'>

/** What a member needs of the group around it. */
export interface Surroundings {
  readonly random: SimRandom
  readonly truth: Truth
  readonly plant: Plant | undefined
  /** What the group is founded with; undefined for one that joins later. */
  readonly founders: readonly Peer[] | undefined
  readonly founderCount: number
  /** Members ask for reads with the same few contexts again and again, and after a restart. */
  readonly reusesReadContexts: boolean
  /** Whether a member crashes between two of the things that it does. */
  crashesAtWork(): boolean
  send(message: Message): void
  trace(text: string): void
}

interface PendingSync {
  readonly write: number
  readonly responses: readonly Message[]
}

/**
 * One member: raft, its log, its disk, and a state machine that is a digest of all entries. It is driven piece
 * by piece, so that a crash can fall between any two of them.
 */
export class SimMember implements Observed {
  readonly id: bigint
  readonly #store: MemberStore
  readonly #options: MemberOptions
  readonly #around: Surroundings
  #node: RawNode | undefined
  #storage = new MemoryStorage()
  #appendWork: Message[] = []
  #applyWork: Message[] = []
  #syncs: PendingSync[] = []
  /** What was committed when a read was asked for, by its context as an object: the bytes may come again. */
  #reads = new Map<Uint8Array, number>()
  #readCount = 0
  #contextOfRound = new Map<string, Uint8Array>()
  /** State machine. */
  applied = 0
  digest = 0
  confState: ConfState = emptyConfState()
  #snapshotConfState: ConfState = emptyConfState()
  /** For checks: as of the last one. */
  commitSeen = 0
  leaderTermSeen = 0

  constructor(id: bigint, store: MemberStore, options: MemberOptions, around: Surroundings) {
    this.id = id
    this.#store = store
    this.#options = options
    this.#around = around
  }

  get isUp(): boolean {
    return this.#node !== undefined
  }

  get node(): RawNode {
    if (this.#node === undefined) throw new Error(`member ${this.id} is down`)
    return this.#node
  }

  get raft(): Raft {
    return this.node.raft
  }

  holdsDurably(index: number, term: number): boolean {
    return this.#store.holds(index, term)
  }

  get durableState(): HardState {
    return this.#store.durableState
  }

  /** @throws StoreDamage */
  start(): void {
    const stored = this.#store.open()
    const { hardState, snapshot, entries } = stored
    const storage = new MemoryStorage()
    if (snapshot !== undefined) storage.applySnapshot(snapshot)
    // A commit index alone is not synced, so that a snapshot may be newer than it; what it holds is committed.
    const commit = Math.max(hardState.commit, snapshot?.metadata.index ?? 0)
    if (!isBlank(stored)) storage.setHardState({ ...hardState, commit })
    const first = storage.firstIndex()
    storage.append(entries.filter(({ index }) => index >= first))
    this.#storage = storage
    this.#restoreState(snapshot)
    this.#appendWork = []
    this.#applyWork = []
    this.#syncs = []
    this.#reads = new Map()
    this.#contextOfRound = new Map()
    this.#node = new RawNode({ ...this.#options, id: this.id, storage, random: this.#around.random })
    if (isBlank(stored) && this.#around.founders !== undefined) this.#node.bootstrap(this.#around.founders)
    this.commitSeen = storage.firstIndex() - 1
    this.leaderTermSeen = 0
  }

  crash(): void {
    this.#store.crash(this.#around.random)
    this.#node = undefined
  }

  #restoreState(snapshot: Snapshot | undefined): void {
    this.applied = snapshot?.metadata.index ?? 0
    this.digest = snapshot?.data === undefined ? 0 : digestFrom(snapshot.data)
    this.confState = snapshot?.metadata.confState ?? emptyConfState()
    this.#snapshotConfState = this.confState
  }

  /** Takes one Ready, if there is one. @returns false if there is none */
  handleReady(): boolean {
    if (!this.node.hasReady()) return false
    const ready = this.node.ready()
    this.#checkAppended(ready.entries)
    for (const { index, requestCtx } of ready.readStates) this.#readDone(index, requestCtx)
    if (this.#options.asyncStorageWrites === true) this.#distribute(ready)
    else this.#handleInOrder(ready)
    return true
  }

  #distribute(ready: Ready): void {
    for (const message of ready.messages) {
      if (message.to === LOCAL_APPEND_THREAD) this.#appendWork.push(message)
      else if (message.to === LOCAL_APPLY_THREAD) this.#applyWork.push(message)
      else this.#send(message)
    }
  }

  /** Without asynchronous storage writes: disk, messages, state machine, one after the other. */
  #handleInOrder(ready: Ready): void {
    const { random, plant } = this.#around
    const { hardState, entries, snapshot, messages, committedEntries } = ready
    const isEarly = plant === 'ackBeforeSync'
    if (isEarly) for (const message of messages) this.#send(message)
    const write = this.#write({ hardState, entries, snapshot })
    // A crash can fall before the sync: nothing has been promised yet.
    if (this.#around.crashesAtWork()) {
      this.crash()
      return
    }
    if (ready.mustSync || snapshot !== undefined || random.chance(50)) this.#store.sync(write)
    if (!isEarly) for (const message of messages) this.#send(message)
    if (this.#around.crashesAtWork()) {
      this.crash()
      return
    }
    this.#apply(committedEntries)
    this.node.advance()
  }

  /** The thread that writes the log. @returns whether there was anything to do */
  runAppendThread(): boolean {
    const message = this.#appendWork.shift()
    if (message === undefined) return false
    const { term, vote, commit, entries, snapshot, responses } = message
    const hardState = { term, vote, commit }
    const write = this.#write({
      hardState: isEmptyHardState(hardState) ? undefined : hardState,
      entries,
      snapshot,
    })
    if (this.#around.plant === 'ackBeforeSync') {
      this.#release(responses)
      this.#syncs.push({ write, responses: [] })
    } else {
      this.#syncs.push({ write, responses })
    }
    return true
  }

  /** A sync begins, of the first few writes that wait for one, or has ended. @returns whether it has */
  finishSync(): boolean {
    const [first] = this.#syncs
    if (first === undefined) return false
    if (this.#store.synced < first.write) {
      this.#store.sync(this.#around.random.pick(this.#syncs).write)
      if (this.#store.synced < first.write) return false
    }
    while (this.#syncs.length > 0 && this.#syncs[0]!.write <= this.#store.synced) {
      this.#release(this.#syncs.shift()!.responses)
    }
    return true
  }

  runApplyThread(): boolean {
    const message = this.#applyWork.shift()
    if (message === undefined) return false
    this.#apply(message.entries)
    this.#release(message.responses)
    return true
  }

  #release(responses: readonly Message[]): void {
    for (const response of responses) {
      if (response.to === this.id) {
        this.#around.truth.sent(response, this)
        this.node.step(response)
      } else {
        this.#send(response)
      }
    }
  }

  #send(message: Message): void {
    this.#around.truth.sent(message, this)
    // Raft's snapshot may be one in which the receiver was no member yet; the state of now is as good and newer.
    if (message.type === MessageType.MsgSnap) message.snapshot = this.#snapshotNow()
    this.#around.send(message)
  }

  #snapshotNow(): Snapshot {
    const { applied: index, confState, digest } = this
    return { data: bytesOf(digest), metadata: { index, term: this.raft.log.term(index), confState } }
  }

  #write(write: StoreWrite): number {
    const { hardState, entries, snapshot } = write
    if (snapshot !== undefined) {
      this.#storage.applySnapshot(snapshot)
      this.#restoreState(snapshot)
    }
    if (hardState !== undefined) this.#storage.setHardState(hardState)
    if (entries !== undefined) this.#storage.append(entries)
    if (hardState !== undefined && this.#around.plant === 'voteNotPersisted') {
      return this.#store.write({ ...write, hardState: { ...hardState, vote: NONE } })
    }
    return this.#store.write(write)
  }

  #checkAppended(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    this.#around.truth.appended(this.id, this.raft.log.term(first.index - 1), entries)
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      // A snapshot has been installed since the entries were handed over.
      if (entry.index <= this.applied) continue
      this.#around.truth.applied(this.id, this.applied, entry)
      const change = confChangeOf(entry)
      if (change !== undefined) {
        this.confState = this.#applyConfChange(change)
        // Founders are in the configuration of all founding entries from the start, but not after a restart.
        if (entry.index > this.#around.founderCount) {
          this.#around.truth.configured(this.id, entry.index, this.confState)
        }
      }
      this.applied = entry.index
      this.digest = digestOf(this.digest, entry)
    }
  }

  /**
   * A change that does not suit by now is applied as none; all members find the same. So is one that keeps less
   * than a majority of the voters: some of those who stay may not know yet that the change is committed, need
   * votes of those who went, and not get them because these have entries that they lack.
   */
  #applyConfChange(change: AnyConfChange): ConfState {
    try {
      if (!losesMajority(this.confState, change)) return this.node.applyConfChange(change)
    } catch (error) {
      if (!(error instanceof ConfChangeError)) throw error
    }
    return this.node.applyConfChange({ id: 0n, type: 0, nodeId: NONE, context: undefined })
  }

  /** Makes the present state a snapshot and drops the entries up to `keep` before it. */
  takeSnapshot(keep: number): void {
    const storage = this.#storage
    if (this.applied <= storage.snapshot().metadata.index) return
    const confState = this.#around.plant === 'configNotStored' ? this.#snapshotConfState : this.confState
    this.#snapshotConfState = this.confState
    const snapshot = storage.createSnapshot(this.applied, confState, bytesOf(this.digest))
    this.#store.write({ checkpoint: snapshot })
    const compactTo = this.applied - keep
    if (compactTo >= storage.firstIndex()) storage.compact(compactTo)
    this.#around.trace(`${this.id} takes snapshot ${this.applied}`)
  }

  read(): void {
    const number = this.#readCount++
    const name = `${this.id}/${this.#around.reusesReadContexts ? number % 2 : number}`
    const context = Uint8Array.from(name, (letter) => letter.charCodeAt(0))
    this.#reads.set(context, this.#around.truth.committed)
    this.node.readIndex(context)
    this.#noteRound(context)
  }

  #readDone(index: number, requestCtx: Uint8Array): void {
    const committedThen = this.#reads.get(requestCtx)
    // Answers can come twice, and to a member that has restarted since.
    if (committedThen === undefined) return
    this.#reads.delete(requestCtx)
    this.#around.truth.read(this.id, index, committedThen)
  }

  step(message: Message): void {
    // See `RawNode.applyConfChange`.
    if (message.type === MessageType.MsgSnap) while (this.runApplyThread());
    if (message.type === MessageType.MsgHeartbeatResp) this.#confuse(message)
    this.node.step(message)
    if (message.type === MessageType.MsgReadIndex) this.#noteRound(message.entries[0]?.data)
  }

  /** For `readContextReused`: which round is the newest for what a reader asked with. */
  #noteRound(context: Uint8Array | undefined): void {
    const { role } = this.raft
    if (this.#around.plant !== 'readContextReused' || role.kind !== 'leader' || context === undefined) return
    const round = role.reads.newestContext
    if (round !== undefined) this.#contextOfRound.set(`${this.raft.term}/${String(round)}`, context)
  }

  /** Plants that make answers to heartbeats count for another read. */
  #confuse(message: Message): void {
    const { role, term } = this.raft
    if (role.kind !== 'leader') return
    const newest = role.reads.newestContext
    if (this.#around.plant === 'wrongReadConfirmed') message.context = newest
    if (this.#around.plant !== 'readContextReused') return
    const asked = this.#contextOfRound.get(`${term}/${String(message.context)}`)
    const askedLast = this.#contextOfRound.get(`${term}/${String(newest)}`)
    if (asked !== undefined && String(asked) === String(askedLast)) message.context = newest
  }
}

function losesMajority({ voters }: ConfState, change: AnyConfChange): boolean {
  const left = new Set(voters)
  for (const { type, nodeId } of toConfChangeV2(change).changes) {
    if (type === ConfChangeType.ConfChangeAddNode) left.add(nodeId)
    else if (type !== ConfChangeType.ConfChangeUpdateNode) left.delete(nodeId)
  }
  return voters.length > 0 && 2 * voters.filter((id) => left.has(id)).length <= voters.length
}

function bytesOf(digest: number): Uint8Array {
  return Uint8Array.of(digest >>> 24, digest >>> 16, digest >>> 8, digest)
}

function digestFrom(bytes: Uint8Array): number {
  return bytes.reduce((digest, byte) => ((digest << 8) | byte) >>> 0, 0)
}
