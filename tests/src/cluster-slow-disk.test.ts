import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { type ClusterProcess, FaultInjector, Workload, checkCluster, registerSteps } from '@etcd-ts/testkit'
import { SOON_MS, isOurs, startCluster } from './cluster-faults.ts'
import { arbitraryMoment } from './moments.ts'
import { count } from './settings.ts'

// ETCD_TS_SLOW_DISK_MS: for how long the leader's disk is slow (in full: 300000). ETCD_TS_STALL_MS: the stall after that.
const slowMs = count('ETCD_TS_SLOW_DISK_MS', { ci: 5000, local: 3000 })
const stallMs = count('ETCD_TS_STALL_MS', { ci: 8000, local: 8000 })
const LEASE_TTL_S = 5
const { LeaseGrant, LeaseKeepAlive } = etcdserverpb.LeaseService
const { Put, Range } = etcdserverpb.KVService

/** A client that keeps one lease alive through any member, until it is stopped. */
class LiveLease {
  readonly #cluster: ClusterProcess
  readonly #id: bigint
  /** When the last keep-alive was sent that was answered. */
  #keptMs = performance.now()
  /** How long none had been answered when the lease was found to be gone. */
  goneAfterMs: number | undefined
  #stopped = false
  #running: Promise<void> | undefined

  private constructor(cluster: ClusterProcess, id: bigint) {
    this.#cluster = cluster
    this.#id = id
  }

  static async start(cluster: ClusterProcess, key: string): Promise<LiveLease> {
    const { ID } = await cluster.call(LeaseGrant, { TTL: BigInt(LEASE_TTL_S) })
    await cluster.call(Put, { key: Buffer.from(key), value: Buffer.from('held'), lease: ID })
    const lease = new LiveLease(cluster, ID)
    lease.#running = lease.#keepAlive()
    return lease
  }

  /** How long ago the last keep-alive was sent that was answered. */
  get silenceMs(): number {
    return performance.now() - this.#keptMs
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #keepAlive(): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      const { members } = this.#cluster
      const member = members[turn % members.length]
      const sentMs = performance.now()
      const request = LeaseKeepAlive.request.encode({ ID: this.#id })
      const reply = await member?.grpc.stream(LeaseKeepAlive.path, request, 1000)
      const [first] = reply?.messages ?? []
      if (first !== undefined) {
        if (LeaseKeepAlive.response.decode(first).TTL > 0n) this.#keptMs = sentMs
        else this.goneAfterMs ??= this.silenceMs
      }
      await arbitraryMoment(300)
    }
  }
}

// D-26. A leader whose disk is slow, and then stands still for seconds, costs speed and perhaps its place, and no
// acknowledged write (I1 to I3); others go on without it, and no lease of a client that keeps it alive is lost (I10, R72).
void test(
  'the disk of the leader is slow, and then stands still',
  { skip: isOurs ? false : 'faults of the disk are for our server only' },
  async (t) => {
    const faults = new FaultInjector(t)
    const env = faults.environment()
    const cluster = await startCluster(t, { env })
    const workload = Workload.start(t, {
      endpoints: () => cluster.endpoints,
      step: registerSteps(),
      timeoutMs: 5000,
    })
    await workload.acknowledged(50, SOON_MS)
    const lease = await LiveLease.start(cluster, 'leased')
    const slow = await cluster.leader()
    const path = `^${slow.server.dataDir}`
    const heal = faults.inject({ calls: ['fdatasync', 'fsync'], path, delayMs: 200 })
    await arbitraryMoment(slowMs)
    await workload.acknowledged(20, SOON_MS)
    heal()
    const stalled = await cluster.leader()
    faults.inject({
      calls: ['fdatasync', 'fsync'],
      path: `^${stalled.server.dataDir}`,
      delayMs: stallMs,
      times: 1,
    })
    await workload.acknowledged(20, SOON_MS)
    await arbitraryMoment(stallMs)
    await workload.acknowledged(20, SOON_MS)
    const leader = await cluster.leader()
    t.diagnostic(`the leader was ${slow.name}, then ${stalled.name}, in the end ${leader.name}`)
    const { kvs } = await cluster.call(Range, { key: Buffer.from('leased') })
    const silenceMs = lease.goneAfterMs ?? lease.silenceMs
    await lease.stop()
    t.diagnostic(`the last keep-alive had been answered ${silenceMs.toFixed(0)} ms before`)
    if (silenceMs < LEASE_TTL_S * 1000) assert.equal(kvs.length, 1, 'the lease is there')
    assert.ok(faults.journal().length > 0)
    t.diagnostic(await checkCluster(cluster, workload, { kind: 'registers' }))
  },
)
