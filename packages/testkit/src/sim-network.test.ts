import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from './seeded-random.ts'
import { SimClock } from './sim-clock.ts'
import { SimNetwork } from './sim-network.ts'

function network(seed = 1): { clock: SimClock; net: SimNetwork<string>; received: string[] } {
  const clock = new SimClock()
  const net = new SimNetwork<string>(clock, new SeededRandom(seed))
  const received: string[] = []
  for (const node of ['a', 'b', 'c']) {
    net.attach(node, (message, from) => received.push(`${from}→${node} ${message} at ${clock.monotonicMs()}`))
  }
  return { clock, net, received }
}

void test('a message arrives after the delay of its link', async () => {
  const { clock, net, received } = network()
  net.setLink('a', 'b', { delayMinMs: 5, delayMaxMs: 5 })
  net.send('a', 'b', 'slow')
  net.send('b', 'a', 'fast')
  await clock.advance(10)
  assert.deepEqual(received, ['b→a fast at 0', 'a→b slow at 5'])
})

void test('a cut is one-way and also takes what is under way', async () => {
  const { clock, net, received } = network()
  net.setDefault({ delayMinMs: 5, delayMaxMs: 5 })
  net.send('a', 'b', 'under way')
  net.cut('a', 'b')
  net.send('b', 'a', 'back')
  await clock.advance(10)
  net.heal()
  net.send('a', 'b', 'healed')
  await clock.advance(10)
  assert.deepEqual(received, ['b→a back at 5', 'a→b healed at 15'])
})

void test('a partition separates two sides and leaves each side whole', async () => {
  const { clock, net, received } = network()
  net.partition(['a', 'b'], ['c'])
  for (const [from, to] of [['a', 'b'], ['a', 'c'], ['c', 'b']] as const) net.send(from, to, 'x') // prettier-ignore
  await clock.advance(1)
  assert.deepEqual(received, ['a→b x at 0'])
})

void test('loss, duplication and reordering replay from the seed', async () => {
  const run = async (seed: number): Promise<string[]> => {
    const { clock, net, received } = network(seed)
    net.setDefault({ delayMinMs: 0, delayMaxMs: 20, lossProbability: 0.3, duplicateProbability: 0.3 })
    for (let i = 0; i < 50; i++) net.send('a', 'b', String(i))
    await clock.advance(100)
    return received
  }
  const first = await run(7)
  assert.deepEqual(first, await run(7))
  assert.notDeepEqual(first, await run(8))
  const numbers = first.map((line) => Number(line.split(' ')[1]))
  assert.ok(new Set(numbers).size < 50, 'some are lost')
  assert.ok(new Set(numbers).size < numbers.length, 'some are duplicated')
  assert.notDeepEqual(numbers, numbers.toSorted((a, b) => a - b)) // prettier-ignore
})
