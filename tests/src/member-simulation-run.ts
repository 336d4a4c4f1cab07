/** A member on a simulated computer, its callers, and the checks after each restart. */
import { type Backend, type BufferedBackendOptions } from '@etcd-ts/backend'
import { etcdserverpb, raftpb, walpb } from '@etcd-ts/api'
import { Code, MetadataList, type Status } from '@etcd-ts/grpc'
import type { Disk } from '@etcd-ts/platform'
import {
  Counters,
  LocalCall,
  Member,
  type ServerConfig,
  parseServerArguments,
  silentLogger,
} from '@etcd-ts/server'
import {
  type KeyValue,
  type KvAnswer,
  type KvCall,
  KvGenerator,
  KvHistory,
  type KvObservation,
  SeededRandom,
  type SimFaults,
  SimHost,
  type SimProcess,
  type TxnOperation,
  decodeResult,
  encodeCall,
  kvMethods,
  show,
} from '@etcd-ts/testkit'
import { alone } from './alone.ts'

const DATA_DIR = '/data'

const maintenance = etcdserverpb.MaintenanceService
const { AlarmAction, AlarmType } = etcdserverpb

export interface SimulationOptions {
  /** Instead of what the seed would choose. */
  readonly flags?: readonly string[]
  readonly walSegmentBytes?: number
  readonly callers?: number
  readonly paceMs?: number
  /** Bugs, planted to see that the checks find them. */
  readonly plant?: Plant
}

export interface Plant {
  readonly faults?: SimFaults
  /** Changes the backend that the member is given. */
  readonly backend?: (backend: Backend) => void
}

export interface LifeOptions {
  /** How many calls are made before the life is over. */
  readonly calls: number
  /** How long the life goes on after that. */
  readonly restMs?: number
  /** The process dies in the middle of this call to the outside. */
  readonly dieAtCall?: number
  /** The member is stopped in good order after so much time, unless the process has died. */
  readonly stopAfterMs?: number
  readonly faults?: SimFaults
  /** The process goes on for a while after the member has given up, and stops it, as a program that embeds one does. */
  readonly lingers?: boolean
}

interface Reply {
  readonly status: Status
  readonly bytes: Uint8Array
  /** It came after the member had given up. */
  readonly isLate: boolean
}

/** A member that runs. `call` resolves to undefined when the process dies or the member is stopped first. */
class RunningMember {
  readonly member: Member
  readonly #process: SimProcess
  readonly #waiting = new Set<(reply: undefined) => void>()
  hasGivenUp = false
  #isStopped = false

  constructor(process: SimProcess, member: Member) {
    this.member = member
    this.#process = process
    process.onDeath(() => this.#giveUp())
  }

  get isOver(): boolean {
    return this.#isStopped || !this.#process.isAlive
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.member.stop()
    this.#giveUp()
  }

  #giveUp(): void {
    for (const give of this.#waiting) give(undefined)
    this.#waiting.clear()
  }

  call(path: string, request: Uint8Array): Promise<Reply | undefined> {
    const method = this.member.services.get(path)
    if (method?.kind !== 'unary') throw new Error(`${path} is not a unary method`)
    const { clock } = this.#process
    return new Promise((resolve) => {
      if (this.isOver) {
        resolve(undefined)
        return
      }
      this.#waiting.add(resolve)
      let bytes = new Uint8Array(0)
      const call = new LocalCall(
        {
          onMessage: (message) => {
            bytes = new Uint8Array(message)
            return true
          },
          bufferedBytes: () => 0,
          onEnd: (status) => {
            if (!this.#waiting.delete(resolve)) return
            // What a member says while it ends is as good as nothing.
            const isNothing = (this.isOver || this.hasGivenUp) && status.code !== Code.Ok
            resolve(isNothing ? undefined : { status, bytes, isLate: this.hasGivenUp })
          },
          onResume: () => undefined,
        },
        { path, metadata: MetadataList.empty, timeoutMs: undefined, clock },
      )
      call.startUnary(method, request)
    })
  }
}

/** How long callers wait between calls, at most. */
const PACES_MS = [3, 3, 30, 300, 3000]
/** How long a program lingers that was told that its member has given up. */
const LINGER_MS = 1000

/** A member on its computer, through all its lives. A seed decides everything that the options do not. */
export class Simulation {
  readonly host: SimHost
  readonly history = new KvHistory()
  readonly random: SeededRandom
  /** What the member gave up with, in any of its lives. */
  readonly gaveUp: unknown[] = []
  readonly #plant: Plant
  readonly #walDir: string
  readonly #walSegmentBytes: number
  readonly #config: ServerConfig
  readonly #generator: KvGenerator
  readonly #callers: number
  readonly #paceMs: number
  #process: SimProcess | undefined

  constructor(seed: number, options: SimulationOptions = {}) {
    const random = new SeededRandom(seed)
    this.random = random
    this.#plant = options.plant ?? {}
    this.host = new SimHost(random.fork())
    this.#generator = new KvGenerator(random.fork())
    const callers = random.between(1, 6)
    const paceMs = random.pick(PACES_MS)
    const walSegmentBytes = random.pick([2000, 10_000, 64_000_000])
    this.#callers = options.callers ?? callers
    this.#paceMs = options.paceMs ?? paceMs
    this.#walSegmentBytes = options.walSegmentBytes ?? walSegmentBytes
    this.#walDir = random.chance(0.3) ? '/log/wal' : `${DATA_DIR}/member/wal`
    this.#config = configOf([
      `--data-dir=${DATA_DIR}`,
      `--wal-dir=${this.#walDir}`,
      `--snapshot-count=${random.between(5, 40)}`,
      `--snapshot-catchup-entries=${random.between(1, 20)}`,
      `--max-snapshots=${random.between(1, 5)}`,
      `--max-wals=${random.between(1, 5)}`,
      `--backend-batch-interval=${random.pick([1, 20, 100])}ms`,
      `--backend-batch-limit=${random.pick([1, 10, 10_000])}`,
      `--compaction-batch-limit=${random.pick([1, 5, 1000])}`,
      `--compaction-sleep-interval=${random.pick([1, 10])}ms`,
      ...(options.flags ?? []),
    ])
  }

  /**
   * Starts the member, compares what it holds to what was acknowledged in earlier lives, and has it called until the life is
   * over one way or the other; the process is still there afterwards, dead or alive.
   *
   * @returns the member, or undefined when it is dead
   */
  async live(options: LifeOptions): Promise<RunningMember | undefined> {
    const { calls, restMs = 0, dieAtCall = Infinity, stopAfterMs = Infinity, lingers = false } = options
    const { clock } = this.host
    await clock.advance(this.random.between(1, 2000))
    if (this.random.chance(0.1)) clock.stepWall(this.random.between(-3_600_000, 3_600_000))
    const process = this.host.start((call) => options.faults?.(call) ?? this.#plant.faults?.(call))
    this.#process = process
    process.dieAtCall(dieAtCall)
    let running: RunningMember | undefined
    let stopped: Promise<void> | undefined
    const stop = (): void => {
      stopped ??= running?.stop()
      stopped?.catch(() => undefined) // it is awaited below, but may fail before that
    }
    const fatal = (error: unknown): void => {
      this.host.note(`fatal ${String(error)}`)
      this.gaveUp.push(error)
      if (running === undefined || !lingers) {
        process.die()
        return
      }
      running.hasGivenUp = true
      process.clock.setTimer(LINGER_MS, stop)
    }
    const opening = this.#open(process, fatal).catch((error: unknown) => {
      // A start that fails without a reason is what these simulations look for.
      if (options.faults === undefined) throw error
      fatal(error)
      return undefined
    })
    const member = await this.host.settle(opening)
    if (member === undefined) return undefined
    this.#checkStorage(process)
    running = new RunningMember(process, member)
    if (stopAfterMs < Infinity) process.clock.setTimer(stopAfterMs, stop)
    await this.host.settle(unlessGivenUp(running, member.run()))
    const observed = await this.host.settle(this.#observe(running))
    if (observed !== undefined) {
      this.history.settle(observed)
      this.host.note(`revision ${observed.revision}, hash ${observed.hash}`)
      await this.host.settle(this.#callAll(running, calls))
      await this.host.clock.advance(restMs)
    }
    if (stopped !== undefined) await this.host.settle(unlessGivenUp(running, stopped))
    return running.isOver ? undefined : running
  }

  /** How many calls to the outside the member has made in this life. */
  get calls(): number {
    return this.#process?.calls ?? 0
  }

  /** Three lives that end badly and two that do not, with everything checked at the start of each. */
  async surviveCrashes(): Promise<void> {
    for (let crash = 0; crash < 3; crash++) {
      await this.live({
        calls: 150,
        dieAtCall: this.random.between(1, 500),
        stopAfterMs: this.random.chance(0.2) ? this.random.below(500) : Infinity,
      })
      this.host.end(this.random.chance(0.7) ? 'powerLoss' : 'kill')
      this.mustNotHaveGivenUp()
    }
    await this.live({ calls: 40, stopAfterMs: 60_000 })
    this.host.end('kill')
    await this.live({ calls: 0 })
    this.host.end('kill')
    this.mustNotHaveGivenUp()
  }

  mustNotHaveGivenUp(): void {
    if (this.gaveUp.length > 0) throw new Error('the member gave up', { cause: this.gaveUp[0] })
  }

  #open(process: SimProcess, fatal: (error: unknown) => void): Promise<Member> {
    return Member.open(this.#config, {
      ...alone,
      disk: process.disk,
      clock: process.clock,
      random: process.random,
      logger: silentLogger,
      metrics: new Counters(false),
      walSegmentBytes: this.#walSegmentBytes,
      openBackend: (options: BufferedBackendOptions) => {
        const backend = process.openBackend(options)
        this.#plant.backend?.(backend)
        return backend
      },
      fatal: (error) => {
        if (process.isAlive) fatal(error)
      },
    })
  }

  /** The log, once it has been opened, reaches at least as far as the backend, and that as far as the newest snapshot. */
  #checkStorage(process: SimProcess): void {
    process.look((disk, backend) => {
      const { lastIndex, snapshotIndex } = readLog(disk, this.#walDir)
      const row = backend
        .durableRows('meta')
        .find(([key]) => Buffer.from(key).toString() === 'consistent_index')
      const consistentIndex = row === undefined ? 0 : Number(Buffer.from(row[1]).readBigUInt64BE())
      if (consistentIndex > lastIndex || consistentIndex < snapshotIndex) {
        throw new Error(`snapshot at ${snapshotIndex}, backend at ${consistentIndex}, log up to ${lastIndex}`)
      }
    })
  }

  async #observe(running: RunningMember): Promise<KvObservation | undefined> {
    const reply = await running.call(maintenance.HashKV.path, maintenance.HashKV.request.encode({}))
    const alarms = await this.#alarm(running, AlarmAction.GET)
    if (reply === undefined || alarms === undefined) return undefined
    const { header, hash, compactRevision } = maintenance.HashKV.response.decode(mustBeOk(reply))
    const revision = header?.revision ?? 0
    const pairsAt = new Map<number, readonly KeyValue[]>()
    for (let at = Math.max(1, compactRevision); at <= revision; at++) {
      const everything: KvCall = {
        kind: 'range',
        key: '\0',
        rangeEnd: '\0',
        revision: BigInt(at),
        serializable: true,
      }
      const answer = await askKv(running, everything)
      if (answer === undefined) return undefined
      if (answer.kind === 'range') pairsAt.set(at, answer.kvs)
    }
    return { revision, compactRevision, hash, pairsAt, isAlarmed: alarms > 0 }
  }

  async #callAll(running: RunningMember, calls: number): Promise<void> {
    let left = calls
    const pause = (): Promise<boolean> => this.host.clock.sleep(this.random.below(this.#paceMs))
    const goOn = async (): Promise<boolean> => {
      await pause()
      return !running.isOver && left > 0
    }
    const caller = async (): Promise<void> => {
      while (await goOn()) {
        left--
        await this.#callKv(running, withoutGuesses(this.#generator.next(this.history)))
      }
    }
    const operator = async (): Promise<void> => {
      for (let isAlarmed = false; (await goOn()) || isAlarmed;) {
        if (running.isOver) return
        for (let i = 0; i < 5; i++) await pause()
        if (isAlarmed || this.random.chance(0.1)) {
          isAlarmed = !isAlarmed
          this.history.alarmBegins()
          const alarms = await this.#alarm(running, isAlarmed ? AlarmAction.ACTIVATE : AlarmAction.DEACTIVATE)
          if (alarms === undefined) return
          this.history.alarmEnded(isAlarmed)
        } else {
          const method = this.random.pick([maintenance.Defragment, maintenance.HashKV, maintenance.Status])
          await running.call(method.path, new Uint8Array(0))
        }
      }
    }
    await Promise.all([...Array.from({ length: this.#callers }, caller), operator()])
  }

  async #callKv(running: RunningMember, call: KvCall): Promise<void> {
    const recorded = this.history.begin(call)
    const answer = await askKv(running, call)
    if (answer === undefined) return
    this.history.answered(recorded, answer)
    this.host.note(`${show(call)} ${show(answer)}`)
  }

  /** @returns how many alarms the answer shows */
  async #alarm(running: RunningMember, action: etcdserverpb.AlarmAction): Promise<number | undefined> {
    const { path, request, response } = maintenance.Alarm
    const message = request.encode({ action, memberID: running.member.id, alarm: AlarmType.NOSPACE })
    const reply = await running.call(path, message)
    return reply === undefined ? undefined : response.decode(mustBeOk(reply)).alarms.length
  }
}

function configOf(flags: readonly string[]): ServerConfig {
  const parsed = parseServerArguments(
    flags,
    {},
    () => {
      throw new Error('no file is read')
    },
    () => '127.0.0.1',
  )
  if (parsed.kind === 'exit') throw new Error(`the flags are refused: ${parsed.stderr}`)
  return parsed.config
}

/** Who has given up may have nothing left to begin, or to end in good order. */
async function unlessGivenUp(running: RunningMember, work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!running.hasGivenUp) throw error
  }
}

function mustBeOk({ status, bytes }: Reply): Uint8Array {
  if (status.code !== Code.Ok) throw new Error(`refused: ${status.code} ${status.message}`)
  return bytes
}

async function askKv(running: RunningMember, call: KvCall): Promise<KvAnswer | undefined> {
  const reply = await running.call(kvMethods[call.kind].path, encodeCall(call))
  if (reply === undefined) return undefined
  const { status, bytes, isLate } = reply
  if (status.code === Code.Ok) {
    if (isLate && !isLocal(call)) throw new Error(`${show(call)} was answered after the member had given up`)
    return decodeResult(call, bytes)
  }
  return { kind: 'error', code: status.code, message: status.message }
}

/** Whether the log has nothing more to do with the answer: what is asked for is here, or is being removed here. */
function isLocal(call: KvCall | TxnOperation): boolean {
  if (call.kind === 'txn') return [...call.success, ...call.failure].every(isLocal)
  if (call.kind === 'compact') return call.physical === true
  return call.kind === 'range' && call.serializable === true
}

/** The call without what makes its outcome depend on an order that its caller does not learn, and without sorting. */
function withoutGuesses<Call extends KvCall | TxnOperation>(call: Call, isInTxn = false): Call {
  switch (call.kind) {
    case 'range':
      return { ...call, sortOrder: 0, sortTarget: 0, ...(isInTxn ? { revision: 0n } : {}) }
    case 'put':
      return { ...call, lease: 0n, ignoreLease: false, ignoreValue: false }
    case 'txn':
      return {
        ...call,
        success: call.success.map((operation) => withoutGuesses(operation, true)),
        failure: call.failure.map((operation) => withoutGuesses(operation, true)),
      }
    default:
      return call
  }
}

/** The index of the last entry and of the newest snapshot point of a log that is whole. */
function readLog(disk: Disk, dir: string): { lastIndex: number; snapshotIndex: number } {
  let lastIndex = 0
  let snapshotIndex = 0
  for (const name of disk.list(dir).filter((file) => file.endsWith('.wal'))) {
    const bytes = disk.readFile(`${dir}/${name}`)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    for (let at = 0; at + 8 <= bytes.length;) {
      const length = view.getUint32(at, true)
      if (length === 0) break
      const { type, data = new Uint8Array(0) } = walpb.Record.decode(bytes, at + 8, at + 8 + length)
      if (type === 2) lastIndex = raftpb.Entry.decode(data).index
      if (type === 5) snapshotIndex = walpb.Snapshot.decode(data).index
      at += 8 + Math.ceil(length / 8) * 8
    }
  }
  return { lastIndex, snapshotIndex }
}
