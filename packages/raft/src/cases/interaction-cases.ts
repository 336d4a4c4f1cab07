import { ConfChangeTransition, type AnyConfChange } from '../conf-change.ts'
import { ConfChangeTextError, describeProgressMap, parseConfChanges } from '../describe-config.ts'
import { describeEntries, describeMessage, describeReady, raftStateName } from '../describe.ts'
import { StorageError } from '../memory-storage.ts'
import {
  type HardState,
  type Message,
  MessageType,
  NO_LIMIT,
  type Snapshot,
  emptySnapshot,
  isEmptyHardState,
  isLocalTarget,
  newMessage,
} from '../messages.ts'
import { isVoter } from '../quorum.ts'
import { type Refusal, refusalText } from '../refusal.ts'
import type { Case, CaseArgument } from './case-file.ts'
import { CaseNode, type NodeOptions } from './case-node.ts'
import { CaseError, CaseOutput } from './output.ts'

const encoder = new TextEncoder()

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

/** A group of nodes, the messages between them, and the commands that move it. */
export class InteractionCases {
  readonly #output = new CaseOutput()
  readonly #nodes: CaseNode[] = []
  /** In flight, in the order in which they were sent. */
  #messages: Message[] = []

  run(one: Case): string {
    let error = ''
    try {
      this.#handle(one)
    } catch (cause) {
      if (!isAnswer(cause)) throw cause
      error = cause.message
    }
    const text = this.#output.take() + error
    return text === '' ? 'ok\n' : text
  }

  #handle({ command, args, input }: Case): void {
    switch (command) {
      case '_breakpoint':
        return
      case 'add-nodes':
        return this.#addNodes(args)
      case 'campaign':
        return this.#first(args).raw.campaign()
      case 'compact':
        return this.#compact(this.#first(args), Number(args[1]?.key))
      case 'deliver-msgs':
        return this.#deliverCommand(args)
      case 'process-ready':
        return this.#forEach(args, 'handling Ready', (node) => this.#processReady(node))
      case 'process-append-thread':
        return this.#forEach(args, 'processing append thread', (node) => this.#processAppend(node))
      case 'process-apply-thread':
        return this.#forEach(args, 'processing apply thread', (node) => this.#processApply(node))
      case 'log-level':
        return this.#output.setLevel(args[0]?.key ?? '')
      case 'raft-log':
        return this.#printLog(this.#first(args))
      case 'raft-state':
        return this.#printStates()
      case 'set-randomized-election-timeout':
        this.#first(args).raw.raft.randomizedElectionTimeout = Number(valueOf(args, 'timeout'))
        return
      case 'stabilize':
        return this.#stabilizeCommand(args)
      case 'status':
        return this.#output.write(describeProgressMap(this.#first(args).raw.status().progress))
      case 'tick-election':
        return tick(this.#first(args), (node) => node.options.electionTicks)
      case 'tick-heartbeat':
        return tick(this.#first(args), (node) => node.options.heartbeatTicks)
      case 'transfer-leadership':
        return this.#node(valueOf(args, 'from')).raw.transferLeader(this.#node(valueOf(args, 'to')).id)
      case 'forget-leader':
        return this.#first(args).raw.forgetLeader()
      case 'send-snapshot':
        return this.#sendSnapshot(this.#nodesNamed(args))
      case 'propose':
        return check(this.#first(args).raw.propose(encoder.encode(args[1]?.key ?? '')))
      case 'propose-conf-change':
        return check(this.#first(args).raw.proposeConfChange(confChangeOfCase(args.slice(1), input)))
      case 'report-unreachable':
        return this.#reportUnreachable(this.#nodesNamed(args))
      default:
        throw new CaseError('unknown command')
    }
  }

  #node(id: string): CaseNode {
    const node = this.#nodes[Number(id) - 1]
    if (node === undefined) throw new Error(`there is no node ${id}`)
    return node
  }

  #first(args: readonly CaseArgument[]): CaseNode {
    return this.#node(args[0]?.key ?? '')
  }

  #nodesNamed(args: readonly CaseArgument[]): CaseNode[] {
    return args.filter(({ values }) => values.length === 0).map(({ key }) => this.#node(key))
  }

  #forEach(args: readonly CaseArgument[], doing: string, action: (node: CaseNode) => void): void {
    const nodes = this.#nodesNamed(args)
    for (const node of nodes) {
      if (nodes.length > 1) this.#headed(node, doing, () => action(node))
      else action(node)
    }
  }

  #headed(node: CaseNode, doing: string, action: () => void): void {
    this.#output.write(`> ${node.id} ${doing}\n`)
    this.#output.indented(action)
  }

  #addNodes(args: readonly CaseArgument[]): void {
    const options: Mutable<NodeOptions> = {
      electionTicks: 3,
      heartbeatTicks: 1,
      // Longest timeouts: who is to campaign is told to.
      random: { below: (bound) => bound - 1 },
      maxSizePerMessage: NO_LIMIT,
      maxInflightMessages: NO_LIMIT,
      logger: this.#output.logger,
    }
    let start: Snapshot | undefined
    const startFrom = (): Snapshot => {
      start ??= emptySnapshot()
      start.metadata.term = 1
      return start
    }
    for (const { key, values } of args.slice(1)) {
      const value = values[0] ?? ''
      const flag = value === 'true'
      if (key === 'voters') startFrom().metadata.confState.voters.push(...values.map(BigInt))
      else if (key === 'learners') startFrom().metadata.confState.learners.push(...values.map(BigInt))
      else if (key === 'content') startFrom().data = encoder.encode(value)
      else if (key === 'index') options.applied = startFrom().metadata.index = Number(value)
      else if (key === 'inflight') options.maxInflightMessages = Number(value)
      else if (key === 'async-storage-writes') options.asyncStorageWrites = flag
      else if (key === 'prevote') options.preVote = flag
      else if (key === 'checkquorum') options.checkQuorum = flag
      else if (key === 'max-committed-size-per-ready') options.maxCommittedSizePerReady = Number(value)
      else if (key === 'disable-conf-change-validation') options.disableConfChangeValidation = flag
      else if (key === 'step-down-on-removal') options.stepDownOnRemoval = flag
      else if (key === 'read-only' && value === 'safe') options.readOnlyOption = 'safe'
      else if (key === 'read-only' && value === 'lease-based') options.readOnlyOption = 'leaseBased'
      else if (key === 'read-only') throw new CaseError(`invalid read-only option "${value}"`)
      else throw new Error(`unknown argument ${key}`)
    }
    const count = Number(args[0]?.key)
    for (let i = 0; i < count; i++) {
      this.#nodes.push(new CaseNode(BigInt(this.#nodes.length + 1), options, emptySnapshot(), start))
    }
  }

  #compact(node: CaseNode, index: number): void {
    node.storage.compact(index)
    this.#printLog(node)
  }

  #printLog({ storage }: CaseNode): void {
    const first = storage.firstIndex()
    const last = storage.lastIndex()
    this.#output.write(
      last < first
        ? `log is empty: first index=${first}, last index=${last}`
        : describeEntries(storage.entries(first, last + 1, NO_LIMIT)),
    )
  }

  #printStates(): void {
    for (const { raw } of this.#nodes) {
      const { id, raftState, hardState, lead, config } = raw.status()
      const voter = isVoter(config.voters, id) ? '(Voter)' : '(Non-Voter)'
      this.#output.write(`${id}: ${raftStateName(raftState)} ${voter} Term:${hardState.term} Lead:${lead}\n`)
    }
  }

  #processReady(node: CaseNode): void {
    const ready = node.raw.ready()
    this.#output.write(describeReady(ready))
    const isAsync = node.options.asyncStorageWrites === true
    if (!isAsync) {
      node.append(ready.hardState, ready.entries, ready.snapshot)
      node.apply(ready.committedEntries)
    }
    for (const message of ready.messages) {
      if (message.type === MessageType.MsgStorageAppend) node.appendWork.push(message)
      else if (message.type === MessageType.MsgStorageApply) node.applyWork.push(message)
      else this.#messages.push(message)
    }
    if (!isAsync) node.raw.advance()
  }

  #processAppend(node: CaseNode): void {
    this.#processWork(node.appendWork, 'append', ({ term, vote, commit, entries, snapshot }) => {
      const hardState: HardState = { term, vote, commit }
      node.append(isEmptyHardState(hardState) ? undefined : hardState, entries, snapshot)
    })
  }

  #processApply(node: CaseNode): void {
    this.#processWork(node.applyWork, 'apply', ({ entries }) => node.apply(entries))
  }

  #processWork(queue: Message[], kind: string, work: (message: Message) => void): void {
    const message = queue.shift()
    if (message === undefined) {
      this.#output.write(`no ${kind} work to perform`)
      return
    }
    const { responses } = message
    this.#output.write(`Processing:\n${describeMessage({ ...message, responses: [] })}\n`)
    work(message)
    this.#output.write('Responses:\n')
    for (const response of responses) this.#output.write(`${describeMessage(response)}\n`)
    this.#messages.push(...responses)
  }

  #deliverCommand(args: readonly CaseArgument[]): void {
    const recipients: { id: bigint; isDropped: boolean }[] = []
    let type: MessageType | undefined
    for (const { key, values } of args) {
      if (values.length === 0) recipients.push({ id: BigInt(key), isDropped: false })
      else if (key === 'drop') recipients.push(...values.map((id) => ({ id: BigInt(id), isDropped: true })))
      else if (key === 'type') type = typeOfName(values[0] ?? '')
      else throw new Error(`unknown argument ${key}`)
    }
    let count = 0
    for (const { id, isDropped } of recipients) count += this.#deliver(id, isDropped, type)
    if (count === 0) this.#output.write('no messages\n')
  }

  /** @returns how many messages there were */
  #deliver(id: bigint, isDropped: boolean, type?: MessageType): number {
    const isTaken = (message: Message): boolean =>
      message.to === id &&
      !(isDropped && isWithinMember(message)) &&
      (type === undefined || message.type === type)
    const taken = this.#messages.filter(isTaken)
    this.#messages = this.#messages.filter((message) => !isTaken(message))
    for (const message of taken) {
      this.#output.write(`${isDropped ? 'dropped: ' : ''}${describeMessage(message)}\n`)
      if (isDropped) continue
      const refusal = this.#node(String(id)).raw.step(message)
      if (refusal !== undefined) this.#output.write(`${refusalText[refusal]}\n`)
    }
    return taken.length
  }

  #stabilizeCommand(args: readonly CaseArgument[]): void {
    const { level } = this.#output
    const named = this.#nodesNamed(args)
    const nodes = named.length > 0 ? named : this.#nodes
    try {
      const name = args.find(({ key }) => key === 'log-level')?.values[0]
      if (name !== undefined) this.#output.setLevel(name)
      while (this.#stabilizeRound(nodes));
    } finally {
      this.#output.level = level
    }
  }

  /** @returns whether there was anything to do */
  #stabilizeRound(nodes: readonly CaseNode[]): boolean {
    let isBusy = false
    const forBusy = (
      doing: string,
      hasWork: (node: CaseNode) => boolean,
      action: (node: CaseNode) => void,
    ): void => {
      for (const node of nodes) {
        if (!hasWork(node)) continue
        isBusy = true
        this.#headed(node, doing, () => action(node))
      }
    }
    forBusy(
      'handling Ready',
      (node) => node.raw.hasReady(),
      (node) => this.#processReady(node),
    )
    forBusy(
      'receiving messages',
      ({ id }) => this.#messages.some(({ to }) => to === id),
      ({ id }) => void this.#deliver(id, false),
    )
    forBusy(
      'processing append thread',
      ({ appendWork }) => appendWork.length > 0,
      (node) => {
        while (node.appendWork.length > 0) this.#processAppend(node)
      },
    )
    forBusy(
      'processing apply thread',
      ({ applyWork }) => applyWork.length > 0,
      (node) => {
        while (node.applyWork.length > 0) this.#processApply(node)
      },
    )
    return isBusy
  }

  #sendSnapshot([from, to]: readonly CaseNode[]): void {
    if (from === undefined || to === undefined) throw new CaseError('expected two node indexes')
    const message = newMessage(MessageType.MsgSnap, to.id)
    message.from = from.id
    message.term = from.raw.basicStatus().hardState.term
    message.snapshot = from.latest
    this.#messages.push(message)
    this.#output.write(describeMessage(message))
  }

  #reportUnreachable(nodes: readonly CaseNode[]): void {
    const [at, unreachable, ...others] = nodes
    if (at === undefined || unreachable === undefined || others.length > 0) {
      throw new CaseError('must specify exactly two node indexes: node on which to report, and reported node')
    }
    at.raw.reportUnreachable(unreachable.id)
  }
}

function isAnswer(error: unknown): error is Error {
  return error instanceof CaseError || error instanceof ConfChangeTextError || error instanceof StorageError
}

function valueOf(args: readonly CaseArgument[], name: string): string {
  const value = args.find(({ key }) => key === name)?.values[0]
  if (value === undefined) throw new Error(`argument ${name} is missing`)
  return value
}

function check(refusal: Refusal | undefined): void {
  if (refusal !== undefined) throw new CaseError(refusalText[refusal])
}

function tick(node: CaseNode, ticks: (node: CaseNode) => number): void {
  for (let i = 0; i < ticks(node); i++) node.raw.tick()
}

function typeOfName(name: string): MessageType {
  const type = Object.entries(MessageType).find(([known]) => known === name)?.[1]
  if (type === undefined) throw new Error(`unknown message type ${name}`)
  return type
}

/** Between a member and itself or its storage nothing gets lost. */
function isWithinMember({ from, to }: Message): boolean {
  return from === to || isLocalTarget(from) || isLocalTarget(to)
}

const transitions = new Map<string, ConfChangeTransition>([
  ['auto', ConfChangeTransition.ConfChangeTransitionAuto],
  ['implicit', ConfChangeTransition.ConfChangeTransitionJointImplicit],
  ['explicit', ConfChangeTransition.ConfChangeTransitionJointExplicit],
])

function confChangeOfCase(args: readonly CaseArgument[], input: string): AnyConfChange {
  let isFirstVersion = false
  let transition: ConfChangeTransition = ConfChangeTransition.ConfChangeTransitionAuto
  for (const { key, values } of args) {
    const value = values[0] ?? ''
    if (key === 'v1') {
      isFirstVersion = value === 'true'
    } else if (key === 'transition') {
      const known = transitions.get(value)
      if (known === undefined) throw new CaseError(`unknown transition ${value}`)
      transition = known
    } else {
      throw new CaseError(`unknown command ${key}`)
    }
  }
  const changes = parseConfChanges(input)
  if (!isFirstVersion) return { transition, changes, context: undefined }
  const [change, ...others] = changes
  if (change === undefined || others.length > 0 || transition !== 0) {
    throw new CaseError('v1 conf change can only have one operation and no transition')
  }
  return { id: 0n, type: change.type, nodeId: change.nodeId, context: undefined }
}
