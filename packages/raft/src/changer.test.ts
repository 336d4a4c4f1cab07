import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfChangeError, changeSimply, enterJoint, leaveJoint, restoreMembership } from './changer.ts'
import { describeConfig, parseConfChanges } from './describe-config.ts'
import { SimRandom } from './simulation/sim-random.ts'
import { Tracker, confStateOf, isJoint } from './tracker.ts'

const trackerWith = (changes: string): Tracker => {
  const tracker = new Tracker(10, Infinity)
  for (const change of parseConfChanges(changes)) {
    const { config, progress } = changeSimply(tracker, 1, [change])
    tracker.replace(config, progress)
  }
  return tracker
}

void test('a change that is refused changes nothing', () => {
  const tracker = trackerWith('v1 v2 v3')
  const before = describeConfig(tracker.config)
  assert.throws(() => changeSimply(tracker, 1, parseConfChanges('l1 r2 r3')), ConfChangeError)
  assert.equal(describeConfig(tracker.config), before)
  assert.equal(tracker.progress.get(1n)?.isLearner, false)
})

void test('a member keeps its progress when it becomes a voter', () => {
  const tracker = trackerWith('v1 l2')
  const progress = tracker.progress.get(2n)!
  progress.match = 17
  progress.maybeUpdate(18)
  const changed = changeSimply(tracker, 1, parseConfChanges('v2')).progress.get(2n)!
  assert.deepEqual([changed.match, changed.next, changed.isLearner], [18, 19, false])
})

void test('a new member is first probed at the newest entry and counts as active', () => {
  const tracker = trackerWith('v1')
  const added = changeSimply(tracker, 42, parseConfChanges('v2')).progress.get(2n)!
  assert.deepEqual([added.match, added.next, added.recentActive, added.state], [0, 42, true, 'probe'])
})

for (const { name, state } of [
  { name: 'a learner is a voter', state: { voters: [1n], learners: [1n] } },
  { name: 'a voter to become a learner is no outgoing voter', state: { voters: [1n], learnersNext: [2n] } },
  { name: 'it leaves by itself what it is not in', state: { voters: [1n], autoLeave: true } },
  { name: 'there are learners only', state: { learners: [1n] } },
]) {
  void test(`no configuration is restored in which ${name}`, () => {
    const whole = {
      voters: [],
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
      ...state,
    }
    assert.throws(() => restoreMembership(new Tracker(1, 1), 1, whole), ConfChangeError)
  })
}

void test('whatever changes led to it, a configuration is restored from its state', () => {
  const random = new SimRandom(3)
  for (let i = 0; i < 300; i++) {
    const tracker = trackerWith('v1')
    for (let step = 0; step < 20; step++) {
      const changes = Array.from({ length: random.between(1, 4) }, () => {
        return `${random.pick(['v', 'l', 'r', 'u'])}${random.between(0, 6)}`
      })
      try {
        const parsed = parseConfChanges(changes.join(' '))
        const { config, progress } = isJoint(tracker.config)
          ? leaveJoint(tracker, step)
          : random.chance(50)
            ? enterJoint(tracker, step, random.chance(50), parsed)
            : changeSimply(tracker, step, parsed)
        tracker.replace(config, progress)
      } catch (error) {
        assert.ok(error instanceof ConfChangeError, String(error))
      }
      const restored = restoreMembership(new Tracker(10, Infinity), 1, confStateOf(tracker.config))
      assert.equal(describeConfig(restored.config), describeConfig(tracker.config))
      assert.deepEqual(
        [...restored.progress].map(([id, { isLearner }]) => `${id} ${isLearner}`).sort(),
        [...tracker.progress].map(([id, { isLearner }]) => `${id} ${isLearner}`).sort(),
      )
    }
  }
})
