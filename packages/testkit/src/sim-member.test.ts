import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from './seeded-random.ts'
import { SimHost, type SimProcess } from './sim-member.ts'

/** Writes and syncs a file, and commits a row, `rounds` times. */
async function work(process: SimProcess, rounds: number): Promise<string> {
  const { disk, clock } = process
  const backend = process.openBackend({ clock, onWriteFailed: () => undefined })
  for (let round = 0; round < rounds; round++) {
    const file = disk.open(`/file ${round}`, 'replace')
    file.writeAt(new Uint8Array(1000), 0)
    await file.datasync()
    file.close()
    backend.put('key', Buffer.from(`key ${round}`), new Uint8Array(1))
    await backend.commit()
    await clock.sleep(10)
  }
  return 'done'
}

void test('a process that nothing happens to ends its work, in time that is not real', async () => {
  const host = new SimHost(new SeededRandom(1))
  const process = host.start()
  assert.equal(await host.settle(work(process, 1000)), 'done')
  assert.ok(host.clock.monotonicMs() > 10_000)
  assert.equal(process.calls, 1 + 1000 * 4)
  host.end('kill')
})

void test('a process dies with the call that it is told to die with, and does nothing after it', async () => {
  for (let dieAtCall = 1; dieAtCall <= 13; dieAtCall++) {
    const host = new SimHost(new SeededRandom(dieAtCall))
    const process = host.start()
    let deaths = 0
    process.dieAtCall(dieAtCall)
    process.onDeath(() => deaths++)
    assert.equal(await host.settle(work(process, 3)), undefined)
    assert.equal(process.isAlive, false)
    await host.clock.advance(1000)
    assert.deepEqual([process.calls, deaths], [dieAtCall, 1])
    assert.throws(() => process.disk.open('/late', 'create'), { name: 'SimCrashError' })
    host.end('kill')
    const next = host.start()
    assert.equal(next.disk.exists('/late'), false)
    assert.equal(await host.settle(work(next, 3)), 'done')
  }
})

void test('what was synced survives a loss of power, what was written a kill', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const host = new SimHost(new SeededRandom(seed))
    const first = host.start()
    first.disk.writeFile('/a', new Uint8Array(5))
    host.end('kill')
    const second = host.start()
    const file = second.disk.open('/a', 'write')
    assert.equal(file.size(), 5)
    await host.settle(file.datasync())
    await host.settle(second.disk.syncDirectory('/'))
    host.end('powerLoss')
    assert.equal(host.start().disk.readFile('/a').length, 5)
  }
})

void test('faults are those of one process, and who looks from outside meets none', async () => {
  const host = new SimHost(new SeededRandom(1))
  const process = host.start(({ operation }) => (operation === 'open' ? { code: 'EMFILE' } : undefined))
  assert.throws(() => process.disk.writeFile('/a', new Uint8Array(1)), { code: 'EMFILE' })
  const { calls } = process
  process.look((disk) => disk.writeFile('/a', new Uint8Array(1)))
  assert.equal(process.calls, calls)
  host.end('kill')
  host.start().disk.writeFile('/b', new Uint8Array(1))
})

void test('the same seed gives the same journal, another one another', async () => {
  const journalOf = async (seed: number): Promise<string[]> => {
    const host = new SimHost(new SeededRandom(seed))
    for (const how of ['kill', 'powerLoss'] as const) {
      const process = host.start()
      process.dieAtCall(25)
      await host.settle(work(process, 20))
      host.end(how)
    }
    return host.journal
  }
  assert.deepEqual(await journalOf(3), await journalOf(3))
  assert.notDeepEqual(await journalOf(3), await journalOf(4))
})

void test('a process that waits for nothing is reported', async () => {
  const host = new SimHost(new SeededRandom(1))
  host.start()
  await assert.rejects(host.settle(new Promise(() => undefined)), /hangs/)
})
