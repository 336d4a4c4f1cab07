import { ApiError } from '@etcd-ts/api'

/** What tells why a call got no answer. */
export interface TimeoutPorts {
  readonly memberId: bigint
  readonly electionTimeoutMs: number
  /** 0n for none. */
  leader(): bigint
  /** Monotonic time at which the present leader was found. */
  leaderSinceMs(): number
  voters(): readonly bigint[]
  /** Monotonic time since which another member has been reachable, or undefined while it is not. */
  activeSinceMs(id: bigint): number | undefined
}

/**
 * The error of a call that has waited in vain since `startedMs`: as in etcd it names a leader that was lost around then,
 * or a connection that has not been there all the while.
 */
export function timeoutError(ports: TimeoutPorts, startedMs: number): ApiError {
  const leaderSinceMs = ports.leaderSinceMs()
  if (startedMs > leaderSinceMs - 2 * ports.electionTimeoutMs && startedMs < leaderSinceMs)
    return new ApiError('timeoutDueToLeaderFail')
  const leader = ports.leader()
  const wasReached = (id: bigint): boolean => {
    const sinceMs = id === ports.memberId ? 0 : ports.activeSinceMs(id)
    return sinceMs !== undefined && sinceMs <= startedMs
  }
  if (leader === 0n) return new ApiError('timeout')
  if (leader !== ports.memberId)
    return new ApiError(wasReached(leader) ? 'timeout' : 'timeoutDueToConnectionLost')
  const voters = ports.voters()
  const isQuorumReached = voters.filter(wasReached).length > voters.length / 2
  return new ApiError(isQuorumReached ? 'timeout' : 'timeoutDueToConnectionLost')
}
