import {
  type ByteString,
  type Compare,
  CompareTarget,
  type KeyValue,
  type KvCall,
  type KvError,
  type KvResult,
  type TxnOperation,
  type TxnOperationResult,
} from './kv-types.ts'

// The gateway's JSON, written down a second time on purpose: nothing here comes from the codecs that the server uses.

type Json = undefined | boolean | number | string | Json[] | { [name: string]: Json }

/** The gateway's path for a kind of call. */
export const kvPaths = {
  range: '/v3/kv/range',
  put: '/v3/kv/put',
  deleteRange: '/v3/kv/deleterange',
  txn: '/v3/kv/txn',
  compact: '/v3/kv/compaction',
} as const

const ORDERS = ['NONE', 'ASCEND', 'DESCEND']
const TARGETS = ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE']
const COMPARE_RESULTS = ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL']
const COMPARE_TARGETS = ['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE']
const OPERANDS = ['version', 'create_revision', 'mod_revision', 'value', 'lease']

/** @param camelCase whether to use the second form of the names that a gateway must accept */
export function encodeJsonCall(call: KvCall, camelCase: boolean): string {
  return JSON.stringify(callBody(call), (_, value: Json) =>
    camelCase && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).map(([name, member]) => [toCamelCase(name), member]))
      : value,
  )
}

/** The result in the body of an answer with status 200. */
export function decodeJsonResult(call: KvCall, body: string): KvResult {
  return resultOf(call.kind, object(JSON.parse(body)))
}

/** The refusal in the body of any other answer. */
export function decodeJsonError(body: string): KvError {
  const error = object(JSON.parse(body))
  return {
    kind: 'error',
    code: Number(error['code'] ?? 0),
    message: text(error['message'] ?? error['error']),
  }
}

function toCamelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function callBody(call: KvCall | TxnOperation): Json {
  switch (call.kind) {
    case 'range':
      return {
        key: base64(call.key),
        range_end: base64(call.rangeEnd),
        limit: int64(call.limit),
        revision: int64(call.revision),
        sort_order: enumOf(ORDERS, call.sortOrder),
        sort_target: enumOf(TARGETS, call.sortTarget),
        serializable: call.serializable,
        keys_only: call.keysOnly,
        count_only: call.countOnly,
        min_mod_revision: int64(call.minModRevision),
        max_mod_revision: int64(call.maxModRevision),
        min_create_revision: int64(call.minCreateRevision),
        max_create_revision: int64(call.maxCreateRevision),
      }
    case 'put':
      return {
        key: base64(call.key),
        value: base64(call.value),
        lease: int64(call.lease),
        prev_kv: call.prevKv,
        ignore_value: call.ignoreValue,
        ignore_lease: call.ignoreLease,
      }
    case 'deleteRange':
      return { key: base64(call.key), range_end: base64(call.rangeEnd), prev_kv: call.prevKv }
    case 'txn':
      return {
        compare: call.compare.map(compareBody),
        success: call.success.map(operationBody),
        failure: call.failure.map(operationBody),
      }
    case 'compact':
      return { revision: int64(call.revision), physical: call.physical }
    case 'empty':
      return {}
  }
}

function operationBody(operation: TxnOperation): Json {
  switch (operation.kind) {
    case 'range':
      return { request_range: callBody(operation) }
    case 'put':
      return { request_put: callBody(operation) }
    case 'deleteRange':
      return { request_delete_range: callBody(operation) }
    case 'txn':
      return { request_txn: callBody(operation) }
    case 'empty':
      return {}
  }
}

function compareBody(compare: Compare): Json {
  const operand = OPERANDS[compare.target] ?? 'version'
  return {
    key: base64(compare.key),
    range_end: base64(compare.rangeEnd),
    result: enumOf(COMPARE_RESULTS, compare.result),
    target: enumOf(COMPARE_TARGETS, compare.target),
    [operand]: compare.target === CompareTarget.value ? base64(compare.value) : int64(compare.number),
  }
}

function base64(bytes: ByteString | undefined): Json {
  return bytes === undefined ? undefined : Buffer.from(bytes, 'latin1').toString('base64')
}

function int64(value: bigint | undefined): Json {
  return value?.toString()
}

/** The name when there is one, else the number. */
function enumOf(names: readonly string[], value: number | undefined): Json {
  return value === undefined ? undefined : (names[value] ?? value)
}

type JsonObject = Readonly<Record<string, unknown>>

function object(value: unknown): JsonObject {
  if (typeof value !== 'object' || value === null) throw new Error(`not a JSON object: ${String(value)}`)
  return value as JsonObject
}

function text(value: unknown): string {
  if (value !== undefined && typeof value !== 'string')
    throw new Error(`not a string: ${JSON.stringify(value)}`)
  return value ?? ''
}

/** A 64-bit number, which must be a string of digits; absent is 0. */
function number64(value: unknown): bigint {
  return BigInt(text(value))
}

function bytes(value: unknown): ByteString {
  return Buffer.from(text(value), 'base64').toString('latin1')
}

function list(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.map(object) : []
}

function keyValue(kv: JsonObject): KeyValue {
  return {
    key: bytes(kv['key']),
    createRevision: Number(number64(kv['create_revision'])),
    modRevision: Number(number64(kv['mod_revision'])),
    version: Number(number64(kv['version'])),
    value: bytes(kv['value']),
    lease: number64(kv['lease']),
  }
}

function resultOf<Kind extends KvCall['kind']>(
  kind: Kind,
  body: JsonObject,
): Extract<KvResult, { kind: Kind }>
function resultOf(kind: KvCall['kind'], body: JsonObject): KvResult {
  const header = body['header']
  const revision = header === undefined ? 0 : Number(number64(object(header)['revision']))
  switch (kind) {
    case 'range':
      return {
        kind,
        revision,
        kvs: list(body['kvs']).map(keyValue),
        more: body['more'] === true,
        count: Number(number64(body['count'])),
      }
    case 'put':
      return {
        kind,
        revision,
        prevKv: body['prev_kv'] === undefined ? undefined : keyValue(object(body['prev_kv'])),
      }
    case 'deleteRange':
      return {
        kind,
        revision,
        deleted: Number(number64(body['deleted'])),
        prevKvs: list(body['prev_kvs']).map(keyValue),
      }
    case 'txn':
      return {
        kind,
        revision,
        succeeded: body['succeeded'] === true,
        responses: list(body['responses']).map(operationResult),
      }
    case 'compact':
      return { kind, revision }
  }
}

function operationResult(operation: JsonObject): TxnOperationResult {
  for (const [name, kind] of [
    ['response_range', 'range'],
    ['response_put', 'put'],
    ['response_delete_range', 'deleteRange'],
    ['response_txn', 'txn'],
  ] as const) {
    if (operation[name] !== undefined) return resultOf(kind, object(operation[name]))
  }
  throw new Error(`a txn answered an operation with ${JSON.stringify(operation)}`)
}
