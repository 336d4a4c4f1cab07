import { GrpcMetrics } from './grpc-metrics.ts'
import { exponentialBounds, Histogram } from './histogram.ts'
import { LabelledValues } from './labelled-values.ts'

const fastSeconds = (): Histogram => new Histogram(exponentialBounds(0.001, 2, 14))
const hashSeconds = (): Histogram => new Histogram(exponentialBounds(0.01, 2, 15))

/**
 * What the member counts, as plain fields that any part may count up; they are read when somebody asks for
 * `/metrics`. Names and meanings of what is shown are in `families.ts`.
 *
 * Fields that mirror a state (sizes, revisions, the leader) need not be kept up to date: `beforeRender` sets them.
 */
export class Counters {
  readonly server = new MemberMetrics()
  readonly mvcc = new MvccMetrics()
  readonly disk = new DiskMetrics()
  readonly snap = new SnapMetrics()
  readonly lease = new LeaseMetrics()
  readonly auth = { revision: 1 }
  readonly v2store = new V2StoreMetrics()
  readonly network = new NetworkMetrics()
  readonly grpc: GrpcMetrics
  readonly grpcProxy = {
    cacheHits: 0,
    cacheKeys: 0,
    cacheMisses: 0,
    eventsCoalesced: 0,
    watchersCoalesced: 0,
  }
  readonly scrapes = { inFlight: 0, total: new LabelledValues(['code']) }
  /** Called before the fields are read. */
  beforeRender: () => void = () => undefined

  constructor(extensive: boolean) {
    this.grpc = new GrpcMetrics(extensive)
    for (const code of ['200', '500', '503']) this.scrapes.total.add(0, code)
  }
}

class MemberMetrics {
  /** Hexadecimal; empty until it is known. */
  id = ''
  /** `X.Y`; empty until it is decided. */
  clusterVersion = ''
  hasLeader = false
  isLeader = false
  isLearner = false
  leaderChangesSeen = 0
  proposalsCommitted = 0
  proposalsApplied = 0
  proposalsPending = 0
  proposalsFailed = 0
  readIndexesFailed = 0
  readIndexesSlow = 0
  appliesSlow = 0
  heartbeatSendFailures = 0
  leasesExpired = 0
  healthSuccesses = 0
  healthFailures = 0
  learnerPromoteSuccesses = 0
  readonly learnerPromoteFailures = new LabelledValues(['Reason'])
  snapshotApplyInProgress = false
  quotaBackendBytes = 0
  /** By kind of call (`unary`, `stream`) and the version of the API that the client says it has. */
  readonly clientRequests = new LabelledValues(['type', 'client_api_version'])
  /** 1 or 0 by kind (`livez`, `readyz`) and name of the check. */
  readonly healthcheck = new LabelledValues(['type', 'name'])
  /** By kind, name and outcome (`success`, `error`). */
  readonly healthchecks = new LabelledValues(['type', 'name', 'status'])
  readonly #applies = new Map<string, ApplyMetrics>()

  /** Seconds that operations of this kind (`Put`, `Txn`, ...) took to apply: keep it where they are applied. */
  applySeconds(operation: string, success: boolean): Histogram {
    const key = `${operation} ${success}`
    let apply = this.#applies.get(key)
    if (apply === undefined) {
      const labels = { version: 'v3', op: operation, success: String(success) }
      apply = { labels, seconds: new Histogram(exponentialBounds(0.0001, 2, 20)) }
      this.#applies.set(key, apply)
    }
    return apply.seconds
  }

  applies(): readonly ApplyMetrics[] {
    return [...this.#applies.values()]
  }
}

interface ApplyMetrics {
  readonly labels: Readonly<Record<string, string>>
  readonly seconds: Histogram
}

class MvccMetrics {
  ranges = 0
  puts = 0
  deletes = 0
  txns = 0
  currentRevision = 1
  compactRevision = -1
  keys = 0
  compactedKeys = 0
  /** Unix time of the last compaction, 0 before the first. */
  lastCompactionSeconds = 0
  /** Of all pairs put, keys and values. */
  putBytes = 0
  events = 0
  pendingEvents = 0
  watchers = 0
  slowWatchers = 0
  watchStreams = 0
  dbBytes = 0
  dbBytesInUse = 0
  dbOpenReadTransactions = 0
  readonly hashSeconds = hashSeconds()
  readonly hashRevSeconds = hashSeconds()
  readonly compactionPauseMs = new Histogram(exponentialBounds(1, 2, 13))
  readonly compactionTotalMs = new Histogram(exponentialBounds(100, 2, 14))
  readonly indexCompactionPauseMs = new Histogram(exponentialBounds(0.5, 2, 14))
}

class DiskMetrics {
  readonly walFsyncSeconds = fastSeconds()
  readonly walWriteSeconds = fastSeconds()
  walBytes = 0
  readonly backendCommitSeconds = fastSeconds()
  readonly backendCommitRebalanceSeconds = fastSeconds()
  readonly backendCommitSpillSeconds = fastSeconds()
  readonly backendCommitWriteSeconds = fastSeconds()
  readonly backendDefragSeconds = new Histogram(exponentialBounds(0.1, 2, 13))
  readonly backendSnapshotSeconds = new Histogram(exponentialBounds(0.01, 2, 17))
  defragInFlight = false
}

class SnapMetrics {
  readonly fsyncSeconds = fastSeconds()
  readonly saveSeconds = fastSeconds()
  readonly saveMarshallingSeconds = fastSeconds()
  readonly dbFsyncSeconds = fastSeconds()
  readonly dbSaveSeconds = new Histogram(exponentialBounds(0.1, 2, 10))
}

class LeaseMetrics {
  granted = 0
  revoked = 0
  renewed = 0
  readonly ttlSeconds = new Histogram(exponentialBounds(1, 2, 24))
}

class V2StoreMetrics {
  readonly reads = new LabelledValues(['action'])
  readonly readsFailed = new LabelledValues(['action'])
  readonly writes = new LabelledValues(['action'])
  readonly writesFailed = new LabelledValues(['action'])
  expires = 0
  watchRequests = 0
  watchers = 0
}

class NetworkMetrics {
  clientReceivedBytes = 0
  clientSentBytes = 0
  /** By kind (`send`, `receive`) and API (`watch`, `lease-keepalive`). */
  readonly streamFailures = new LabelledValues(['Type', 'API'])
  readonly #peers = new Map<string, PeerMetrics>()

  /** @param id of the other member, hexadecimal */
  peer(id: string): PeerMetrics {
    let peer = this.#peers.get(id)
    if (peer === undefined) {
      peer = new PeerMetrics(id)
      this.#peers.set(id, peer)
    }
    return peer
  }

  peers(): readonly PeerMetrics[] {
    return [...this.#peers.values()]
  }
}

/** What is counted of the traffic with one other member. */
export class PeerMetrics {
  readonly id: string
  /** A member of the cluster. */
  known = false
  /** Connections that are up. */
  active = 0
  disconnects = 0
  sentBytes = 0
  receivedBytes = 0
  sentFailures = 0
  receivedFailures = 0
  readonly roundTripSeconds = new Histogram(exponentialBounds(0.0001, 2, 16))
  readonly snapshotsSent = new SnapshotMetrics()
  readonly snapshotsReceived = new SnapshotMetrics()

  constructor(id: string) {
    this.id = id
  }
}

class SnapshotMetrics {
  inFlight = 0
  successes = 0
  failures = 0
  readonly seconds = new Histogram(exponentialBounds(0.1, 2, 10))
}
