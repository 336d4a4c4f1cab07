import { etcdserverpb } from '@etcd-ts/api'
import { ClusterMember } from './cluster-member.ts'
import { GrpcError, type UnaryMethod } from './grpc-client.ts'
import { bootstrapMemberId } from './member-id.ts'
import { type Cut, PeerLinks } from './peer-links.ts'
import { eventually } from './eventually.ts'
import { reservePort } from './ports.ts'
import { type ServerProgram, ourServer } from './programs.ts'
import { type Scope } from './scope.ts'
import { type ClusterSettings, ServerProcess } from './server-process.ts'

/** Flags for every member, or for those that run a program. */
export type ClusterFlags = readonly string[] | ((program: ServerProgram) => readonly string[])

export interface ClusterOptions {
  /** Members at the start. Default: 3. */
  readonly size?: number
  /** Of every member. Default: `ourServer()`. */
  readonly program?: ServerProgram
  /** Of each member in turn, instead. */
  readonly programs?: readonly ServerProgram[]
  readonly flags?: ClusterFlags
  readonly env?: Readonly<Record<string, string>>
  /** Whether what members send each other can be cut and delayed. Default: no. */
  readonly links?: boolean
  readonly token?: string
}

export interface JoinOptions {
  /** Default: the next of `m1`, `m2`, … */
  readonly name?: string
  readonly program?: ServerProgram
  /** Instead of the cluster's. */
  readonly flags?: readonly string[]
  readonly learner?: boolean
  /** A removed member whose name and URLs the new one gets; its data folder is left alone. For clusters without links. */
  readonly replaces?: ClusterMember
}

/** The hash of one member's store. */
export interface MemberHash {
  readonly name: string
  readonly revision: number
  readonly compactRevision: number
  readonly hash: number
}

const WAIT_MS = 30_000
const CHANGE_TIMEOUT_MS = 5_000

/**
 * A cluster of real processes: each member has its own data folder and ports and runs a program of its own. Members may be
 * killed, paused, replaced, added and removed, and with `links` cut off from each other.
 */
export class ClusterProcess {
  readonly token: string
  readonly #scope: Scope
  readonly #options: ClusterOptions
  readonly #links: PeerLinks | undefined
  readonly #members: ClusterMember[] = []
  #named = 0

  private constructor(scope: Scope, options: ClusterOptions) {
    this.#scope = scope
    this.#options = options
    this.token = options.token ?? 'etcd-ts-test'
    this.#links = options.links === true ? new PeerLinks() : undefined
  }

  /** Makes the members of a new cluster, none of which is running yet. */
  static async create(scope: Scope, options: ClusterOptions = {}): Promise<ClusterProcess> {
    const cluster = new ClusterProcess(scope, options)
    const programs =
      options.programs ?? Array.from({ length: options.size ?? 3 }, () => options.program ?? ourServer())
    const servers = []
    for (const program of programs) servers.push(await cluster.#createServer({ program }))
    const initialCluster = servers.map(({ server, peerUrl }) => `${server.name}=${peerUrl}`).join(',')
    for (const { server, peerUrl } of servers) {
      const id = bootstrapMemberId([peerUrl], cluster.token)
      await cluster.#admit(id, server, peerUrl, true, { initialCluster })
    }
    return cluster
  }

  /** Makes a new cluster and waits until every member answers clients. */
  static async start(scope: Scope, options: ClusterOptions = {}): Promise<ClusterProcess> {
    const cluster = await ClusterProcess.create(scope, options)
    await cluster.start()
    return cluster
  }

  /** The members in the order in which they joined; removed ones are left out. */
  get members(): readonly ClusterMember[] {
    return this.#members
  }

  /** @throws when there is no such member */
  member(name: string): ClusterMember {
    const member = this.#members.find((each) => each.name === name)
    if (member === undefined) throw new Error(`no member is called ${name}`)
    return member
  }

  /** `host:port` of every member's client listener. */
  get endpoints(): string[] {
    return this.#members.map((member) => member.endpoint)
  }

  /** Starts every member that is not running. */
  async start(): Promise<void> {
    await Promise.all(
      this.#members.filter((member) => !member.server.running).map((member) => member.start()),
    )
  }

  /** SIGKILL to all. */
  async kill(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.kill()))
  }

  /** The members that do not lead. */
  async followers(): Promise<ClusterMember[]> {
    const leader = await this.leader()
    return this.#members.filter((member) => member !== leader)
  }

  /**
   * Waits until a majority of the voters agrees on a leader that is up and knows that it leads.
   * @param options `except`: wait for another one than this; `among`: of these members alone, who must all agree
   */
  leader(
    options: {
      readonly except?: ClusterMember
      readonly among?: readonly ClusterMember[]
      readonly timeoutMs?: number
    } = {},
  ): Promise<ClusterMember> {
    const timeoutMs = options.timeoutMs ?? WAIT_MS
    return eventually('a leader that a majority knows', timeoutMs, async () => {
      const asked = (options.among ?? this.#members).filter((member) => member.isVoter)
      const known = await Promise.all(
        asked.map(async (member) => ({ member, status: await member.statusIfUp() })),
      )
      const needed = options.among === undefined ? Math.floor(asked.length / 2) + 1 : asked.length
      return known.find(({ member, status }) => {
        if (status === undefined || status.leader !== member.id || member === options.except) return false
        const agreeing = known.filter(
          (other) => other.status?.leader === member.id && other.status.raftTerm === status.raftTerm,
        )
        return agreeing.length >= needed
      })?.member
    })
  }

  /** Waits until every member that is up has applied the same entries, which means: while nobody writes. */
  async settled(timeoutMs = WAIT_MS): Promise<number> {
    return eventually('equal applied indexes', timeoutMs, async () => {
      const statuses = await Promise.all(
        this.#members.filter((member) => member.isUp).map((member) => member.statusIfUp()),
      )
      const [first] = statuses
      if (first === undefined) return undefined
      const index = first.raftAppliedIndex
      const equal = statuses.every(
        (status) => status?.raftAppliedIndex === index && status.raftIndex === index,
      )
      return equal ? index : undefined
    })
  }

  /**
   * The hash of the store on every voter that is up, at one revision: the newest when not told. Nobody must write
   * meanwhile, so that the revision of the last compaction is the same everywhere.
   */
  async hashKv(revision?: number): Promise<MemberHash[]> {
    await this.settled()
    // A learner refuses the call.
    const voters = this.#members.filter((member) => member.isVoter && member.isUp)
    const newest = await voters[0]?.status()
    const at = revision ?? newest?.header?.revision ?? 0
    return Promise.all(
      voters.map(async (member) => {
        const { hash, compactRevision } = await member.grpc.call(etcdserverpb.MaintenanceService.HashKV, {
          revision: BigInt(at),
        })
        return { name: member.name, revision: at, compactRevision, hash }
      }),
    )
  }

  /** @throws when the stores of the voters that are up differ; @returns their hash */
  async assertEqualHashes(revision?: number): Promise<MemberHash> {
    const hashes = await this.hashKv(revision)
    const [first] = hashes
    if (first === undefined) throw new Error('no voter is up')
    for (const other of hashes) {
      if (other.hash !== first.hash || other.compactRevision !== first.compactRevision) {
        throw new Error(`the stores differ: ${JSON.stringify(hashes)}`)
      }
    }
    return first
  }

  /**
   * Makes a call of whichever member answers it, asking again until one does: for calls that may be made twice.
   * @throws the last error after `timeoutMs`
   */
  async call<Request, RequestInit, Response, ResponseInit>(
    method: UnaryMethod<Request, RequestInit, Response, ResponseInit>,
    request: RequestInit,
    options: { readonly except?: ClusterMember; readonly timeoutMs?: number } = {},
  ): Promise<Response> {
    let turn = 0
    return eventually(`an answer to ${method.path}`, options.timeoutMs ?? WAIT_MS, async () => {
      const up = this.#members.filter((member) => member.isUp && member !== options.except)
      const member = up[turn++ % up.length]
      if (member === undefined) return undefined
      return member.grpc.call(method, request, { timeoutMs: CHANGE_TIMEOUT_MS })
    })
  }

  /** The members as the cluster knows them. */
  async memberList(): Promise<etcdserverpb.Member[]> {
    const { members } = await this.call(etcdserverpb.ClusterService.MemberList, {})
    return members
  }

  /** Adds a member and starts it. */
  async join(options: JoinOptions = {}): Promise<ClusterMember> {
    const member = await this.announce(options)
    await member.start()
    return member
  }

  /** Adds a member, with a fresh data folder, and does not start it. */
  async announce(options: JoinOptions = {}): Promise<ClusterMember> {
    const { server, peerUrl } = await this.#createServer(options)
    // A leader that has just been removed or killed takes what is sent to it along.
    await this.leader()
    const isLearner = options.learner ?? false
    const id = await this.#change(
      `${server.name} is added`,
      (members) => members.find((each) => each.peerURLs.includes(peerUrl))?.ID,
      async (member) => {
        const method = etcdserverpb.ClusterService.MemberAdd
        const request = { peerURLs: [peerUrl], isLearner }
        const response = await member.grpc.call(method, request, { timeoutMs: CHANGE_TIMEOUT_MS })
        return response.member?.ID
      },
    )
    const others = this.#members.map((member) => `${member.name}=${member.peerUrl}`)
    const initialCluster = [...others, `${server.name}=${peerUrl}`].join(',')
    return this.#admit(id, server, peerUrl, !isLearner, { initialCluster, state: 'existing' })
  }

  /** Makes a voter of a learner, as soon as it has caught up. */
  async promote(learner: ClusterMember): Promise<void> {
    await this.#change(
      `${learner.name} is promoted`,
      (members) => members.find((member) => member.ID === learner.id && !member.isLearner)?.ID,
      async (member) => {
        await member.grpc.call(
          etcdserverpb.ClusterService.MemberPromote,
          { ID: learner.id },
          { timeoutMs: CHANGE_TIMEOUT_MS },
        )
        return learner.id
      },
      learner,
    )
    learner.isVoter = true
    await eventually(`${learner.name} knows that it votes`, WAIT_MS, async () => {
      const status = await learner.status()
      return status.isLearner ? undefined : true
    })
  }

  /** Removes a member, which ends by itself if it is running, and waits for its end. */
  async remove(leaver: ClusterMember): Promise<void> {
    leaver.server.expectExit()
    await this.#change(
      `${leaver.name} is removed`,
      (members) => (members.some((member) => member.ID === leaver.id) ? undefined : leaver.id),
      async (member) => {
        await member.grpc.call(
          etcdserverpb.ClusterService.MemberRemove,
          { ID: leaver.id },
          { timeoutMs: CHANGE_TIMEOUT_MS },
        )
        return leaver.id
      },
      leaver,
    )
    this.#members.splice(this.#members.indexOf(leaver), 1)
    if (leaver.isUp) await leaver.server.exit()
    else await leaver.kill()
    this.#links?.remove(leaver.name)
  }

  /** Makes a voter the leader. */
  async moveLeader(target: ClusterMember): Promise<void> {
    await eventually(`${target.name} leads`, WAIT_MS, async () => {
      const leader = await this.leader()
      if (leader === target) return true
      await leader.grpc.call(
        etcdserverpb.MaintenanceService.MoveLeader,
        { targetID: target.id },
        { timeoutMs: CHANGE_TIMEOUT_MS },
      )
      return undefined
    })
  }

  /** Cuts the members of different groups off from each other; those that no group names are one more group. */
  partition(groups: readonly (readonly ClusterMember[])[], cut?: Cut): void {
    const rest = this.#members.filter((member) => !groups.some((group) => group.includes(member)))
    const all = rest.length === 0 ? groups : [...groups, rest]
    for (const group of all) {
      for (const other of all) {
        if (other === group) continue
        for (const from of group) for (const to of other) this.block(from, to, cut)
      }
    }
  }

  /** Cuts a member off from all others. */
  isolate(member: ClusterMember, cut?: Cut): void {
    this.partition([[member]], cut)
  }

  /** Holds up what `from` sends to `to`. */
  block(from: ClusterMember, to: ClusterMember, cut?: Cut): void {
    this.links.block(from.name, to.name, cut)
  }

  /** Delays what `from` sends to `to`. */
  delay(from: ClusterMember, to: ClusterMember, delayMs: number): void {
    this.links.delay(from.name, to.name, delayMs)
  }

  /** Ends every cut and delay. */
  heal(): void {
    this.links.heal()
  }

  get links(): PeerLinks {
    if (this.#links === undefined) throw new Error('the cluster was made without links')
    return this.#links
  }

  async #createServer(options: JoinOptions): Promise<{ server: ServerProcess; peerUrl: string }> {
    const program = options.program ?? this.#options.program ?? ourServer()
    const flags = options.flags ?? this.#options.flags ?? []
    const replaced = options.replaces?.server
    const server = await ServerProcess.create(this.#scope, {
      program,
      name: options.name ?? options.replaces?.name ?? `m${++this.#named}`,
      ...(replaced === undefined ? {} : { ports: { client: replaced.clientPort, peer: replaced.peerPort } }),
      flags: typeof flags === 'function' ? flags(program) : flags,
      ...(this.#options.env === undefined ? {} : { env: this.#options.env }),
    })
    if (this.#links === undefined) return { server, peerUrl: server.peerUrl }
    const port = await reservePort(this.#scope)
    return { server, peerUrl: `http://127.0.0.1:${port}` }
  }

  async #admit(
    id: bigint,
    server: ServerProcess,
    peerUrl: string,
    isVoter: boolean,
    settings: ClusterSettings,
  ): Promise<ClusterMember> {
    server.cluster = { token: this.token, advertisePeerUrl: peerUrl, ...settings }
    const member = new ClusterMember(this.#scope, id, peerUrl, server, isVoter)
    await this.#links?.add(
      this.#scope,
      { name: member.name, idHex: member.idHex, port: server.peerPort },
      Number(new URL(peerUrl).port),
    )
    this.#members.push(member)
    return member
  }

  /**
   * Makes a change of the membership through any member but `except` until the change is there: an attempt that failed may
   * have been made all the same. Resolves to the id of the member that it is about.
   */
  #change(
    what: string,
    find: (members: readonly etcdserverpb.Member[]) => bigint | undefined,
    attempt: (member: ClusterMember) => Promise<bigint | undefined>,
    except?: ClusterMember,
  ): Promise<bigint> {
    let turn = 0
    return eventually(what, WAIT_MS, async () => {
      const up = this.#members.filter((member) => member.isUp && member !== except)
      const member = up[turn++ % up.length]
      if (member === undefined) return undefined
      try {
        return await attempt(member)
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error
        const { members } = await member.grpc.call(
          etcdserverpb.ClusterService.MemberList,
          {},
          { timeoutMs: CHANGE_TIMEOUT_MS },
        )
        const found = find(members)
        if (found !== undefined) return found
        throw error
      }
    })
  }
}
