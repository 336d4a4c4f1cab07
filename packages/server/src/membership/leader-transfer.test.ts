import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '@etcd-ts/api'
import { silentLogger } from '../log/index.ts'
import { LeaderTransfer } from './leader-transfer.ts'
import { sampleCluster, sampleMember } from './testing/sample-cluster.ts'
import { SteppingClock } from './testing/stepping-clock.ts'

interface World {
  readonly transfer: LeaderTransfer
  readonly asked: bigint[]
  readonly clock: SteppingClock
  leader: bigint
  /** Whether who is asked leads, some heartbeats later. */
  isWilling: boolean
}

/** Member 1 of five, of which 4 is a learner and 5 is down. */
function world(): World {
  const clock = new SteppingClock()
  const asked: bigint[] = []
  const cluster = sampleCluster(
    sampleMember(1n),
    sampleMember(2n),
    sampleMember(3n),
    sampleMember(4n, { isLearner: true }),
    sampleMember(5n),
  )
  const activeSince = new Map([
    [2n, 500],
    [3n, 400],
    [4n, 10],
  ])
  const self: World = {
    clock,
    asked,
    leader: 1n,
    isWilling: true,
    transfer: new LeaderTransfer({
      memberId: 1n,
      cluster,
      clock,
      logger: silentLogger,
      heartbeatMs: 100,
      requestTimeoutMs: 7000,
      leader: () => self.leader,
      activeSinceMs: (id) => activeSince.get(id),
      transferLeader: (id) => {
        asked.push(id)
        let beats = 0
        clock.onSleep = () => {
          if (self.isWilling && ++beats === 3) self.leader = id
        }
      },
    }),
  }
  return self
}

const patient = { remainingMs: () => undefined, ended: false }

void test('leadership goes to the member that was named, and the call ends when it leads', async () => {
  const self = world()
  await self.transfer.move(2n, patient)
  assert.deepEqual(self.asked, [2n])
  assert.equal(self.leader, 2n)
})

void test('a member that does not lead has nothing to hand over', async () => {
  const self = world()
  self.leader = 3n
  await assert.rejects(self.transfer.move(2n, patient), new ApiError('notLeader'))
})

for (const [who, id] of [
  ['a learner', 4n],
  ['a stranger', 9n],
  ['nobody', 0n],
] as const) {
  void test(`leadership does not go to ${who}`, async () => {
    const self = world()
    await assert.rejects(self.transfer.move(id, patient), new ApiError('badLeaderTransferee'))
    assert.deepEqual(self.asked, [])
  })
}

void test('handing over to oneself is done at once', async () => {
  const self = world()
  await self.transfer.move(1n, patient)
  assert.equal(self.clock.nowMs, 1_000_000)
})

void test('a transfer that does not happen ends with the time of the caller, or of any request', async () => {
  for (const [remainingMs, tookMs] of [
    [2500, 2500],
    [undefined, 7000],
  ] as const) {
    const self = world()
    self.isWilling = false
    const caller = { remainingMs: () => remainingMs, ended: false }
    await assert.rejects(self.transfer.move(2n, caller), new ApiError('timeoutLeaderTransfer'))
    assert.equal(self.clock.nowMs - 1_000_000, tookMs)
  }
})

void test('a leader that stops hands over to the voter that has been there for longest', async () => {
  const self = world()
  await self.transfer.onStop()
  assert.deepEqual(self.asked, [3n])
  assert.equal(self.leader, 3n)
})

void test('a follower that stops hands over nothing', async () => {
  const self = world()
  self.leader = 2n
  await self.transfer.onStop()
  assert.deepEqual(self.asked, [])
})

void test('a stop goes on when nobody takes over', async () => {
  const self = world()
  self.isWilling = false
  await self.transfer.onStop()
  assert.deepEqual(self.asked, [3n])
})
