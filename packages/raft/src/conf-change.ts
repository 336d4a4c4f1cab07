import { EntryType } from './messages.ts'

export const ConfChangeType = {
  ConfChangeAddNode: 0,
  ConfChangeRemoveNode: 1,
  ConfChangeUpdateNode: 2,
  ConfChangeAddLearnerNode: 3,
} as const
export type ConfChangeType = (typeof ConfChangeType)[keyof typeof ConfChangeType]

/** How a change of several members, or one that asks for it, gets out of its joint configuration again. */
export const ConfChangeTransition = {
  /** By itself; a change that can be made without a joint configuration is made without one. */
  ConfChangeTransitionAuto: 0,
  /** Joint in any case, left by itself. */
  ConfChangeTransitionJointImplicit: 1,
  /** Joint in any case, left when an empty `ConfChangeV2` is proposed. */
  ConfChangeTransitionJointExplicit: 2,
} as const
export type ConfChangeTransition = (typeof ConfChangeTransition)[keyof typeof ConfChangeTransition]

/** The change of one member. `id` is the proposer's, to recognise its proposal by; `nodeId` 0n changes nothing. */
export interface ConfChange {
  id: bigint
  type: ConfChangeType
  nodeId: bigint
  context: Uint8Array | undefined
}

export interface ConfChangeSingle {
  type: ConfChangeType
  nodeId: bigint
}

export interface ConfChangeV2 {
  transition: ConfChangeTransition
  changes: ConfChangeSingle[]
  context: Uint8Array | undefined
}

export type AnyConfChange = ConfChange | ConfChangeV2

export function isConfChangeV2(change: AnyConfChange): change is ConfChangeV2 {
  return 'changes' in change
}

/** The entry type under which `change` travels: members before 3.4 know the first form only. */
export function confChangeEntryType(change: AnyConfChange): EntryType {
  return isConfChangeV2(change) ? EntryType.EntryConfChangeV2 : EntryType.EntryConfChange
}

export function toConfChangeV2(change: AnyConfChange): ConfChangeV2 {
  if (isConfChangeV2(change)) return change
  const { type, nodeId, context } = change
  return {
    transition: ConfChangeTransition.ConfChangeTransitionAuto,
    changes: [{ type, nodeId }],
    context,
  }
}

/** What applying a change does to the configuration. */
export type ConfChangeKind = 'simple' | 'enterJoint' | 'leaveJoint'

export function kindOfConfChange({ transition, changes }: ConfChangeV2): ConfChangeKind {
  const isAuto = transition === ConfChangeTransition.ConfChangeTransitionAuto
  if (isAuto && changes.length === 0) return 'leaveJoint'
  // More changes than one could do without a joint configuration in some cases (two learners, say), but which
  // these are depends on the configuration they meet; joint is always right.
  return !isAuto || changes.length > 1 ? 'enterJoint' : 'simple'
}

/** Whether the joint configuration that `change` enters is left without a further proposal. */
export function leavesJointByItself({ transition }: ConfChangeV2): boolean {
  return transition !== ConfChangeTransition.ConfChangeTransitionJointExplicit
}
