/**
 * The catalogue's D-29: the member that sends its state dies at any moment, or the one that receives it at any call to the
 * outside, while a snapshot is under way, alone or with the machine. ETCD_TS_CRASH_POINTS: how many of these are tried.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom, type SimEnd } from '@etcd-ts/testkit'
import { ClusterSimulation } from './cluster-simulation-run.ts'
import { count } from './settings.ts'

const SEED = 1
const SNAP_DIR = '/data/member/snap'
const pointCount = count('ETCD_TS_CRASH_POINTS', { ci: 40, local: 8 })

type Role = 'sender' | 'receiver'

interface Situation {
  readonly simulation: ClusterSimulation
  readonly sender: ClusterSimulation['nodes'][number]
  readonly receiver: ClusterSimulation['nodes'][number]
}

/** A follower was away for so long that nothing but a snapshot helps it, and is just back. */
async function situation(): Promise<Situation> {
  const simulation = new ClusterSimulation(SEED, {
    members: 3,
    flags: [
      '--snapshot-count=10',
      '--snapshot-catchup-entries=1',
      '--max-snapshots=1',
      '--max-wals=1',
      '--backend-batch-interval=20ms',
    ],
  })
  simulation.found()
  await simulation.until('a cluster', () => simulation.isOne())
  await simulation.write(5)
  const sender = simulation.leader
  const receiver = simulation.nodes.find((node) => node !== sender)
  assert.ok(sender !== undefined && receiver !== undefined)
  const others = simulation.nodes.filter((node) => node !== receiver).map(({ address }) => address)
  simulation.network.partition([receiver.address], others)
  await simulation.write(50)
  await simulation.pass(2000)
  simulation.network.heal()
  return { simulation, sender, receiver }
}

const isInstalled = ({ simulation }: Situation): boolean =>
  simulation.journal.some((line) => line.includes('applied snapshot'))

/** Until the snapshot is installed and everybody is at rest: milliseconds, and calls of the receiver to the outside. */
async function undisturbed(): Promise<{ ms: number; calls: number }> {
  const calm = await situation()
  const { simulation, receiver } = calm
  const { process } = receiver
  const before = { ms: simulation.clock.monotonicMs(), calls: process?.calls ?? 0 }
  await simulation.until('an installed snapshot', () => isInstalled(calm))
  await simulation.until('one state', () => simulation.isOne())
  const ms = simulation.clock.monotonicMs() - before.ms
  await simulation.pass(200)
  return { ms, calls: (process?.calls ?? 0) - before.calls }
}

/** @param point which millisecond (sender) or call to the outside (receiver) is the last */
async function survive(role: Role, point: number, how: SimEnd): Promise<boolean> {
  const disturbed = await situation()
  const { simulation } = disturbed
  const node = disturbed[role]
  const { process } = node
  if (role === 'receiver') process?.dieAtCall(process.calls + point)
  else process?.clock.setTimer(point, () => process.die())
  await simulation.until('the end of the process', () => !node.isUp)
  const wasInstalled = isInstalled(disturbed)
  simulation.end(node, how)
  await simulation.pass(500)
  simulation.start(node)
  await simulation.recover()
  await simulation.write(15)
  await simulation.pass(1000)
  // The member starts once more with what it has now, and nothing is left over of what was interrupted.
  node.process?.die()
  simulation.end(node, 'powerLoss')
  simulation.start(node)
  await simulation.recover()
  const files = node.process?.look((disk) => disk.list(SNAP_DIR)) ?? []
  assert.deepEqual(
    files.filter((name) => name.startsWith('tmp') || name.endsWith('.snap.db')),
    [],
  )
  return wasInstalled
}

for (const { name, role } of [
  { name: 'the sender of a snapshot may die at any moment', role: 'sender' },
  { name: 'the receiver of a snapshot may die at any call to the outside', role: 'receiver' },
] satisfies { name: string; role: Role }[]) {
  void test(`D-29: ${name}`, async (context) => {
    const { ms, calls } = await undisturbed()
    const total = role === 'sender' ? Math.ceil(ms) : calls
    const random = new SeededRandom(SEED)
    const every = Array.from({ length: total }, (_, i) => i + 1)
    const points = pointCount >= total ? every : every.filter(() => random.below(total) < pointCount)
    let early = 0
    for (const point of points) {
      for (const how of ['kill', 'powerLoss'] satisfies SimEnd[]) {
        try {
          if (!(await survive(role, point, how))) early++
        } catch (error) {
          throw new Error(`${how} at ${point} of the ${role}`, { cause: error })
        }
      }
    }
    context.diagnostic(`${points.length} of ${total} tried, ${early} ends before the snapshot was installed`)
    assert.ok(early > 0)
  })
}
