import assert from 'node:assert/strict'
import { etcdserverpb } from '@etcd-ts/api'
import {
  type ClusterProcess,
  GrpcClient,
  GrpcKvClient,
  type Scope,
  type ServerProgram,
  eventually,
  freeAfter,
  ourServer,
  realServer,
  show,
  skipWithout,
  toBytes,
} from '@etcd-ts/testkit'

/** The `skip` option of tests that need real etcd beside ours. */
export const skipWithoutReal = skipWithout(realServer(), 'real etcd') ?? false

export const ours = ourServer()
/** Stands for ours where it is missing; the tests are skipped then. */
export const real = realServer() ?? ours

/** Entries that etcd 3.4 keeps in its log behind a snapshot, which no flag changes. */
const REAL_CATCH_UP_ENTRIES = 5000
const FILL_TIMEOUT_MS = 30_000

/**
 * Flags of a member that takes changes of the membership without waiting until it has been connected for five seconds, and
 * whose cluster etcd 3.4 may join.
 */
export function openFlags(program: ServerProgram): string[] {
  const flags = ['--strict-reconfig-check=false', '--snapshot-count=1500']
  return program.title === 'etcd-ts' ? [...flags, '--cluster-version-max=3.4'] : flags
}

/** Flags of such a member whose log is cut short, so that a follower that was away needs a snapshot soon. */
export function quickFlags(program: ServerProgram): string[] {
  const flags = openFlags(program)
  return program.title === 'etcd-ts' ? [...flags, '--snapshot-catchup-entries=100'] : flags
}

/** Writes after which no member that runs with `quickFlags` has the start of the log. */
export function writesThatCutTheLog(program: ServerProgram): number {
  return program.title === 'etcd-ts' ? 3200 : REAL_CATCH_UP_ENTRIES + 3200
}

/**
 * Puts `writes` small values through all members that are up, many at a time, each until it is acknowledged: etcd drops
 * what it cannot pass on to the leader in the moment after a start.
 */
export async function fill(scope: Scope, cluster: ClusterProcess, writes: number): Promise<void> {
  const clients = cluster.members
    .filter((member) => member.isUp)
    .map((member) => new GrpcClient(member.endpoint))
  freeAfter(scope, () => {
    for (const client of clients) client.close()
  })
  let next = 0
  const run = async (): Promise<void> => {
    for (let i = next++; i < writes; i = next++) {
      const put = { key: toBytes(`fill ${i % 500}`), value: toBytes(`value ${i}`) }
      await eventually(`write ${i}`, FILL_TIMEOUT_MS, () =>
        (clients[i % clients.length] as GrpcClient).call(etcdserverpb.KVService.Put, put),
      )
    }
  }
  await Promise.all(Array.from({ length: 64 }, run))
}

/** Asserts that all members, learners too, give the same live pairs from their own stores. */
export async function assertEqualPairs(cluster: ClusterProcess): Promise<void> {
  await cluster.settled()
  const raws = await Promise.all(
    cluster.members.map(async (member) => {
      const client = new GrpcKvClient(member.endpoint)
      const everything = { kind: 'range', key: '\0', rangeEnd: '\0', serializable: true } as const
      const { answer, raw } = await client.call(everything)
      client.close()
      assert.equal(answer.kind, 'range', `${member.name}: ${show(answer)}`)
      return raw
    }),
  )
  for (const [i, raw] of raws.entries()) {
    assert.ok(raw === raws[0], `${cluster.members[i]?.name} and ${cluster.members[0]?.name} differ`)
  }
}
