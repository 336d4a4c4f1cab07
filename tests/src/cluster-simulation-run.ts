/** A cluster of real members on simulated computers and a simulated network, its callers, and the checks. */
import { isDeepStrictEqual } from 'node:util'
import { etcdserverpb } from '@etcd-ts/api'
import type { Backend, BufferedBackendOptions } from '@etcd-ts/backend'
import { Code } from '@etcd-ts/grpc'
import { Counters, type Logger, Member, type MemberPorts, silentLogger } from '@etcd-ts/server'
import {
  HistoryError,
  type KeyValue,
  type KvCall,
  KvGenerator,
  KvHistory,
  type KvObservation,
  type KvResult,
  SeededRandom,
  SimClock,
  type SimEnd,
  type SimFaults,
  SimHost,
  type SimProcess,
  type TxnOperation,
  show,
  simImporter,
} from '@etcd-ts/testkit'
import {
  RunningMember,
  askKv,
  checkStorage,
  consistentIndexOf,
  configOf,
  observe,
  withoutGuesses,
} from './running-member.ts'
import { SimPeerNetwork } from './sim-peer-network.ts'

const DATA_DIR = '/data'
const WAL_DIR = `${DATA_DIR}/member/wal`
const STEP_MS = 10
const HEARTBEAT_MS = 100
/** What members have to find together again once nothing disturbs them (invariant I21, and more than it asks for). */
const RECOVERY_MS_MAX = 60_000
const MEMBERS_MAX = 5
/** After so much time nothing waits to be written to a backend any more. */
const COMMIT_MS_MAX = 2000

const allPairs = { kind: 'range', key: '\0', rangeEnd: '\0', serializable: true } as const satisfies KvCall

const cluster = etcdserverpb.ClusterService
const maintenance = etcdserverpb.MaintenanceService

export interface ClusterOptions {
  readonly members?: number
  /** Instead of what the seed would choose. */
  readonly flags?: readonly string[]
  readonly plant?: ClusterPlant
  readonly trace?: ((text: string) => void) | undefined
}

/** Bugs, planted to see that the checks find them. */
export interface ClusterPlant {
  readonly faults?: SimFaults
  /** Changes the backend that a member is given. */
  readonly backend?: (backend: Backend) => void
  /** Changes what a member is given. */
  readonly ports?: (ports: MemberPorts, process: SimProcess) => MemberPorts
}

/** A computer of the cluster, and the member on it. */
class Node {
  readonly name: string
  readonly host: SimHost
  process: SimProcess | undefined
  running: RunningMember | undefined
  /** Set when the cluster has told it that it is a member no more. */
  isRemoved = false
  /** Why it has stopped though nobody ended it. */
  failure: unknown
  /** What it held was seen up to this revision. */
  watchedTo = 0
  /** Revisions of serializable reads never go back within a life. */
  seenRevision = 0

  constructor(name: string, host: SimHost) {
    this.name = name
    this.host = host
  }

  get address(): string {
    return `${this.name}:2380`
  }

  get peerUrl(): string {
    return `http://${this.address}`
  }

  get isUp(): boolean {
    return this.process?.isAlive === true
  }

  /** The index of the last entry that the member has applied. */
  get appliedIndex(): number {
    return statusOf(this).applied
  }

  /** The index of the last entry that its backend holds durably. */
  get storedIndex(): number {
    return this.process?.look((_, backend) => consistentIndexOf(backend)) ?? 0
  }
}

export interface ClusterCounts {
  calls: number
  answered: number
  crashes: number
  elections: number
  snapshotsSent: number
  snapshotsBroken: number
  membershipChanges: number
  staleReads: number
  revision: number
}

/** What a serializable read was told. */
interface StaleRead {
  readonly revision: number
  readonly answer: KvResult
}

/** A cluster through crashes, partitions and changes of its membership. A seed decides everything that the options do not. */
export class ClusterSimulation {
  readonly clock = new SimClock()
  readonly random: SeededRandom
  readonly network: SimPeerNetwork
  readonly history = new KvHistory()
  readonly counts: ClusterCounts = {
    calls: 0,
    answered: 0,
    crashes: 0,
    elections: 0,
    snapshotsSent: 0,
    snapshotsBroken: 0,
    membershipChanges: 0,
    staleReads: 0,
    revision: 0,
  }
  /** One line for each thing that happened. */
  readonly journal: string[] = []
  readonly nodes: Node[] = []
  readonly #options: ClusterOptions
  readonly #flags: readonly string[]
  readonly #walSegmentBytes: number
  readonly #generator: KvGenerator
  readonly #founders: readonly Node[]
  readonly #leaders = new Map<number, string>()
  readonly #staleReads: StaleRead[] = []
  readonly #pairsSeenAt = new Map<number, readonly KeyValue[]>()
  /** Ids of members whose removal was acknowledged. */
  readonly #removedIds = new Set<bigint>()
  readonly #operations = new Set<Promise<void>>()
  #fault: Error | undefined

  constructor(seed: number, options: ClusterOptions = {}) {
    const random = new SeededRandom(seed)
    this.random = random
    this.#options = options
    this.network = new SimPeerNetwork(this.clock, random.fork())
    this.#generator = new KvGenerator(random.fork())
    this.#walSegmentBytes = random.pick([2000, 10_000, 64_000_000])
    const electionMs = HEARTBEAT_MS * random.pick([5, 10])
    this.#flags = [
      `--data-dir=${DATA_DIR}`,
      '--listen-peer-urls=http://0.0.0.0:2380',
      `--heartbeat-interval=${HEARTBEAT_MS}`,
      `--election-timeout=${electionMs}`,
      `--snapshot-count=${random.between(5, 40)}`,
      `--snapshot-catchup-entries=${random.between(1, 20)}`,
      `--max-snapshots=${random.between(1, 5)}`,
      `--max-wals=${random.between(1, 5)}`,
      `--backend-batch-interval=${random.pick([1, 20, 100])}ms`,
      `--backend-batch-limit=${random.pick([1, 10, 10_000])}`,
      `--compaction-batch-limit=${random.pick([1, 5, 1000])}`,
      `--pre-vote=${random.chance(0.7)}`,
      `--strict-reconfig-check=${random.chance(0.7)}`,
      ...(options.flags ?? []),
    ]
    const count = options.members ?? random.pick([3, 3, 3, 5])
    this.#founders = Array.from({ length: count }, (_, i) => this.#addNode(i + 1))
  }

  // ---- members ----

  #addNode(number: number): Node {
    const node = new Node(`m${number}`, new SimHost(this.random.fork(), { clock: this.clock }))
    this.nodes.push(node)
    return node
  }

  get up(): Node[] {
    return this.nodes.filter(({ isUp }) => isUp)
  }

  /** Those that answer calls. */
  get serving(): Node[] {
    return this.nodes.filter(({ isUp, running }) => isUp && running?.isOver === false)
  }

  get leader(): Node | undefined {
    const leaders = this.serving.filter((node) => statusOf(node).raftState === 'StateLeader')
    return leaders.sort((a, b) => statusOf(b).term - statusOf(a).term)[0]
  }

  /** The membership as the member knows it that has applied most. */
  members(): readonly ClusterMember[] {
    let newest: Node | undefined
    for (const node of this.serving) {
      if (newest === undefined || statusOf(node).applied > statusOf(newest).applied) newest = node
    }
    return newest?.running?.member.cluster.members() ?? []
  }

  nodeOf({ peerUrls }: ClusterMember): Node | undefined {
    return this.nodes.find(({ peerUrl }) => peerUrls.includes(peerUrl))
  }

  /** Starts a member that is down; one that begins to be one joins the others. */
  start(node: Node, faults?: SimFaults): void {
    const { random } = this
    this.note(`${node.name} starts`)
    const plant = this.#options.plant?.faults
    const process = node.host.start((call) => faults?.(call) ?? plant?.(call), {
      speed: 0.8 + 0.4 * random.fraction(),
      wallOffsetMs: random.chance(0.2) ? random.between(-3_600_000, 3_600_000) : 0,
    })
    node.process = process
    node.running = undefined
    node.failure = undefined
    node.seenRevision = 0
    node.watchedTo = 0
    process.onDeath(() => this.note(`${node.name} is dead`))
    this.#run(node, process).catch((error: unknown) => {
      if (process.isAlive) this.#stopped(node, process, error)
    })
  }

  async #run(node: Node, process: SimProcess): Promise<void> {
    const ports = this.#ports(node, process)
    const member = await Member.open(
      configOf(this.#flagsOf(node)),
      this.#options.plant?.ports?.(ports, process) ?? ports,
    )
    checkStorage(process, WAL_DIR)
    if (this.#removedIds.has(member.id) && !member.cluster.isRemoved(member.id)) {
      this.note(`${node.name} does not know yet that it was removed`)
    }
    const running = new RunningMember(process, member)
    node.running = running
    this.#stations.get(process)?.answers(member)
    await member.run()
  }

  readonly #stations = new WeakMap<SimProcess, ReturnType<SimPeerNetwork['attach']>>()

  #flagsOf(node: Node): string[] {
    const listed = (nodes: readonly Node[]): string =>
      nodes.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',')
    const isFounder = this.#founders.includes(node)
    const known = this.members().flatMap((member) => this.nodeOf(member) ?? [])
    return [
      ...this.#flags,
      `--name=${node.name}`,
      `--initial-advertise-peer-urls=${node.peerUrl}`,
      `--advertise-client-urls=http://${node.name}:2379`,
      `--initial-cluster-state=${isFounder ? 'new' : 'existing'}`,
      `--initial-cluster=${listed(isFounder || !known.includes(node) ? this.#founders : known)}`,
    ]
  }

  #ports(node: Node, process: SimProcess): MemberPorts {
    const station = this.network.attach(node.address, process)
    this.#stations.set(process, station)
    return {
      disk: process.disk,
      clock: process.clock,
      random: process.random,
      logger: this.#logger(node),
      metrics: new Counters(false),
      walSegmentBytes: this.#walSegmentBytes,
      openBackend: (options: BufferedBackendOptions) => {
        const backend = process.openBackend(options)
        this.#options.plant?.backend?.(backend)
        return backend
      },
      importBackend: simImporter(process.disk),
      openTransport: station.openTransport,
      peerHttp: station.peerHttp,
      removed: () => {
        if (!process.isAlive) return
        this.note(`${node.name} is told that it was removed`)
        node.isRemoved = true
        process.die()
      },
      fatal: (error) => {
        if (process.isAlive) this.#stopped(node, process, error)
      },
    }
  }

  #logger(node: Node): Logger {
    return {
      ...silentLogger,
      isEnabled: () => this.#options.trace !== undefined,
      debug: (message) => this.#options.trace?.(`${node.name} ${message}`),
      info: (message, fields) => {
        if (message === 'became leader') this.#elected(node, Number(fields?.['term']))
        if (/snapshot|lead/.test(message)) this.note(`${node.name} ${message} ${JSON.stringify(fields)}`)
      },
      warn: (message, fields) => this.note(`${node.name} ${message} ${JSON.stringify(fields)}`),
      error: (message, fields) => this.note(`${node.name} ${message} ${JSON.stringify(fields)}`),
    }
  }

  #elected(node: Node, term: number): void {
    this.counts.elections++
    const known = this.#leaders.get(term)
    if (known !== undefined && known !== node.name) {
      this.#fail(new HistoryError(`${known} and ${node.name} both lead in term ${term}`))
    }
    this.#leaders.set(term, node.name)
  }

  /** A member has given up by itself, which none may, unless a fault was injected; or its start was refused. */
  #stopped(node: Node, process: SimProcess, error: unknown): void {
    this.note(`${node.name} stops: ${String(error)}`)
    node.failure = error
    const isRefused = node.running === undefined && isRefusedStart(error)
    process.die()
    if (!isRefused) this.#fail(new Error(`${node.name} has given up`, { cause: error }))
  }

  #fail(error: Error): void {
    this.#fault ??= error
  }

  /** Ends the process, and removes what it held in memory. */
  end(node: Node, how: SimEnd): void {
    this.note(`${node.name}: ${how}`)
    this.counts.crashes++
    node.host.end(how)
    node.process = undefined
    node.running = undefined
  }

  note(text: string): void {
    const line = `${this.clock.monotonicMs()} ${text}`
    this.journal.push(line)
    this.#options.trace?.(line)
  }

  /** Starts the first members. */
  found(): void {
    for (const node of this.#founders) this.start(node)
  }

  /** Trouble twice, with everything checked after each. */
  async survive(): Promise<void> {
    this.found()
    for (let round = 0; round < 2; round++) {
      await this.disturb(15_000)
      await this.recover()
    }
  }

  // ---- time ----

  /** Lets time pass. @throws what has gone wrong meanwhile */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      await this.clock.advance(STEP_MS)
      for (const node of this.serving) this.#watch(node)
      if (this.#fault !== undefined) throw this.#fault
    }
  }

  /** Lets time pass until `isTrue`. */
  async until(what: string, isTrue: () => boolean, msMax = RECOVERY_MS_MAX): Promise<void> {
    const giveUpMs = this.clock.monotonicMs() + msMax
    while (!isTrue()) {
      if (this.clock.monotonicMs() > giveUpMs)
        throw new HistoryError(`${what} did not come: ${this.describe()}`)
      await this.pass(STEP_MS)
    }
  }

  /** Lets time pass until `work` has ended. */
  async settle<T>(what: string, work: Promise<T>): Promise<T> {
    let outcome: { readonly value: T } | { readonly error: unknown } | undefined
    work.then(
      (value) => (outcome = { value }),
      (error: unknown) => (outcome = { error }),
    )
    await this.until(what, () => outcome !== undefined)
    if (outcome === undefined || 'error' in outcome) throw outcome?.error
    return outcome.value
  }

  describe(): string {
    return this.nodes
      .map((node) => {
        if (node.isRemoved) return `${node.name} removed`
        if (!node.isUp) return `${node.name} down`
        if (node.running === undefined) return `${node.name} starting`
        return `${node.name} ${JSON.stringify(statusOf(node))}`
      })
      .join('; ')
  }

  /** Sees what the member holds at each revision that is new to it: the same as any other that got there. */
  #watch(node: Node): void {
    const { running } = node
    if (running === undefined) return
    const { revision } = running.member.store
    for (let at = node.watchedTo + 1; at <= revision; at++) {
      const everything: KvCall = { ...allPairs, revision: BigInt(at) }
      void askKv(running, everything).then((answer) => {
        // It may be compacted already.
        if (answer?.kind !== 'range') return
        const seen = this.#pairsSeenAt.get(at)
        if (seen === undefined) this.#pairsSeenAt.set(at, answer.kvs)
        else if (!isDeepStrictEqual(answer.kvs, seen)) {
          this.#fail(
            new HistoryError(
              `at revision ${at} ${node.name} has ${show(answer.kvs)}, others have ${show(seen)}`,
            ),
          )
        }
      })
    }
    node.watchedTo = Math.max(node.watchedTo, revision)
  }

  // ---- callers ----

  /** One call through a member, which nobody need wait for. */
  async #call(node: Node, call: KvCall): Promise<void> {
    const { running } = node
    if (running === undefined) return
    this.counts.calls++
    const recorded = this.history.begin(call)
    const answer = await askKv(running, call)
    if (answer === undefined) return
    if (answer.kind !== 'error') this.counts.answered++
    this.history.answered(recorded, answer)
    this.note(`${node.name} ${show(call)} ${show(answer)}`)
  }

  /** A read of one member's own state: old, but not older than what that member has shown before, and right for its revision. */
  async #readStale(node: Node): Promise<void> {
    const { running } = node
    if (running === undefined) return
    const floor = node.seenRevision
    const answer = await askKv(running, allPairs)
    if (answer?.kind !== 'range' || node.running !== running) return
    const { revision } = answer
    if (revision < floor)
      this.#fail(new HistoryError(`${node.name} went back from revision ${floor} to ${revision}`))
    node.seenRevision = Math.max(node.seenRevision, revision)
    this.#staleReads.push({ revision, answer })
  }

  /** Calls members at random for `ms`. */
  async #useFor(ms: number, callers: number, paceMs: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ms
    const caller = async (): Promise<void> => {
      while (this.clock.monotonicMs() < untilMs) {
        await this.clock.sleep(1 + this.random.below(paceMs))
        const { serving } = this
        if (serving.length === 0) continue
        const node = this.random.pick(serving)
        if (this.random.chance(0.1)) await this.#readStale(node)
        else await this.#call(node, linearizable(withoutGuesses(this.#generator.next(this.history))))
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
  }

  /** Writes so often through the leader. */
  async write(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      const { leader } = this
      if (leader === undefined) throw new Error('nobody leads')
      const call: KvCall = { kind: 'put', key: `key ${i % 7}`, value: `value ${this.counts.calls}` }
      await this.settle('an answer', this.#call(leader, call))
    }
  }

  /** A call of an operator. @param answered called unless it is refused, or not answered */
  #operate(node: Node, path: string, request: Uint8Array, answered?: () => void): void {
    const operation = this.#askOperator(node, path, request, answered)
    this.#operations.add(operation)
    void operation.then(() => this.#operations.delete(operation))
  }

  async #askOperator(node: Node, path: string, request: Uint8Array, answered?: () => void): Promise<void> {
    const reply = await node.running?.call(path, request)
    if (reply === undefined) return
    this.note(`${node.name} ${path} ${reply.status.code} ${reply.status.message}`)
    if (reply.status.code === Code.Ok) answered?.()
  }

  // ---- what goes wrong ----

  /** Disturbs the cluster for `ms` while it is used. */
  async disturb(ms: number, { callers = 4, paceMs = 150, changesMembers = true } = {}): Promise<void> {
    const { random, network } = this
    network.setLinks({
      delayMinMs: 0,
      delayMaxMs: random.pick([1, 5, 40]),
      lossProbability: random.pick([0, 0, 0.01, 0.1]),
      duplicateProbability: random.pick([0, 0, 0.1]),
    })
    network.pieceDelayMsMax = random.pick([1, 20, 300])
    const using = this.#useFor(ms, callers, paceMs)
    const untilMs = this.clock.monotonicMs() + ms
    const weights = {
      pause: random.pick([0, 2]),
      crash: random.pick([1, 4]),
      cut: random.pick([1, 4]),
      change: changesMembers ? random.pick([0, 3]) : 0,
    }
    while (this.clock.monotonicMs() < untilMs) {
      await this.pass(random.between(50, 1500))
      random.weighted([
        [weights.crash, () => this.#crashSome()],
        [4, () => this.#startSome()],
        [weights.cut, () => this.#cutSome()],
        [3, () => network.heal()],
        [weights.change, () => this.#changeMembers()],
        [1, () => this.#moveLeader()],
        [weights.pause, () => this.#pauseSome()],
      ] as const)()
    }
    await this.settle('the end of all calls', using)
    await this.until('the end of what operators have asked for', () => this.#operations.size === 0)
  }

  #crashSome(): void {
    const { random } = this
    if (random.chance(0.08)) {
      for (const node of this.up) node.process?.die()
      return
    }
    if (this.up.length === 0) return
    const node = random.pick(this.up)
    const { process } = node
    if (process === undefined) return
    // Between two calls to the outside, or in the middle of one of the next.
    if (random.chance(0.4)) process.die()
    else process.dieAtCall(process.calls + random.between(1, 40))
  }

  #startSome(): void {
    for (const node of this.nodes) {
      if (node.isUp || node.isRemoved || !this.random.chance(0.6)) continue
      this.bury(node)
      if (this.#belongs(node)) this.start(node)
    }
  }

  /** Whether the computer is to run a member: a founder, or one that was added and can be told so. */
  #belongs(node: Node): boolean {
    if (this.#founders.includes(node) || node.host.hasData) return true
    return this.members().some((member) => this.nodeOf(member) === node)
  }

  /** Ends what is left of a process that is dead. */
  bury(node: Node): void {
    if (node.process === undefined || node.process.isAlive) return
    this.end(node, this.random.chance(0.6) ? 'powerLoss' : 'kill')
  }

  #cutSome(): void {
    const { random, network } = this
    const addresses = this.nodes.map(({ address }) => address)
    const leader = this.leader?.address
    const alone = leader !== undefined && random.chance(0.5) ? leader : random.pick(addresses)
    const others = addresses.filter((address) => address !== alone)
    switch (random.below(4)) {
      case 0:
        this.note(`${alone} is cut off`)
        network.partition([alone], others)
        break
      case 1:
        this.note(`${alone} is not heard`)
        for (const other of others) network.cut(alone, other)
        break
      case 2:
        this.note(`${alone} does not hear`)
        for (const other of others) network.cut(other, alone)
        break
      default: {
        const half = addresses.filter(() => random.chance(0.5))
        this.note(`${half.join(' ')} are cut off`)
        network.partition(
          half,
          addresses.filter((address) => !half.includes(address)),
        )
      }
    }
  }

  #changeMembers(): void {
    const { random, serving } = this
    if (serving.length === 0) return
    const node = random.pick(serving)
    const members = this.members()
    const learner = members.find(({ isLearner }) => isLearner)
    const change = random.weighted([
      [members.length < MEMBERS_MAX ? 3 : 0, 'add'],
      // Of two, the one that stays may not know yet that it is alone when the other has gone.
      [members.filter(({ isLearner }) => !isLearner).length > 2 ? 2 : 0, 'remove'],
      [learner !== undefined ? 4 : 0, 'promote'],
      [1, 'update'],
    ] as const)
    const member = members.length > 0 ? random.pick(members) : undefined
    this.counts.membershipChanges++
    if (change === 'add') {
      const added = this.#addNode(this.nodes.length + 1)
      const request = cluster.MemberAdd.request.encode({
        peerURLs: [added.peerUrl],
        isLearner: random.chance(0.6),
      })
      this.#operate(node, cluster.MemberAdd.path, request)
    } else if (change === 'remove' && member !== undefined) {
      const { id } = member
      const request = cluster.MemberRemove.request.encode({ ID: id })
      this.#operate(node, cluster.MemberRemove.path, request, () => this.#removedIds.add(id))
    } else if (change === 'promote' && learner !== undefined) {
      this.#operate(
        node,
        cluster.MemberPromote.path,
        cluster.MemberPromote.request.encode({ ID: learner.id }),
      )
    } else if (member !== undefined) {
      const request = cluster.MemberUpdate.request.encode({ ID: member.id, peerURLs: [...member.peerUrls] })
      this.#operate(node, cluster.MemberUpdate.path, request)
    }
  }

  /** A member stands still for longer than others wait for it, or nearly; a leader rather than others. */
  #pauseSome(): void {
    const { random, leader, serving } = this
    if (serving.length === 0) return
    const { name, process } = leader !== undefined && random.chance(0.7) ? leader : random.pick(serving)
    if (process === undefined) return
    this.note(`${name} stands still`)
    process.pause()
    this.clock.setTimer(random.between(100, 4000), () => process.resume())
  }

  #moveLeader(): void {
    const { leader } = this
    const members = this.members()
    if (leader === undefined || members.length === 0) return
    const request = maintenance.MoveLeader.request.encode({ targetID: this.random.pick(members).id })
    this.#operate(leader, maintenance.MoveLeader.path, request)
  }

  // ---- recovery and checks ----

  /**
   * Nothing disturbs the cluster any more: all its members find together, each takes a write, and they agree in everything
   * they hold; every answer is explained.
   */
  async recover(): Promise<void> {
    this.note('recovery')
    this.network.heal()
    this.network.setLinks({ delayMinMs: 0, delayMaxMs: 2 })
    this.network.pieceDelayMsMax = 5
    for (const { process } of this.nodes) {
      process?.dieAtCall(Infinity)
      process?.resume()
    }
    let nextStartMs = 0
    const startAll = (): void => {
      if (this.clock.monotonicMs() < nextStartMs) return
      nextStartMs = this.clock.monotonicMs() + 500
      for (const node of this.nodes) {
        if (node.isUp || node.isRemoved) continue
        this.bury(node)
        if (this.#belongs(node)) this.start(node)
      }
    }
    const isOne = (): boolean => {
      startAll()
      return this.isOne()
    }
    await this.until('one state of all members', isOne)
    for (const member of this.members()) {
      const node = this.nodeOf(member)
      if (node !== undefined && !member.isLearner) await this.#mustTakeWrite(node)
    }
    // A change of the membership that nobody was told of may have come meanwhile.
    await this.until('one state of all members', isOne)
    await this.#compare()
  }

  /** Whether all members are up and have applied the same, and somebody leads. */
  isOne(): boolean {
    const members = this.members()
    const nodes = members.map((member) => this.nodeOf(member))
    const { leader } = this
    if (leader === undefined || members.length === 0) return false
    const { commit } = statusOf(leader)
    return nodes.every((node) => {
      if (node?.isUp !== true || node.running === undefined) return false
      return statusOf(node).applied === commit && statusOf(node).lead !== '0'
    })
  }

  async #mustTakeWrite(node: Node): Promise<void> {
    const giveUpMs = this.clock.monotonicMs() + RECOVERY_MS_MAX
    for (;;) {
      const { revision } = this.history
      await this.settle(
        `an answer of ${node.name}`,
        this.#call(node, { kind: 'put', key: 'recovered', value: node.name }),
      )
      // A removal that nobody was told of may have come meanwhile.
      if (this.history.revision > revision || node.isRemoved) return
      if (this.clock.monotonicMs() > giveUpMs) {
        throw new HistoryError(`${node.name} takes no write: ${this.describe()}`)
      }
      await this.pass(100)
    }
  }

  async #compare(): Promise<void> {
    const members = this.members()
    for (const id of this.#removedIds) {
      if (members.some((member) => member.id === id)) throw new HistoryError('a removed member is back')
    }
    for (const member of members) {
      const own = this.nodeOf(member)?.running?.member.cluster.members()
      if (own === undefined) throw new Error(`${member.name} is down`)
      if (!isDeepStrictEqual(own.map(published), members.map(published))) {
        throw new HistoryError(`${member.name} knows ${showMembers(own)}, others ${showMembers(members)}`)
      }
    }
    const seen = new Map<Node, KvObservation>()
    for (const member of members) {
      const node = this.nodeOf(member)
      if (member.isLearner || node?.running === undefined) continue
      const { running } = node
      const observed = await this.settle(`the state of ${node.name}`, observe(running))
      if (observed !== undefined) seen.set(node, observed)
    }
    const [first, ...others] = seen
    if (first === undefined) throw new Error('nobody is up')
    for (const [node, observed] of others) {
      if (!isDeepStrictEqual(observed, first[1])) {
        throw new HistoryError(`${node.name} and ${first[0].name} differ: ${difference(observed, first[1])}`)
      }
    }
    this.history.settle({ ...first[1], pairsSeenAt: this.#pairsSeenAt })
    for (const member of members) {
      const node = this.nodeOf(member)
      if (!member.isLearner || node?.running === undefined) continue
      const { hash } = await this.settle(
        'a hash',
        node.running.member.store.hashKv(BigInt(first[1].revision)),
      )
      if (hash !== first[1].hash) throw new HistoryError(`the learner ${node.name} has another hash`)
    }
    this.#checkStaleReads(first[1])
    await this.#checkStoredMembers()
    this.counts.revision = first[1].revision
    this.counts.snapshotsSent = this.network.transfers.whole
    this.counts.snapshotsBroken = this.network.transfers.broken
  }

  /** What members have stored of the membership, for their next start and for those who get their state, is what they know. */
  async #checkStoredMembers(): Promise<void> {
    await this.pass(COMMIT_MS_MAX)
    for (const { process, running, name } of this.serving) {
      if (process === undefined || running === undefined) continue
      const stored = process.look((_, backend) => backend.durableRows('members').map(([key]) => textOf(key)))
      const known = running.member.cluster.members().map(({ id }) => hexOf(id))
      if (!isDeepStrictEqual(stored.sort(), known.sort())) {
        throw new HistoryError(
          `${name} has stored the members ${stored.join(' ')}, and knows ${known.join(' ')}`,
        )
      }
    }
  }

  #checkStaleReads({ pairsAt, compactRevision, revision }: KvObservation): void {
    for (const read of this.#staleReads.splice(0)) {
      if (read.revision > revision) throw new HistoryError(`revision ${read.revision} was read and is lost`)
      if (read.revision < Math.max(1, compactRevision) || read.answer.kind !== 'range') continue
      this.counts.staleReads++
      if (!isDeepStrictEqual(read.answer.kvs, pairsAt.get(read.revision))) {
        throw new HistoryError(`at revision ${read.revision} a member had ${show(read.answer.kvs)}`)
      }
    }
  }
}

type ClusterMember = ReturnType<Member['cluster']['members']>[number]

interface RaftStatus {
  readonly term: number
  readonly commit: number
  readonly applied: number
  readonly lead: string
  readonly raftState: string
}

function statusOf({ running }: Node): RaftStatus {
  return running?.member.debugVars()['raft.status'] as RaftStatus
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

function hexOf(id: bigint): string {
  return id.toString(16)
}

/** Whether the error is one with which a member may refuse to join: the others do not answer, or know other members. */
function isRefusedStart(error: unknown): boolean {
  return error instanceof Error && error.name === 'ConfigError'
}

/** The name that a founder has in the log is not in snapshots, until that member has published it. */
function published(member: ClusterMember): ClusterMember {
  return member.clientUrls.length > 0 ? member : { ...member, name: '' }
}

function showMembers(members: readonly ClusterMember[]): string {
  return members
    .map(({ name, peerUrls, isLearner }) => `${name} ${peerUrls.join()}${isLearner ? ' learner' : ''}`)
    .join('; ')
}

function difference(a: KvObservation, b: KvObservation): string {
  const line = ({ revision, compactRevision, hash }: KvObservation): string =>
    `revision ${revision}, compacted ${compactRevision}, hash ${hash}`
  const at = [...a.pairsAt.keys()].find(
    (revision) => !isDeepStrictEqual(a.pairsAt.get(revision), b.pairsAt.get(revision)),
  )
  return `${line(a)} and ${line(b)}${at === undefined ? '' : `, since revision ${at}`}`
}

/** The call with no part of it answered from a state that may be old. */
function linearizable(call: KvCall): KvCall {
  if (call.kind !== 'txn' || asksAnything(call)) return upToDate(call)
  // A txn of comparisons alone is a read that any member answers by itself.
  return { ...call, success: [{ kind: 'range', key: 'a' }] }
}

function asksAnything(operation: TxnOperation): boolean {
  if (operation.kind !== 'txn') return true
  return [...operation.success, ...operation.failure].some(asksAnything)
}

function upToDate<Call extends KvCall | TxnOperation>(call: Call): Call {
  switch (call.kind) {
    case 'range':
      return { ...call, serializable: false }
    case 'txn':
      return { ...call, success: call.success.map(upToDate), failure: call.failure.map(upToDate) }
    default:
      return call
  }
}
