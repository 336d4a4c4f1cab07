import { type AnyConfChange, ConfChangeTransition, ConfChangeType } from '../conf-change.ts'
import { describeConfState } from '../describe-config.ts'
import { describeMessage } from '../describe.ts'
import { type ConfState, type Message, MessageType } from '../messages.ts'
import { someMajority } from './majority.ts'
import { type MemberStore, StoreDamage } from './member-store.ts'
import { MemoryStore } from './memory-store.ts'
import type { Plant } from './plants.ts'
import { type MemberOptions, SimMember } from './sim-member.ts'
import { SimNetwork } from './sim-network.ts'
import { SimRandom } from './sim-random.ts'
import { Truth, Violation } from './truth.ts'
import {
  type Focus,
  type Weather,
  calm,
  chooseFounders,
  chooseMemberOptions,
  chooseNetwork,
  chooseWeather,
} from './weather.ts'

export interface SimulationOptions {
  readonly seed: number
  /** How long things go wrong; `ROUNDS` unless told. */
  readonly rounds?: number | undefined
  readonly plant?: Plant | undefined
  /** What most of it is about, instead of what the seed would choose. */
  readonly focus?: Focus | undefined
  /** Is given each event. */
  readonly trace?: ((text: string) => void) | undefined
  /** Makes the store of a member instead of one in memory: members then write asynchronously. */
  readonly openStore?: ((id: bigint, random: SimRandom) => MemberStore) | undefined
  /** Whether faults are to be found by their effects alone: see `TruthOptions`. */
  readonly checksPromises?: boolean | undefined
}

export interface SimulationResult {
  /** Digest of all events: the same seed gives the same one. */
  readonly fingerprint: number
  readonly committed: number
  readonly elections: number
  readonly transfers: number
  readonly confChanges: number
  readonly joint: number
  readonly withLearners: number
  readonly snapshots: number
  readonly reads: number
  readonly crashes: number
  /** Recoveries of a majority without the others. */
  readonly majorities: number
}

export const ROUNDS = 500
/** A tick of each clock a round. */
const ROUNDS_TO_SETTLE_MAX = 2_000
/** After these no proposal is on its way any more. */
const ROUNDS_TO_CALM_DOWN = 5
const MEMBERS_MAX = 9

/**
 * Runs one group through rounds of everything that can go wrong, then lets it recover, all of it chosen by `seed`:
 * messages that get lost, late, out of order, twice, in one direction only; partitions; crashes that lose what is not
 * synced; members that stand still; clocks of different speeds that jump; snapshots; membership changes; transfers of
 * leadership; reads. It recovers in two steps: a random majority without the others, then everybody.
 *
 * @throws Violation if a promise of raft is broken, at the moment when it is, or if the group does not recover
 */
export function simulate(options: SimulationOptions): SimulationResult {
  const simulation = new Simulation(options)
  for (const _ of simulation.rounds());
  return simulation.result()
}

/** `simulate`, round by round, for stores that need time to pass between rounds. */
export class Simulation {
  readonly #seed: number
  readonly #roundsMax: number
  readonly #plant: Plant | undefined
  readonly #trace: ((text: string) => void) | undefined
  readonly #openStore: (id: bigint, random: SimRandom) => MemberStore
  readonly #random: SimRandom
  readonly #truth: Truth
  readonly #network: SimNetwork
  readonly #members = new Map<bigint, SimMember>()
  readonly #options: MemberOptions
  readonly #founders: readonly bigint[]
  readonly #weather: Weather
  readonly #reusesReadContexts: boolean
  /** Members that stand still, and until which round. */
  readonly #paused = new Map<bigint, number>()
  /** Ticks in a hundred rounds. */
  readonly #clockSpeeds = new Map<bigint, number>()
  /** Members whose disk has lost what they had promised, and who know it: they are out for good. */
  readonly #damaged = new Set<bigint>()
  #isRecovering = false
  #round = 0
  #proposals = 0
  #fingerprint = 0
  #elections = 0
  #transfers = 0
  #snapshots = 0
  #crashes = 0
  #majorities = 0

  constructor(options: SimulationOptions) {
    const { seed, plant, focus, trace, rounds = ROUNDS, openStore, checksPromises = true } = options
    const random = new SimRandom(seed)
    this.#seed = seed
    this.#roundsMax = rounds
    this.#plant = plant
    this.#trace = trace
    this.#random = random
    this.#openStore = openStore ?? ((_, chance) => new MemoryStore(chance, plant))
    this.#founders = chooseFounders(random)
    this.#weather = chooseWeather(random, focus)
    const chosen = chooseMemberOptions(random, plant)
    this.#options = openStore === undefined ? chosen : { ...chosen, asyncStorageWrites: true }
    this.#reusesReadContexts = random.chance(40) || focus === 'reads'
    this.#network = new SimNetwork(chooseNetwork(random, focus), random.fork(), (message) =>
      this.#lost(message),
    )
    this.#truth = new Truth({ founderCount: this.#founders.length, checksPromises })
    for (const id of this.#founders) this.#addMember(id)
  }

  /** Runs all of it. Yields after each round. */
  *rounds(): Generator<undefined> {
    this.#note(`seed ${this.#seed}: ${JSON.stringify(this.#options, replaceInfinity)}`)
    this.#note(`weather ${JSON.stringify(this.#weather)}, network ${JSON.stringify(this.#network.options)}`)
    for (const member of this.#members.values()) this.#start(member)
    for (this.#round = 1; this.#round <= this.#roundsMax; this.#round++) {
      this.#disturb()
      this.#use()
      this.#runRound()
      yield
    }
    yield* this.#recover()
  }

  result(): SimulationResult {
    return {
      fingerprint: this.#fingerprint,
      committed: this.#truth.committed,
      elections: this.#elections,
      transfers: this.#transfers,
      confChanges: this.#truth.confChanges,
      joint: this.#truth.joint,
      withLearners: this.#truth.withLearners,
      snapshots: this.#snapshots,
      reads: this.#truth.reads,
      crashes: this.#crashes,
      majorities: this.#majorities,
    }
  }

  // ---- members ----

  #addMember(id: bigint): SimMember {
    const isFounder = this.#founders.includes(id)
    const store = this.#openStore(id, this.#random.fork())
    const random = this.#random.fork()
    const member = new SimMember(id, store, this.#options, {
      random,
      truth: this.#truth,
      plant: this.#plant,
      founders: isFounder ? this.#founders.map((founder) => ({ id: founder })) : undefined,
      founderCount: this.#founders.length,
      reusesReadContexts: this.#reusesReadContexts,
      crashesAtWork: () => !this.#isRecovering && random.chance(1),
      send: (message) => this.#network.send(message),
      trace: (text) => this.#note(text),
    })
    this.#members.set(id, member)
    return member
  }

  #start(member: SimMember): void {
    if (this.#damaged.has(member.id)) return
    try {
      member.start()
    } catch (error) {
      if (!(error instanceof StoreDamage)) throw error
      this.#note(`${member.id} does not start: ${error.message}`)
      this.#damaged.add(member.id)
      return
    }
    this.#note(`${member.id} starts`)
    this.#check(member)
  }

  #crash(member: SimMember): void {
    this.#note(`${member.id} crashes`)
    this.#crashes++
    member.crash()
  }

  #up(): SimMember[] {
    return [...this.#members.values()].filter(({ isUp }) => isUp)
  }

  #leader(among: readonly SimMember[] = this.#up()): SimMember | undefined {
    const leaders = among.filter((member) => member.isUp && member.raft.role.kind === 'leader')
    return leaders.sort((a, b) => b.raft.term - a.raft.term)[0]
  }

  // ---- one round ----

  #runRound(): void {
    for (const message of this.#network.advance((id) => this.#isPaused(id))) this.#deliver(message)
    for (const member of this.#up()) {
      if (this.#isPaused(member.id)) continue
      for (let ticks = this.#ticks(member.id); ticks > 0 && member.isUp; ticks--) {
        this.#act(member, () => member.node.tick())
      }
      this.#work(member)
    }
  }

  #isPaused(id: bigint): boolean {
    return (this.#paused.get(id) ?? 0) > this.#round
  }

  /** Clocks do not run at the same speed: how often this one ticks in this round. */
  #ticks(id: bigint): number {
    let speed = this.#clockSpeeds.get(id)
    if (speed === undefined) {
      speed = this.#random.between(30, 200)
      this.#clockSpeeds.set(id, speed)
    }
    return Math.floor(speed / 100) + (this.#random.chance(speed % 100) ? 1 : 0)
  }

  /** @returns whether there was anything to do */
  #work(member: SimMember): boolean {
    const random = this.#random
    let isBusy = false
    const act = (percent: number, action: () => boolean): void => {
      while (member.isUp && (this.#isRecovering || random.chance(percent))) {
        let didSomething = false
        this.#act(member, () => {
          didSomething = action()
        })
        if (!didSomething) return
        isBusy = true
      }
    }
    const { disk, apply } = this.#weather
    act(90, () => member.handleReady())
    act(disk, () => member.runAppendThread())
    act(disk, () => member.finishSync())
    act(apply, () => member.runApplyThread())
    act(30, () => member.handleReady())
    return isBusy
  }

  #deliver(message: Message): void {
    const member = this.#members.get(message.to)
    if (member?.isUp !== true) {
      this.#lost(message)
      return
    }
    this.#note(describeMessage(message))
    if (message.type === MessageType.MsgSnap) {
      this.#snapshots++
      this.#report(message, true)
    } else if (message.type === MessageType.MsgTimeoutNow) {
      this.#transfers++
    }
    this.#act(member, () => member.step(message))
  }

  /** The sender of some lost messages gets to know of it, and always of snapshots. */
  #lost(message: Message): void {
    if (message.type === MessageType.MsgSnap) {
      this.#report(message, false)
      return
    }
    const sender = this.#members.get(message.from)
    if (sender?.isUp === true && this.#random.chance(20)) {
      this.#act(sender, () => sender.node.reportUnreachable(message.to))
    }
  }

  #report(message: Message, isDelivered: boolean): void {
    const sender = this.#members.get(message.from)
    if (sender?.isUp === true) {
      this.#act(sender, () => sender.node.reportSnapshot(message.to, isDelivered))
    }
  }

  /** Lets `member` do something, and checks what came of it. */
  #act(member: SimMember, action: () => void): void {
    action()
    if (member.isUp) {
      this.#check(member)
    } else {
      this.#crashes++
      this.#note(`${member.id} crashes at work`)
    }
  }

  #check(member: SimMember): void {
    const { raft } = member
    this.#truth.observe(member, [...this.#members.values()], member.commitSeen, member.leaderTermSeen)
    member.commitSeen = raft.log.committed
    const isLeader = raft.role.kind === 'leader'
    if (isLeader && member.leaderTermSeen !== raft.term) {
      this.#elections++
      this.#note(`${member.id} leads in term ${raft.term}`)
    }
    member.leaderTermSeen = isLeader ? raft.term : 0
  }

  // ---- what goes wrong ----

  #disturb(): void {
    const random = this.#random
    const { crash, blackout, restart, partition, heal, standstill, skew } = this.#weather
    const ids = [...this.#members.keys()]
    if (random.chance(crash)) {
      const member = random.pick([...this.#members.values()])
      if (member.isUp) this.#crash(member)
    }
    if (random.chance(blackout)) for (const member of this.#up()) this.#crash(member)
    for (const member of this.#members.values()) {
      if (!member.isUp && random.chance(restart)) this.#start(member)
    }
    if (random.chance(partition)) this.#cut(ids)
    if (random.chance(heal)) this.#network.heal()
    if (random.chance(standstill)) {
      const leader = this.#leader()
      const id = leader !== undefined && random.chance(70) ? leader.id : random.pick(ids)
      this.#note(`${id} stands still`)
      this.#paused.set(id, this.#round + random.between(5, 60))
    }
    if (random.chance(skew)) this.#skew(random.pick(ids))
  }

  #cut(ids: readonly bigint[]): void {
    const random = this.#random
    const network = this.#network
    const leader = this.#leader()
    const kind = random.pick(['halves', 'halves', 'ring', 'leader', 'link'] as const)
    if (kind === 'leader' && leader !== undefined) {
      this.#note(`partition of leader ${leader.id}`)
      network.partition(
        [leader.id],
        ids.filter((id) => id !== leader.id),
      )
    } else if (kind === 'ring') {
      // Each member reaches its neighbours, no two members the same ones.
      this.#note('partition into a ring')
      const distance = (a: number, b: number): number =>
        Math.min(Math.abs(a - b), ids.length - Math.abs(a - b))
      ids.forEach((from, a) =>
        ids.forEach((to, b) => {
          if (distance(a, b) > 1) network.cut(from, to)
        }),
      )
    } else if (kind === 'link') {
      const [from, to] = [random.pick(ids), random.pick(ids)]
      this.#note(`${from} does not reach ${to}`)
      network.cut(from, to)
    } else {
      const group = ids.filter(() => random.chance(50))
      const others = ids.filter((id) => !group.includes(id))
      this.#note(`partition of ${group.join(' ')} from ${others.join(' ')}`)
      network.partition(group, others)
    }
  }

  #skew(id: bigint): void {
    const member = this.#members.get(id)!
    if (this.#random.chance(50)) {
      this.#clockSpeeds.delete(id)
      return
    }
    this.#note(`the clock of ${id} jumps`)
    for (let ticks = this.#random.between(1, 25); ticks > 0 && member.isUp; ticks--) {
      this.#act(member, () => member.node.tick())
    }
  }

  // ---- what it is used for ----

  #use(): void {
    const random = this.#random
    const up = this.#up()
    if (up.length === 0) return
    const { propose, read, snapshot, confChange, transfer } = this.#weather
    const some = (percent: number, action: (member: SimMember) => void): void => {
      if (!random.chance(percent)) return
      const member = random.pick(up)
      if (member.isUp && !this.#isPaused(member.id)) this.#act(member, () => action(member))
    }
    some(propose, (member) => this.#propose(member))
    some(read, (member) => member.read())
    some(snapshot, (member) => member.takeSnapshot(random.pick([0, 2, 10])))
    some(confChange, (member) => this.#proposeConfChange(member))
    some(transfer, () => {
      const leader = this.#leader()
      const transferee = random.pick([...this.#members.keys()])
      if (leader !== undefined) this.#act(leader, () => leader.node.transferLeader(transferee))
    })
    for (const [id, until] of this.#paused) {
      // Those who waited for it come first.
      const member = this.#members.get(id)!
      if (until === this.#round && member.isUp) this.#act(member, () => member.read())
    }
    some(transfer / 2, (member) => member.node.campaign())
    some(0.5, (member) => member.node.forgetLeader())
  }

  #propose(member: SimMember): void {
    const text = `${this.#seed}.${this.#proposals++}`
    const data = Uint8Array.from({ length: text.length + this.#random.below(40) }, (_, at) => {
      return at < text.length ? text.charCodeAt(at) : at
    })
    member.node.propose(data)
  }

  #proposeConfChange(member: SimMember): void {
    const random = this.#random
    const { votersOutgoing } = member.confState
    if (votersOutgoing.length > 0 && random.chance(70)) {
      member.node.proposeConfChange(change(ConfChangeTransition.ConfChangeTransitionAuto, []))
      return
    }
    const one = (): { type: ConfChangeType; nodeId: bigint } => ({
      type: random.pick([
        ConfChangeType.ConfChangeAddNode,
        ConfChangeType.ConfChangeAddNode,
        ConfChangeType.ConfChangeAddLearnerNode,
        ConfChangeType.ConfChangeRemoveNode,
        ConfChangeType.ConfChangeUpdateNode,
      ]),
      nodeId: BigInt(random.between(1, MEMBERS_MAX)),
    })
    if (random.chance(50)) {
      const { type, nodeId } = one()
      this.#ensureMember(nodeId)
      this.#note(`${member.id} proposes change ${type} of ${nodeId}`)
      member.node.proposeConfChange({ id: 0n, type, nodeId, context: undefined })
      return
    }
    const changes = Array.from({ length: random.between(1, 3) }, one)
    for (const { nodeId } of changes) this.#ensureMember(nodeId)
    this.#note(`${member.id} proposes changes ${changes.map((c) => `${c.type}:${c.nodeId}`).join(' ')}`)
    member.node.proposeConfChange(change(random.pick([0, 1, 2] as const), changes))
  }

  /** A member that is to join is started, with nothing. */
  #ensureMember(id: bigint): void {
    if (!this.#members.has(id)) this.#start(this.#addMember(id))
  }

  // ---- recovery ----

  /** Everything works again: a majority finds a leader without the others soon, and then all members catch up. */
  *#recover(): Generator<undefined> {
    this.#note('recovery')
    this.#isRecovering = true
    Object.assign(this.#network.options, calm)
    this.#network.heal()
    this.#paused.clear()
    for (const member of this.#members.values()) if (!member.isUp) this.#start(member)
    this.#network.clear()
    for (let rounds = 0; rounds < ROUNDS_TO_CALM_DOWN; rounds++) yield* this.#calmRound()
    if (!this.#canRecover()) return
    const majority = someMajority(this.#latestMembers(), this.#random)
    if (majority !== undefined) {
      const ids = majority.map(({ id }) => id)
      this.#note(`${ids.join(' ')} alone`)
      const others = [...this.#members.keys()].filter((id) => !ids.includes(id))
      for (const a of ids) {
        for (const b of others) {
          this.#network.cut(a, b)
          this.#network.cut(b, a)
        }
      }
      this.#majorities++
      yield* this.#settle(majority)
      this.#network.heal()
    }
    yield* this.#settle()
  }

  /** Whether those that are left could decide anything. */
  #canRecover(): boolean {
    if (this.#damaged.size === 0) return true
    const votes = new Map([...this.#members].map(([id, { isUp }]) => [id, isUp]))
    const members = this.#up().filter(({ raft }) => raft.tracker.config.voters.incoming.length > 0)
    return members.length > 0 && members.every(({ raft }) => raft.tracker.tally(votes) === 'won')
  }

  /** @param alone members that have to find together without the others; all of them otherwise */
  *#settle(alone?: readonly SimMember[]): Generator<undefined> {
    let goal = 0
    for (let rounds = 0; rounds < ROUNDS_TO_SETTLE_MAX; rounds++) {
      if (alone === undefined) this.#startAndStop()
      yield* this.#calmRound()
      // A membership change that was under way may need one that is out for good.
      if (!this.#canRecover()) return
      const leader = this.#leader(alone)
      if (leader === undefined) continue
      if (goal === 0) {
        // The next entry that is committed from here on is one of this calm time.
        if (leader.node.propose(Uint8Array.of(1)) === undefined) goal = leader.raft.log.lastIndex
        continue
      }
      if (hasConverged(alone ?? this.#latestMembers(), goal)) return
      // A leader that was elected in between may have lost the entry.
      if (rounds % 50 === 49) goal = 0
    }
    throw new Violation(`no recovery within ${ROUNDS_TO_SETTLE_MAX} rounds: ${this.#describe()}`)
  }

  *#calmRound(): Generator<undefined> {
    this.#round++
    for (const message of this.#network.advance(() => false)) this.#deliver(message)
    for (const member of this.#up()) {
      this.#act(member, () => member.node.tick())
      while (this.#work(member));
    }
    yield
  }

  /** Members are up; those that were removed go once the others know of it, for whom they might have to vote. */
  #startAndStop(): void {
    const latest = this.#latestMembers()
    const applied = Math.max(...latest.map((member) => member.applied))
    const isKnown = latest.every((member) => member.isUp && member.applied === applied)
    for (const member of this.#members.values()) {
      if (latest.includes(member) || !isKnown) {
        if (!member.isUp) this.#start(member)
      } else if (member.isUp) {
        this.#note(`${member.id} is gone`)
        member.crash()
      }
    }
  }

  /** Members of the newest configuration that anybody has applied, but for those out for good. */
  #latestMembers(): SimMember[] {
    let latest: SimMember | undefined
    for (const member of this.#members.values()) {
      if (latest === undefined || member.applied > latest.applied) latest = member
    }
    const state = latest?.confState
    const ids = state === undefined || state.voters.length === 0 ? this.#founders : membersOf(state)
    return ids.filter((id) => !this.#damaged.has(id)).map((id) => this.#members.get(id)!)
  }

  #describe(): string {
    return [...this.#members.values()]
      .map((member) => {
        const state = member.isUp
          ? `${member.raft.role.kind} term ${member.raft.term} ${member.raft.log.describe()}`
          : 'down'
        return `${member.id}: ${state}, applied ${member.applied}, ${describeConfState(member.confState)}`
      })
      .join('; ')
  }

  #note(text: string): void {
    for (let i = 0; i < text.length; i++) {
      this.#fingerprint = (Math.imul(this.#fingerprint, 31) + text.charCodeAt(i)) | 0
    }
    this.#trace?.(`${this.#round} ${text}`)
  }
}

function hasConverged(members: readonly SimMember[], goal: number): boolean {
  const [first] = members
  return (
    first !== undefined &&
    first.applied >= goal &&
    !first.confState.autoLeave &&
    members.every(({ isUp, applied, digest }) => {
      return isUp && applied === first.applied && digest === first.digest
    })
  )
}

function change(
  transition: ConfChangeTransition,
  changes: { type: ConfChangeType; nodeId: bigint }[],
): AnyConfChange {
  return { transition, changes, context: undefined }
}

function membersOf({ voters, learners, votersOutgoing, learnersNext }: ConfState): bigint[] {
  return [...new Set([...voters, ...learners, ...votersOutgoing, ...learnersNext])]
}

function replaceInfinity(_: string, value: unknown): unknown {
  return value === Infinity ? 'none' : value
}
