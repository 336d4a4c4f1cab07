import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvariantError } from './invariant.ts'
import { type Entry, EntryType, type Message, MessageType, emptySnapshot, newMessage } from './messages.ts'
import type { RawNode } from './raw-node.ts'
import { CalmGroup } from './simulation/calm-group.ts'
import { SimRandom } from './simulation/sim-random.ts'

const messageTypes = Object.values(MessageType)
const entryTypes = Object.values(EntryType)

/** A message that nobody would send, with numbers around those of a group of three in term 2. */
function nonsense(random: SimRandom): Message {
  const bytes = (): Uint8Array | undefined => {
    return random.chance(30)
      ? undefined
      : Uint8Array.from({ length: random.below(20) }, () => random.below(256))
  }
  const number = (): number => random.pick([0, 1, 2, 3, 4, 5, 6, 100, Number.MAX_SAFE_INTEGER])
  const message = newMessage(random.pick(messageTypes), 1n)
  message.from = random.pick([0n, 1n, 2n, 3n, 9n])
  message.term = random.pick([0, 1, 2, 2, 2, 3])
  message.logTerm = number()
  message.index = number()
  message.commit = random.pick([0, 1, 4, 5])
  message.reject = random.chance(50)
  message.rejectHint = number()
  message.context = bytes()
  message.entries = Array.from({ length: random.below(4) }, (_, at): Entry => {
    const isPlausible = random.chance(70)
    return {
      type: random.pick(entryTypes),
      term: random.pick([1, 2, 3]),
      index: isPlausible ? message.index + 1 + at : number(),
      data: bytes(),
    }
  })
  if (random.chance(30)) {
    message.snapshot = emptySnapshot()
    const { metadata } = message.snapshot
    metadata.index = number()
    metadata.term = number()
    metadata.confState.voters = [1n, 2n, 3n]
    if (random.chance(20)) metadata.confState.learners = [2n]
  }
  return message
}

/** What a group of three can be asked to face: its leader, a follower, one that campaigns. */
function open(seed: number): RawNode {
  const group = new CalmGroup(3, { preVote: seed % 2 === 0, checkQuorum: seed % 3 === 0 })
  group.elect(seed % 4 < 2 ? 1n : 2n)
  if (seed % 4 === 3) group.node(1n).campaign()
  return group.node(1n)
}

void test('no message makes a member fail but one that proves the cluster to be broken', () => {
  let invariants = 0
  for (let seed = 0; seed < 400; seed++) {
    const random = new SimRandom(seed)
    const node = open(seed)
    try {
      for (let i = 0; i < 60; i++) {
        node.step(nonsense(random))
        if (random.chance(20)) node.tick()
        if (random.chance(20) && node.hasReady()) {
          node.ready()
          node.advance()
        }
      }
    } catch (error) {
      // Told that entries are committed which it does not have, or of a configuration that contradicts itself,
      // a member does right to stop.
      assert.ok(error instanceof InvariantError, `seed ${seed}: ${String(error)}`)
      assert.match(error.message, /^tocommit|^unable to restore config/, `seed ${seed}`)
      invariants++
    }
  }
  assert.ok(invariants < 100)
})
