import { ApiError, type Codec, etcdserverpb } from '@etcd-ts/api'
import type { Method, UnaryCall } from '@etcd-ts/grpc'
import {
  type DeleteRangeResult,
  type MvccStore,
  type PutResult,
  type TxnResult,
  checkDeleteRange,
  checkPut,
  checkRange,
  checkTxn,
  isReadOnlyTxn,
} from '@etcd-ts/mvcc'
import { type CompactionResult } from '../apply/applier.ts'
import { putCost, txnCost } from '../apply/quota.ts'
import { ProposalField } from '../propose/entry-codec.ts'
import type { Counters } from '../metrics/index.ts'
import type { Waiter } from '../propose/proposals.ts'
import type { PendingRead } from '../propose/read-index.ts'
import type { ResponseWriter } from './response-writer.ts'
import { statusOf, unary } from './respond.ts'

/** What the KV service needs of the member. */
export interface KvPorts {
  readonly store: MvccStore
  readonly writer: ResponseWriter
  readonly txnOpsMax: number
  readonly metrics: Counters
  /** The term that answers report. */
  term(): number
  /** Monotonic time at which a call that starts now gives up. */
  deadlineMs(): number
  /** Has `request` replicated and applied; the waiter learns what came of it. @throws ApiError when refused at once */
  propose<Message, Init>(field: number, codec: Codec<Message, Init>, request: Init, waiter: Waiter): void
  /** Calls the read back once this member's state covers everything committed by now. */
  readLinearizable(read: PendingRead): void
  /** @throws ApiError when a write of this cost does not fit into the quota */
  reserve(cost: number): void
}

/** A call that waits for its proposal to be applied. */
abstract class WaitingCall<Result> implements Waiter<Result> {
  readonly deadlineMs: number
  entryBytes = 0
  protected readonly call: UnaryCall
  protected readonly ports: KvPorts

  constructor(call: UnaryCall, ports: KvPorts) {
    this.call = call
    this.ports = ports
    this.deadlineMs = ports.deadlineMs()
  }

  get ended(): boolean {
    return this.call.ended
  }

  abstract applied(result: Result): void

  failed(error: unknown): void {
    this.call.fail(statusOf(error))
  }
}

class PutCall extends WaitingCall<PutResult> {
  override applied(result: PutResult): void {
    const { writer } = this.ports
    writer.put(result, this.ports.term())
    this.call.respond(writer.bytes, 0, writer.length)
  }
}

class DeleteRangeCall extends WaitingCall<DeleteRangeResult> {
  override applied(result: DeleteRangeResult): void {
    const { writer } = this.ports
    writer.deleteRange(result, this.ports.term())
    this.call.respond(writer.bytes, 0, writer.length)
  }
}

class TxnCall extends WaitingCall<TxnResult> {
  override applied(result: TxnResult): void {
    const { writer } = this.ports
    writer.txn(result, this.ports.term())
    this.call.respond(writer.bytes, 0, writer.length)
  }
}

class CompactionCall extends WaitingCall<CompactionResult> {
  readonly #physical: boolean

  constructor(call: UnaryCall, ports: KvPorts, physical: boolean) {
    super(call, ports)
    this.#physical = physical
  }

  override applied(result: CompactionResult): void {
    if (!this.#physical) {
      this.#respond(result.revision)
      return
    }
    result.done.then(
      () => this.#respond(result.revision),
      // Only a member that ends leaves the removal to its next run.
      () => this.failed(new ApiError('stopped')),
    )
  }

  #respond(revision: number): void {
    const { writer } = this.ports
    writer.header(revision, this.ports.term())
    this.call.respond(writer.bytes, 0, writer.length)
  }
}

/** A range or read-only txn that waits for its read index; also used at once for serializable reads. */
abstract class ReadCall implements PendingRead {
  readonly deadlineMs: number
  protected readonly call: UnaryCall
  protected readonly ports: KvPorts

  constructor(call: UnaryCall, ports: KvPorts) {
    this.call = call
    this.ports = ports
    this.deadlineMs = ports.deadlineMs()
  }

  protected abstract write(): void

  ready(): void {
    if (this.call.ended) return
    const { writer } = this.ports
    try {
      this.write()
    } catch (error) {
      this.call.fail(statusOf(error))
      return
    }
    this.call.respond(writer.bytes, 0, writer.length)
  }

  failed(error: unknown): void {
    this.call.fail(statusOf(error))
  }
}

class RangeCall extends ReadCall {
  readonly #request: etcdserverpb.RangeRequest

  constructor(call: UnaryCall, ports: KvPorts, request: etcdserverpb.RangeRequest) {
    super(call, ports)
    this.#request = request
  }

  protected override write(): void {
    this.ports.writer.range(this.ports.store.range(this.#request), this.ports.term())
  }
}

class ReadTxnCall extends ReadCall {
  readonly #request: etcdserverpb.TxnRequest

  constructor(call: UnaryCall, ports: KvPorts, request: etcdserverpb.TxnRequest) {
    super(call, ports)
    this.#request = request
  }

  protected override write(): void {
    this.ports.writer.txn(this.ports.store.txn(this.#request), this.ports.term())
  }
}

function isSerializable(txn: etcdserverpb.TxnRequest): boolean {
  const isLocal = ({ request }: etcdserverpb.RequestOp): boolean =>
    request?.case === 'requestRange' && request.value.serializable
  return txn.success.every(isLocal) && txn.failure.every(isLocal)
}

/** The KV service: Range, Put, DeleteRange, Txn, Compact. */
export function kvService(ports: KvPorts): [path: string, method: Method][] {
  const { store, writer } = ports

  const range = unary((call, bytes) => {
    const request = etcdserverpb.RangeRequest.decode(bytes)
    checkRange(request)
    ports.metrics.mvcc.ranges++
    if (request.serializable) {
      writer.range(store.range(request), ports.term())
      call.respond(writer.bytes, 0, writer.length)
      return
    }
    // The request's bytes are gone when the read index arrives.
    const kept = etcdserverpb.RangeRequest.decode(Buffer.from(bytes))
    ports.readLinearizable(new RangeCall(call, ports, kept))
  })

  const put = unary((call, bytes) => {
    const request = etcdserverpb.PutRequest.decode(bytes)
    checkPut(request)
    ports.reserve(putCost(request))
    ports.propose(ProposalField.put, etcdserverpb.PutRequest, request, new PutCall(call, ports))
  })

  const deleteRange = unary((call, bytes) => {
    const request = etcdserverpb.DeleteRangeRequest.decode(bytes)
    checkDeleteRange(request)
    ports.propose(
      ProposalField.deleteRange,
      etcdserverpb.DeleteRangeRequest,
      request,
      new DeleteRangeCall(call, ports),
    )
  })

  const txn = unary((call, bytes) => {
    const request = etcdserverpb.TxnRequest.decode(bytes)
    checkTxn(request, ports.txnOpsMax)
    if (!isReadOnlyTxn(request)) {
      store.checkTxnRevisions(request)
      ports.reserve(txnCost(request))
      ports.propose(ProposalField.txn, etcdserverpb.TxnRequest, request, new TxnCall(call, ports))
      return
    }
    const read = new ReadTxnCall(call, ports, etcdserverpb.TxnRequest.decode(Buffer.from(bytes)))
    if (isSerializable(request)) read.ready()
    else ports.readLinearizable(read)
  })

  const compact = unary((call, bytes) => {
    const request = etcdserverpb.CompactionRequest.decode(bytes)
    const waiter = new CompactionCall(call, ports, request.physical)
    ports.propose(ProposalField.compaction, etcdserverpb.CompactionRequest, request, waiter)
  })

  return [
    ['/etcdserverpb.KV/Range', range],
    ['/etcdserverpb.KV/Put', put],
    ['/etcdserverpb.KV/DeleteRange', deleteRange],
    ['/etcdserverpb.KV/Txn', txn],
    ['/etcdserverpb.KV/Compact', compact],
  ]
}
