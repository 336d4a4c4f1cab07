import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from './sim-clock.ts'

void test('timers fire in the order they are due, equal ones in the order they were set', async () => {
  const clock = new SimClock()
  const fired: string[] = []
  clock.setTimer(20, () => fired.push(`c at ${clock.monotonicMs()}`))
  clock.setTimer(10, () => fired.push(`a at ${clock.monotonicMs()}`))
  clock.setTimer(10, () => fired.push(`b at ${clock.monotonicMs()}`))
  clock.setTimer(31, () => fired.push('late'))
  await clock.advance(30)
  assert.deepEqual(fired, ['a at 10', 'b at 10', 'c at 20'])
  assert.equal(clock.untilNextMs(), 1)
})

void test('a cancelled timer does not fire', async () => {
  const clock = new SimClock()
  let fired = false
  const timer = clock.setTimer(1, () => (fired = true))
  timer.cancel()
  timer.cancel()
  await clock.advance(5)
  assert.equal(fired, false)
  assert.equal(clock.untilNextMs(), undefined)
})

void test('a loop that sleeps again is woken again within one advance', async () => {
  const clock = new SimClock()
  const stop = new AbortController()
  const woken: number[] = []
  const loop = (async () => {
    while (await clock.sleep(100, stop.signal)) woken.push(clock.monotonicMs())
  })()
  await clock.advance(350)
  assert.deepEqual(woken, [100, 200, 300])
  stop.abort()
  await loop
  assert.equal(clock.untilNextMs(), undefined)
})

void test('a step of wall time leaves monotonic time and timers alone', async () => {
  const clock = new SimClock(1000)
  let fired = false
  clock.setTimer(10, () => (fired = true))
  clock.stepWall(-500)
  assert.equal(clock.wallMs(), 500)
  await clock.advance(9)
  assert.equal(fired, false)
  await clock.advance(1)
  assert.equal(fired, true)
  assert.equal(clock.wallMs(), 510)
})

void test('soon runs without time passing', async () => {
  const clock = new SimClock()
  let ran = false
  clock.soon(() => (ran = true))
  assert.equal(ran, false)
  await clock.advance(0)
  assert.equal(ran, true)
})
