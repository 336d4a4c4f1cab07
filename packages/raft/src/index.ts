export {
  type AnyConfChange,
  type ConfChange,
  type ConfChangeSingle,
  ConfChangeTransition,
  ConfChangeType,
  type ConfChangeV2,
  isConfChangeV2,
  toConfChangeV2,
} from './conf-change.ts'
export {
  ConfChangeDecodeError,
  confChangeOf,
  decodeConfChange,
  decodeConfChangeV2,
  encodeConfChange,
} from './conf-change-codec.ts'
export { ConfChangeError } from './changer.ts'
export {
  describeEntries,
  describeEntry,
  describeHardState,
  describeMessage,
  describeReady,
  describeSnapshot,
  describeSoftState,
  raftStateName,
} from './describe.ts'
export { describeConfState, describeProgress } from './describe-config.ts'
export { entriesSize, entrySize } from './entry-size.ts'
export { InvariantError } from './invariant.ts'
export type { Logger } from './logger.ts'
export { MemoryStorage, StorageError, type StorageErrorReason } from './memory-storage.ts'
export { messageTypeName } from './message-names.ts'
export {
  type ConfState,
  type Entry,
  EntryType,
  type HardState,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  MessageType,
  NONE,
  NO_LIMIT,
  type Snapshot,
  type SnapshotMetadata,
  emptyConfState,
  emptySnapshot,
  isEmptyHardState,
  isEmptySnapshot,
  isLocalTarget,
  newEntry,
  newMessage,
} from './messages.ts'
export type { Progress, ProgressState } from './progress.ts'
export { type Peer, RawNode } from './raw-node.ts'
export { type RaftConfig, RaftConfigError } from './raft-config.ts'
export type { ReadOnlyOption, ReadState } from './read-only.ts'
export type { Ready, SoftState } from './ready.ts'
export { type Refusal, refusalText } from './refusal.ts'
export type { RaftState } from './role.ts'
export type { BasicStatus, Status } from './status.ts'
export type { Storage } from './storage.ts'
export type { Config } from './tracker.ts'
