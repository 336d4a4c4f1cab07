import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import {
  GrpcClient,
  GrpcKvClient,
  JsonKvClient,
  type KvAnswer,
  type KvCall,
  type KvClient,
  type KvExchange,
  KvGenerator,
  KvModel,
  SeededRandom,
  ServerProcess,
  type ServerProgram,
  encodeCall,
  freeAfter,
  ourServer,
  realServer,
  show,
  skipWithout,
  withoutOpenChoices,
} from '@etcd-ts/testkit'
import { fitForRealEtcd } from './differences.ts'
import { count } from './settings.ts'

// ETCD_TS_DIFF_OPS: operations in all. ETCD_TS_DIFF_SEEDS: seeds to use instead of 1 to 4, separated by commas.
const operations = count('ETCD_TS_DIFF_OPS', { ci: 20_000, local: 4_000 })
const seeds = (process.env['ETCD_TS_DIFF_SEEDS'] ?? '1,2,3,4').split(',').map(Number)
const protocols = ['gRPC', 'JSON'] as const
const RECEIVED_BYTES_MAX = 2_097_152

interface Side {
  readonly server: ServerProcess
  readonly kv: KvClient
  readonly maintenance: GrpcClient
}

async function startSide(
  t: TestContext,
  program: ServerProgram,
  protocol: (typeof protocols)[number],
): Promise<Side> {
  const server = await ServerProcess.start(t, { program })
  const kv = protocol === 'gRPC' ? new GrpcKvClient(server.endpoint) : new JsonKvClient(server.clientUrl)
  const maintenance = new GrpcClient(server.endpoint)
  freeAfter(t, () => {
    kv.close()
    maintenance.close()
  })
  return { server, kv, maintenance }
}

/** What the model says, or the transport's own refusal of what is too large to be received. */
function expectedAnswer(model: KvModel, call: KvCall): KvAnswer {
  const size = encodeCall(call).length
  if (size <= RECEIVED_BYTES_MAX) return model.call(call)
  const message = `grpc: received message larger than max (${size} vs. ${RECEIVED_BYTES_MAX})`
  return { kind: 'error', code: 8, message }
}

async function checkHashes(
  sides: readonly Side[],
  model: KvModel,
  askable: readonly number[],
  where: string,
): Promise<void> {
  for (const revision of askable) {
    const expected = model.hashKv(revision)
    assert.ok(!('code' in expected))
    for (const { server, maintenance } of sides) {
      const { hash, compactRevision, header } = await maintenance.call(
        etcdserverpb.MaintenanceService.HashKV,
        {
          revision: BigInt(revision),
        },
      )
      const got = { hash, compactRevision, revision: header?.revision }
      assert.deepEqual(got, expected, `${where}: HashKV at ${revision} of ${server.program.title}`)
    }
  }
}

/**
 * Puts one random sequence to the model and to every side, and compares each answer with the model's, and the sides'
 * answers with each other to the byte.
 */
async function compareSequence(
  options: { seed: number; length: number; restarts: boolean; unknownSorts: boolean },
  sides: readonly Side[],
): Promise<void> {
  const model = new KvModel()
  const generator = new KvGenerator(new SeededRandom(options.seed), {
    oversized: true,
    unknownSorts: options.unknownSorts,
  })
  const compactions = new Set<number>()
  const compareOne = async (call: KvCall, where: string): Promise<void> => {
    const expected = expectedAnswer(model, call)
    if (call.kind === 'compact' && expected.kind !== 'error') compactions.add(Number(call.revision))
    const exchanges = await Promise.all(sides.map((side) => side.kv.call(call)))
    const explain = (what: string): string =>
      `${where}, revision ${model.revision}, compacted ${model.compactRevision}: ${what}\ncall: ${show(call)}`
    for (const [i, { answer }] of exchanges.entries()) {
      assert.deepEqual(
        withoutOpenChoices(call, answer),
        withoutOpenChoices(call, expected),
        explain(`${sides[i]?.server.program.title} and the model differ; it said ${show(answer)}`),
      )
    }
    const [first, second] = exchanges
    if (first === undefined || second === undefined) return
    assert.ok(sameOnTheWire(first, second), explain(`the bytes differ: ${first.raw} and ${second.raw}`))
  }

  for (let i = 0; i < options.length; i++) {
    const call = generator.next(model)
    const where = `seed ${options.seed}, operation ${i}`
    if (sides.length > 1 && !fitForRealEtcd(call)) continue
    await compareOne(call, where)
    if (options.restarts && i === Math.floor(options.length / 2)) {
      for (const { server } of sides) {
        if (server.program.title !== ourServer().title) continue
        await server.kill()
        await server.start()
      }
    }
  }
  // A physical compaction answers once all earlier ones have removed what they may; hashes are equal only then.
  await compareOne({ kind: 'put', key: 'last', value: '' }, 'at the end')
  await compareOne({ kind: 'compact', revision: BigInt(model.revision - 1), physical: true }, 'at the end')
  const askable = [model.revision, model.revision - 1].filter((revision) => !compactions.has(revision))
  await checkHashes(sides, model, [0, ...askable], `seed ${options.seed}`)
  await compareOne({ kind: 'range', key: '\0', rangeEnd: '\0' }, 'at the end')
}

/** Answers with the same content must be the same bytes; those that differ in an open choice cannot be. */
function sameOnTheWire(one: KvExchange, other: KvExchange): boolean {
  return one.raw === other.raw || show(one.answer) !== show(other.answer)
}

for (const protocol of protocols) {
  const real = realServer()
  const length = Math.ceil(operations / seeds.length / protocols.length)
  for (const [i, seed] of seeds.entries()) {
    void test(
      `${protocol}, seed ${seed}: ${length} random operations, ours, real etcd and the model agree`,
      { skip: skipWithout(real, 'real etcd') ?? false },
      async (t) => {
        assert.ok(real !== undefined)
        const sides = await Promise.all([ourServer(), real].map((program) => startSide(t, program, protocol)))
        await compareSequence({ seed, length, restarts: i % 2 === 1, unknownSorts: false }, sides)
      },
    )
  }

  void test(`${protocol}: ours and the model agree where real etcd cannot be asked`, async (t) => {
    const sides = [await startSide(t, ourServer(), protocol)]
    await compareSequence(
      { seed: 100, length: Math.min(length, 1000), restarts: true, unknownSorts: true },
      sides,
    )
  })
}
