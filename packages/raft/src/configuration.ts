/** Membership changes as they take effect: when they are applied, at the same index on every member. */
import { type Membership, changeSimply, enterJoint, leaveJoint } from './changer.ts'
import {
  type AnyConfChange,
  type ConfChangeV2,
  kindOfConfChange,
  leavesJointByItself,
  toConfChangeV2,
} from './conf-change.ts'
import { describeConfig } from './describe-config.ts'
import { unreachable } from './invariant.ts'
import { type ConfState, NONE } from './messages.ts'
import type { Raft } from './raft.ts'
import { broadcastAppend, maybeCommit, maybeSendAppend } from './replication.ts'
import { confStateOf } from './tracker.ts'

/** Applies a committed change. @throws ConfChangeError if the present configuration does not allow it */
export function applyConfChange(raft: Raft, change: AnyConfChange): ConfState {
  return switchConfig(raft, nextMembership(raft, toConfChangeV2(change)))
}

function nextMembership({ tracker, log }: Raft, change: ConfChangeV2): Membership {
  const kind = kindOfConfChange(change)
  switch (kind) {
    case 'leaveJoint':
      return leaveJoint(tracker, log.lastIndex)
    case 'enterJoint':
      return enterJoint(tracker, log.lastIndex, leavesJointByItself(change), change.changes)
    case 'simple':
      return changeSimply(tracker, log.lastIndex, change.changes)
    default:
      return unreachable(kind)
  }
}

/** Puts `membership` in force and lets a leader act on it. */
export function switchConfig(raft: Raft, { config, progress }: Membership): ConfState {
  const { tracker } = raft
  tracker.replace(config, progress)
  raft.logger.info?.(`${raft.name} switched to configuration ${describeConfig(config)}`)
  const confState = confStateOf(config)
  const { role } = raft
  if (role.kind !== 'leader') return confState
  const own = tracker.progress.get(raft.id)
  if (own === undefined || own.isLearner) {
    // Otherwise it goes on leading, without a vote of its own, until another one is elected.
    if (raft.settings.stepDownOnRemoval) raft.becomeFollower(raft.term, NONE)
    return confState
  }
  if (maybeCommit(raft, role)) {
    broadcastAppend(raft)
  } else {
    // New members need not wait for the next proposal or heartbeat.
    for (const id of tracker.ids) if (id !== raft.id) maybeSendAppend(raft, id, false)
  }
  if (role.transferee !== NONE && !tracker.isVoter(role.transferee)) role.transferee = NONE
  return confState
}
