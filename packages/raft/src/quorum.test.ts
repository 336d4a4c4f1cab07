import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Voters,
  jointCommitted,
  jointVote,
  majorityCommitted,
  majorityVote,
  votersOfBoth,
  withId,
  withoutId,
} from './quorum.ts'
import { SimRandom } from './simulation/sim-random.ts'

const indexes = (voters: Voters, acked: readonly number[]): ((id: bigint) => number | undefined) => {
  return (id) => acked[voters.indexOf(id)]
}

for (const { name, voters, acked, committed } of [
  { name: 'two of three voters commit index 5', voters: [1n, 2n, 3n], acked: [5, 5, 2], committed: 5 },
  { name: 'with two voters the slower one decides', voters: [1n, 2n], acked: [9, 4], committed: 4 },
  { name: 'a silent voter counts as index 0', voters: [1n, 2n], acked: [9], committed: 0 },
  { name: 'one voter decides alone', voters: [7n], acked: [3], committed: 3 },
  { name: 'nobody commits everything', voters: [], acked: [], committed: Infinity },
  { name: 'four voters need three', voters: [1n, 2n, 3n, 4n], acked: [8, 7, 6, 5], committed: 6 },
]) {
  void test(name, () => assert.equal(majorityCommitted(voters, indexes(voters, acked)), committed))
}

void test('the committed index is the largest that more than half of the voters have reached', () => {
  const random = new SimRandom(1)
  for (let i = 0; i < 2_000; i++) {
    const voters = Array.from({ length: random.between(1, 9) }, (_, at) => BigInt(at + 1))
    const acked = voters.map(() => random.below(6))
    const reached = acked.filter((index) => 2 * acked.filter((other) => other >= index).length > acked.length)
    assert.equal(majorityCommitted(voters, indexes(voters, acked)), Math.max(...reached), acked.join(' '))
  }
})

void test('a joint configuration commits and votes as both halves do', () => {
  const joint = { incoming: [1n, 2n, 3n], outgoing: [3n, 4n, 5n] }
  const all = votersOfBoth(joint)
  assert.deepEqual(all, [1n, 2n, 3n, 4n, 5n])
  assert.equal(jointCommitted(joint, indexes(all, [9, 9, 0, 4, 5])), 4)
  const votes = new Map([
    [1n, true],
    [2n, true],
  ])
  assert.equal(jointVote(joint, votes), 'pending')
  assert.equal(jointVote(joint, new Map([...votes, [4n, false], [5n, false]])), 'lost')
  assert.equal(jointVote(joint, new Map([...votes, [4n, true], [5n, true]])), 'won')
})

void test('a vote is lost as soon as a majority is out of reach', () => {
  assert.equal(majorityVote([1n, 2n], new Map([[1n, false]])), 'lost')
  assert.equal(majorityVote([1n, 2n, 3n], new Map([[1n, false]])), 'pending')
})

void test('sets of voters stay sorted and are not changed in place', () => {
  const ids: Voters = Object.freeze([2n, 10n])
  assert.deepEqual(withId(ids, 9n), [2n, 9n, 10n])
  assert.equal(withId(ids, 2n), ids)
  assert.deepEqual(withoutId(ids, 2n), [10n])
  assert.equal(withoutId(ids, 3n), ids)
})
