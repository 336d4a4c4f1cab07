/**
 * Membership changes as the `data` of a log entry, in etcd's protobuf encoding.
 *
 *     ConfChange         1 id varint, 2 type varint, 3 node_id varint, 4 context bytes
 *     ConfChangeV2       1 transition varint, 2 changes ConfChangeSingle*, 3 context bytes
 *     ConfChangeSingle   1 type varint, 2 node_id varint
 *
 * Written: every scalar, zero or not, in the order of its number; `context` when there is one. Read: any
 * subset in any order, unknown fields skipped; no data at all is the empty ConfChangeV2.
 */
import {
  type AnyConfChange,
  type ConfChange,
  type ConfChangeSingle,
  ConfChangeTransition,
  ConfChangeType,
  type ConfChangeV2,
  isConfChangeV2,
} from './conf-change.ts'
import { type Entry, EntryType } from './messages.ts'

const LENGTH_DELIMITED = 2
const VARINT_BYTES_MAX = 10

/** `data` is not an encoded membership change. */
export class ConfChangeDecodeError extends Error {
  override readonly name = 'ConfChangeDecodeError'
}

export function encodeConfChange(change: AnyConfChange): Uint8Array {
  const out: number[] = []
  if (isConfChangeV2(change)) {
    writeScalar(out, 1, BigInt(change.transition))
    for (const { type, nodeId } of change.changes) {
      const single: number[] = []
      writeScalar(single, 1, BigInt(type))
      writeScalar(single, 2, nodeId)
      writeBytes(out, 2, single)
    }
    if (change.context !== undefined) writeBytes(out, 3, change.context)
  } else {
    writeScalar(out, 1, change.id)
    writeScalar(out, 2, BigInt(change.type))
    writeScalar(out, 3, change.nodeId)
    if (change.context !== undefined) writeBytes(out, 4, change.context)
  }
  return Uint8Array.from(out)
}

/** The change that `entry` carries; undefined for an entry that carries none. @throws ConfChangeDecodeError */
export function confChangeOf(entry: Entry): AnyConfChange | undefined {
  if (entry.type === EntryType.EntryConfChange) return decodeConfChange(entry.data)
  if (entry.type === EntryType.EntryConfChangeV2) return decodeConfChangeV2(entry.data)
  return undefined
}

/** @throws ConfChangeDecodeError */
export function decodeConfChange(data: Uint8Array | undefined): ConfChange {
  const change: ConfChange = {
    id: 0n,
    type: ConfChangeType.ConfChangeAddNode,
    nodeId: 0n,
    context: undefined,
  }
  for (const field of fieldsOf(data)) {
    if (field.number === 1) change.id = scalarOf(field)
    else if (field.number === 2) change.type = typeOf(field)
    else if (field.number === 3) change.nodeId = scalarOf(field)
    else if (field.number === 4) change.context = bytesOf(field)
  }
  return change
}

/** @throws ConfChangeDecodeError */
export function decodeConfChangeV2(data: Uint8Array | undefined): ConfChangeV2 {
  const change: ConfChangeV2 = {
    transition: ConfChangeTransition.ConfChangeTransitionAuto,
    changes: [],
    context: undefined,
  }
  for (const field of fieldsOf(data)) {
    if (field.number === 1) change.transition = transitionOf(field)
    else if (field.number === 2) change.changes.push(decodeSingle(bytesOf(field)))
    else if (field.number === 3) change.context = bytesOf(field)
  }
  return change
}

function decodeSingle(data: Uint8Array): ConfChangeSingle {
  const single: ConfChangeSingle = { type: ConfChangeType.ConfChangeAddNode, nodeId: 0n }
  for (const field of fieldsOf(data)) {
    if (field.number === 1) single.type = typeOf(field)
    else if (field.number === 2) single.nodeId = scalarOf(field)
  }
  return single
}

function writeVarint(out: number[], value: bigint): void {
  while (value > 0x7fn) {
    out.push(Number(value & 0x7fn) | 0x80)
    value >>= 7n
  }
  out.push(Number(value))
}

function writeScalar(out: number[], number: number, value: bigint): void {
  out.push(number << 3)
  writeVarint(out, value)
}

function writeBytes(out: number[], number: number, bytes: ArrayLike<number>): void {
  out.push((number << 3) | LENGTH_DELIMITED)
  writeVarint(out, BigInt(bytes.length))
  for (let i = 0; i < bytes.length; i++) out.push(bytes[i]!)
}

/** One field as read: `value` for wire types 0, 1 and 5, `bytes` (a view) for type 2. */
interface Field {
  readonly number: number
  readonly value: bigint | undefined
  readonly bytes: Uint8Array | undefined
}

function scalarOf(field: Field): bigint {
  if (field.value === undefined) throw new ConfChangeDecodeError(`field ${field.number} is not a number`)
  return field.value
}

function typeOf(field: Field): ConfChangeType {
  return knownOf(Object.values(ConfChangeType), field)
}

function transitionOf(field: Field): ConfChangeTransition {
  return knownOf(Object.values(ConfChangeTransition), field)
}

/** What raft does not know it cannot do, and must not do half of. */
function knownOf<T extends number>(known: readonly T[], field: Field): T {
  const number = Number(scalarOf(field))
  const value = known.find((one) => one === number)
  if (value === undefined) throw new ConfChangeDecodeError(`unknown kind of membership change ${number}`)
  return value
}

function bytesOf(field: Field): Uint8Array {
  if (field.bytes === undefined) throw new ConfChangeDecodeError(`field ${field.number} is not bytes`)
  return field.bytes
}

function fieldsOf(data: Uint8Array | undefined): Field[] {
  const fields: Field[] = []
  if (data === undefined) return fields
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = data[at++]
      if (byte === undefined) throw new ConfChangeDecodeError('membership change ends within a number')
      value |= BigInt(byte & 0x7f) << BigInt(7 * i)
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new ConfChangeDecodeError('membership change holds a number of more than 64 bits')
  }
  const take = (length: number): Uint8Array => {
    if (length > data.length - at) throw new ConfChangeDecodeError('membership change is cut short')
    at += length
    return data.subarray(at - length, at)
  }
  while (at < data.length) {
    const tag = varint()
    const number = Number(tag >> 3n)
    switch (Number(tag & 7n)) {
      case 0:
        fields.push({ number, value: varint(), bytes: undefined })
        break
      case 1:
        take(8)
        break
      case LENGTH_DELIMITED:
        fields.push({ number, value: undefined, bytes: take(Number(varint())) })
        break
      case 5:
        take(4)
        break
      default:
        throw new ConfChangeDecodeError('membership change holds an unknown wire type')
    }
  }
  return fields
}
