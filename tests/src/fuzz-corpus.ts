import type { AnyCodec, Field } from '@etcd-ts/api'
import type { SeededRandom } from '@etcd-ts/testkit'

const INTERESTING_INTEGERS = [
  0n,
  1n,
  -1n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  -(2n ** 63n),
]
const DEPTH_MAX = 4

/** A random message that its codec can write, and that a service may well accept. */
export function randomMessage(random: SeededRandom, codec: AnyCodec, depth = 1): Record<string, unknown> {
  const message: Record<string, unknown> = {}
  for (const field of codec.fields) {
    if (!random.chance(0.6) || (field.kind === 'message' && depth > DEPTH_MAX)) continue
    const value =
      field.label === 'repeated'
        ? Array.from({ length: random.below(4) }, () => randomValue(random, field, depth))
        : field.label === 'map'
          ? new Map()
          : randomValue(random, field, depth)
    if (field.oneof === undefined) message[field.property] = value
    else message[field.oneof.property] = { case: field.property, value }
  }
  return message
}

function randomValue(random: SeededRandom, field: Field, depth: number): unknown {
  switch (field.kind) {
    case 'uint64':
    case 'int64': {
      const value = random.chance(0.7) ? BigInt(random.below(20)) : random.pick(INTERESTING_INTEGERS)
      const wrapped = field.kind === 'uint64' ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value)
      return field.counter ? Number(wrapped % 2n ** 53n) : wrapped
    }
    case 'uint32':
      return random.uint32()
    case 'bool':
      return random.chance(0.5)
    case 'string':
      // No URL and no name that would let these requests add members or switch authentication on.
      return random.pick(['', 'a', 'name', 'ключ', '../..', '\u0000', 'x'.repeat(300)])
    case 'bytes':
      return random.chance(0.7)
        ? Buffer.from(random.pick(['a', 'b', 'key', '\0']))
        : random.bytes(random.below(40))
    case 'enum':
      return random.chance(0.9) ? random.pick(Object.values(field.values ?? { zero: 0 })) : random.below(300)
    case 'message':
      return field.codec === undefined ? {} : randomMessage(random, field.codec(), depth + 1)
  }
}

/** Damages bytes the way broken or hostile clients do. */
export function mutateBytes(random: SeededRandom, bytes: Uint8Array): Uint8Array {
  let mutated = Buffer.from(bytes)
  for (let count = random.between(1, 4); count > 0; count--) {
    const at = random.below(mutated.length + 1)
    const splice = (removed: number, inserted: Uint8Array): void => {
      mutated = Buffer.concat([mutated.subarray(0, at), inserted, mutated.subarray(at + removed)])
    }
    switch (random.below(9)) {
      case 0:
        if (at < mutated.length) mutated[at] = (mutated[at] ?? 0) ^ (1 << random.below(8))
        break
      case 1:
        splice(0, random.bytes(random.between(1, 8)))
        break
      case 2:
        splice(random.between(1, 8), new Uint8Array())
        break
      case 3:
        // The same bytes twice: repeated fields and members of a oneof.
        splice(0, mutated.subarray(at, at + random.below(60)))
        break
      case 4:
        // The same number in a varint that is longer than need be.
        if (at < mutated.length) splice(1, Uint8Array.of((mutated[at] ?? 0) | 0x80, 0x80, 0x80, 0x00))
        break
      case 5:
        mutated = mutated.subarray(0, at)
        break
      case 6:
        // A length or number far beyond the message.
        splice(1, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f))
        break
      case 7:
        // A field of any number and wire type.
        splice(
          0,
          Uint8Array.of((random.between(1, 20) << 3) | random.below(8), random.below(256), random.below(256)),
        )
        break
      default:
        // More than ten bytes of a varint.
        splice(0, Buffer.alloc(random.between(10, 14), 0xff))
    }
  }
  return mutated
}

/** A `TxnRequest` with one nested txn in another, `depth` deep. */
export function nestedTxn(depth: number): Uint8Array {
  let bytes: Uint8Array = new Uint8Array()
  for (let i = 0; i < depth; i++) bytes = lengthPrefixed(2, lengthPrefixed(4, bytes))
  return bytes
}

function lengthPrefixed(field: number, payload: Uint8Array): Uint8Array {
  const prefix = [(field << 3) | 2]
  let length = payload.length
  for (; length >= 0x80; length >>>= 7) prefix.push((length & 0x7f) | 0x80)
  return Buffer.concat([Uint8Array.of(...prefix, length), payload])
}

const TOKENS = [
  'null',
  'true',
  '{}',
  '[]',
  '""',
  '"a"',
  '"YQ=="',
  '"YQ"',
  '"_-8="',
  '"=/=="',
  '0',
  '-1',
  '1.5',
  '1e3',
  '1e999',
  '-0',
  '9007199254740993',
  '18446744073709551615',
  '"9223372036854775808"',
  '"-9223372036854775808"',
  '"\\ud800"',
  '"\\u0000"',
  '"__proto__"',
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]',
  ',',
  ':',
  '{',
  '}',
  ']',
  '"',
  '\\',
  '\u0000',
  '\ufeff',
  'NaN',
  '/* */',
]

/** Damages a JSON text: values replaced by others, pieces lost or doubled, characters changed. */
export function mutateJson(random: SeededRandom, text: string): string {
  let mutated = text
  for (let count = random.between(1, 3); count > 0; count--) {
    const at = random.below(mutated.length + 1)
    switch (random.below(7)) {
      case 0:
      case 1: {
        // One of the values of the text becomes something else.
        const values = [...mutated.matchAll(/(?<=[:[,])("(?:[^"\\]|\\.)*"|true|false|null|-?\d+)/g)]
        const value = values.length > 0 ? random.pick(values) : undefined
        if (value === undefined) mutated = random.pick(TOKENS)
        else
          mutated =
            mutated.slice(0, value.index) + random.pick(TOKENS) + mutated.slice(value.index + value[0].length)
        break
      }
      case 2:
        mutated = mutated.slice(0, at) + random.pick(TOKENS) + mutated.slice(at)
        break
      case 3:
        mutated = mutated.slice(0, at) + mutated.slice(at + random.between(1, 10))
        break
      case 4:
        mutated = mutated.slice(0, at) + mutated.slice(at, at + random.below(50)) + mutated.slice(at)
        break
      case 5:
        mutated = mutated.slice(0, at)
        break
      default:
        mutated = mutated.slice(0, at) + String.fromCharCode(random.below(0x250)) + mutated.slice(at + 1)
    }
  }
  return mutated
}
