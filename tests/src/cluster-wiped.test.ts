import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  type ClusterMember,
  type ServerProgram,
  Workload,
  checkCluster,
  eventually,
  makeTempDir,
  registerSteps,
} from '@etcd-ts/testkit'
import {
  CATCH_UP_MS,
  SOON_MS,
  assertVotesOnce,
  faultFlags,
  isOurs,
  others,
  startCluster,
} from './cluster-faults.ts'

/** What a member ends with that hears from its leader of entries that it has acknowledged and does not have. */
const LOST = /tocommit\(\d+\) is out of range .* Was the raft log corrupted, truncated, or lost/
/** Real etcd does not look before it starts. */
const WIPED = isOurs ? /has already been bootstrapped/ : LOST

// D-16. A member whose disk has been wiped does not come back under its old id: as a vote or an entry that it has promised
// to keep is lost, it must not take part any more (R44). The others go on, and one with a new id takes its place.
void test('a member with a wiped disk does not come back under its old id', async (t) => {
  const cluster = await startCluster(t)
  const leader = await cluster.leader()
  const [member] = others(cluster.members, leader)
  assert.ok(member !== undefined)
  const rest = others(cluster.members, member)
  const workload = Workload.start(t, {
    endpoints: () => rest.map(({ endpoint }) => endpoint),
    step: registerSteps(),
  })
  await workload.acknowledged(150, SOON_MS)
  await member.stop()
  member.wipe()
  const from = member.server.log.lines.length
  member.server.spawn()
  const asNew = await member.server.exit()
  assert.notEqual(asNew.code, 0)
  assert.ok(member.server.log.find(/has already been bootstrapped/, from), member.server.log.tail())

  const settings = member.server.cluster
  assert.ok(settings !== undefined)
  member.server.cluster = { ...settings, state: 'existing' }
  member.wipe()
  const fromExisting = member.server.log.lines.length
  member.server.spawn()
  const asExisting = await member.server.exit()
  assert.notEqual(asExisting.code, 0)
  assert.ok(member.server.log.find(WIPED, fromExisting), member.server.log.tail())

  await workload.acknowledged(50, SOON_MS)
  await cluster.remove(member)
  await cluster.join({ replaces: member })
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
})

// D-16, F26. A member that comes back with an old copy of its data catches up, or ends when its leader knows better what it
// had; with a leader that was elected since it does catch up. In no term it votes twice.
void test('a member comes back with an old copy of its data', async (t) => {
  const flags = (program: ServerProgram): string[] => [...faultFlags(program), '--log-level=debug']
  const cluster = await startCluster(t, { flags })
  const leader = await cluster.leader()
  const [member, other] = others(cluster.members, leader)
  assert.ok(member !== undefined && other !== undefined)
  const workload = Workload.start(t, {
    endpoints: () => [leader.endpoint, other.endpoint],
    step: registerSteps(),
  })
  const copy = join(makeTempDir(t, 'copy'), 'data')
  await workload.acknowledged(50, SOON_MS)
  await member.stop()
  cpSync(member.server.dataDir, copy, { recursive: true })
  await member.start()
  await workload.acknowledged(150, SOON_MS)
  await caughtUp(member, leader)
  await member.stop()
  const restore = (): void => {
    member.wipe()
    cpSync(copy, member.server.dataDir, { recursive: true })
  }
  restore()
  const from = member.server.log.lines.length
  member.server.spawn()
  // It depends on what it hears first: of an entry that is committed, or of one that does not fit.
  const hasEnded = await Promise.race([
    member.server.exit(CATCH_UP_MS).then(() => true),
    caughtUp(member, leader).then(() => false),
  ])
  if (hasEnded) assert.ok(member.server.log.find(LOST, from), member.server.log.tail())
  else await member.stop()
  await cluster.moveLeader(other)
  restore()
  await member.start()
  await caughtUp(member, other)
  assertVotesOnce(member)
  t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers', expectedLines: LOST }))
})

async function caughtUp(member: ClusterMember, leader: ClusterMember): Promise<void> {
  const { raftAppliedIndex: goal } = await leader.status()
  await eventually(`${member.name} has caught up`, CATCH_UP_MS, async () => {
    const { raftAppliedIndex } = await member.status()
    return raftAppliedIndex >= goal ? true : undefined
  })
}
