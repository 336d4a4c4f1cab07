import type { Inflights } from './inflights.ts'
import { broken } from './invariant.ts'

/**
 * How a leader feeds one follower:
 * - `probe`: it looks for the place where the logs agree, one append per answer or heartbeat;
 * - `replicate`: it streams, ahead of the answers, up to the bound on appends under way;
 * - `snapshot`: the follower needs entries that are gone; nothing is sent until it has a snapshot.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot'

/** What a leader knows of one member. Always `match < next`. */
export class Progress {
  /** The last index known to be equal on that member's disk. */
  match = 0
  /** The next index to send; everything before it is acknowledged or under way. */
  next: number
  state: ProgressState = 'probe'
  /** Index of the snapshot that is under way in state `snapshot`. */
  pendingSnapshot = 0
  /** Heard from since the last quorum check. */
  recentActive = false
  /** No append until something is heard: a probe is out, or the bound on appends under way is reached. */
  isFlowPaused = false
  readonly isLearner: boolean
  inflights: Inflights
  /** The highest commit index that was sent; the follower's own is at most this. */
  #sentCommit = 0
  readonly #newInflights: () => Inflights

  constructor(next: number, isLearner: boolean, newInflights: () => Inflights) {
    this.next = next
    this.isLearner = isLearner
    this.#newInflights = newInflights
    this.inflights = newInflights()
  }

  /** The same progress of the same member in another role; `inflights` is shared, so only one may live on. */
  as(isLearner: boolean): Progress {
    return this.#copy(isLearner, this.inflights)
  }

  /** A copy that nothing changes any more. */
  copy(): Progress {
    return this.#copy(this.isLearner, this.inflights.copy())
  }

  #copy(isLearner: boolean, inflights: Inflights): Progress {
    const copy = new Progress(this.next, isLearner, this.#newInflights)
    copy.match = this.match
    copy.state = this.state
    copy.pendingSnapshot = this.pendingSnapshot
    copy.recentActive = this.recentActive
    copy.isFlowPaused = this.isFlowPaused
    copy.inflights = inflights
    copy.#sentCommit = this.#sentCommit
    return copy
  }

  get isPaused(): boolean {
    return this.state === 'snapshot' || this.isFlowPaused
  }

  becomeProbe(): void {
    // A snapshot that got through is where to go on; one that failed has been set to 0.
    const from = this.state === 'snapshot' ? Math.max(this.match, this.pendingSnapshot) : this.match
    this.#reset('probe')
    this.next = from + 1
    this.#lowerSentCommit()
  }

  becomeReplicate(): void {
    this.#reset('replicate')
    this.next = this.match + 1
  }

  becomeSnapshot(index: number): void {
    this.#reset('snapshot')
    this.pendingSnapshot = index
    this.next = index + 1
    this.#sentCommit = index
  }

  #reset(state: ProgressState): void {
    this.isFlowPaused = false
    this.pendingSnapshot = 0
    this.state = state
    this.inflights = this.#newInflights()
  }

  /** Notes that an append of `count` entries from `next` on went out, with `bytes` of payload. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === 'replicate') {
      if (count > 0) {
        this.next += count
        this.inflights.add(this.next - 1, bytes)
      }
      this.isFlowPaused = this.inflights.isFull
    } else if (this.state === 'probe') {
      if (count > 0) this.isFlowPaused = true
    } else {
      broken('append sent to a member that is waiting for a snapshot')
    }
  }

  sentCommit(index: number): void {
    this.#sentCommit = index
  }

  /** Whether telling the member of commit index `index` can move its own. */
  canBumpCommit(index: number): boolean {
    return index > this.#sentCommit && this.#sentCommit < this.next - 1
  }

  /** The member has everything up to `index`. @returns false if that is not news */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false
    this.match = index
    this.next = Math.max(this.next, index + 1)
    this.isFlowPaused = false
    return true
  }

  /**
   * The member refused an append after `rejected` and suggests to go on after `hint`.
   *
   * @returns false if the refusal is stale
   */
  maybeDecrease(rejected: number, hint: number): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false
      this.next = this.match + 1
      this.#lowerSentCommit()
      return true
    }
    // A probing leader has one append out, the one after `next - 1`.
    if (this.next - 1 !== rejected) return false
    // It does not have what it had acknowledged: its disk went back in time. It gets that again.
    if (rejected === this.match && hint < this.match) this.match = hint
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1)
    this.#lowerSentCommit()
    this.isFlowPaused = false
    return true
  }

  /** What went out with the appends that are taken back was probably not seen. */
  #lowerSentCommit(): void {
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1)
  }
}
