import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import {
  type ClusterMember,
  ClusterProcess,
  GrpcKvClient,
  type KvCall,
  KvGenerator,
  SeededRandom,
  type TxnCall,
  type TxnOperation,
  eventually,
  freeAfter,
  show,
} from '@etcd-ts/testkit'
import { fitForRealEtcd } from './differences.ts'
import { assertEqualPairs, ours, quickFlags, real, skipWithoutReal } from './mixed-programs.ts'
import { count } from './settings.ts'

// ETCD_TS_MIXED_OPERATIONS: calls of the KV service that are answered. ETCD_TS_SEED: of the random choices.
const operations = count('ETCD_TS_MIXED_OPERATIONS', { ci: 50_000, local: 2_000 })
const seed = count('ETCD_TS_SEED', { ci: 1, local: 1 })
const CLIENTS = 48
const HASHED_REVISIONS = 8
/** gRPC codes that a correct call may get while leaders and members change. */
const NO_ANSWER: readonly number[] = [4, 8, 14]
/** Texts of the same kind that come with the code for unknown errors. */
const NO_ANSWER_TEXTS: readonly string[] = ['raft proposal dropped', 'context deadline exceeded']
const UNKNOWN = 2

void test(
  `${operations} mixed operations leave equal stores in all members, also after restarts`,
  { skip: skipWithoutReal },
  async (t) => {
    const random = new SeededRandom(seed)
    const cluster = await ClusterProcess.start(t, { programs: [real, ours, real], flags: quickFlags })
    const workload = new Workload(cluster.members, random.fork())
    freeAfter(t, () => workload.close())
    const churn = new Churn(cluster, random.fork())

    await Promise.all([workload.run(operations).finally(() => churn.stop()), churn.run()])
    t.diagnostic(
      `seed ${seed}: ${workload.answered} calls answered, ${workload.refused} of them refused, ` +
        `${workload.unanswered} not answered, ${churn.rounds} rounds of membership changes`,
    )

    // The newest revision is not compacted.
    await cluster.call(etcdserverpb.KVService.Put, { key: Buffer.from('last'), value: Buffer.from('x') })
    const { revision, compactRevision } = await cluster.assertEqualHashes()
    assert.ok(revision > operations / 10, `only ${revision} revisions`)
    const revisions = Array.from({ length: HASHED_REVISIONS }, () =>
      random.between(Math.max(1, compactRevision + 1), revision),
    )
    const hashes = []
    for (const at of revisions) hashes.push(await cluster.assertEqualHashes(at))
    await assertEqualPairs(cluster)

    // Each alone, then all at once.
    for (const member of cluster.members) await member.server.restart()
    await cluster.kill()
    await cluster.start()
    await cluster.leader()
    for (const [i, at] of revisions.entries()) {
      assert.equal((await cluster.assertEqualHashes(at)).hash, hashes[i]?.hash, `the hash at revision ${at}`)
    }
    await assertEqualPairs(cluster)
  },
)

/** Clients of all members, each of which makes one random call after the other. */
class Workload {
  answered = 0
  refused = 0
  unanswered = 0
  readonly #clients: readonly GrpcKvClient[]
  readonly #random: SeededRandom
  #revision = 1
  #compactRevision = 0

  constructor(members: readonly ClusterMember[], random: SeededRandom) {
    this.#clients = members.map((member) => new GrpcKvClient(member.endpoint))
    this.#random = random
  }

  async run(calls: number): Promise<void> {
    await Promise.all(Array.from({ length: CLIENTS }, (_, i) => this.#client(i, calls)))
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }

  async #client(index: number, calls: number): Promise<void> {
    const client = this.#clients[index % this.#clients.length]
    assert.ok(client !== undefined)
    const generator = new KvGenerator(this.#random.fork())
    while (this.answered < calls) {
      const state = { revision: this.#revision, compactRevision: this.#compactRevision }
      const call = withoutRevisionsInTxns(generator.next(state))
      if (!fitForRealEtcd(call)) continue
      const { answer } = await client.call(call)
      if (answer.kind !== 'error') {
        this.answered += 1
        this.#revision = Math.max(this.#revision, answer.revision)
        if (call.kind === 'compact') {
          this.#compactRevision = Math.max(this.#compactRevision, Number(call.revision))
        }
      } else if (NO_ANSWER.includes(answer.code) || NO_ANSWER_TEXTS.includes(answer.message)) {
        this.unanswered += 1
      } else {
        assert.notEqual(answer.code, UNKNOWN, show(answer))
        this.answered += 1
        this.refused += 1
      }
    }
  }
}

/**
 * The call with no revision in the ranges of its txns. Before etcd 3.6, a txn that writes and reads a revision which cannot
 * be read is refused by the member that was asked and carried out by all others.
 */
function withoutRevisionsInTxns(call: KvCall): KvCall {
  return call.kind === 'txn' ? txnWithoutRevisions(call) : call
}

function txnWithoutRevisions(txn: TxnCall): TxnCall {
  const without = (operation: TxnOperation): TxnOperation => {
    if (operation.kind === 'txn') return txnWithoutRevisions(operation)
    if (operation.kind !== 'range') return operation
    const { revision: _, ...rest } = operation
    return rest
  }
  return { ...txn, success: txn.success.map(without), failure: txn.failure.map(without) }
}

/** Changes the membership all the time: learners come and go, members join, lead and leave. */
class Churn {
  rounds = 0
  readonly #cluster: ClusterProcess
  readonly #random: SeededRandom
  #stopping = false

  constructor(cluster: ClusterProcess, random: SeededRandom) {
    this.#cluster = cluster
    this.#random = random
  }

  stop(): void {
    this.#stopping = true
  }

  async run(): Promise<void> {
    for (; !this.#stopping || this.rounds < 2; this.rounds++) await this.#round()
  }

  async #round(): Promise<void> {
    const cluster = this.#cluster
    const random = this.#random
    const program = this.rounds % 2 === 0 ? ours : real
    // One that never starts.
    await cluster.remove(await cluster.announce({ program, learner: true }))
    await this.#update(random.pick(cluster.members))
    const learner = random.chance(0.5)
    const member = await cluster.join({ program, learner })
    if (learner) await cluster.promote(member)
    await cluster.moveLeader(random.pick(cluster.members))
    await cluster.remove(member)
  }

  /** Sets a member's peer URLs to what they are. */
  async #update({ id, peerUrl }: ClusterMember): Promise<void> {
    await eventually('an update of a member', 30_000, () =>
      this.#cluster.call(etcdserverpb.ClusterService.MemberUpdate, { ID: id, peerURLs: [peerUrl] }),
    )
  }
}
