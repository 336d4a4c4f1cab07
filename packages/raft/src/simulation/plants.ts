/** Faults of a driver that can be planted on purpose, to see that the simulation finds them. */
export type Plant =
  /** Storage acknowledges before it has synced. */
  | 'ackBeforeSync'
  /** One sync in fifty does nothing. */
  | 'syncSkipped'
  /** The vote is left out of the hard state on disk. */
  | 'voteNotPersisted'
  /** Leaders answer reads by their lease, with members that stand still for longer than it. */
  | 'readWithoutQuorum'
  /** The answer to any heartbeat counts for the newest read. */
  | 'wrongReadConfirmed'
  /** Heartbeats carry what the reader asked with: answers of one round count for another that was asked for alike. */
  | 'readContextReused'
  /** Snapshots carry the configuration of the one before. */
  | 'configNotStored'

export const plants: readonly Plant[] = [
  'ackBeforeSync',
  'syncSkipped',
  'voteNotPersisted',
  'readWithoutQuorum',
  'wrongReadConfirmed',
  'readContextReused',
  'configNotStored',
]
