import assert from 'node:assert/strict'
import test from 'node:test'
import { DeadlineWheel, type Deadlined } from './deadline-wheel.ts'

class Item implements Deadlined {
  deadlineAtMs: number
  deadlineNext: Deadlined | undefined = undefined
  deadlinePrevious: Deadlined | undefined = undefined
  deadlineSlot = -1
  readonly fired: Promise<number>
  #fire!: (atMs: number) => void
  onFire: (() => void) | undefined

  constructor(inMs: number) {
    this.deadlineAtMs = performance.now() + inMs
    this.fired = new Promise((resolve) => (this.#fire = resolve))
  }

  onDeadline(): void {
    this.onFire?.()
    this.#fire(performance.now())
  }
}

// Keeps the process alive: the wheel's timer does not.
const alive = setInterval(() => undefined, 1000)
test.after(() => clearInterval(alive))

void test('deadlines come in order, none early, whatever the order of adding', async () => {
  const wheel = new DeadlineWheel()
  const items = [60, 5, 120, 30, 5, 0, -20].map((ms) => new Item(ms))
  for (const item of items) wheel.add(item)
  const times = await Promise.all(items.map((item) => item.fired))
  for (const [i, item] of items.entries()) assert.ok(times[i]! >= item.deadlineAtMs)
})

void test('a removed deadline does not come, and its neighbours do', async () => {
  const wheel = new DeadlineWheel()
  const items = [20, 20, 20].map((ms) => new Item(ms))
  const sameSlot = items[0]!.deadlineAtMs
  for (const item of items) {
    item.deadlineAtMs = sameSlot
    item.onFire = () => fired.push(item)
    wheel.add(item)
  }
  const fired: Item[] = []
  wheel.remove(items[1]!)
  wheel.remove(items[1]!)
  await Promise.all([items[0]!.fired, items[2]!.fired])
  assert.deepEqual(new Set(fired), new Set([items[0], items[2]]))
})

void test('a deadline beyond one turn of the wheel waits for its turn', async () => {
  const wheel = new DeadlineWheel()
  const far = new Item(24 * 60 * 60 * 1000)
  const near = new Item(20)
  // The same slot as the near one, many turns later.
  far.deadlineAtMs = near.deadlineAtMs + 10 * 1024 * 1000
  let early = false
  far.onFire = () => (early = true)
  wheel.add(far)
  wheel.add(near)
  await near.fired
  assert.equal(early, false)
  assert.ok(far.deadlineSlot >= 0)
})

void test('a deadline may end others that are due at the same moment', async () => {
  const wheel = new DeadlineWheel()
  const items = [10, 10, 10].map((ms) => new Item(ms))
  for (const item of items) {
    item.deadlineAtMs = items[0]!.deadlineAtMs
    item.onFire = () => {
      for (const other of items) wheel.remove(other)
    }
    wheel.add(item)
  }
  await Promise.race(items.map((item) => item.fired))
  const after = new Item(10)
  wheel.add(after)
  await after.fired
})
