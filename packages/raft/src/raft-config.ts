import type { Logger } from './logger.ts'
import { NONE, NO_LIMIT, isLocalTarget } from './messages.ts'
import type { ReadOnlyOption } from './read-only.ts'
import type { Storage } from './storage.ts'

/** What a member is made of. Sizes are in bytes; `NO_LIMIT` is what a size or count is if it is left out. */
export interface RaftConfig {
  /** This member; neither `NONE` nor one of the local targets. */
  readonly id: bigint
  /** A follower that hears nothing for this many ticks, and up to as many more by chance, stands for election. */
  readonly electionTicks: number
  /** A leader sends heartbeats every so many ticks; fewer than `electionTicks`. */
  readonly heartbeatTicks: number
  readonly storage: Storage
  /** The only chance there is: election timeouts. `below` gives a whole number of `[0, bound)`. */
  readonly random: { below(bound: number): number }
  /** The last index that the state machine holds already. Entries after it are handed over again. */
  readonly applied?: number | undefined
  /**
   * Storage work comes as messages to `LOCAL_APPEND_THREAD` and `LOCAL_APPLY_THREAD`, and what depends on it as
   * their `responses`, to be delivered when the work is done; `advance` is not called. Appends then overlap
   * with each other and with applying.
   */
  readonly asyncStorageWrites?: boolean | undefined
  /** Encoded entries in one append; one entry is always sent. */
  readonly maxSizePerMessage?: number | undefined
  /** Encoded entries that are being applied at one time; `maxSizePerMessage` if left out. */
  readonly maxCommittedSizePerReady?: number | undefined
  /** Payload that a leader may have uncommitted before it refuses proposals. */
  readonly maxUncommittedSize?: number | undefined
  /** Appends that may be under way to one follower. */
  readonly maxInflightMessages?: number | undefined
  /** Payload that may be under way to one follower. */
  readonly maxInflightBytes?: number | undefined
  /** A leader steps down if it has not heard from a quorum for `electionTicks`, and voters stick to their leader. */
  readonly checkQuorum?: boolean | undefined
  /** An election is preceded by the question whether it would be won. */
  readonly preVote?: boolean | undefined
  /** `safe` if left out. */
  readonly readOnlyOption?: ReadOnlyOption | undefined
  /** Followers refuse proposals instead of sending them to the leader. */
  readonly disableProposalForwarding?: boolean | undefined
  /** Lets a configuration change into the log whatever the present configuration; the driver has to check it. */
  readonly disableConfChangeValidation?: boolean | undefined
  /** A leader that a change removes or makes a learner steps down when the change is applied. */
  readonly stepDownOnRemoval?: boolean | undefined
  readonly logger?: Logger | undefined
}

/** The configuration is not usable; the message says why. */
export class RaftConfigError extends Error {
  override readonly name = 'RaftConfigError'
}

/** `RaftConfig` with everything decided. */
export interface Settings {
  readonly id: bigint
  readonly electionTicks: number
  readonly heartbeatTicks: number
  readonly storage: Storage
  readonly random: { below(bound: number): number }
  readonly applied: number
  readonly asyncStorageWrites: boolean
  readonly maxSizePerMessage: number
  readonly maxCommittedSizePerReady: number
  readonly maxUncommittedSize: number
  readonly maxInflightMessages: number
  readonly maxInflightBytes: number
  readonly checkQuorum: boolean
  readonly preVote: boolean
  readonly readOnlyOption: ReadOnlyOption
  readonly disableProposalForwarding: boolean
  readonly disableConfChangeValidation: boolean
  readonly stepDownOnRemoval: boolean
  readonly logger: Logger
}

/** @throws RaftConfigError */
export function settingsOf(config: RaftConfig): Settings {
  const maxSizePerMessage = config.maxSizePerMessage ?? NO_LIMIT
  const settings: Settings = {
    id: config.id,
    electionTicks: config.electionTicks,
    heartbeatTicks: config.heartbeatTicks,
    storage: config.storage,
    random: config.random,
    applied: config.applied ?? 0,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    maxSizePerMessage,
    maxCommittedSizePerReady: config.maxCommittedSizePerReady ?? maxSizePerMessage,
    maxUncommittedSize: config.maxUncommittedSize ?? NO_LIMIT,
    maxInflightMessages: config.maxInflightMessages ?? NO_LIMIT,
    maxInflightBytes: config.maxInflightBytes ?? NO_LIMIT,
    checkQuorum: config.checkQuorum ?? false,
    preVote: config.preVote ?? false,
    readOnlyOption: config.readOnlyOption ?? 'safe',
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
    logger: config.logger ?? {},
  }
  const fault = faultOf(settings)
  if (fault !== undefined) throw new RaftConfigError(fault)
  return settings
}

function faultOf(settings: Settings): string | undefined {
  if (settings.id === NONE) return 'cannot use none as id'
  if (isLocalTarget(settings.id)) return 'cannot use local target as id'
  if (settings.heartbeatTicks <= 0) return 'heartbeat tick must be greater than 0'
  if (settings.electionTicks <= settings.heartbeatTicks) {
    return 'election tick must be greater than heartbeat tick'
  }
  if (settings.maxCommittedSizePerReady <= 0) return 'max committed size per ready must be greater than 0'
  if (settings.maxInflightMessages <= 0) return 'max inflight messages must be greater than 0'
  if (settings.maxInflightBytes < settings.maxSizePerMessage) {
    return 'max inflight bytes must be >= max message size'
  }
  if (settings.readOnlyOption === 'leaseBased' && !settings.checkQuorum) {
    return 'CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased'
  }
  return undefined
}
