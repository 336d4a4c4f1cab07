import { COMPAT_VERSION, RUNTIME_VERSION } from '../config/version.ts'
import { counter, gauge, histogram, histograms, info, labelled, type Family, type Sample } from './family.ts'
import type { Labels } from './labelled-values.ts'
import type { PeerMetrics, Counters } from './counters.ts'

const server: readonly Family[] = [
  info(
    'etcd_cluster_version',
    'The version that the cluster has agreed on, as a label of the value 1.',
    'cluster_version',
    (m) => m.server.clusterVersion,
  ),
  info(
    'etcd_server_version',
    'The version that this member behaves as, as a label of the value 1.',
    'server_version',
    () => COMPAT_VERSION,
  ),
  info(
    'etcd_server_go_version',
    'The runtime of this member, as a label of the value 1.',
    'server_go_version',
    () => RUNTIME_VERSION,
  ),
  info(
    'etcd_server_id',
    'The id of this member in hexadecimal, as a label of the value 1.',
    'server_id',
    (m) => m.server.id,
  ),
  gauge('etcd_server_has_leader', '1 while a leader is known, else 0.', (m) => m.server.hasLeader),
  gauge('etcd_server_is_leader', '1 while this member leads, else 0.', (m) => m.server.isLeader),
  gauge('etcd_server_is_learner', '1 while this member is a learner, else 0.', (m) => m.server.isLearner),
  counter(
    'etcd_server_leader_changes_seen_total',
    'Changes of the leader that this member has seen.',
    (m) => m.server.leaderChangesSeen,
  ),
  gauge(
    'etcd_server_proposals_committed_total',
    'Log index up to which entries are committed.',
    (m) => m.server.proposalsCommitted,
  ),
  gauge(
    'etcd_server_proposals_applied_total',
    'Log index up to which entries are applied.',
    (m) => m.server.proposalsApplied,
  ),
  gauge(
    'etcd_server_proposals_pending',
    'Proposals of this member that wait for their commit.',
    (m) => m.server.proposalsPending,
  ),
  counter(
    'etcd_server_proposals_failed_total',
    'Proposals of this member that failed.',
    (m) => m.server.proposalsFailed,
  ),
  counter(
    'etcd_server_read_indexes_failed_total',
    'Rounds for linearizable reads that failed.',
    (m) => m.server.readIndexesFailed,
  ),
  counter(
    'etcd_server_slow_read_indexes_total',
    'Rounds for linearizable reads that were overtaken or timed out.',
    (m) => m.server.readIndexesSlow,
  ),
  counter(
    'etcd_server_slow_apply_total',
    'Entries that took too long to apply.',
    (m) => m.server.appliesSlow,
  ),
  counter(
    'etcd_server_heartbeat_send_failures_total',
    'Heartbeats that this leader sent too late.',
    (m) => m.server.heartbeatSendFailures,
  ),
  counter('etcd_server_health_success', 'Health checks that were passed.', (m) => m.server.healthSuccesses),
  counter('etcd_server_health_failures', 'Health checks that were failed.', (m) => m.server.healthFailures),
  labelled(
    'gauge',
    'etcd_server_healthcheck',
    'Outcome of the last run of a health check: 1 passed, 0 failed.',
    (m) => m.server.healthcheck.samples(),
  ),
  labelled('counter', 'etcd_server_healthchecks_total', 'Runs of a health check by outcome.', (m) =>
    m.server.healthchecks.samples(),
  ),
  counter(
    'etcd_server_learner_promote_successes',
    'Learners promoted while this member led.',
    (m) => m.server.learnerPromoteSuccesses,
  ),
  labelled(
    'counter',
    'etcd_server_learner_promote_failures',
    'Promotions of learners refused while this member led.',
    (m) => m.server.learnerPromoteFailures.samples(),
  ),
  gauge(
    'etcd_server_snapshot_apply_in_progress_total',
    '1 while a snapshot of the leader is being applied, else 0.',
    (m) => m.server.snapshotApplyInProgress,
  ),
  gauge(
    'etcd_server_quota_backend_bytes',
    'Size of the store at which writes are refused.',
    (m) => m.server.quotaBackendBytes,
  ),
  labelled(
    'counter',
    'etcd_server_client_requests_total',
    'Requests by the API version of the client.',
    (m) => m.server.clientRequests.samples(),
  ),
  histograms('etcd_server_apply_duration_seconds', 'Time that operations took to apply.', (m) =>
    m.server.applies().map(({ labels, seconds }) => ({ labels, histogram: seconds })),
  ),
  counter(
    'etcd_debugging_server_lease_expired_total',
    'Leases that have expired.',
    (m) => m.server.leasesExpired,
  ),
  gauge('etcd_debugging_auth_revision', 'Revision of the users and roles.', (m) => m.auth.revision),
]

const mvcc: readonly Family[] = [
  counter('etcd_mvcc_range_total', 'Ranges read on this member.', (m) => m.mvcc.ranges),
  counter('etcd_mvcc_put_total', 'Puts applied on this member.', (m) => m.mvcc.puts),
  counter('etcd_mvcc_delete_total', 'Deletions applied on this member.', (m) => m.mvcc.deletes),
  counter(
    'etcd_mvcc_txn_total',
    'Transactions of several operations applied on this member.',
    (m) => m.mvcc.txns,
  ),
  gauge('etcd_mvcc_db_total_size_in_bytes', 'Size of the store on disk.', (m) => m.mvcc.dbBytes),
  gauge(
    'etcd_mvcc_db_total_size_in_use_in_bytes',
    'Size of that part of the store that holds data.',
    (m) => m.mvcc.dbBytesInUse,
  ),
  gauge(
    'etcd_mvcc_db_open_read_transactions',
    'Snapshots of the store that are being read.',
    (m) => m.mvcc.dbOpenReadTransactions,
  ),
  histogram('etcd_mvcc_hash_duration_seconds', 'Time to hash the whole store.', (m) => m.mvcc.hashSeconds),
  histogram(
    'etcd_mvcc_hash_rev_duration_seconds',
    'Time to hash the store at a revision.',
    (m) => m.mvcc.hashRevSeconds,
  ),
  counter('etcd_debugging_mvcc_range_total', 'The same as etcd_mvcc_range_total.', (m) => m.mvcc.ranges),
  counter('etcd_debugging_mvcc_put_total', 'The same as etcd_mvcc_put_total.', (m) => m.mvcc.puts),
  counter('etcd_debugging_mvcc_delete_total', 'The same as etcd_mvcc_delete_total.', (m) => m.mvcc.deletes),
  counter('etcd_debugging_mvcc_txn_total', 'The same as etcd_mvcc_txn_total.', (m) => m.mvcc.txns),
  gauge(
    'etcd_debugging_mvcc_db_total_size_in_bytes',
    'The same as etcd_mvcc_db_total_size_in_bytes.',
    (m) => m.mvcc.dbBytes,
  ),
  gauge(
    'etcd_debugging_mvcc_current_revision',
    'Revision of the last change.',
    (m) => m.mvcc.currentRevision,
  ),
  gauge(
    'etcd_debugging_mvcc_compact_revision',
    'Revision of the last compaction, -1 before the first.',
    (m) => m.mvcc.compactRevision,
  ),
  gauge('etcd_debugging_mvcc_keys_total', 'Keys in the store.', (m) => m.mvcc.keys),
  gauge(
    'etcd_debugging_mvcc_total_put_size_in_bytes',
    'Size of all pairs put on this member.',
    (m) => m.mvcc.putBytes,
  ),
  counter('etcd_debugging_mvcc_events_total', 'Events sent to watchers.', (m) => m.mvcc.events),
  gauge(
    'etcd_debugging_mvcc_pending_events_total',
    'Events that wait to be sent.',
    (m) => m.mvcc.pendingEvents,
  ),
  gauge('etcd_debugging_mvcc_watch_stream_total', 'Open watch streams.', (m) => m.mvcc.watchStreams),
  gauge('etcd_debugging_mvcc_watcher_total', 'Watchers.', (m) => m.mvcc.watchers),
  gauge('etcd_debugging_mvcc_slow_watcher_total', 'Watchers that are behind.', (m) => m.mvcc.slowWatchers),
  counter(
    'etcd_debugging_mvcc_db_compaction_keys_total',
    'Revisions that compactions have removed.',
    (m) => m.mvcc.compactedKeys,
  ),
  gauge(
    'etcd_debugging_mvcc_db_compaction_last',
    'Unix time of the last compaction, 0 before the first since the start.',
    (m) => m.mvcc.lastCompactionSeconds,
  ),
  histogram(
    'etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds',
    'Time for which a step of a compaction held up others.',
    (m) => m.mvcc.compactionPauseMs,
  ),
  histogram(
    'etcd_debugging_mvcc_db_compaction_total_duration_milliseconds',
    'Time that compactions took in all.',
    (m) => m.mvcc.compactionTotalMs,
  ),
  histogram(
    'etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds',
    'Time for which compactions of the key index held up others.',
    (m) => m.mvcc.indexCompactionPauseMs,
  ),
]

const disk: readonly Family[] = [
  histogram('etcd_disk_wal_fsync_duration_seconds', 'Time to sync the log.', (m) => m.disk.walFsyncSeconds),
  histogram(
    'etcd_disk_wal_write_duration_seconds',
    'Time to write to the log.',
    (m) => m.disk.walWriteSeconds,
  ),
  gauge('etcd_disk_wal_write_bytes_total', 'Bytes written to the log.', (m) => m.disk.walBytes),
  histogram(
    'etcd_disk_backend_commit_duration_seconds',
    'Time to commit writes to the store.',
    (m) => m.disk.backendCommitSeconds,
  ),
  histogram(
    'etcd_debugging_disk_backend_commit_rebalance_duration_seconds',
    'Part of a commit in which pages are merged.',
    (m) => m.disk.backendCommitRebalanceSeconds,
  ),
  histogram(
    'etcd_debugging_disk_backend_commit_spill_duration_seconds',
    'Part of a commit in which pages are laid out.',
    (m) => m.disk.backendCommitSpillSeconds,
  ),
  histogram(
    'etcd_debugging_disk_backend_commit_write_duration_seconds',
    'Part of a commit in which pages are written.',
    (m) => m.disk.backendCommitWriteSeconds,
  ),
  histogram(
    'etcd_disk_backend_defrag_duration_seconds',
    'Time to defragment the store.',
    (m) => m.disk.backendDefragSeconds,
  ),
  histogram(
    'etcd_disk_backend_snapshot_duration_seconds',
    'Time to send a snapshot of the store.',
    (m) => m.disk.backendSnapshotSeconds,
  ),
  gauge(
    'etcd_disk_defrag_inflight',
    '1 while the store is being defragmented, else 0.',
    (m) => m.disk.defragInFlight,
  ),
  histogram('etcd_snap_fsync_duration_seconds', 'Time to sync a snapshot file.', (m) => m.snap.fsyncSeconds),
  histogram(
    'etcd_snap_db_fsync_duration_seconds',
    'Time to sync a received store.',
    (m) => m.snap.dbFsyncSeconds,
  ),
  histogram(
    'etcd_snap_db_save_total_duration_seconds',
    'Time to save a received store.',
    (m) => m.snap.dbSaveSeconds,
  ),
  histogram(
    'etcd_debugging_snap_save_marshalling_duration_seconds',
    'Time to encode a snapshot file.',
    (m) => m.snap.saveMarshallingSeconds,
  ),
  histogram(
    'etcd_debugging_snap_save_total_duration_seconds',
    'Time to save a snapshot file.',
    (m) => m.snap.saveSeconds,
  ),
]

const leases: readonly Family[] = [
  counter('etcd_debugging_lease_granted_total', 'Leases granted.', (m) => m.lease.granted),
  counter('etcd_debugging_lease_revoked_total', 'Leases revoked.', (m) => m.lease.revoked),
  counter(
    'etcd_debugging_lease_renewed_total',
    'Renewals of leases while this member led.',
    (m) => m.lease.renewed,
  ),
  histogram(
    'etcd_debugging_lease_ttl_total',
    'Life asked for leases, in seconds.',
    (m) => m.lease.ttlSeconds,
  ),
]

const v2store: readonly Family[] = [
  labelled('counter', 'etcd_debugging_store_reads_total', 'Reads of the v2 store by action.', (m) =>
    m.v2store.reads.samples(),
  ),
  labelled(
    'counter',
    'etcd_debugging_store_reads_failed_total',
    'Failed reads of the v2 store by action.',
    (m) => m.v2store.readsFailed.samples(),
  ),
  labelled('counter', 'etcd_debugging_store_writes_total', 'Writes to the v2 store by action.', (m) =>
    m.v2store.writes.samples(),
  ),
  labelled(
    'counter',
    'etcd_debugging_store_writes_failed_total',
    'Failed writes to the v2 store by action.',
    (m) => m.v2store.writesFailed.samples(),
  ),
  counter(
    'etcd_debugging_store_expires_total',
    'Keys of the v2 store that have expired.',
    (m) => m.v2store.expires,
  ),
  counter(
    'etcd_debugging_store_watch_requests_total',
    'Watches asked of the v2 store.',
    (m) => m.v2store.watchRequests,
  ),
  gauge('etcd_debugging_store_watchers', 'Watchers of the v2 store.', (m) => m.v2store.watchers),
]

/** One sample for each other member. */
function perPeer(
  metrics: Counters,
  labels: (id: string) => Labels,
  read: (peer: PeerMetrics) => number,
): readonly Sample[] {
  return metrics.network.peers().map((peer) => ({ labels: labels(peer.id), value: read(peer) }))
}

const to = (id: string): Labels => ({ To: id })
const from = (id: string): Labels => ({ From: id })
const pair =
  (metrics: Counters) =>
  (id: string): Labels => ({ Local: metrics.server.id, Remote: id })

const network: readonly Family[] = [
  counter(
    'etcd_network_client_grpc_received_bytes_total',
    'Bytes received from gRPC clients.',
    (m) => m.network.clientReceivedBytes,
  ),
  counter(
    'etcd_network_client_grpc_sent_bytes_total',
    'Bytes sent to gRPC clients.',
    (m) => m.network.clientSentBytes,
  ),
  labelled('counter', 'etcd_network_server_stream_failures_total', 'Streams to clients that failed.', (m) =>
    m.network.streamFailures.samples(),
  ),
  labelled('gauge', 'etcd_network_active_peers', 'Connections with other members.', (m) =>
    perPeer(m, pair(m), (peer) => peer.active),
  ),
  labelled('gauge', 'etcd_network_known_peers', '1 for each other member of the cluster.', (m) =>
    perPeer(m, pair(m), (peer) => Number(peer.known)),
  ),
  labelled(
    'counter',
    'etcd_network_disconnected_peers_total',
    'Connections with other members that were lost.',
    (m) => perPeer(m, pair(m), (peer) => peer.disconnects),
  ),
  labelled('counter', 'etcd_network_peer_sent_bytes_total', 'Bytes sent to other members.', (m) =>
    perPeer(m, to, (peer) => peer.sentBytes),
  ),
  labelled('counter', 'etcd_network_peer_received_bytes_total', 'Bytes received from other members.', (m) =>
    perPeer(m, from, (peer) => peer.receivedBytes),
  ),
  labelled(
    'counter',
    'etcd_network_peer_sent_failures_total',
    'Messages that could not be sent to other members.',
    (m) => perPeer(m, to, (peer) => peer.sentFailures),
  ),
  labelled(
    'counter',
    'etcd_network_peer_received_failures_total',
    'Messages of other members that could not be read.',
    (m) => perPeer(m, from, (peer) => peer.receivedFailures),
  ),
  histograms('etcd_network_peer_round_trip_time_seconds', 'Round-trip time to other members.', (m) =>
    m.network.peers().map((peer) => ({ labels: to(peer.id), histogram: peer.roundTripSeconds })),
  ),
  labelled('gauge', 'etcd_network_snapshot_send_inflights_total', 'Snapshots being sent.', (m) =>
    perPeer(m, to, (peer) => peer.snapshotsSent.inFlight),
  ),
  labelled('counter', 'etcd_network_snapshot_send_success', 'Snapshots sent.', (m) =>
    perPeer(m, to, (peer) => peer.snapshotsSent.successes),
  ),
  labelled('counter', 'etcd_network_snapshot_send_failures', 'Snapshots that could not be sent.', (m) =>
    perPeer(m, to, (peer) => peer.snapshotsSent.failures),
  ),
  histograms('etcd_network_snapshot_send_total_duration_seconds', 'Time to send a snapshot.', (m) =>
    m.network.peers().map((peer) => ({ labels: to(peer.id), histogram: peer.snapshotsSent.seconds })),
  ),
  labelled('gauge', 'etcd_network_snapshot_receive_inflights_total', 'Snapshots being received.', (m) =>
    perPeer(m, from, (peer) => peer.snapshotsReceived.inFlight),
  ),
  labelled('counter', 'etcd_network_snapshot_receive_success', 'Snapshots received.', (m) =>
    perPeer(m, from, (peer) => peer.snapshotsReceived.successes),
  ),
  labelled(
    'counter',
    'etcd_network_snapshot_receive_failures',
    'Snapshots that could not be received.',
    (m) => perPeer(m, from, (peer) => peer.snapshotsReceived.failures),
  ),
  histograms('etcd_network_snapshot_receive_total_duration_seconds', 'Time to receive a snapshot.', (m) =>
    m.network.peers().map((peer) => ({ labels: from(peer.id), histogram: peer.snapshotsReceived.seconds })),
  ),
]

const grpc: readonly Family[] = [
  labelled('counter', 'grpc_server_started_total', 'Calls that were begun.', (m) =>
    m.grpc.all().map(({ labels, started }) => ({ labels, value: started })),
  ),
  labelled('counter', 'grpc_server_handled_total', 'Calls that have ended, by status code.', (m) =>
    m.grpc
      .all()
      .flatMap(({ labelsByCode, handled }) =>
        labelsByCode.map((labels, code) => ({ labels, value: handled[code] ?? 0 })),
      ),
  ),
  labelled('counter', 'grpc_server_msg_received_total', 'Messages received in calls.', (m) =>
    m.grpc.all().map(({ labels, messagesReceived }) => ({ labels, value: messagesReceived })),
  ),
  labelled('counter', 'grpc_server_msg_sent_total', 'Messages sent in calls.', (m) =>
    m.grpc.all().map(({ labels, messagesSent }) => ({ labels, value: messagesSent })),
  ),
]

const grpcExtensive: readonly Family[] = [
  histograms('grpc_server_handling_seconds', 'Time from the beginning to the end of calls.', (m) =>
    m.grpc.all().flatMap(({ labels, seconds }) => (seconds === null ? [] : [{ labels, histogram: seconds }])),
  ),
]

const grpcProxy: readonly Family[] = [
  gauge(
    'etcd_grpc_proxy_cache_hits_total',
    'Ranges that the proxy answered from its cache.',
    (m) => m.grpcProxy.cacheHits,
  ),
  gauge(
    'etcd_grpc_proxy_cache_keys_total',
    'Ranges in the cache of the proxy.',
    (m) => m.grpcProxy.cacheKeys,
  ),
  gauge(
    'etcd_grpc_proxy_cache_misses_total',
    'Ranges that the proxy had to ask for.',
    (m) => m.grpcProxy.cacheMisses,
  ),
  counter(
    'etcd_grpc_proxy_events_coalescing_total',
    'Events that the proxy sent on to several watchers.',
    (m) => m.grpcProxy.eventsCoalesced,
  ),
  gauge(
    'etcd_grpc_proxy_watchers_coalescing_total',
    'Watchers that share one with others.',
    (m) => m.grpcProxy.watchersCoalesced,
  ),
]

const scrapes: readonly Family[] = [
  gauge(
    'promhttp_metric_handler_requests_in_flight',
    'Requests for these metrics being answered.',
    (m) => m.scrapes.inFlight,
  ),
  labelled(
    'counter',
    'promhttp_metric_handler_requests_total',
    'Requests for these metrics by status.',
    (m) => m.scrapes.total.samples(),
  ),
]

/** Every family of the member's own, with etcd's names, types and labels. */
export function familiesOf(extensive: boolean): readonly Family[] {
  return [
    ...server,
    ...mvcc,
    ...disk,
    ...leases,
    ...v2store,
    ...network,
    ...grpc,
    ...(extensive ? grpcExtensive : []),
    ...grpcProxy,
    ...scrapes,
  ]
}
