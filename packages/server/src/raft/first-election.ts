import type { Clock } from '@etcd-ts/platform'

export interface FirstElectionPorts {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly electionTicks: number
  /** How many other members are reachable. */
  activePeers(): number
  advanceTicks(ticks: number): void
}

const POLL_MS = 50
const GIVE_UP_MS = 5000

/**
 * Shortens the wait of a member that starts: once it has reached several others, they would have told it of a leader, and it
 * need not wait a whole election timeout for one (`--initial-election-tick-advance`).
 */
export async function advanceFirstElection(ports: FirstElectionPorts): Promise<void> {
  const { clock, signal, electionTicks } = ports
  const giveUpMs = clock.monotonicMs() + GIVE_UP_MS
  while (clock.monotonicMs() < giveUpMs && !signal.aborted) {
    if (ports.activePeers() > 1) {
      ports.advanceTicks(Math.max(0, electionTicks - 2))
      return
    }
    await clock.sleep(POLL_MS, signal)
  }
}
