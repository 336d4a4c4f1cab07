/** Why raft did not take what it was given. */
export type Refusal =
  /** There is no leader, or it cannot take proposals just now: it may be proposed again. */
  | 'proposalDropped'
  /** The sender of an answer is not in the configuration. */
  | 'peerNotFound'
  /** A message of a kind that no peer may send. */
  | 'localMessage'

export const refusalText: Readonly<Record<Refusal, string>> = {
  proposalDropped: 'raft proposal dropped',
  peerNotFound: 'raft: cannot step as peer not found',
  localMessage: 'raft: cannot step raft local message',
}
