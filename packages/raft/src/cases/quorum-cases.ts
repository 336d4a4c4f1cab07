import {
  type AckedIndex,
  type JointVoters,
  type Voters,
  jointCommitted,
  jointVote,
  majorityCommitted,
  majorityVote,
  sortedIds,
  votersOfBoth,
} from '../quorum.ts'
import type { Case } from './case-file.ts'

const UNKNOWN = '_'

/** Runs `committed` and `vote`, and checks that other ways to the same answer lead there. */
export function runQuorumCase({ command, args }: Case): string {
  const incoming: bigint[] = []
  const outgoing: bigint[] = []
  const indexes: string[] = []
  const votes: string[] = []
  let isJoint = false
  for (const { key, values } of args) {
    if (key === 'cfg') {
      incoming.push(...values.map(BigInt))
    } else if (key === 'cfgj') {
      isJoint = true
      if (values[0] !== 'zero') outgoing.push(...values.map(BigInt))
    } else if (key === 'idx') {
      indexes.push(...values)
    } else if (key === 'votes') {
      votes.push(...values)
    } else {
      return `unknown arg ${key}\n`
    }
  }
  const config = { incoming: sortedIds(incoming), outgoing: sortedIds(outgoing) }
  const values = command === 'vote' ? votes : indexes
  const ids = votersOfBoth(config)
  if (ids.length !== values.length) {
    return `error: mismatched input (explicit or _) for voters map[${ids.map((id) => `${id}:{}`).join(' ')}]: [${values.map((value) => numberOf(value)).join(' ')}]\n`
  }
  // In the order in which the ids are mentioned, each once.
  const given = new Map([...new Set([...incoming, ...outgoing])].map((id, at) => [id, values[at]!]))
  for (const [id, value] of given) if (value === UNKNOWN) given.delete(id)
  if (command === 'committed') {
    return runCommitted(config, isJoint, new Map([...given].map(([id, value]) => [id, Number(value)])))
  }
  if (command === 'vote') {
    return runVote(config, isJoint, new Map([...given].map(([id, value]) => [id, value === 'y'])))
  }
  return 'unknown command\n'
}

function numberOf(value: string): string {
  return value === UNKNOWN ? '0' : value === 'y' ? '2' : value === 'n' ? '1' : value
}

function runCommitted(config: JointVoters, isJoint: boolean, indexes: ReadonlyMap<bigint, number>): string {
  const acked: AckedIndex = (id) => indexes.get(id)
  const lines: string[] = []
  const expect = (index: number, otherWay: number, name: string): void => {
    if (index !== otherWay) lines.push(`${indexText(otherWay)} <-- ${name}\n`)
  }
  if (isJoint) {
    const index = jointCommitted(config, acked)
    expect(index, jointCommitted(swapped(config), acked), 'via symmetry')
    return describeIndexes(votersOfBoth(config), acked) + lines.join('') + `${indexText(index)}\n`
  }
  const voters = config.incoming
  const index = majorityCommitted(voters, acked)
  expect(index, committedByCounting(voters, acked), 'via alternative computation')
  expect(index, jointCommitted({ incoming: voters, outgoing: [] }, acked), 'via zero-joint quorum')
  expect(index, jointCommitted({ incoming: voters, outgoing: voters }, acked), 'via self-joint quorum')
  for (const id of voters) {
    const own = acked(id) ?? 0
    if (own <= 0 || own >= index) continue
    // One that is behind the result can fall further behind without changing it.
    for (const lower of [own - 1, 0]) {
      const lowered: AckedIndex = (other) => (other === id ? lower : acked(other))
      expect(index, majorityCommitted(voters, lowered), `overlaying ${id}->${lower}`)
    }
  }
  return describeIndexes(voters, acked) + lines.join('') + `${indexText(index)}\n`
}

function runVote(config: JointVoters, isJoint: boolean, votes: ReadonlyMap<bigint, boolean>): string {
  const names = { won: 'VoteWon', lost: 'VoteLost', pending: 'VotePending' } as const
  if (!isJoint) return `${names[majorityVote(config.incoming, votes)]}\n`
  const result = jointVote(config, votes)
  const other = jointVote(swapped(config), votes)
  return `${other === result ? '' : `${names[other]} <-- via symmetry\n`}${names[result]}\n`
}

function swapped({ incoming, outgoing }: JointVoters): JointVoters {
  return { incoming: outgoing, outgoing: incoming }
}

/** By definition: the largest index that enough voters have reached. */
function committedByCounting(voters: Voters, acked: AckedIndex): number {
  if (voters.length === 0) return Infinity
  const reached = (index: number): boolean =>
    2 * voters.filter((id) => (acked(id) ?? 0) >= index).length > voters.length
  return Math.max(0, ...voters.map((id) => acked(id) ?? 0).filter(reached))
}

function indexText(index: number): string {
  return index === Infinity ? '∞' : String(index)
}

/** The acknowledged indexes, with bars whose length is the rank. */
function describeIndexes(voters: Voters, acked: AckedIndex): string {
  if (voters.length === 0) return '<empty majority quorum>'
  const width = voters.length
  const indexOf = (id: bigint): number => acked(id) ?? 0
  const lines = voters.map((id) => {
    const index = indexOf(id)
    const bar = voters.filter((other) => indexOf(other) < index).length
    const mark =
      acked(id) === undefined ? `?${' '.repeat(width)}` : `${'x'.repeat(bar)}>${' '.repeat(width - bar)}`
    return `${mark} ${String(index).padStart(5)}    (id=${id})\n`
  })
  return `${' '.repeat(width)}    idx\n${lines.join('')}`
}
