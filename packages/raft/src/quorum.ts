/**
 * Majorities. A configuration is one majority, or two while a joint change is under way, and then a decision
 * takes both (the Raft dissertation, section 4.3). Sets of ids are sorted lists without repetition, never
 * changed in place.
 */

/** Ids in ascending order. */
export type Voters = readonly bigint[]

/** `outgoing` is empty unless the configuration is joint. */
export interface JointVoters {
  readonly incoming: Voters
  readonly outgoing: Voters
}

export type VoteResult = 'won' | 'lost' | 'pending'

/** The highest index that a voter is known to have on its disk; undefined if it never said. */
export type AckedIndex = (id: bigint) => number | undefined

/** The highest index that a majority has; an empty set of voters commits everything. */
export function majorityCommitted(voters: Voters, acked: AckedIndex): number {
  const count = voters.length
  if (count === 0) return Infinity
  if (count === 1) return acked(voters[0]!) ?? 0
  const indexes: number[] = []
  for (let i = 0; i < count; i++) {
    // Insertion keeps the list sorted: there are seldom more than seven voters.
    const index = acked(voters[i]!) ?? 0
    let at = i
    while (at > 0 && indexes[at - 1]! > index) {
      indexes[at] = indexes[at - 1]!
      at--
    }
    indexes[at] = index
  }
  return indexes[count - majorityOf(count)]!
}

export function jointCommitted({ incoming, outgoing }: JointVoters, acked: AckedIndex): number {
  const index = majorityCommitted(incoming, acked)
  return outgoing.length === 0 ? index : Math.min(index, majorityCommitted(outgoing, acked))
}

/** Who voted, and how. */
export type Votes = ReadonlyMap<bigint, boolean>

/** An empty set of voters wins, which makes half of a joint configuration that is not there agree with the other. */
export function majorityVote(voters: Voters, votes: Votes): VoteResult {
  if (voters.length === 0) return 'won'
  let granted = 0
  let missing = 0
  for (const id of voters) {
    const vote = votes.get(id)
    if (vote === undefined) missing++
    else if (vote) granted++
  }
  const needed = majorityOf(voters.length)
  if (granted >= needed) return 'won'
  return granted + missing >= needed ? 'pending' : 'lost'
}

export function jointVote({ incoming, outgoing }: JointVoters, votes: Votes): VoteResult {
  const first = majorityVote(incoming, votes)
  const second = majorityVote(outgoing, votes)
  if (first === second) return first
  return first === 'lost' || second === 'lost' ? 'lost' : 'pending'
}

function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1
}

export function isVoter({ incoming, outgoing }: JointVoters, id: bigint): boolean {
  return incoming.includes(id) || outgoing.includes(id)
}

/** The voters of both halves, each once, in ascending order. */
export function votersOfBoth({ incoming, outgoing }: JointVoters): bigint[] {
  return sortedIds([...incoming, ...outgoing])
}

export function sortedIds(ids: Iterable<bigint>): bigint[] {
  return [...new Set(ids)].sort(compareIds)
}

export function withId(ids: Voters, id: bigint): Voters {
  return ids.includes(id) ? ids : sortedIds([...ids, id])
}

export function withoutId(ids: Voters, id: bigint): Voters {
  return ids.includes(id) ? ids.filter((other) => other !== id) : ids
}

export function compareIds(a: bigint, b: bigint): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
