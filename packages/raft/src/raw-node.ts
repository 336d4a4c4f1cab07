import { applyConfChange } from './configuration.ts'
import { type AnyConfChange, type ConfChange, ConfChangeType, confChangeEntryType } from './conf-change.ts'
import { encodeConfChange } from './conf-change-codec.ts'
import { entriesSize } from './entry-size.ts'
import { broken } from './invariant.ts'
import {
  type ConfState,
  type Entry,
  EntryType,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  MessageType,
  NONE,
  type Snapshot,
  isElectionType,
  isLeaderType,
  isLocalTarget,
  isLocalType,
  isOfNoTerm,
  isResponseType,
  newEntry,
  newMessage,
} from './messages.ts'
import { Raft } from './raft.ts'
import { type RaftConfig, settingsOf } from './raft-config.ts'
import type { Ready } from './ready.ts'
import type { Refusal } from './refusal.ts'
import type { RaftState } from './role.ts'
import type { BasicStatus, Status } from './status.ts'

/** A member of a group that is founded; `context` goes into its entry in the log. */
export interface Peer {
  readonly id: bigint
  readonly context?: Uint8Array | undefined
}

/**
 * One member of a raft group, for a driver that brings time, network, disk and state machine.
 *
 * Deterministic: the same inputs in the same order give the same outputs. Nothing is done but in the calls
 * below, and nothing they do leaves this object except through `ready`. The driver calls `ready` while
 * `hasReady`, does what it says (see `Ready`), and feeds back what came of it.
 *
 * @see "In Search of an Understandable Consensus Algorithm" (the sections that comments cite) and Ongaro's
 *   dissertation, "Consensus: Bridging Theory and Practice"
 */
export class RawNode {
  /** The state machine itself, for tests and tools. */
  readonly raft: Raft
  readonly #isAsync: boolean
  /** What `advance` stands for: answers of this member to itself and of its storage. */
  #stepsOnAdvance: Message[] = []
  // What the last Ready said.
  #lead: bigint
  #raftState: RaftState
  #term: number
  #vote: bigint
  #commit: number

  /** @throws RaftConfigError @throws InvariantError if what is in storage contradicts itself */
  constructor(config: RaftConfig) {
    const settings = settingsOf(config)
    const raft = new Raft(settings)
    this.raft = raft
    this.#isAsync = settings.asyncStorageWrites
    this.#lead = raft.lead
    this.#raftState = raft.raftState
    this.#term = raft.term
    this.#vote = raft.vote
    this.#commit = raft.log.committed
  }

  /** One unit of time has passed. */
  tick(): void {
    this.raft.tick()
  }

  /** Stands for election now instead of after a timeout. */
  campaign(): void {
    this.raft.campaign()
  }

  /** Proposes `data`, which raft keeps. A follower sends it to its leader. */
  propose(data: Uint8Array): Refusal | undefined {
    return this.proposeEntries([newEntry(EntryType.EntryNormal, data)])
  }

  /**
   * Proposes entries that are to follow each other in the log, all or none. Array and entries become raft's:
   * it gives them term and index, and may put an empty entry in the place of a membership change that it
   * refuses.
   */
  proposeEntries(entries: Entry[]): Refusal | undefined {
    const message = newMessage(MessageType.MsgProp, NONE)
    message.from = this.raft.id
    message.entries = entries
    return this.raft.step(message)
  }

  /**
   * Proposes a membership change. An empty `ConfChangeV2` leaves a joint configuration. One change can be under
   * way at a time: what does not suit is replaced by an empty entry, without an error here.
   */
  proposeConfChange(change: AnyConfChange): Refusal | undefined {
    return this.proposeEntries([newEntry(confChangeEntryType(change), encodeConfChange(change))])
  }

  /**
   * Puts a committed membership change in force; to be called for each one, in order, as part of applying. One
   * that the driver will not have is applied with `nodeId` 0n.
   *
   * A snapshot brings its configuration with it, at the moment when its message is taken in: with asynchronous
   * storage writes a driver has to apply what it has been given before it hands over a MsgSnap.
   *
   * @returns the configuration that a snapshot taken now belongs to
   * @throws ConfChangeError
   */
  applyConfChange(change: AnyConfChange): ConfState {
    return applyConfChange(this.raft, change)
  }

  /**
   * Takes in a message of another member, or an answer of this member's own storage. Messages are raft's from
   * then on. The driver has to make sure that peers do not pose as local targets in `from`.
   */
  step(message: Message): Refusal | undefined {
    const { from, term, type } = message
    if (!isLocalTarget(from)) {
      if (isLocalType(type)) return 'localMessage'
      if (isResponseType(type) && !this.raft.tracker.progress.has(from)) return 'peerNotFound'
      if (term === 0 && !isOfNoTerm(type)) return 'localMessage'
      // Nobody leads itself, or asks itself for a vote, by message.
      const isRequest = isLeaderType(type) || isElectionType(type)
      if (isRequest && (from === NONE || from === this.raft.id)) return 'localMessage'
    }
    return this.raft.step(message)
  }

  /** Asks for an index to read at: comes as a `ReadState` with `context`, if there is a leader to confirm it. */
  readIndex(context: Uint8Array): void {
    const message = newMessage(MessageType.MsgReadIndex, NONE)
    message.entries = [newEntry(EntryType.EntryNormal, context)]
    this.raft.step(message)
  }

  /** Asks the leader to hand over to `transferee`. */
  transferLeader(transferee: bigint): void {
    this.#stepFrom(MessageType.MsgTransferLeader, transferee, false)
  }

  /** Lets this follower vote for another member without waiting until its leader is overdue. */
  forgetLeader(): void {
    this.#stepFrom(MessageType.MsgForgetLeader, NONE, false)
  }

  /** Messages to `id` could not be delivered. */
  reportUnreachable(id: bigint): void {
    this.#stepFrom(MessageType.MsgUnreachable, id, false)
  }

  /** The snapshot for `id` was sent, or was not. To be called for every MsgSnap, or that member waits for ever. */
  reportSnapshot(id: bigint, isDelivered: boolean): void {
    this.#stepFrom(MessageType.MsgSnapStatus, id, !isDelivered)
  }

  #stepFrom(type: MessageType, from: bigint, reject: boolean): void {
    const message = newMessage(type, NONE)
    message.from = from
    message.reject = reject
    this.raft.step(message)
  }

  /**
   * Founds a group: fills an empty log with one entry for each member, committed in term 1. All founding
   * members must be given the same peers in the same order.
   *
   * @throws Error if storage is not empty or there are no peers
   */
  bootstrap(peers: readonly Peer[]): void {
    const { raft } = this
    if (peers.length === 0) throw new Error('must provide at least one peer to Bootstrap')
    if (raft.log.storage.lastIndex() !== 0) throw new Error("can't bootstrap a nonempty Storage")
    // So that the first Ready has a hard state even if it is that of term 1.
    this.#term = 0
    this.#vote = NONE
    this.#commit = 0
    raft.becomeFollower(1, NONE)
    const changes = peers.map(({ id, context }): ConfChange => {
      return { id: 0n, type: ConfChangeType.ConfChangeAddNode, nodeId: id, context }
    })
    raft.log.append(
      changes.map((change, at) => {
        return { type: EntryType.EntryConfChange, term: 1, index: at + 1, data: encodeConfChange(change) }
      }),
    )
    raft.log.committed = peers.length
    // The entries are handed over to be applied all the same, which changes nothing then; but a member can
    // take part in an election before that.
    for (const change of changes) applyConfChange(raft, change)
  }

  /** Whether `ready` would have something to say. */
  hasReady(): boolean {
    const { raft } = this
    return (
      raft.messages.length > 0 ||
      raft.messagesAfterAppend.length > 0 ||
      raft.log.unstable.hasNextEntries ||
      raft.log.hasNextCommitted(!this.#isAsync) ||
      raft.readStates.length > 0 ||
      raft.log.unstable.nextSnapshot !== undefined ||
      this.#hasNewHardState ||
      this.#hasNewSoftState
    )
  }

  /** What is to be done now. Raft takes it as accepted: it will not say it again. */
  ready(): Ready {
    const { raft } = this
    const { log } = raft
    const isAsync = this.#isAsync
    if (this.#stepsOnAdvance.length > 0) broken('two accepted Ready structs without call to Advance')

    const entries = log.unstable.nextEntries()
    const snapshot = log.unstable.nextSnapshot
    const committedEntries = log.nextCommitted(!isAsync)
    const hardState = this.#hasNewHardState ? raft.hardState : undefined
    const softState = this.#hasNewSoftState ? { lead: raft.lead, raftState: raft.raftState } : undefined
    const { messages, messagesAfterAppend, readStates } = raft
    const mustSync = entries.length > 0 || raft.term !== this.#term || raft.vote !== this.#vote
    const appended = this.#appendResponse(snapshot)

    if (isAsync) {
      if (
        entries.length > 0 ||
        hardState !== undefined ||
        snapshot !== undefined ||
        messagesAfterAppend.length > 0
      ) {
        const append = newMessage(MessageType.MsgStorageAppend, LOCAL_APPEND_THREAD)
        append.from = raft.id
        append.entries = entries
        append.snapshot = snapshot
        if (hardState !== undefined) {
          append.term = hardState.term
          append.vote = hardState.vote
          append.commit = hardState.commit
        }
        // The answers of this member to itself come before the storage's: the terms they are about are then
        // still at hand.
        append.responses = messagesAfterAppend
        if (appended !== undefined) append.responses.push(appended)
        messages.push(append)
      }
      if (committedEntries.length > 0) {
        const apply = newMessage(MessageType.MsgStorageApply, LOCAL_APPLY_THREAD)
        apply.from = raft.id
        apply.entries = committedEntries
        apply.responses = [this.#applyResponse(committedEntries)]
        messages.push(apply)
      }
    } else {
      for (const message of messagesAfterAppend) {
        if (message.to === raft.id) this.#stepsOnAdvance.push(message)
        else messages.push(message)
      }
      if (appended !== undefined) this.#stepsOnAdvance.push(appended)
      if (committedEntries.length > 0) this.#stepsOnAdvance.push(this.#applyResponse(committedEntries))
    }

    this.#lead = raft.lead
    this.#raftState = raft.raftState
    this.#term = raft.term
    this.#vote = raft.vote
    this.#commit = log.committed
    raft.messages = []
    raft.messagesAfterAppend = []
    raft.readStates = []
    log.unstable.acceptInProgress()
    const last = committedEntries.at(-1)
    if (last !== undefined) log.acceptApplying(last.index, entriesSize(committedEntries), !isAsync)
    return { softState, hardState, readStates, entries, snapshot, committedEntries, messages, mustSync }
  }

  /** All of the last Ready is done. Not with asynchronous storage writes. */
  advance(): void {
    if (this.#isAsync) broken('Advance must not be called when using AsyncStorageWrites')
    const steps = this.#stepsOnAdvance
    this.#stepsOnAdvance = []
    for (const message of steps) this.raft.step(message)
  }

  basicStatus(): BasicStatus {
    const { raft } = this
    return {
      id: raft.id,
      hardState: raft.hardState,
      lead: raft.lead,
      raftState: raft.raftState,
      applied: raft.log.applied,
      leadTransferee: raft.role.kind === 'leader' ? raft.role.transferee : NONE,
    }
  }

  status(): Status {
    const { tracker, role } = this.raft
    const ids = role.kind === 'leader' ? tracker.ids : []
    return {
      ...this.basicStatus(),
      config: tracker.config,
      progress: new Map(ids.map((id) => [id, tracker.progress.get(id)!.copy()])),
    }
  }

  get #hasNewSoftState(): boolean {
    const { raft } = this
    return raft.raftState !== this.#raftState || raft.lead !== this.#lead
  }

  get #hasNewHardState(): boolean {
    const { raft } = this
    return raft.log.committed !== this.#commit || raft.term !== this.#term || raft.vote !== this.#vote
  }

  /**
   * The storage's answer once everything unstable is written, or undefined if raft does not have to hear of it.
   *
   * It is about the last entry even if this Ready has none: earlier writes, still under way, may hold
   * entries that look the same but were replaced in between (written in term 1, overwritten in term 2, written
   * again in term 1's form by term 3's leader), and only the answer to the last write, of the last term,
   * says which of them the disk holds in the end.
   */
  #appendResponse(snapshot: Snapshot | undefined): Message | undefined {
    const { raft } = this
    const { entries } = raft.log.unstable
    if (entries.length === 0 && snapshot === undefined) return undefined
    const message = newMessage(MessageType.MsgStorageAppendResp, raft.id)
    message.from = LOCAL_APPEND_THREAD
    // Ignored in a later term.
    message.term = raft.term
    if (entries.length > 0) {
      message.index = raft.log.lastIndex
      message.logTerm = raft.log.lastTerm
    }
    message.snapshot = snapshot
    return message
  }

  #applyResponse(entries: Entry[]): Message {
    const message = newMessage(MessageType.MsgStorageApplyResp, this.raft.id)
    message.from = LOCAL_APPLY_THREAD
    message.entries = entries
    return message
  }
}
