import type { JsonValue } from '@etcd-ts/api'
import { hexId } from './ids.ts'
import {
  type Member,
  type MemberAttributes,
  attributesJson,
  parseAttributes,
  parseRaftAttributes,
  raftAttributesJson,
} from './member.ts'
import { V2Tree } from './v2-tree.ts'

/** Why a membership change that raft had committed does not take effect (L-3.2 in the log's rules). */
export type RejectedChange =
  'idRemoved' | 'idExists' | 'idNotFound' | 'peerUrlExists' | 'tooManyLearners' | 'notLearner'

/** A committed membership change, decoded. */
export type MembershipChange =
  | { readonly kind: 'add'; readonly member: Member }
  | { readonly kind: 'promote'; readonly id: bigint }
  | { readonly kind: 'remove'; readonly id: bigint }
  | { readonly kind: 'update'; readonly id: bigint; readonly peerUrls: readonly string[] }

/** A downgrade that an operator has begun: members of `targetVersion` (`X.Y.0`) may then join. */
export interface DowngradeInfo {
  readonly enabled: boolean
  readonly targetVersion: string
}

const MEMBERS = '/members'
const REMOVED = '/removed_members'
const VERSION = '/version'

/** The default of `--max-learners`. */
const LEARNERS_MAX = 1

/**
 * The members of the cluster, in memory: rebuilt at every start from the newest snapshot and the log
 * entries behind it, so it is right whatever the backend holds. The v2 store is kept in step, for the snapshots to come.
 *
 * All methods are deterministic functions of the log; none does I/O.
 */
export class Cluster {
  readonly id: bigint
  readonly #members = new Map<bigint, Member>()
  readonly #removed = new Set<bigint>()
  readonly #v2 = new V2Tree()
  readonly #learnersMax: number
  #version: string | undefined
  /** Kept in the backend alone, not in the v2 store. */
  downgrade: DowngradeInfo = { enabled: false, targetVersion: '' }

  /** @param learnersMax the same on all members, or they disagree on what the log says */
  constructor(id: bigint, learnersMax = LEARNERS_MAX) {
    this.id = id
    this.#learnersMax = learnersMax
  }

  /** `X.Y.0`, or undefined before the first one was decided. */
  get version(): string | undefined {
    return this.#version
  }

  /** By ascending id. */
  members(): Member[] {
    return [...this.#members.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** The members with a vote, by ascending id. */
  voters(): Member[] {
    return this.members().filter((member) => !member.isLearner)
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

  /** The v2 store as JSON, in the form of etcd's snapshots. */
  formatV2(): string {
    return this.#v2.format()
  }

  /** Replaces everything by the v2 store of a snapshot. @throws Error when it does not hold a membership */
  restoreV2(store: JsonValue): void {
    this.#v2.restore(store)
    this.#members.clear()
    this.#removed.clear()
    for (const hex of this.#v2.names(MEMBERS)) {
      const member = this.#restoredMember(hex)
      this.#members.set(member.id, member)
    }
    for (const hex of this.#v2.names(REMOVED)) this.#removed.add(idOf(hex))
    this.#version = this.#v2.value(VERSION)
  }

  #restoredMember(hex: string): Member {
    const raftAttributes = this.#v2.value(`${MEMBERS}/${hex}/raftAttributes`)
    if (raftAttributes === undefined)
      throw new Error(`the snapshot holds member ${hex} without raftAttributes`)
    const attributes = this.#v2.value(`${MEMBERS}/${hex}/attributes`) ?? '{}'
    return { id: idOf(hex), ...parseRaftAttributes(raftAttributes), ...parseAttributes(attributes) }
  }

  /** Why `change` may not take effect now, or undefined when it may. */
  validate(change: MembershipChange): RejectedChange | undefined {
    const id = change.kind === 'add' ? change.member.id : change.id
    if (this.#removed.has(id)) return 'idRemoved'
    switch (change.kind) {
      case 'add':
        if (this.#members.has(id)) return 'idExists'
        if (this.#usesAny(change.member.peerUrls, id)) return 'peerUrlExists'
        return change.member.isLearner && this.#learners() >= this.#learnersMax
          ? 'tooManyLearners'
          : undefined
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
        this.#v2.set(raftAttributesPath(change.member.id), raftAttributesJson(change.member))
        return
      case 'promote':
        this.#setRaftAttributes({ ...this.#known(change.id), isLearner: false })
        return
      case 'update':
        this.#setRaftAttributes({ ...this.#known(change.id), peerUrls: change.peerUrls })
        return
      case 'remove':
        this.#members.delete(change.id)
        this.#removed.add(change.id)
        this.#v2.remove(`${MEMBERS}/${hexId(change.id)}`)
        this.#v2.set(`${REMOVED}/${hexId(change.id)}`, '')
    }
  }

  #setRaftAttributes(member: Member): void {
    this.#members.set(member.id, member)
    this.#v2.update(raftAttributesPath(member.id), raftAttributesJson(member))
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
    this.#v2.set(`${MEMBERS}/${hexId(id)}/attributes`, attributesJson(attributes))
    return member
  }

  /** @param version `X.Y.0` */
  applyVersion(version: string): void {
    this.#version = version
    this.#v2.set(VERSION, version)
  }

  #known(id: bigint): Member {
    const member = this.#members.get(id)
    if (member === undefined) throw new Error(`the log changes member ${hexId(id)}, which does not exist`)
    return member
  }

  #learners(): number {
    let count = 0
    for (const { isLearner } of this.#members.values()) if (isLearner) count++
    return count
  }

  #usesAny(peerUrls: readonly string[], exceptId: bigint): boolean {
    for (const member of this.#members.values()) {
      if (member.id !== exceptId && member.peerUrls.some((url) => peerUrls.includes(url))) return true
    }
    return false
  }
}

function raftAttributesPath(id: bigint): string {
  return `${MEMBERS}/${hexId(id)}/raftAttributes`
}

function idOf(hex: string): bigint {
  if (!/^[0-9a-f]{1,16}$/.test(hex)) throw new Error(`the snapshot holds a member with the invalid id ${hex}`)
  return BigInt(`0x${hex}`)
}
