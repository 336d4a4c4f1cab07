/** What goes into raft and comes out of it, as text for people and for tests. */
import { confChangeOf } from './conf-change-codec.ts'
import { toConfChangeV2 } from './conf-change.ts'
import { describeConfChanges, describeConfState } from './describe-config.ts'
import { hex } from './logger.ts'
import { entryTypeName, messageTypeName } from './message-names.ts'
import {
  type Entry,
  EntryType,
  type HardState,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  NONE,
  type Snapshot,
  isEmptySnapshot,
} from './messages.ts'
import type { Ready, SoftState } from './ready.ts'
import type { RaftState } from './role.ts'
import { quoteBytes } from './utf8.ts'

const noBytes = new Uint8Array()

const raftStateNames: Readonly<Record<RaftState, string>> = {
  follower: 'StateFollower',
  candidate: 'StateCandidate',
  leader: 'StateLeader',
  preCandidate: 'StatePreCandidate',
}

export function raftStateName(state: RaftState): string {
  return raftStateNames[state]
}

/** `1/12 EntryNormal "data"` */
export function describeEntry(entry: Entry): string {
  const head = `${entry.term}/${entry.index} ${entryTypeName(entry.type)}`
  const payload = describePayload(entry)
  return payload === '' ? head : `${head} ${payload}`
}

function describePayload(entry: Entry): string {
  if (entry.type === EntryType.EntryNormal) return quoteBytes(entry.data ?? noBytes)
  try {
    const change = confChangeOf(entry)
    return change === undefined ? '' : describeConfChanges(toConfChangeV2(change).changes)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** One line for each entry. */
export function describeEntries(entries: readonly Entry[]): string {
  return entries.map((entry) => `${describeEntry(entry)}\n`).join('')
}

export function describeSoftState({ lead, raftState }: SoftState): string {
  return `Lead:${lead} State:${raftStateName(raftState)}`
}

export function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === NONE ? '' : ` Vote:${vote}`} Commit:${commit}`
}

export function describeSnapshot({ metadata: { index, term, confState } }: Snapshot): string {
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`
}

/** `1->2 MsgApp Term:1 Log:1/11 Commit:11 Entries:[...]`, on several lines if it holds several things. */
export function describeMessage(message: Message): string {
  return describeIndented('', message)
}

function describeIndented(indent: string, message: Message): string {
  const { entries, snapshot, responses } = message
  let text = `${indent}${describeTarget(message.from)}->${describeTarget(message.to)} ${messageTypeName(message.type)} Term:${message.term} Log:${message.logTerm}/${message.index}`
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`
  if (message.commit !== 0) text += ` Commit:${message.commit}`
  if (message.vote !== NONE) text += ` Vote:${message.vote}`
  if (entries.length === 1) {
    text += ` Entries:[${describeEntry(entries[0]!)}]`
  } else if (entries.length > 1) {
    text += ` Entries:[${entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`).join('')}\n${indent}]`
  }
  if (snapshot !== undefined && !isEmptySnapshot(snapshot)) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`
  }
  if (responses.length > 0) {
    text += ` Responses:[${responses.map((one) => `\n${describeIndented(`${indent}  `, one)}`).join('')}\n${indent}]`
  }
  return text
}

function describeTarget(id: bigint): string {
  if (id === NONE) return 'None'
  if (id === LOCAL_APPEND_THREAD) return 'AppendThread'
  return id === LOCAL_APPLY_THREAD ? 'ApplyThread' : hex(id)
}

export function describeReady(ready: Ready): string {
  let text = ''
  if (ready.softState !== undefined) text += `${describeSoftState(ready.softState)}\n`
  if (ready.hardState !== undefined) text += `HardState ${describeHardState(ready.hardState)}\n`
  if (ready.readStates.length > 0) {
    const reads = ready.readStates.map(({ index, requestCtx }) => `{${index} [${requestCtx.join(' ')}]}`)
    text += `ReadStates [${reads.join(' ')}]\n`
  }
  if (ready.entries.length > 0) text += `Entries:\n${describeEntries(ready.entries)}`
  if (ready.snapshot !== undefined) text += `Snapshot ${describeSnapshot(ready.snapshot)}\n`
  if (ready.committedEntries.length > 0) {
    text += `CommittedEntries:\n${describeEntries(ready.committedEntries)}`
  }
  if (ready.messages.length > 0) {
    text += `Messages:\n${ready.messages.map((message) => `${describeMessage(message)}\n`).join('')}`
  }
  return text === '' ? '<empty Ready>' : `Ready MustSync=${ready.mustSync}:\n${text}`
}
