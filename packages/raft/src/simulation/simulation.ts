import { type AnyConfChange, ConfChangeTransition, ConfChangeType } from '../conf-change.ts'
import { describeConfState } from '../describe-config.ts'
import { describeMessage } from '../describe.ts'
import { type ConfState, type Message, MessageType, NO_LIMIT } from '../messages.ts'
import type { Plant } from './plants.ts'
import { type MemberOptions, SimMember } from './sim-member.ts'
import { SimNetwork } from './sim-network.ts'
import { SimRandom } from './sim-random.ts'
import { Truth, Violation } from './truth.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly plant?: Plant | undefined
  /** Is given each event. */
  readonly trace?: ((text: string) => void) | undefined
}

export interface SimulationResult {
  /** Digest of all events: the same seed gives the same one. */
  readonly fingerprint: number
  readonly committed: number
  readonly elections: number
  readonly confChanges: number
  readonly snapshots: number
}

/** How often things happen, in percent of rounds or of opportunities. */
interface Weather {
  readonly crash: number
  readonly restart: number
  readonly partition: number
  readonly heal: number
  readonly standstill: number
  readonly transfer: number
  readonly confChange: number
  readonly disk: number
  readonly apply: number
}

const fair: Weather = {
  crash: 1.5,
  restart: 4,
  partition: 1,
  heal: 3,
  standstill: 1,
  transfer: 1.5,
  confChange: 3,
  disk: 60,
  apply: 60,
}

const weathers: readonly Weather[] = [
  fair,
  fair,
  // Leaders come and go before they have got anywhere.
  { ...fair, crash: 6, restart: 15, partition: 5, heal: 10, transfer: 4, confChange: 1 },
  // What is written and applied is far behind.
  { ...fair, disk: 8, apply: 8, transfer: 5 },
  // Always in the middle of a membership change.
  { ...fair, confChange: 15, crash: 3, restart: 12, apply: 20 },
]

const ROUNDS = 500
const ROUNDS_TO_SETTLE_MAX = 2_000
const MEMBERS_MAX = 7

/**
 * Runs one group through `ROUNDS` rounds of everything that can go wrong, then lets it recover, all of it chosen
 * by `seed`: messages that get lost, late, out of order, twice; partitions; crashes that lose what is not synced;
 * members that stand still or run fast; snapshots; membership changes; transfers of leadership.
 *
 * @throws Violation if a promise of raft is broken, at the moment when it is, or if the group does not recover
 */
export function simulate(options: SimulationOptions): SimulationResult {
  return new Simulation(options).run()
}

class Simulation {
  readonly #seed: number
  readonly #plant: Plant | undefined
  readonly #trace: ((text: string) => void) | undefined
  readonly #random: SimRandom
  readonly #truth = new Truth()
  readonly #network: SimNetwork
  readonly #members = new Map<bigint, SimMember>()
  readonly #options: MemberOptions
  readonly #founders: readonly bigint[]
  readonly #weather: Weather
  /** Members that stand still, and until which round. */
  readonly #paused = new Map<bigint, number>()
  #round = 0
  #proposals = 0
  #fingerprint = 0
  #elections = 0
  #snapshots = 0

  constructor({ seed, plant, trace }: SimulationOptions) {
    const random = new SimRandom(seed)
    this.#seed = seed
    this.#plant = plant
    this.#trace = trace
    this.#random = random
    this.#founders = [1n, 2n, 3n, 4n, 5n].slice(0, random.pick([1, 2, 3, 3, 3, 4, 5, 5]))
    this.#weather = random.pick(weathers)
    const checkQuorum = random.chance(60)
    this.#options = {
      electionTicks: random.pick([4, 10, 10]),
      heartbeatTicks: random.between(1, 3),
      asyncStorageWrites: random.chance(70),
      maxSizePerMessage: random.pick([0, 60, 300, NO_LIMIT]),
      maxCommittedSizePerReady: random.pick([1, 100, NO_LIMIT]),
      maxUncommittedSize: random.pick([200, NO_LIMIT]),
      maxInflightMessages: random.pick([1, 3, 256]),
      checkQuorum: checkQuorum || plant === 'readWithoutQuorum',
      preVote: random.chance(60),
      readOnlyOption: plant === 'readWithoutQuorum' ? 'leaseBased' : 'safe',
      stepDownOnRemoval: random.chance(50),
      disableProposalForwarding: random.chance(10),
    }
    this.#network = new SimNetwork(
      {
        lossPercent: random.pick([0, 2, 10, 25]),
        duplicatePercent: random.pick([0, 2, 20]),
        delayMax: random.pick([1, 3, 8]),
        stragglerPercent: random.pick([0, 5]),
      },
      random.fork(),
      (message) => this.#lost(message),
    )
    for (const id of this.#founders) this.#addMember(id)
  }

  run(): SimulationResult {
    this.#note(`seed ${this.#seed}: ${JSON.stringify(this.#options, replaceInfinity)}`)
    for (const member of this.#members.values()) this.#start(member)
    for (this.#round = 1; this.#round <= ROUNDS; this.#round++) {
      this.#disturb()
      this.#use()
      this.#runRound()
    }
    this.#recover()
    return {
      fingerprint: this.#fingerprint,
      committed: this.#truth.committed,
      elections: this.#elections,
      confChanges: this.#truth.confChanges,
      snapshots: this.#snapshots,
    }
  }

  // ---- members ----

  #addMember(id: bigint): SimMember {
    const isFounder = this.#founders.includes(id)
    const member = new SimMember(id, this.#options, {
      random: this.#random.fork(),
      truth: this.#truth,
      plant: this.#plant,
      founders: isFounder ? this.#founders.map((founder) => ({ id: founder })) : undefined,
      founderCount: this.#founders.length,
      send: (message) => this.#network.send(message),
      trace: (text) => this.#note(text),
    })
    this.#members.set(id, member)
    return member
  }

  #start(member: SimMember): void {
    this.#note(`${member.id} starts`)
    member.start()
    this.#check(member)
  }

  #up(): SimMember[] {
    return [...this.#members.values()].filter(({ isUp }) => isUp)
  }

  #leader(): SimMember | undefined {
    const leaders = this.#up().filter(({ raft }) => raft.role.kind === 'leader')
    return leaders.sort((a, b) => b.raft.term - a.raft.term)[0]
  }

  // ---- one round ----

  #runRound(): void {
    for (const message of this.#network.advance((id) => this.#isPaused(id))) this.#deliver(message)
    for (const member of this.#up()) {
      if (this.#isPaused(member.id)) continue
      if (this.#random.chance(this.#tickPercent(member.id))) this.#act(member, () => member.node.tick())
      this.#work(member)
    }
  }

  #isPaused(id: bigint): boolean {
    return (this.#paused.get(id) ?? 0) > this.#round
  }

  /** Clocks do not run at the same speed. */
  #tickPercent(id: bigint): number {
    return 40 + Number((id * 7n + BigInt(this.#seed)) % 5n) * 15
  }

  /** @returns whether there was anything to do */
  #work(member: SimMember): boolean {
    const random = this.#random
    const happens = (percent: number): boolean => this.#round > ROUNDS || random.chance(percent)
    let isBusy = false
    const act = (percent: number, action: () => boolean): void => {
      while (member.isUp && happens(percent)) {
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
    if (this.#plant === 'wrongReadConfirmed' && message.type === MessageType.MsgHeartbeatResp) {
      const { role } = member.raft
      if (role.kind === 'leader') message.context = role.reads.newestContext
    }
    this.#note(describeMessage(message))
    if (message.type === MessageType.MsgSnap) {
      this.#snapshots++
      this.#report(message, true)
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
    if (member.isUp) this.#check(member)
    else this.#note(`${member.id} crashes at work`)
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
    const { crash, restart, partition, heal, standstill } = this.#weather
    const ids = [...this.#members.keys()]
    if (random.chance(crash)) {
      const member = random.pick([...this.#members.values()])
      if (member.isUp) {
        this.#note(`${member.id} crashes`)
        member.crash()
      }
    }
    for (const member of this.#members.values()) {
      if (!member.isUp && random.chance(restart)) this.#start(member)
    }
    if (random.chance(partition)) {
      const group = ids.filter(() => random.chance(50))
      const others = ids.filter((id) => !group.includes(id))
      this.#note(`partition of ${group.join(' ')} from ${others.join(' ')}`)
      this.#network.partition(group, others)
    }
    if (random.chance(heal)) this.#network.heal()
    if (random.chance(standstill)) {
      const leader = this.#leader()
      const id = leader !== undefined && random.chance(70) ? leader.id : random.pick(ids)
      this.#note(`${id} stands still`)
      this.#paused.set(id, this.#round + random.between(5, 60))
    }
  }

  // ---- what it is used for ----

  #use(): void {
    const random = this.#random
    const up = this.#up()
    if (up.length === 0) return
    const some = (percent: number, action: (member: SimMember) => void): void => {
      if (!random.chance(percent)) return
      const member = random.pick(up)
      if (member.isUp && !this.#isPaused(member.id)) this.#act(member, () => action(member))
    }
    some(40, (member) => this.#propose(member))
    some(15, (member) => member.read())
    some(4, (member) => member.takeSnapshot(random.pick([0, 2, 10])))
    some(this.#weather.confChange, (member) => this.#proposeConfChange(member))
    some(this.#weather.transfer, (member) =>
      member.node.transferLeader(random.pick([...this.#members.keys()])),
    )
    for (const [id, until] of this.#paused) {
      // Those who waited for it come first.
      const member = this.#members.get(id)!
      if (until === this.#round && member.isUp) this.#act(member, () => member.read())
    }
    some(this.#weather.transfer / 2, (member) => member.node.campaign())
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

  /** Everything works again, and removed members are gone: then there is a leader soon, and all members catch up. */
  #recover(): void {
    this.#note('recovery')
    Object.assign(this.#network.options, {
      lossPercent: 0,
      duplicatePercent: 0,
      delayMax: 1,
      stragglerPercent: 0,
    })
    this.#network.heal()
    this.#paused.clear()
    let goal = 0
    for (let rounds = 0; rounds < ROUNDS_TO_SETTLE_MAX; rounds++) {
      this.#round++
      this.#startAndStop()
      for (const message of this.#network.advance((id) => this.#isPaused(id))) this.#deliver(message)
      for (const member of this.#up()) {
        this.#act(member, () => member.node.tick())
        while (this.#work(member));
      }
      const leader = this.#leader()
      if (leader === undefined) continue
      if (goal === 0) {
        // The next entry that is committed from here on is one of this calm time.
        if (leader.node.propose(Uint8Array.of(1)) === undefined) goal = leader.raft.log.lastIndex
        continue
      }
      if (this.#hasConverged(goal)) return
      // A leader that was elected in between may have lost the entry.
      if (rounds % 50 === 49) goal = 0
    }
    throw new Violation(`no recovery within ${ROUNDS_TO_SETTLE_MAX} rounds: ${this.#describe()}`)
  }

  /** Members are up; those that were removed go once the others know of it, for whom they might have to vote. */
  #startAndStop(): void {
    const ids = this.#latestMembers()
    const members = ids.map((id) => this.#members.get(id)!)
    const latest = Math.max(...members.map(({ applied }) => applied))
    const isKnown = members.every(({ isUp, applied }) => isUp && applied === latest)
    for (const member of this.#members.values()) {
      if (ids.includes(member.id) || !isKnown) {
        if (!member.isUp) this.#start(member)
      } else if (member.isUp) {
        this.#note(`${member.id} is gone`)
        member.crash()
      }
    }
  }

  /** Members of the newest configuration that anybody has applied. */
  #latestMembers(): bigint[] {
    let latest: SimMember | undefined
    for (const member of this.#members.values()) {
      if (latest === undefined || member.applied > latest.applied) latest = member
    }
    const state = latest?.confState
    if (state === undefined || state.voters.length === 0) return [...this.#founders]
    return membersOf(state)
  }

  #hasConverged(goal: number): boolean {
    const members = this.#latestMembers().map((id) => this.#members.get(id)!)
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
