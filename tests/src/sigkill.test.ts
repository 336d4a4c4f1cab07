import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  GrpcKvClient,
  LedgerWrites,
  SeededRandom,
  ServerProcess,
  WriteLedger,
  freeAfter,
  ledgerCall,
  show,
} from '@etcd-ts/testkit'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// ETCD_TS_KILLS: how often the server is killed. ETCD_TS_SEED: of the random choices; the moments themselves are real time.
const kills = count('ETCD_TS_KILLS', { ci: 200, local: 8 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const WRITERS = 8

/** One client: writes one thing after the other until it is told to stop, and again after the server is back. */
class Writer {
  readonly #client: GrpcKvClient
  readonly #ledger: WriteLedger
  readonly #writes: LedgerWrites

  constructor(name: string, endpoint: string, ledger: WriteLedger, random: SeededRandom) {
    this.#client = new GrpcKvClient(endpoint)
    this.#ledger = ledger
    this.#writes = new LedgerWrites(name, random)
  }

  /** @returns the number of writes that were acknowledged before the first that was not */
  async run(stopped: () => boolean): Promise<number> {
    for (let acknowledged = 0; ; acknowledged++) {
      if (stopped()) return acknowledged
      const write = this.#ledger.begin(this.#writes.next())
      const { answer } = await this.#client.call(ledgerCall(write))
      if (answer.kind === 'error') {
        this.#ledger.unanswered(write)
        this.#writes.unanswered()
        return acknowledged
      }
      this.#ledger.acknowledged(write, answer.revision)
    }
  }

  close(): void {
    this.#client.close()
  }
}

void test(`${kills} SIGKILLs under concurrent writes lose no acknowledged write and leave none in part`, async (t) => {
  const random = new SeededRandom(seed)
  // Raft snapshots and log compactions happen often, so that kills meet them too.
  const server = await ServerProcess.start(t, { flags: ['--snapshot-count=1000'] })
  const ledger = new WriteLedger()
  const writers = Array.from(
    { length: WRITERS },
    (_, i) => new Writer(`w${i}`, server.endpoint, ledger, random.fork()),
  )
  const reader = new GrpcKvClient(server.endpoint)
  freeAfter(t, () => {
    for (const writer of writers) writer.close()
    reader.close()
  })
  const checkStore = async (): Promise<void> => {
    await reader.grpc.connected()
    const { answer } = await reader.call({ kind: 'range', key: '\0', rangeEnd: '\0' })
    assert.ok(answer.kind === 'range', show(answer))
    ledger.check(answer.kvs, answer.revision)
  }

  for (let kill = 0; kill < kills; kill++) {
    if (random.chance(0.2)) {
      // Also while it starts: recovery must survive being interrupted.
      await server.kill()
      server.spawn()
      await arbitraryMoment(random.between(1, 400))
      await server.kill()
      await server.start()
    }
    let stop = false
    const running = writers.map((writer) => writer.run(() => stop))
    await arbitraryMoment(random.between(1, 120))
    await server.kill()
    stop = true
    await Promise.all(running)
    await server.start()
    await checkStore()
  }
  const { acknowledged, lost } = ledger.counts
  t.diagnostic(
    `seed ${seed}: ${acknowledged} writes present, ${lost} unanswered ones absent, ${server.program.title} killed ${kills} times`,
  )
  assert.ok(acknowledged > kills, 'the writers got something done')
})
