import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics, type ServerMetrics } from './create-metrics.ts'
import { exponentialBounds, Histogram } from './histogram.ts'
import { LabelledValues } from './labelled-values.ts'

/** Names and types in the `/metrics` of etcd 3.4.23 (one member, extensive), without those of Go. */
const of34 = {
  gauge: `
    etcd_cluster_version
    etcd_debugging_auth_revision
    etcd_debugging_mvcc_compact_revision
    etcd_debugging_mvcc_current_revision
    etcd_debugging_mvcc_db_total_size_in_bytes
    etcd_debugging_mvcc_keys_total
    etcd_debugging_mvcc_pending_events_total
    etcd_debugging_mvcc_slow_watcher_total
    etcd_debugging_mvcc_total_put_size_in_bytes
    etcd_debugging_mvcc_watch_stream_total
    etcd_debugging_mvcc_watcher_total
    etcd_debugging_store_watchers
    etcd_disk_defrag_inflight
    etcd_disk_wal_write_bytes_total
    etcd_grpc_proxy_cache_hits_total
    etcd_grpc_proxy_cache_keys_total
    etcd_grpc_proxy_cache_misses_total
    etcd_grpc_proxy_watchers_coalescing_total
    etcd_mvcc_db_open_read_transactions
    etcd_mvcc_db_total_size_in_bytes
    etcd_mvcc_db_total_size_in_use_in_bytes
    etcd_server_go_version
    etcd_server_has_leader
    etcd_server_id
    etcd_server_is_leader
    etcd_server_is_learner
    etcd_server_proposals_applied_total
    etcd_server_proposals_committed_total
    etcd_server_proposals_pending
    etcd_server_quota_backend_bytes
    etcd_server_snapshot_apply_in_progress_total
    etcd_server_version
    os_fd_limit
    os_fd_used
    process_max_fds
    process_open_fds
    process_resident_memory_bytes
    process_start_time_seconds
    process_virtual_memory_bytes
    process_virtual_memory_max_bytes
    promhttp_metric_handler_requests_in_flight
  `,
  counter: `
    etcd_debugging_lease_granted_total
    etcd_debugging_lease_renewed_total
    etcd_debugging_lease_revoked_total
    etcd_debugging_mvcc_db_compaction_keys_total
    etcd_debugging_mvcc_delete_total
    etcd_debugging_mvcc_events_total
    etcd_debugging_mvcc_put_total
    etcd_debugging_mvcc_range_total
    etcd_debugging_mvcc_txn_total
    etcd_debugging_server_lease_expired_total
    etcd_debugging_store_expires_total
    etcd_debugging_store_reads_total
    etcd_debugging_store_watch_requests_total
    etcd_debugging_store_writes_total
    etcd_grpc_proxy_events_coalescing_total
    etcd_mvcc_delete_total
    etcd_mvcc_put_total
    etcd_mvcc_range_total
    etcd_mvcc_txn_total
    etcd_network_client_grpc_received_bytes_total
    etcd_network_client_grpc_sent_bytes_total
    etcd_server_health_failures
    etcd_server_health_success
    etcd_server_heartbeat_send_failures_total
    etcd_server_leader_changes_seen_total
    etcd_server_learner_promote_successes
    etcd_server_proposals_failed_total
    etcd_server_read_indexes_failed_total
    etcd_server_slow_apply_total
    etcd_server_slow_read_indexes_total
    grpc_server_handled_total
    grpc_server_msg_received_total
    grpc_server_msg_sent_total
    grpc_server_started_total
    process_cpu_seconds_total
    promhttp_metric_handler_requests_total
  `,
  histogram: `
    etcd_debugging_disk_backend_commit_rebalance_duration_seconds
    etcd_debugging_disk_backend_commit_spill_duration_seconds
    etcd_debugging_disk_backend_commit_write_duration_seconds
    etcd_debugging_lease_ttl_total
    etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds
    etcd_debugging_mvcc_db_compaction_total_duration_milliseconds
    etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds
    etcd_debugging_snap_save_marshalling_duration_seconds
    etcd_debugging_snap_save_total_duration_seconds
    etcd_disk_backend_commit_duration_seconds
    etcd_disk_backend_defrag_duration_seconds
    etcd_disk_backend_snapshot_duration_seconds
    etcd_disk_wal_fsync_duration_seconds
    etcd_mvcc_hash_duration_seconds
    etcd_mvcc_hash_rev_duration_seconds
    etcd_snap_db_fsync_duration_seconds
    etcd_snap_db_save_total_duration_seconds
    etcd_snap_fsync_duration_seconds
    grpc_server_handling_seconds
  `,
}

/** What 3.5 and later add, and what only appears once there are peers or failures. */
const later = {
  gauge: `
    etcd_debugging_mvcc_db_compaction_last
    etcd_network_active_peers
    etcd_network_known_peers
    etcd_network_snapshot_receive_inflights_total
    etcd_network_snapshot_send_inflights_total
    etcd_server_healthcheck
  `,
  counter: `
    etcd_debugging_store_reads_failed_total
    etcd_debugging_store_writes_failed_total
    etcd_network_disconnected_peers_total
    etcd_network_peer_received_bytes_total
    etcd_network_peer_received_failures_total
    etcd_network_peer_sent_bytes_total
    etcd_network_peer_sent_failures_total
    etcd_network_server_stream_failures_total
    etcd_network_snapshot_receive_failures
    etcd_network_snapshot_receive_success
    etcd_network_snapshot_send_failures
    etcd_network_snapshot_send_success
    etcd_server_client_requests_total
    etcd_server_healthchecks_total
    etcd_server_learner_promote_failures
  `,
  histogram: `
    etcd_disk_wal_write_duration_seconds
    etcd_network_peer_round_trip_time_seconds
    etcd_network_snapshot_receive_total_duration_seconds
    etcd_network_snapshot_send_total_duration_seconds
    etcd_server_apply_duration_seconds
  `,
}

/** First and last bound and their number, as etcd has them. */
const bounds: Readonly<Record<string, readonly [first: number, last: number, count: number]>> = {
  etcd_debugging_disk_backend_commit_rebalance_duration_seconds: [0.001, 8.192, 14],
  etcd_debugging_disk_backend_commit_spill_duration_seconds: [0.001, 8.192, 14],
  etcd_debugging_disk_backend_commit_write_duration_seconds: [0.001, 8.192, 14],
  etcd_debugging_lease_ttl_total: [1, 8388608, 24],
  etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds: [1, 4096, 13],
  etcd_debugging_mvcc_db_compaction_total_duration_milliseconds: [100, 819200, 14],
  etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds: [0.5, 4096, 14],
  etcd_debugging_snap_save_marshalling_duration_seconds: [0.001, 8.192, 14],
  etcd_debugging_snap_save_total_duration_seconds: [0.001, 8.192, 14],
  etcd_disk_backend_commit_duration_seconds: [0.001, 8.192, 14],
  etcd_disk_backend_defrag_duration_seconds: [0.1, 409.6, 13],
  etcd_disk_backend_snapshot_duration_seconds: [0.01, 655.36, 17],
  etcd_disk_wal_fsync_duration_seconds: [0.001, 8.192, 14],
  etcd_mvcc_hash_duration_seconds: [0.01, 163.84, 15],
  etcd_mvcc_hash_rev_duration_seconds: [0.01, 163.84, 15],
  etcd_snap_db_fsync_duration_seconds: [0.001, 8.192, 14],
  etcd_snap_db_save_total_duration_seconds: [0.1, 51.2, 10],
  etcd_snap_fsync_duration_seconds: [0.001, 8.192, 14],
  grpc_server_handling_seconds: [0.005, 10, 11],
  etcd_network_peer_round_trip_time_seconds: [0.0001, 3.2768, 16],
  etcd_server_apply_duration_seconds: [0.0001, 52.4288, 20],
}

const onlyOnLinux = /^(?:os_fd_|process_(?:max_fds|open_fds|virtual_memory))/

function names(list: string): string[] {
  return list.trim().split(/\s+/)
}

async function bodyOf(metrics: ServerMetrics): Promise<string> {
  return (await metrics.render()).body
}

/** The value of a sample line, by all that stands before it. */
async function valueOf(metrics: ServerMetrics, sample: string): Promise<number | undefined> {
  const line = (await bodyOf(metrics)).split('\n').find((each) => each.startsWith(`${sample} `))
  return line === undefined ? undefined : Number(line.slice(sample.length + 1))
}

void test('every name of etcd is there from the beginning, with its type and a help text', async () => {
  const body = await bodyOf(createMetrics({ extensive: true }))
  const types = new Map(
    [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]),
  )
  for (const table of [of34, later]) {
    for (const [type, list] of Object.entries(table)) {
      for (const name of names(list)) {
        if (process.platform !== 'linux' && onlyOnLinux.test(name)) continue
        assert.equal(types.get(name), type, name)
        assert.match(body, new RegExp(`^# HELP ${name} \\S.*\\.$`, 'm'))
      }
    }
  }
})

void test("what etcd does not have is the runtime's, and the event loop's delay is among it", async () => {
  const known = new Set([of34, later].flatMap((table) => Object.values(table).flatMap((list) => names(list))))
  const body = await bodyOf(createMetrics({ extensive: true }))
  const own = [...body.matchAll(/^# TYPE (\S+)/gm)]
    .map(([, name = '']) => name)
    .filter((name) => !known.has(name))
  assert.ok(
    own.every((name) => /^(?:nodejs|process)_/.test(name)),
    own.join(' '),
  )
  assert.ok(own.includes('nodejs_eventloop_lag_p99_seconds'))
})

void test("etcd's own metrics start at zero", async () => {
  const body = await bodyOf(createMetrics())
  const notZero = body
    .split('\n')
    .filter((line) => /^(?:etcd|grpc)_/.test(line) && !line.endsWith(' 0'))
    .map((line) => line.replace(/{.*}/, ''))
  assert.deepEqual(notZero, [
    'etcd_server_version 1',
    'etcd_server_go_version 1',
    'etcd_debugging_auth_revision 1',
    'etcd_debugging_mvcc_current_revision 1',
    'etcd_debugging_mvcc_compact_revision -1',
  ])
})

for (const [name, [first, last, count]] of Object.entries(bounds)) {
  void test(`${name} has etcd's buckets`, async () => {
    const metrics = createMetrics({ extensive: true })
    metrics.network.peer('b')
    metrics.server.applySeconds('Put', true)
    const body = await bodyOf(metrics)
    const found = new Set(
      [...body.matchAll(new RegExp(`^${name}_bucket{.*le="([^"]*)"`, 'gm'))].map(([, le = '']) => le),
    )
    const all = [...found]
    assert.equal(all.at(-1), '+Inf')
    assert.deepEqual([Number(all[0]), Number(all.at(-2)), all.length - 1], [first, last, count])
  })
}

void test('counters are read from the fields', async () => {
  const metrics = createMetrics()
  metrics.mvcc.puts += 3
  metrics.server.isLeader = true
  metrics.disk.walFsyncSeconds.observe(0.003)
  assert.equal(await valueOf(metrics, 'etcd_mvcc_put_total'), 3)
  assert.equal(await valueOf(metrics, 'etcd_debugging_mvcc_put_total'), 3)
  assert.equal(await valueOf(metrics, 'etcd_server_is_leader'), 1)
  assert.equal(await valueOf(metrics, 'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"}'), 0)
  assert.equal(await valueOf(metrics, 'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.004"}'), 1)
  assert.equal(await valueOf(metrics, 'etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"}'), 1)
  assert.equal(await valueOf(metrics, 'etcd_disk_wal_fsync_duration_seconds_sum'), 0.003)
})

void test('fields that mirror a state are set right before they are read', async () => {
  const metrics = createMetrics()
  metrics.beforeRender = () => {
    metrics.mvcc.currentRevision = 42
  }
  assert.equal(await valueOf(metrics, 'etcd_debugging_mvcc_current_revision'), 42)
})

void test('identity shows as labels, once it is known', async () => {
  const metrics = createMetrics()
  assert.doesNotMatch(await bodyOf(metrics), /^etcd_server_id{/m)
  metrics.server.id = '8e9e05c52164694d'
  metrics.server.clusterVersion = '3.5'
  assert.equal(await valueOf(metrics, 'etcd_server_id{server_id="8e9e05c52164694d"}'), 1)
  assert.equal(await valueOf(metrics, 'etcd_cluster_version{cluster_version="3.5"}'), 1)
})

void test('calls are counted by method and status, odd statuses as unknown', async () => {
  const metrics = createMetrics({ extensive: true })
  const put = metrics.grpc.method('/etcdserverpb.KV/Put')
  put.started++
  put.ended(0, 0.02)
  put.ended(99, 0.02)
  const labels = 'grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
  assert.equal(await valueOf(metrics, `grpc_server_started_total{${labels}}`), 1)
  assert.equal(await valueOf(metrics, `grpc_server_handled_total{grpc_code="OK",${labels}}`), 1)
  assert.equal(await valueOf(metrics, `grpc_server_handled_total{grpc_code="Unknown",${labels}}`), 1)
  assert.equal(await valueOf(metrics, `grpc_server_handling_seconds_count{${labels}}`), 2)
  assert.doesNotMatch(await bodyOf(createMetrics()), /grpc_server_handling_seconds/)
})

for (const [path, type] of [
  ['/etcdserverpb.Watch/Watch', 'bidi_stream'],
  ['/etcdserverpb.Maintenance/Snapshot', 'server_stream'],
  ['/etcdserverpb.KV/Range', 'unary'],
] as const) {
  void test(`${path} is of type ${type}`, () =>
    assert.equal(createMetrics().grpc.method(path).labels['grpc_type'], type))
}

void test('traffic with other members is counted by their ids', async () => {
  const metrics = createMetrics()
  metrics.server.id = 'a'
  const peer = metrics.network.peer('b')
  peer.active = 2
  peer.sentBytes += 10
  peer.snapshotsReceived.successes++
  assert.equal(await valueOf(metrics, 'etcd_network_active_peers{Local="a",Remote="b"}'), 2)
  assert.equal(await valueOf(metrics, 'etcd_network_peer_sent_bytes_total{To="b"}'), 10)
  assert.equal(await valueOf(metrics, 'etcd_network_snapshot_receive_success{From="b"}'), 1)
  assert.equal(metrics.network.peer('b'), peer)
})

void test('label values that clients choose cannot fill the memory', () => {
  const requests = new LabelledValues(['type', 'client_api_version'])
  for (let version = 0; version < 1000; version++) requests.add(1, 'unary', `9.${version}"\n`)
  const samples = requests.samples()
  assert.equal(samples.length, 257)
  assert.equal(
    samples.reduce((sum, { value }) => sum + value, 0),
    1000,
  )
  assert.deepEqual(samples.at(-1)?.labels, { type: 'other', client_api_version: 'other' })
})

void test('answers to scrapes are counted, this one as being in flight', async () => {
  const metrics = createMetrics()
  assert.equal(await valueOf(metrics, 'promhttp_metric_handler_requests_in_flight'), 1)
  assert.equal(await valueOf(metrics, 'promhttp_metric_handler_requests_total{code="200"}'), 1)
  assert.equal(metrics.scrapes.inFlight, 0)
  assert.equal((await metrics.render()).contentType, 'text/plain; version=0.0.4; charset=utf-8')
})

void test('a bound belongs to its bucket, and what is above the last has a bucket of its own', () => {
  const histogram = new Histogram([1, 2, 4])
  for (const value of [0, 1, 1.5, 2, 4, 5]) histogram.observe(value)
  assert.deepEqual([...histogram.counts], [2, 2, 1, 1])
  assert.equal(histogram.sum, 13.5)
})

void test('bounds are round numbers', () => {
  assert.deepEqual(exponentialBounds(0.1, 2, 4), [0.1, 0.2, 0.4, 0.8])
  assert.equal(exponentialBounds(0.0001, 2, 16).at(-1), 3.2768)
})
