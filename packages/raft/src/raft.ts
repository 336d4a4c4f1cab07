import { type Membership, restoreMembership } from './changer.ts'
import { switchConfig } from './configuration.ts'
import { describeConfState } from './describe-config.ts'
import { campaign, handleVoteRequest, stepCandidate } from './election.ts'
import { entriesSize, payloadsSize } from './entry-size.ts'
import { stepFollower } from './follower.ts'
import { broken, unreachable } from './invariant.ts'
import { appendAsLeader, proposeAutoLeave, releaseUncommitted, stepLeader, tickLeader } from './leader.ts'
import { type Logger, hex } from './logger.ts'
import { messageTypeName } from './message-names.ts'
import {
  type ConfState,
  type Entry,
  EntryType,
  type HardState,
  type Message,
  MessageType,
  NONE,
  type Snapshot,
  isElectionType,
  isLeaderType,
  newEntry,
  newMessage,
} from './messages.ts'
import type { Settings } from './raft-config.ts'
import { votersOfBoth } from './quorum.ts'
import { RaftLog } from './raft-log.ts'
import type { ReadState } from './read-only.ts'
import type { Refusal } from './refusal.ts'
import { type Leader, type RaftState, type Role, candidate, follower, leader, preCandidate } from './role.ts'
import { Tracker } from './tracker.ts'

/** Context of a vote request that a leader asked for: it is granted even while that leader is alive. */
const transferContext = Uint8Array.from('CampaignTransfer', (letter) => letter.charCodeAt(0))

/**
 * One member's state and its transitions. The rules for each kind of message are in the modules of the roles,
 * as functions over this; what they want sent is left in `messages` and `messagesAfterAppend`.
 */
export class Raft {
  readonly settings: Settings
  readonly id: bigint
  /** This member in log lines. */
  readonly name: string
  readonly logger: Logger
  readonly log: RaftLog
  readonly tracker: Tracker

  term = 0
  vote = NONE
  role: Role = follower(NONE)
  /** Ticks since a leader was heard from, a vote was given or a campaign began; of a leader, since its last quorum check. */
  electionElapsed = 0
  /** Drawn anew from `[electionTicks, 2 * electionTicks)` at every change of role or term. */
  randomizedElectionTimeout = 0

  /** To be sent at once. */
  messages: Message[] = []
  /** To be sent once all that is in the log and the hard state by now is on disk: they promise it. */
  messagesAfterAppend: Message[] = []
  /** Reads that may go ahead. */
  readStates: ReadState[] = []

  constructor(settings: Settings) {
    const { id, storage, logger } = settings
    this.settings = settings
    this.id = id
    this.name = hex(id)
    this.logger = logger
    this.log = new RaftLog(storage, logger, settings.maxCommittedSizePerReady)
    this.tracker = new Tracker(settings.maxInflightMessages, settings.maxInflightBytes)

    const { hardState, confState } = storage.initialState()
    this.restoreConfig(confState)
    this.#loadHardState(hardState)
    if (settings.applied > 0) this.log.appliedTo(settings.applied, 0)
    this.becomeFollower(this.term, NONE)
    logger.info?.(
      `newRaft ${this.name} [peers: [${votersOfBoth(this.tracker.config.voters).map(hex).join(',')}], term: ${this.term}, commit: ${this.log.committed}, applied: ${this.log.applied}, lastindex: ${this.log.lastIndex}, lastterm: ${this.log.lastTerm}]`,
    )
  }

  get lead(): bigint {
    const { role } = this
    if (role.kind === 'follower') return role.lead
    return role.kind === 'leader' ? this.id : NONE
  }

  get raftState(): RaftState {
    return this.role.kind
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed }
  }

  /** Whether this member may lead: a voter whose log is all there. */
  get isPromotable(): boolean {
    const progress = this.tracker.progress.get(this.id)
    return progress !== undefined && !progress.isLearner && !this.log.hasPendingSnapshot
  }

  /** `[logterm: 1, index: 2]` of this member's last entry, as log lines have it, without the brackets. */
  describeLast(): string {
    return `logterm: ${this.log.lastTerm}, index: ${this.log.lastIndex}`
  }

  // ---- transitions ----

  becomeFollower(term: number, lead: bigint): void {
    this.#reset(term)
    this.role = follower(lead)
    this.logger.info?.(`${this.name} became follower at term ${this.term}`)
  }

  becomeCandidate(): void {
    if (this.role.kind === 'leader') broken('invalid transition [leader -> candidate]')
    this.#reset(this.term + 1)
    this.vote = this.id
    this.role = candidate()
    this.logger.info?.(`${this.name} became candidate at term ${this.term}`)
  }

  /** Changes nothing that others could notice: neither term nor vote. */
  becomePreCandidate(): void {
    if (this.role.kind === 'leader') broken('invalid transition [leader -> pre-candidate]')
    this.role = preCandidate()
    this.logger.info?.(`${this.name} became pre-candidate at term ${this.term}`)
  }

  becomeLeader(): Leader {
    if (this.role.kind === 'follower') broken('invalid transition [follower -> leader]')
    this.#reset(this.term)
    const role = leader(this.log.lastIndex)
    this.role = role
    const own = this.tracker.progress.get(this.id)
    if (own === undefined) broken(`${this.name} leads a group that it does not belong to`)
    own.becomeReplicate()
    own.recentActive = true
    // An entry of its own term is what lets a leader commit those of earlier ones (section 5.4.2).
    if (!appendAsLeader(this, role, [newEntry(EntryType.EntryNormal, undefined)])) {
      broken('empty entry was dropped')
    }
    this.logger.info?.(`${this.name} became leader at term ${this.term}`)
    return role
  }

  #reset(term: number): void {
    if (this.term !== term) {
      this.term = term
      this.vote = NONE
    }
    this.electionElapsed = 0
    const { electionTicks, random } = this.settings
    this.randomizedElectionTimeout = electionTicks + random.below(electionTicks)
    const last = this.log.lastIndex
    this.tracker.reset(last + 1)
    const own = this.tracker.progress.get(this.id)
    if (own !== undefined) own.match = last
  }

  // ---- output ----

  /** Queues `message`, with this member as its sender and its term where that belongs. */
  send(message: Message): void {
    const { type } = message
    if (message.from === NONE) message.from = this.id
    if (carriesOwnTerm(type)) {
      if (message.term === 0) broken(`term should be set when sending ${messageTypeName(type)}`)
    } else {
      if (message.term !== 0) {
        broken(`term should not be set when sending ${messageTypeName(type)} (was ${message.term})`)
      }
      // What is forwarded to a leader is not of the sender's term.
      if (type !== MessageType.MsgProp && type !== MessageType.MsgReadIndex) message.term = this.term
    }
    if (
      type === MessageType.MsgAppResp ||
      type === MessageType.MsgVoteResp ||
      type === MessageType.MsgPreVoteResp
    ) {
      // These promise what is only in memory as yet: an entry, a vote, or the term itself. Those to this
      // member itself are its own vote and its own copy of the entries.
      this.messagesAfterAppend.push(message)
      return
    }
    if (message.to === this.id) {
      broken(`message should not be self-addressed when sending ${messageTypeName(type)}`)
    }
    this.messages.push(message)
  }

  // ---- inputs ----

  tick(): void {
    this.electionElapsed++
    if (this.role.kind === 'leader') {
      tickLeader(this, this.role)
    } else if (this.isPromotable && this.electionElapsed >= this.randomizedElectionTimeout) {
      this.electionElapsed = 0
      this.campaign()
    }
  }

  /** Stands for election, if this member may. */
  campaign(): void {
    this.#hup(this.settings.preVote ? 'preVote' : 'vote', undefined)
  }

  /** The same because the leader asks for it: at once, and heard even by those who still hear that leader. */
  campaignForTransfer(): void {
    this.#hup('vote', transferContext)
  }

  #hup(kind: 'preVote' | 'vote', context: Uint8Array | undefined): void {
    if (this.role.kind === 'leader') {
      this.logger.debug?.(`${this.name} ignoring MsgHup because already leader`)
      return
    }
    if (!this.isPromotable) {
      this.logger.warn?.(`${this.name} is unpromotable and can not campaign`)
      return
    }
    // It could win by a configuration that a committed entry has changed already.
    if (this.log.hasUnappliedConfChange()) {
      this.logger.warn?.(
        `${this.name} cannot campaign at term ${this.term} since there are still pending configuration changes to apply`,
      )
      return
    }
    this.logger.info?.(`${this.name} is starting a new election at term ${this.term}`)
    campaign(this, kind, context)
  }

  step(message: Message): Refusal | undefined {
    // Term 0: from this member itself, or forwarded.
    if (message.term > this.term) {
      if (!this.#meetHigherTerm(message)) return undefined
    } else if (message.term !== 0 && message.term < this.term) {
      this.#meetLowerTerm(message)
      return undefined
    }
    switch (message.type) {
      case MessageType.MsgStorageAppendResp:
        if (message.index !== 0) this.log.unstable.stableTo(message.index, message.logTerm)
        if (message.snapshot !== undefined) this.#snapshotApplied(message.snapshot)
        return undefined
      case MessageType.MsgStorageApplyResp:
        this.#entriesApplied(message.entries)
        return undefined
      case MessageType.MsgVote:
      case MessageType.MsgPreVote:
        handleVoteRequest(this, message)
        return undefined
      default:
    }
    const { role } = this
    switch (role.kind) {
      case 'leader':
        return stepLeader(this, role, message)
      case 'follower':
        return stepFollower(this, role, message)
      case 'candidate':
      case 'preCandidate':
        return stepCandidate(this, role, message)
      default:
        return unreachable(role)
    }
  }

  /** @returns false if the message is to be ignored */
  #meetHigherTerm(message: Message): boolean {
    const { type, from, term } = message
    if (isElectionType(type)) {
      const { checkQuorum, electionTicks } = this.settings
      const hasLease = checkQuorum && this.lead !== NONE && this.electionElapsed < electionTicks
      if (hasLease && !isTransferContext(message.context)) {
        // A leader that was heard from within the shortest election timeout is not given up for a member that
        // was cut off, or removed.
        this.logger.info?.(
          `${this.name} [${this.describeLast()}, vote: ${hex(this.vote)}] ignored ${messageTypeName(type)} from ${hex(from)} [logterm: ${message.logTerm}, index: ${message.index}] at term ${this.term}: lease is not expired (remaining ticks: ${electionTicks - this.electionElapsed})`,
        )
        return false
      }
    }
    // A pre-vote is asked for a term that does not exist yet, and so is its answer; only a refusal has the
    // term of a member that is ahead.
    if (type === MessageType.MsgPreVote) return true
    if (type === MessageType.MsgPreVoteResp && !message.reject) return true
    this.logger.info?.(
      `${this.name} [term: ${this.term}] received a ${messageTypeName(type)} message with higher term from ${hex(from)} [term: ${term}]`,
    )
    this.becomeFollower(term, isLeaderType(type) ? from : NONE)
    return true
  }

  #meetLowerTerm(message: Message): void {
    const { type, from, term } = message
    const { checkQuorum, preVote } = this.settings
    if ((checkQuorum || preVote) && (type === MessageType.MsgHeartbeat || type === MessageType.MsgApp)) {
      // This member's term grew while it was cut off, or before it restarted, and since others ignore its
      // requests as long as they hear a leader, only that leader can resolve it: by learning of the term.
      this.send(newMessage(MessageType.MsgAppResp, from))
    } else if (type === MessageType.MsgPreVote) {
      // Unanswered, members that were updated to pre-vote one by one could wait for each other for ever.
      this.logger.info?.(
        `${this.name} [${this.describeLast()}, vote: ${hex(this.vote)}] rejected ${messageTypeName(type)} from ${hex(from)} [logterm: ${message.logTerm}, index: ${message.index}] at term ${this.term}`,
      )
      const response = newMessage(MessageType.MsgPreVoteResp, from)
      response.term = this.term
      response.reject = true
      this.send(response)
    } else if (type === MessageType.MsgStorageAppendResp) {
      if (message.index !== 0) {
        // The entries may have been replaced in the unstable log by equal-looking ones of a later term whose
        // own write is still under way.
        this.logger.info?.(
          `${this.name} [term: ${this.term}] ignored entry appends from a ${messageTypeName(type)} message with lower term [term: ${term}]`,
        )
      }
      // A snapshot holds committed state, which no term takes back.
      if (message.snapshot !== undefined) this.#snapshotApplied(message.snapshot)
    } else {
      this.logger.info?.(
        `${this.name} [term: ${this.term}] ignored a ${messageTypeName(type)} message with lower term from ${hex(from)} [term: ${term}]`,
      )
    }
  }

  // ---- storage and state machine ----

  #entriesApplied(entries: readonly Entry[]): void {
    const last = entries.at(-1)
    if (last === undefined) return
    this.#appliedTo(last.index, entriesSize(entries))
    if (this.role.kind === 'leader') releaseUncommitted(this.role, payloadsSize(entries))
  }

  #snapshotApplied(snapshot: Snapshot): void {
    const { index } = snapshot.metadata
    this.log.unstable.snapshotStableTo(index)
    this.#appliedTo(index, 0)
  }

  #appliedTo(index: number, size: number): void {
    const applied = Math.max(index, this.log.applied)
    this.log.appliedTo(applied, size)
    const { role } = this
    if (role.kind !== 'leader' || !this.tracker.config.autoLeave) return
    // The entry that entered the joint configuration is applied, by this leader or before it took over. A
    // proposal that a leadership transfer refuses is made again with the next applied entry, or by the next leader.
    if (applied >= role.pendingConfIndex) proposeAutoLeave(this, role)
  }

  #loadHardState(state: HardState): void {
    const { log } = this
    if (state.term === 0 && state.vote === NONE && state.commit === 0) return
    if (state.commit < log.committed || state.commit > log.lastIndex) {
      broken(`${this.name} state.commit ${state.commit} is out of range [${log.committed}, ${log.lastIndex}]`)
    }
    log.committed = state.commit
    this.term = state.term
    this.vote = state.vote
  }

  /** Puts `state`, in which a snapshot was taken, in force. */
  restoreConfig(state: ConfState): void {
    let membership: Membership
    try {
      membership = restoreMembership(this.tracker, this.log.lastIndex, state)
    } catch (cause) {
      broken(`unable to restore config ${describeConfState(state)}: ${String(cause)}`)
    }
    switchConfig(this, membership)
  }
}

/** Vote messages are of the term they are about; all others of the sender's. */
function carriesOwnTerm(type: MessageType): boolean {
  return (
    type === MessageType.MsgVote ||
    type === MessageType.MsgVoteResp ||
    type === MessageType.MsgPreVote ||
    type === MessageType.MsgPreVoteResp
  )
}

function isTransferContext(context: Uint8Array | undefined): boolean {
  return (
    context?.length === transferContext.length && transferContext.every((byte, at) => byte === context[at])
  )
}
