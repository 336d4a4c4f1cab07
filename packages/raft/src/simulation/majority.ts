import { confChangeOf } from '../conf-change-codec.ts'
import type { SimMember } from './sim-member.ts'
import type { SimRandom } from './sim-random.ts'

/**
 * A random set of members that must get along without the others: whichever of them is elected, it needs nobody else.
 *
 * @param latest the members of the newest configuration
 * @returns undefined while a membership change is under way, which may put a configuration in force that needs others,
 *   and when even all of them are too few
 */
export function someMajority(latest: readonly SimMember[], random: SimRandom): SimMember[] | undefined {
  if (latest.some((member) => !member.isUp || hasUnappliedChange(member))) return undefined
  const votes = new Map<bigint, boolean>()
  for (const id of latest.flatMap(({ raft }) => raft.tracker.ids)) votes.set(id, false)
  for (const { id } of latest) votes.set(id, true)
  const suffices = ({ raft }: SimMember): boolean => raft.tracker.tally(votes) === 'won'
  if (!latest.every(suffices)) return undefined
  const chosen = new Set(latest)
  for (const member of shuffled(latest, random)) {
    votes.set(member.id, false)
    if (chosen.size > 1 && latest.every(suffices)) chosen.delete(member)
    else votes.set(member.id, true)
  }
  return [...chosen]
}

/** Whether a change is in its log that is not in force yet. */
function hasUnappliedChange({ raft: { log }, applied }: SimMember): boolean {
  if (log.unstable.snapshot !== undefined || applied + 1 < log.firstIndex) return true
  return log
    .slice(applied + 1, log.lastIndex + 1, Infinity)
    .some((entry) => confChangeOf(entry) !== undefined)
}

function shuffled<T>(things: readonly T[], random: SimRandom): T[] {
  const left = [...things]
  const order: T[] = []
  while (left.length > 0) order.push(...left.splice(random.below(left.length), 1))
  return order
}
