import { ConfChangeTransition, ConfChangeType, isConfChangeV2 } from './conf-change.ts'
import { confChangeOf } from './conf-change-codec.ts'
import type { ConfState, Entry } from './messages.ts'
import { quoteBytes } from './utf8.ts'

const typeNames = namesOf(ConfChangeType)
const transitionNames = namesOf(ConfChangeTransition)

function namesOf(values: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(values).map(([name, value]) => [value, name]))
}

/** The membership change of `entry`, which can be read, in protobuf's text form: `type:ConfChangeAddNode node_id:3`. */
export function describeConfChangeRecord(entry: Entry): string {
  const change = confChangeOf(entry)
  // No data is a message with nothing set, which has no text.
  if (change === undefined || entry.data === undefined || entry.data.length === 0) return ''
  const parts: string[] = []
  if (isConfChangeV2(change)) {
    parts.push(`transition:${nameIn(transitionNames, change.transition)}`)
    for (const { type, nodeId } of change.changes) {
      parts.push(`changes:{type:${nameIn(typeNames, type)} node_id:${nodeId}}`)
    }
  } else {
    parts.push(`type:${nameIn(typeNames, change.type)}`, `node_id:${change.nodeId}`)
  }
  if (change.context !== undefined) parts.push(`context:${quoteBytes(change.context)}`)
  if (!isConfChangeV2(change) && change.id !== 0n) parts.push(`id:${change.id}`)
  return parts.join(' ')
}

/** `state` in the same form: `voters:1 voters:2 learners:3`. */
export function describeConfStateRecord(state: ConfState): string {
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = state
  const list = (name: string, ids: readonly bigint[]): string[] => ids.map((id) => `${name}:${id}`)
  return [
    ...list('voters', voters),
    ...list('learners', learners),
    ...list('voters_outgoing', votersOutgoing),
    ...list('learners_next', learnersNext),
    ...(autoLeave ? ['auto_leave:true'] : []),
  ].join(' ')
}

function nameIn(names: ReadonlyMap<number, string>, value: number): string {
  return names.get(value) ?? String(value)
}
