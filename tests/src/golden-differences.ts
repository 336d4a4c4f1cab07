/** The families of recorded calls that are run. */
export const families = [
  'alarm',
  'check',
  'compaction',
  'defrag',
  'endpoint',
  'etcd',
  'kv',
  'member',
  'move-leader',
  'txn',
] as const

/** Cases that are not run yet, by the beginning of their names. */
export const notYet: readonly { readonly cases: readonly string[]; readonly reason: string }[] = [
  { cases: ['kv-13', 'alarm-02'], reason: 'leases' },
  { cases: ['etcd-15'], reason: 'the gateway and grpc-proxy subcommands' },
]

/** Whose answers are compared with those of real etcd and its etcdctl. */
export type Pair = 'our etcdctl, our etcd' | 'our etcdctl, real etcd' | 'real etcdctl, our etcd'

/** Steps whose answers may differ from the recording of 3.4.23, and why. */
export const expectedDifferences: readonly {
  /** `CASE step N`, or `CASE` for all of its steps. */
  readonly steps: readonly string[]
  /** Default: all. */
  readonly pairs?: readonly Pair[]
  readonly reason: string
}[] = [
  {
    steps: ['alarm-01-no-alarm step 1', 'alarm-01-no-alarm step 2', 'alarm-01-no-alarm step 3'],
    pairs: ['our etcdctl, our etcd', 'real etcdctl, our etcd'],
    reason: 'an answer about alarms has a header from 3.5 on; without it the etcdctl of 3.4 panics',
  },
  {
    steps: ['kv-27-count-only'],
    pairs: ['our etcdctl, our etcd', 'our etcdctl, real etcd'],
    reason: 'get --count-only came with the etcdctl of 3.5',
  },
  {
    steps: ['defrag-04-a-data-directory step 1'],
    reason:
      'the directory of a stopped member is read by etcdutl, and that of ours by our tools only: it is no bbolt file',
  },
]
