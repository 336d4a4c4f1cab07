import type { ApiError } from '@etcd-ts/api'

/** A read that may start once this member's state covers everything committed before it asked. */
export interface PendingRead {
  /** Monotonic time after which `failed` is called with a timeout. */
  readonly deadlineMs: number
  ready(): void
  failed(error: unknown): void
}

interface Round {
  readonly requestId: number
  startedMs: number
  readonly reads: PendingRead[]
}

/** A round that got no answer (no leader, a lost message) is asked again after this long. */
const RETRY_MS = 500

/**
 * Linearizable reads: all reads that wait at one moment share one ReadIndex round of raft
 * (Raft thesis 6.4); a confirmed round is released as soon as its index has been applied.
 */
export class ReadIndex {
  #next: PendingRead[] = []
  #round: Round | undefined
  /** Rounds that raft has confirmed at `index`, which apply has not reached yet; by ascending index. */
  #confirmed: { readonly index: number; readonly reads: PendingRead[] }[] = []
  readonly #nextRequestId: () => number
  readonly #timeoutError: (deadlineMs: number) => ApiError

  /** @param timeoutError what a read is told that has waited until its deadline */
  constructor(nextRequestId: () => number, timeoutError: (deadlineMs: number) => ApiError) {
    this.#nextRequestId = nextRequestId
    this.#timeoutError = timeoutError
  }

  add(read: PendingRead): void {
    this.#next.push(read)
  }

  /** The request id to ask raft with now, or undefined when no round has to be (re)started. */
  startRound(nowMs: number): number | undefined {
    if (this.#round !== undefined) {
      if (nowMs - this.#round.startedMs < RETRY_MS) return undefined
      this.#round = { requestId: this.#nextRequestId(), startedMs: nowMs, reads: this.#round.reads }
      return this.#round.requestId
    }
    if (this.#next.length === 0) return undefined
    this.#round = { requestId: this.#nextRequestId(), startedMs: nowMs, reads: this.#next }
    this.#next = []
    return this.#round.requestId
  }

  /** Raft vouches that everything committed before round `requestId` started lies at or below `index`. */
  confirm(requestId: number, index: number, appliedIndex: number): void {
    if (this.#round?.requestId !== requestId) return // an earlier try of a round that was asked again
    const { reads } = this.#round
    this.#round = undefined
    if (appliedIndex >= index) for (const read of reads) read.ready()
    else this.#confirmed.push({ index, reads })
  }

  applied(appliedIndex: number): void {
    while (this.#confirmed.length > 0 && (this.#confirmed[0]?.index ?? 0) <= appliedIndex) {
      for (const read of this.#confirmed.shift()?.reads ?? []) read.ready()
    }
  }

  /** Fails the reads that have waited too long. */
  expire(nowMs: number): void {
    const expired = this.#take((read) => read.deadlineMs <= nowMs)
    for (const read of expired) read.failed(this.#timeoutError(read.deadlineMs))
  }

  /** The leader is another one: what was asked of the old one will not be answered, and is asked again at once. */
  leaderChanged(): void {
    if (this.#round !== undefined) this.#round.startedMs = -Infinity
  }

  rejectAll(error: unknown): void {
    for (const read of this.#take(() => true)) read.failed(error)
  }

  #take(matches: (read: PendingRead) => boolean): PendingRead[] {
    const taken: PendingRead[] = []
    const keepFrom = (reads: PendingRead[]): void => {
      const kept = reads.filter((read) => !matches(read))
      if (kept.length === reads.length) return
      taken.push(...reads.filter(matches))
      reads.splice(0, reads.length, ...kept)
    }
    if (this.#round !== undefined) keepFrom(this.#round.reads)
    for (const { reads } of this.#confirmed) keepFrom(reads)
    keepFrom(this.#next)
    return taken
  }
}
