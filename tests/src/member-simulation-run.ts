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
} from '@etcd-ts/testkit'

const DATA_DIR = '/data'
const WAL_DIR = `${DATA_DIR}/member/wal`

const maintenance = etcdserverpb.MaintenanceService
const { AlarmAction, AlarmType } = etcdserverpb

/** A bug, planted to see that the checks find it. */
export interface Plant {
  readonly faults?: SimFaults
  readonly backend?: (backend: Backend) => Backend
}

export interface LifeOptions {
  /** How many calls are made before the life is over. */
  readonly calls: number
  /** The process dies in the middle of this call to the outside. */
  readonly dieAtCall?: number
  /** The process dies after so much time. */
  readonly dieAfterMs?: number
  readonly faults?: SimFaults
  /** The process goes on for a while after the member has given up, as a program that embeds one does. */
  readonly lingers?: boolean
}

type Reply = { readonly status: Status; readonly bytes: Uint8Array }

/** A member that runs. `call` resolves to undefined when the process dies first. */
class RunningMember {
  readonly process: SimProcess
  readonly member: Member
  readonly #waiting = new Set<(reply: undefined) => void>()

  constructor(process: SimProcess, member: Member) {
    this.process = process
    this.member = member
    process.onDeath(() => {
      for (const give of this.#waiting) give(undefined)
    })
  }

  call(path: string, request: Uint8Array): Promise<Reply | undefined> {
    const method = this.member.services.get(path)
    if (method?.kind !== 'unary') throw new Error(`${path} is not a unary method`)
    const { clock } = this.process
    return new Promise((resolve) => {
      if (!this.process.isAlive) {
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
            if (this.#waiting.delete(resolve) && this.process.isAlive) resolve({ status, bytes })
          },
          onResume: () => undefined,
        },
        { path, metadata: MetadataList.empty, timeoutMs: undefined, clock },
      )
      call.startUnary(method, request)
    })
  }
}

/** Pace of the callers: how long they wait between calls, at most. */
const PACES_MS = [3, 3, 30, 300, 3000]

export class Simulation {
  readonly host: SimHost
  readonly history = new KvHistory()
  /** What the member gave up with, in any of its lives. */
  readonly gaveUp: unknown[] = []
  readonly #random: SeededRandom
  readonly #config: ServerConfig
  readonly #generator: KvGenerator
  readonly #plant: Plant
  readonly #callers: number
  readonly #paceMs: number

  constructor(seed: number, plant: Plant = {}) {
    const random = new SeededRandom(seed)
    this.#random = random
    this.#plant = plant
    this.host = new SimHost(random.fork())
    this.#generator = new KvGenerator(random.fork())
    this.#callers = random.between(1, 6)
    this.#paceMs = random.pick(PACES_MS)
    this.#config = configOf([
      `--data-dir=${DATA_DIR}`,
      `--snapshot-count=${random.between(5, 40)}`,
      `--snapshot-catchup-entries=${random.between(1, 20)}`,
      `--max-snapshots=${random.between(1, 5)}`,
      `--max-wals=${random.between(1, 5)}`,
      `--backend-batch-interval=${random.pick([1, 20, 100])}ms`,
      `--backend-batch-limit=${random.pick([1, 10, 10_000])}`,
      `--compaction-batch-limit=${random.pick([1, 5, 1000])}`,
      `--compaction-sleep-interval=${random.pick([1, 10])}ms`,
    ])
  }

  /**
   * Starts the member, compares what it holds to what was acknowledged in earlier lives, and has it called until the life is
   * over one way or the other; the process is still there afterwards, dead or alive.
   *
   * @returns the member, or undefined when it is dead
   */
  async live(options: LifeOptions): Promise<RunningMember | undefined> {
    const { calls, dieAtCall = Infinity, dieAfterMs, lingers = false } = options
    await this.host.clock.advance(this.#random.between(1, 2000))
    if (this.#random.chance(0.1)) this.host.clock.stepWall(this.#random.between(-3_600_000, 3_600_000))
    const process = this.host.start((call) => options.faults?.(call) ?? this.#plant.faults?.(call))
    process.dieAtCall(dieAtCall)
    if (dieAfterMs !== undefined) process.clock.setTimer(dieAfterMs, () => process.die())
    const running = await this.#boot(process, lingers)
    if (running === undefined) return undefined
    const observed = await this.host.settle(this.#observe(running))
    if (observed === undefined) return undefined
    this.history.settle(observed)
    this.host.note(`revision ${observed.revision}, hash ${observed.hash}`)
    await this.host.settle(this.#callAll(running, calls))
    return process.isAlive ? running : undefined
  }

  /** Ends a member in good order. */
  async stop(running: RunningMember): Promise<void> {
    await this.host.settle(running.member.stop())
    this.host.end('kill')
  }

  async #boot(process: SimProcess, lingers: boolean): Promise<RunningMember | undefined> {
    const fatal = (error: unknown): void => {
      if (!process.isAlive) return
      this.host.note(`fatal ${String(error)}`)
      this.gaveUp.push(error)
      if (!lingers) process.die()
    }
    const opening = Member.open(this.#config, {
      disk: process.disk,
      clock: process.clock,
      random: process.random,
      logger: silentLogger,
      metrics: new Counters(false),
      openBackend: (options: BufferedBackendOptions) => {
        const backend = process.openBackend(options)
        return this.#plant.backend?.(backend) ?? backend
      },
      fatal,
    })
    const member = await this.host.settle(opening)
    if (member === undefined) return undefined
    this.#checkStorage(process)
    const running = new RunningMember(process, member)
    await this.host.settle(member.run())
    return process.isAlive ? running : undefined
  }

  /** The log, once it has been opened, reaches at least as far as the backend, and that as far as the newest snapshot. */
  #checkStorage(process: SimProcess): void {
    process.look((disk, backend) => {
      const { lastIndex, snapshotIndex } = readLog(disk)
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
    const pause = (): Promise<boolean> => this.host.clock.sleep(this.#random.below(this.#paceMs))
    const goOn = async (): Promise<boolean> => {
      await pause()
      return running.process.isAlive && left > 0
    }
    const caller = async (): Promise<void> => {
      while (await goOn()) {
        left--
        await this.#callKv(running, withoutGuesses(this.#generator.next(this.history)))
      }
    }
    const operator = async (): Promise<void> => {
      for (let isAlarmed = false; (await goOn()) || isAlarmed;) {
        if (!running.process.isAlive) return
        for (let i = 0; i < 5; i++) await pause()
        if (isAlarmed || this.#random.chance(0.1)) {
          isAlarmed = !isAlarmed
          this.history.alarmBegins()
          const alarms = await this.#alarm(running, isAlarmed ? AlarmAction.ACTIVATE : AlarmAction.DEACTIVATE)
          if (alarms === undefined) return
          this.history.alarmEnded(isAlarmed)
        } else {
          const method = this.#random.pick([maintenance.Defragment, maintenance.HashKV, maintenance.Status])
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
    this.host.note(`${call.kind} ${answer.kind === 'error' ? answer.message : answer.revision}`)
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

function mustBeOk({ status, bytes }: Reply): Uint8Array {
  if (status.code !== Code.Ok) throw new Error(`refused: ${status.code} ${status.message}`)
  return bytes
}

async function askKv(running: RunningMember, call: KvCall): Promise<KvAnswer | undefined> {
  const reply = await running.call(kvMethods[call.kind].path, encodeCall(call))
  if (reply === undefined) return undefined
  const { status, bytes } = reply
  if (status.code === Code.Ok) return decodeResult(call, bytes)
  return { kind: 'error', code: status.code, message: status.message }
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
function readLog(disk: Disk): { lastIndex: number; snapshotIndex: number } {
  let lastIndex = 0
  let snapshotIndex = 0
  for (const name of disk.list(WAL_DIR).filter((file) => file.endsWith('.wal'))) {
    const bytes = disk.readFile(`${WAL_DIR}/${name}`)
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
