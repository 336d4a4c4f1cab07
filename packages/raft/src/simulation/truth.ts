import { describeConfState } from '../describe-config.ts'
import { type ConfState, type Entry, type HardState, type Message, MessageType } from '../messages.ts'
import type { Raft } from '../raft.ts'
import { TERM_UNKNOWN } from '../raft-log.ts'

/** Something that raft promises did not hold. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

interface Committed {
  readonly term: number
  readonly digest: number
  /** The term whose leader committed it. */
  readonly decidedIn: number
}

/** A member as the checker sees it. */
export interface Observed {
  readonly id: bigint
  readonly raft: Raft
  /** Whether the entry of `index` and `term`, or a snapshot that includes it, would survive a crash. */
  holdsDurably(index: number, term: number): boolean
  /** The vote and the term that would survive a crash. */
  readonly durableState: HardState
}

export interface TruthOptions {
  /** Entries up to this index are in every log of a founder from the start. */
  readonly founderCount: number
  /**
   * Whether a promise that is given too early is a violation at once. Without it only what comes of it is: a driver's
   * faults are to be found by their effects.
   */
  readonly checksPromises: boolean
}

/**
 * What has happened in a group so far, from outside, and whether it may have:
 * - election safety: one leader a term, no member votes for two, and only the leader makes entries of its term;
 * - log matching: an index and a term stand for one entry, and for one entry before it;
 * - leader completeness: a new leader has everything committed;
 * - state machine safety: all members apply the same entry at each index, in order, in the same configuration;
 * - durability: what a leader commits is on the disks of a quorum, and the newest entry of it is of the leader's term;
 * - progress: what a leader takes a member to have, that member has on its disk;
 * - promises: a vote and the acknowledgement of entries leave a member after its disk has them;
 * - commit indexes only grow; reads are never behind what was committed when they were asked for.
 *
 * @see The invariants of the TLA+ specification that etcd's raft is checked against
 */
export class Truth {
  readonly #options: TruthOptions
  readonly #leaders = new Map<number, bigint>()
  readonly #votes = new Map<string, bigint>()
  /** By `index/term`: digest of the entry together with the term before it. */
  readonly #entries = new Map<string, number>()
  /** `#committed[i]` is the entry of index `i + 1`. */
  readonly #committed: Committed[] = []
  readonly #confStates = new Map<number, string>()
  /** How many of them were joint, and how many had learners. */
  joint = 0
  withLearners = 0
  reads = 0

  constructor(options: TruthOptions) {
    this.#options = options
  }

  /** The highest index that any member has known to be committed. */
  get committed(): number {
    return this.#committed.length
  }

  /** How many membership changes have taken effect. */
  get confChanges(): number {
    return this.#confStates.size
  }

  /** `message` leaves `sender`. */
  sent({ type, from, to, term, logTerm, index, entries, reject }: Message, sender: Observed): void {
    // They may never get to the leader's own disk, if it stops leading first.
    if (type === MessageType.MsgApp) this.appended(from, logTerm, entries)
    if (type === MessageType.MsgAppResp && !reject && this.#options.checksPromises) {
      this.#acknowledged(sender, term, index)
    }
    if (type !== MessageType.MsgVoteResp || reject) return
    const { durableState } = sender
    const isDurable = durableState.term === term && durableState.vote === to
    if (this.#options.checksPromises && !isDurable && durableState.term <= term) {
      throw new Violation(`member ${from} votes for ${to} in term ${term} before its disk has it`)
    }
    const key = `${from}/${term}`
    const voted = this.#votes.get(key)
    if (voted !== undefined && voted !== to) {
      throw new Violation(`member ${from} voted for ${voted} and for ${to} in term ${term}`)
    }
    this.#votes.set(key, to)
  }

  /** `member` says that its disk has what the leader of `term` has up to `index`. */
  #acknowledged(member: Observed, term: number, index: number): void {
    const { id, raft } = member
    // What was written since may have replaced it.
    if (index === 0 || raft.term !== term) return
    const entryTerm = raft.log.term(index)
    if (entryTerm === TERM_UNKNOWN || member.holdsDurably(index, entryTerm)) return
    throw new Violation(`member ${id} acknowledges ${index} of term ${entryTerm} before its disk has it`)
  }

  /** `entries` are, or were, in a log in which `prevTerm` is the term of the entry before the first one. */
  appended(id: bigint, prevTerm: number, entries: readonly Entry[]): void {
    let before = prevTerm
    for (const entry of entries) {
      const key = `${entry.index}/${entry.term}`
      const digest = digestOf(digestOf(before, entry), entry)
      const known = this.#entries.get(key)
      if (known !== undefined && known !== digest) {
        throw new Violation(`member ${id} has another entry ${key} than others, or another one before it`)
      }
      const isFounding = entry.index <= this.#options.founderCount && entry.term === 1
      if (known === undefined && !isFounding && this.#leaders.get(entry.term) !== id) {
        throw new Violation(`member ${id} has an entry ${key} that the leader of its term did not make`)
      }
      this.#entries.set(key, digest)
      before = entry.term
    }
  }

  /** A member has done something: `previousCommit` and `wasLeaderOf` are its commit index and term of leadership before. */
  observe(member: Observed, all: readonly Observed[], previousCommit: number, wasLeaderOf: number): void {
    const { raft, id } = member
    const { log, term } = raft
    if (log.committed < previousCommit) {
      throw new Violation(`commit index of ${id} fell from ${previousCommit} to ${log.committed}`)
    }
    if (log.applied > log.applying || log.applying > log.committed || log.committed > log.lastIndex) {
      throw new Violation(`indexes of ${id} are out of order: ${log.describe()}, last=${log.lastIndex}`)
    }
    const isLeader = raft.role.kind === 'leader'
    if (isLeader && wasLeaderOf !== term) this.#elected(member)
    for (let index = Math.max(previousCommit + 1, log.firstIndex); index <= log.committed; index++) {
      this.#commit(id, index, log.slice(index, index + 1, Infinity)[0]!, term)
    }
    if (!isLeader) return
    // Later checks would need the entry; and what a follower learns of, a leader has decided.
    if (log.committed > previousCommit) {
      if (wasLeaderOf === term && log.term(log.committed) !== term) {
        throw new Violation(
          `leader ${id} of term ${term} commits ${log.committed} of another term by counting`,
        )
      }
      checkDurable(member, all)
    }
    this.#checkProgress(member, all)
  }

  #checkProgress({ id, raft: { log, tracker, term: leaderTerm } }: Observed, all: readonly Observed[]): void {
    for (const other of all) {
      const progress = tracker.progress.get(other.id)
      if (progress === undefined) continue
      const { match, next } = progress
      if (match >= next || match > log.lastIndex) {
        throw new Violation(
          `leader ${id} has match ${match} and next ${next} of ${other.id}, last=${log.lastIndex}`,
        )
      }
      // A later leader may have replaced it.
      const isOfLaterTerm = other.durableState.term > leaderTerm
      if (match === 0 || isOfLaterTerm || !this.#options.checksPromises) continue
      const term = log.term(match)
      // Entries of its own that an earlier term has left decide nothing: see the check of the term above.
      const isOldOfItsOwn = other.id === id && term < leaderTerm
      if (term === TERM_UNKNOWN || isOldOfItsOwn || other.holdsDurably(match, term)) continue
      throw new Violation(
        `leader ${id} takes ${other.id} to have ${match} of term ${term}, which its disk has not`,
      )
    }
  }

  #elected({ id, raft: { term, log } }: Observed): void {
    const known = this.#leaders.get(term)
    if (known !== undefined && known !== id)
      throw new Violation(`${known} and ${id} both lead in term ${term}`)
    this.#leaders.set(term, id)
    for (let index = log.firstIndex; index <= this.#committed.length; index++) {
      const committed = this.#committed[index - 1]!
      // The votes for it may have been late: then a later leader has gone on without it.
      if (committed.decidedIn >= term) break
      const own = log.term(index)
      if (own === TERM_UNKNOWN || own !== committed.term) {
        throw new Violation(
          `${id} leads in term ${term} without entry ${index} of term ${committed.term}, which is committed`,
        )
      }
    }
  }

  #commit(id: bigint, index: number, entry: Entry, decidedIn: number): void {
    const known = this.#committed[index - 1]
    const digest = digestOf(0, entry)
    if (known === undefined) {
      // A member can start from a snapshot, but then those who made it have committed what it stands for.
      if (index !== this.#committed.length + 1) {
        throw new Violation(`member ${id} commits ${index}, but nobody committed ${index - 1}`)
      }
      this.#committed.push({ term: entry.term, digest, decidedIn })
    } else if (known.term !== entry.term || known.digest !== digest) {
      throw new Violation(
        `member ${id} commits another entry at ${index} (term ${entry.term}) than others (term ${known.term})`,
      )
    }
  }

  /** A member hands `entry` to its state machine, which has applied everything up to `applied`. */
  applied(id: bigint, applied: number, entry: Entry): void {
    if (entry.index !== applied + 1) {
      throw new Violation(`member ${id} applies ${entry.index} after ${applied}`)
    }
    const committed = this.#committed[entry.index - 1]
    if (committed?.term !== entry.term || committed.digest !== digestOf(0, entry)) {
      throw new Violation(`member ${id} applies another entry at ${entry.index} than was committed`)
    }
  }

  configured(id: bigint, index: number, state: ConfState): void {
    const text = describeConfState(state)
    const known = this.#confStates.get(index)
    if (known !== undefined && known !== text) {
      throw new Violation(`member ${id} has another configuration at ${index}: ${text}, others ${known}`)
    }
    if (known === undefined) {
      if (state.votersOutgoing.length > 0) this.joint++
      if (state.learners.length > 0) this.withLearners++
    }
    this.#confStates.set(index, text)
  }

  /** A read that was asked for when `committedThen` was committed may be served from `index` on. */
  read(id: bigint, index: number, committedThen: number): void {
    this.reads++
    if (index < committedThen) {
      throw new Violation(`member ${id} reads at ${index} although ${committedThen} was committed before`)
    }
  }
}

function checkDurable({ id, raft }: Observed, all: readonly Observed[]): void {
  const index = raft.log.committed
  const term = raft.log.term(index)
  const votes = new Map(all.map((member) => [member.id, member.holdsDurably(index, term)]))
  if (raft.tracker.tally(votes) !== 'won') {
    throw new Violation(`leader ${id} commits ${index} of term ${term}, which is not on a quorum's disks`)
  }
}

/** Mixes `entry` into `seed` (FNV-1a). */
export function digestOf(seed: number, { type, term, index, data }: Entry): number {
  let digest = Math.imul(seed ^ 0x811c9dc5, 0x01000193)
  const mix = (byte: number): void => {
    digest = Math.imul(digest ^ byte, 0x01000193)
  }
  mix(type)
  mix(term)
  mix(index)
  mix(index >>> 8)
  if (data !== undefined) for (const byte of data) mix(byte)
  return digest >>> 0
}
