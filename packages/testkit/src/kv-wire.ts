import { etcdserverpb, type mvccpb } from '@etcd-ts/api'
import {
  type ByteString,
  type Compare,
  CompareTarget,
  type KeyValue,
  type KvCall,
  type KvResult,
  type TxnCall,
  type TxnOperation,
  type TxnOperationResult,
} from './kv-types.ts'

/** The service's method for a kind of call. */
export const kvMethods = {
  range: etcdserverpb.KVService.Range,
  put: etcdserverpb.KVService.Put,
  deleteRange: etcdserverpb.KVService.DeleteRange,
  txn: etcdserverpb.KVService.Txn,
  compact: etcdserverpb.KVService.Compact,
} as const

export function toBytes(text: ByteString): Uint8Array {
  return Buffer.from(text, 'latin1')
}

export function fromBytes(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** The request message of a call. */
export function encodeCall(call: KvCall): Uint8Array {
  switch (call.kind) {
    case 'range':
      return etcdserverpb.RangeRequest.encode(rangeInit(call))
    case 'put':
      return etcdserverpb.PutRequest.encode(putInit(call))
    case 'deleteRange':
      return etcdserverpb.DeleteRangeRequest.encode(deleteRangeInit(call))
    case 'txn':
      return etcdserverpb.TxnRequest.encode(txnInit(call))
    case 'compact':
      return etcdserverpb.CompactionRequest.encode({ revision: call.revision, physical: call.physical })
  }
}

/** The result in a response message of a call. */
export function decodeResult(call: KvCall, bytes: Uint8Array): KvResult {
  switch (call.kind) {
    case 'range':
      return rangeResult(etcdserverpb.RangeResponse.decode(bytes))
    case 'put':
      return putResult(etcdserverpb.PutResponse.decode(bytes))
    case 'deleteRange':
      return deleteRangeResult(etcdserverpb.DeleteRangeResponse.decode(bytes))
    case 'txn':
      return txnResult(etcdserverpb.TxnResponse.decode(bytes))
    case 'compact':
      return { kind: 'compact', revision: revisionOf(etcdserverpb.CompactionResponse.decode(bytes)) }
  }
}

type CallOf<Kind extends KvCall['kind']> = Extract<KvCall, { kind: Kind }>

function rangeInit(call: CallOf<'range'>): etcdserverpb.RangeRequestInit {
  const { kind: _, key, rangeEnd, sortOrder, sortTarget, ...rest } = call
  return {
    ...rest,
    key: toBytes(key),
    rangeEnd: toBytes(rangeEnd ?? ''),
    // Numbers outside of the enums are sent as they are.
    sortOrder: sortOrder as etcdserverpb.SortOrder | undefined,
    sortTarget: sortTarget as etcdserverpb.SortTarget | undefined,
  }
}

function putInit(call: CallOf<'put'>): etcdserverpb.PutRequestInit {
  const { kind: _, key, value, ...rest } = call
  return { ...rest, key: toBytes(key), value: toBytes(value ?? '') }
}

function deleteRangeInit(call: CallOf<'deleteRange'>): etcdserverpb.DeleteRangeRequestInit {
  return { key: toBytes(call.key), rangeEnd: toBytes(call.rangeEnd ?? ''), prevKv: call.prevKv }
}

function txnInit(call: TxnCall): etcdserverpb.TxnRequestInit {
  return {
    compare: call.compare.map(compareInit),
    success: call.success.map(operationInit),
    failure: call.failure.map(operationInit),
  }
}

function operationInit(operation: TxnOperation): etcdserverpb.RequestOpInit {
  switch (operation.kind) {
    case 'range':
      return { request: { case: 'requestRange', value: rangeInit(operation) } }
    case 'put':
      return { request: { case: 'requestPut', value: putInit(operation) } }
    case 'deleteRange':
      return { request: { case: 'requestDeleteRange', value: deleteRangeInit(operation) } }
    case 'txn':
      return { request: { case: 'requestTxn', value: txnInit(operation) } }
    case 'empty':
      return {}
  }
}

function compareInit(compare: Compare): etcdserverpb.CompareInit {
  return {
    key: toBytes(compare.key),
    rangeEnd: toBytes(compare.rangeEnd ?? ''),
    result: compare.result as etcdserverpb.CompareResult,
    target: compare.target as etcdserverpb.CompareTarget,
    targetUnion: operandInit(compare),
  }
}

function operandInit(compare: Compare): etcdserverpb.CompareInit['targetUnion'] {
  const number = compare.number
  if (compare.target === CompareTarget.value) {
    return compare.value === undefined ? undefined : { case: 'value', value: toBytes(compare.value) }
  }
  if (number === undefined) return undefined
  switch (compare.target) {
    case CompareTarget.create:
      return { case: 'createRevision', value: number }
    case CompareTarget.mod:
      return { case: 'modRevision', value: number }
    case CompareTarget.lease:
      return { case: 'lease', value: number }
    default:
      return { case: 'version', value: number }
  }
}

function revisionOf(response: { header: etcdserverpb.ResponseHeader | undefined }): number {
  return response.header?.revision ?? 0
}

function keyValue(kv: mvccpb.KeyValue): KeyValue {
  return { ...kv, key: fromBytes(kv.key), value: fromBytes(kv.value) }
}

function rangeResult(response: etcdserverpb.RangeResponse): Extract<KvResult, { kind: 'range' }> {
  const { more, count } = response
  return { kind: 'range', revision: revisionOf(response), kvs: response.kvs.map(keyValue), more, count }
}

function putResult(response: etcdserverpb.PutResponse): Extract<KvResult, { kind: 'put' }> {
  const prevKv = response.prevKv === undefined ? undefined : keyValue(response.prevKv)
  return { kind: 'put', revision: revisionOf(response), prevKv }
}

function deleteRangeResult(
  response: etcdserverpb.DeleteRangeResponse,
): Extract<KvResult, { kind: 'deleteRange' }> {
  const prevKvs = response.prevKvs.map(keyValue)
  return { kind: 'deleteRange', revision: revisionOf(response), deleted: response.deleted, prevKvs }
}

function txnResult(response: etcdserverpb.TxnResponse): Extract<KvResult, { kind: 'txn' }> {
  const responses = response.responses.map(operationResult)
  return { kind: 'txn', revision: revisionOf(response), succeeded: response.succeeded, responses }
}

function operationResult({ response }: etcdserverpb.ResponseOp): TxnOperationResult {
  switch (response?.case) {
    case 'responseRange':
      return rangeResult(response.value)
    case 'responsePut':
      return putResult(response.value)
    case 'responseDeleteRange':
      return deleteRangeResult(response.value)
    case 'responseTxn':
      return txnResult(response.value)
    case undefined:
      throw new Error('a txn answered an operation with nothing')
  }
}
