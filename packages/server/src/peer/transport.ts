import type { Message } from '@etcd-ts/raft'

/**
 * What a member needs of the network between members. Nothing here blocks: every queue is bounded, and what does not fit
 * is dropped and reported, because raft sends it again.
 */
export interface PeerTransport {
  /** Connects to a member: streams, pipeline and probes. Known ids are left alone. */
  addPeer(id: bigint, peerUrls: readonly string[]): void
  /** Knows a member that the applied membership does not hold yet: it gets messages by the pipeline alone. */
  addRemote(id: bigint, peerUrls: readonly string[]): void
  updatePeer(id: bigint, peerUrls: readonly string[]): void
  removePeer(id: bigint): void
  removeAllPeers(): void
  /** Queues messages for their targets, which must not be `MsgSnap`. */
  send(messages: readonly Message[]): void
  /** Sends a `MsgSnap` and the database after it, and reports how that went through `PeerPorts.reportSnapshot`. */
  sendSnapshot(message: Message, database: SnapshotBody): void
  /** Monotonic time since which the member has been reachable, or undefined while it is not. */
  activeSinceMs(id: bigint): number | undefined
  /** Ends all streams and requests. */
  stop(): Promise<void>
}

/** A database on its way to another member: a bbolt file of known size. */
export interface SnapshotBody {
  readonly sizeBytes: number
  /** The file from its first byte to its last; may be read once. */
  chunks(): AsyncIterable<Uint8Array>
  /** Gives up what it holds, whether it was read or not. */
  close(): void
}

/** What the transport needs of the member that it serves. */
export interface PeerPorts {
  /** Takes in a message of another member, in the order of arrival. */
  receive(message: Message): void
  /** Takes in a `MsgSnap` with its database; resolves once both are safe. @throws when either cannot be used */
  receiveSnapshot(message: Message, database: AsyncIterable<Uint8Array>): Promise<void>
  /** Whether the id belonged to a member that was removed. */
  isRemoved(id: bigint): boolean
  reportUnreachable(id: bigint): void
  reportSnapshot(id: bigint, isDelivered: boolean): void
  /** Another member says that this one has been removed from the cluster: it must stop for good. */
  removedFromCluster(): void
}
