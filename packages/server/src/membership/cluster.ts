import { hexId } from './ids.ts'
import type { Member, MemberAttributes } from './member.ts'

/** Why a membership change that raft had committed does not take effect (L-3.2 in the log's rules). */
export type RejectedChange =
  'idRemoved' | 'idExists' | 'idNotFound' | 'peerUrlExists' | 'tooManyLearners' | 'notLearner'

/** A committed membership change, decoded. */
export type MembershipChange =
  | { readonly kind: 'add'; readonly member: Member }
  | { readonly kind: 'promote'; readonly id: bigint }
  | { readonly kind: 'remove'; readonly id: bigint }
  | { readonly kind: 'update'; readonly id: bigint; readonly peerUrls: readonly string[] }

const LEARNERS_MAX = 1

/**
 * The members of the cluster, in memory: rebuilt at every start from the newest snapshot and the log
 * entries behind it, so it is right whatever the backend holds.
 *
 * All methods are deterministic functions of the log; none does I/O.
 */
export class Cluster {
  readonly id: bigint
  readonly #members = new Map<bigint, Member>()
  readonly #removed = new Set<bigint>()
  /** `X.Y.0`, or undefined before the first one was decided. */
  version: string | undefined

  constructor(id: bigint) {
    this.id = id
  }

  /** By ascending id. */
  members(): Member[] {
    return [...this.#members.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  member(id: bigint): Member | undefined {
    return this.#members.get(id)
  }

  removedIds(): bigint[] {
    return [...this.#removed].sort((a, b) => (a < b ? -1 : 1))
  }

  isRemoved(id: bigint): boolean {
    return this.#removed.has(id)
  }

  /** Replaces everything by what a snapshot holds. */
  restore(members: readonly Member[], removed: readonly bigint[], version: string | undefined): void {
    this.#members.clear()
    this.#removed.clear()
    for (const member of members) this.#members.set(member.id, member)
    for (const id of removed) this.#removed.add(id)
    this.version = version
  }

  /** Why `change` may not take effect now, or undefined when it may. */
  validate(change: MembershipChange): RejectedChange | undefined {
    const id = change.kind === 'add' ? change.member.id : change.id
    if (this.#removed.has(id)) return 'idRemoved'
    switch (change.kind) {
      case 'add':
        if (this.#members.has(id)) return 'idExists'
        if (this.#usesAny(change.member.peerUrls, id)) return 'peerUrlExists'
        if (
          change.member.isLearner &&
          this.members().filter((member) => member.isLearner).length >= LEARNERS_MAX
        ) {
          return 'tooManyLearners'
        }
        return undefined
      case 'promote': {
        const member = this.#members.get(id)
        if (member === undefined) return 'idNotFound'
        return member.isLearner ? undefined : 'notLearner'
      }
      case 'remove':
        return this.#members.has(id) ? undefined : 'idNotFound'
      case 'update':
        if (!this.#members.has(id)) return 'idNotFound'
        return this.#usesAny(change.peerUrls, id) ? 'peerUrlExists' : undefined
    }
  }

  /** Carries out a change that `validate` accepts. */
  apply(change: MembershipChange): void {
    switch (change.kind) {
      case 'add':
        this.#members.set(change.member.id, change.member)
        return
      case 'promote':
        this.#members.set(change.id, { ...this.#known(change.id), isLearner: false })
        return
      case 'update':
        this.#members.set(change.id, { ...this.#known(change.id), peerUrls: [...change.peerUrls].sort() })
        return
      case 'remove':
        this.#members.delete(change.id)
        this.#removed.add(change.id)
    }
  }

  /**
   * Takes over what a member published of itself.
   * @returns the member as it is now, or undefined when it has been removed
   * @throws when the member was never known: the log contradicts itself
   */
  applyAttributes(id: bigint, attributes: MemberAttributes): Member | undefined {
    if (this.#removed.has(id)) return undefined
    const member = { ...this.#known(id), ...attributes }
    this.#members.set(id, member)
    return member
  }

  #known(id: bigint): Member {
    const member = this.#members.get(id)
    if (member === undefined) throw new Error(`the log changes member ${hexId(id)}, which does not exist`)
    return member
  }

  #usesAny(peerUrls: readonly string[], exceptId: bigint): boolean {
    for (const member of this.#members.values()) {
      if (member.id !== exceptId && member.peerUrls.some((url) => peerUrls.includes(url))) return true
    }
    return false
  }
}
