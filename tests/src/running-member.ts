/** A member in this process, those who call it, and what can be seen of it from outside. */
import { etcdserverpb, raftpb, walpb } from '@etcd-ts/api'
import { Code, MetadataList, type Status } from '@etcd-ts/grpc'
import type { Disk } from '@etcd-ts/platform'
import { LocalCall, type Member, type ServerConfig, parseServerArguments } from '@etcd-ts/server'
import {
  type KeyValue,
  type KvAnswer,
  type KvCall,
  type KvObservation,
  type SimBackendFile,
  type SimProcess,
  type TxnOperation,
  decodeResult,
  encodeCall,
  kvMethods,
  show,
} from '@etcd-ts/testkit'
import { Wal } from '@etcd-ts/wal'

const maintenance = etcdserverpb.MaintenanceService
const { AlarmAction, AlarmType } = etcdserverpb

export interface Reply {
  readonly status: Status
  readonly bytes: Uint8Array
  /** It came after the member had given up. */
  readonly isLate: boolean
}

/** A member that runs. `call` resolves to undefined when the process dies or the member is stopped first. */
export class RunningMember {
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
      this.#process.whenAwake(() => call.startUnary(method, request))
    })
  }
}

/** What the member says of its store, which must be at rest; undefined when it dies first. */
export async function observe(running: RunningMember): Promise<KvObservation | undefined> {
  const reply = await running.call(maintenance.HashKV.path, maintenance.HashKV.request.encode({}))
  const alarms = await countAlarms(running, AlarmAction.GET)
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

/** Reads, raises or disarms the NOSPACE alarm of the member. @returns how many alarms the answer shows */
export async function countAlarms(
  running: RunningMember,
  action: etcdserverpb.AlarmAction,
): Promise<number | undefined> {
  const { path, request, response } = maintenance.Alarm
  const message = request.encode({ action, memberID: running.member.id, alarm: AlarmType.NOSPACE })
  const reply = await running.call(path, message)
  return reply === undefined ? undefined : response.decode(mustBeOk(reply)).alarms.length
}

/** @throws when the server would refuse the flags */
export function configOf(flags: readonly string[]): ServerConfig {
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

export function mustBeOk({ status, bytes }: Reply): Uint8Array {
  if (status.code !== Code.Ok) throw new Error(`refused: ${status.code} ${status.message}`)
  return bytes
}

/** Undefined when the member dies or stops first. */
export async function askKv(running: RunningMember, call: KvCall): Promise<KvAnswer | undefined> {
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
export function withoutGuesses<Call extends KvCall | TxnOperation>(call: Call, isInTxn = false): Call {
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

/** The index of the last entry and of the newest snapshot point that counts, of a log that is whole. */
function readLog(disk: Disk, dir: string): { lastIndex: number; snapshotIndex: number } {
  const snapshotIndex = Wal.snapshotsIn(disk, dir).at(-1)?.index ?? 0
  let lastIndex = snapshotIndex
  for (const name of disk.list(dir).filter((file) => file.endsWith('.wal'))) {
    const bytes = disk.readFile(`${dir}/${name}`)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    for (let at = 0; at + 8 <= bytes.length;) {
      const length = view.getUint32(at, true)
      if (length === 0) break
      const { type, data = new Uint8Array(0) } = walpb.Record.decode(bytes, at + 8, at + 8 + length)
      if (type === 2) lastIndex = Math.max(snapshotIndex, raftpb.Entry.decode(data).index)
      at += 8 + Math.ceil(length / 8) * 8
    }
  }
  return { lastIndex, snapshotIndex }
}

/** The log, once it has been opened, reaches at least as far as the backend, and that as far as the newest snapshot. */
export function checkStorage(process: SimProcess, walDir: string): void {
  process.look((disk, backend) => {
    const { lastIndex, snapshotIndex } = readLog(disk, walDir)
    const consistentIndex = consistentIndexOf(backend)
    if (consistentIndex > lastIndex || consistentIndex < snapshotIndex) {
      throw new Error(`snapshot at ${snapshotIndex}, backend at ${consistentIndex}, log up to ${lastIndex}`)
    }
  })
}

/** The index of the last entry that the backend holds. */
export function consistentIndexOf(backend: SimBackendFile): number {
  const row = backend.durableRows('meta').find(([key]) => Buffer.from(key).toString() === 'consistent_index')
  return row === undefined ? 0 : Number(Buffer.from(row[1]).readBigUInt64BE())
}
