import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mvccpb } from '@etcd-ts/api'
import {
  KeyValueError,
  KeyValueReader,
  deletedKeyValue,
  keyValueSize,
  tombstoneSize,
  writeKeyValue,
  writeTombstone,
} from './key-value.ts'
import { bytes } from './store-fixture.ts'

const MAX = Number.MAX_SAFE_INTEGER

const samples: mvccpb.KeyValue[] = [
  { key: 'k', createRevision: 2, modRevision: 3, version: 1, value: 'v', lease: 0n },
  { key: 'k', createRevision: 127, modRevision: 128, version: 16_384, value: '', lease: 1n },
  { key: '', createRevision: 2 ** 28 - 1, modRevision: 2 ** 28, version: 2 ** 31, value: '\0', lease: -1n },
  {
    key: 'x'.repeat(47),
    createRevision: 2 ** 32,
    modRevision: 2 ** 35,
    version: 5,
    value: 'y'.repeat(49),
    lease: 7n,
  },
  {
    key: 'x'.repeat(300),
    createRevision: MAX - 1,
    modRevision: MAX,
    version: MAX,
    value: 'y'.repeat(70_000),
    lease: 0n,
  },
  { key: 'l', createRevision: 5, modRevision: 6, version: 2, value: 'v', lease: 0x7fff_ffff_ffff_ffffn },
  { key: 'l', createRevision: 5, modRevision: 6, version: 2, value: 'v', lease: -0x8000_0000_0000_0000n },
  {
    key: 'k1',
    createRevision: 5,
    modRevision: 5,
    version: 1,
    value: 'v1',
    lease: 2_480_031_265_923_830_832n,
  },
].map((kv) => ({ ...kv, key: bytes(kv.key), value: bytes(kv.value) }))

function encode({ key, createRevision, modRevision, version, value, lease }: mvccpb.KeyValue): Uint8Array {
  const out = new Uint8Array(
    keyValueSize(key.length, createRevision, modRevision, version, value.length, lease),
  )
  writeKeyValue(out, 0, key, createRevision, modRevision, version, value, lease)
  return out
}

for (const kv of samples) {
  const name = `${kv.key.length} bytes of key, revision ${kv.modRevision}, lease ${kv.lease}`
  void test(`a pair is written as the message's codec writes it: ${name}`, () => {
    const encoded = encode(kv)
    assert.deepEqual(Buffer.from(encoded), Buffer.from(mvccpb.KeyValue.encode(kv)))
    const reader = new KeyValueReader()
    reader.read(encoded)
    const part = (at: number, length: number): Uint8Array => Buffer.from(encoded).subarray(at, at + length)
    assert.deepEqual(part(reader.keyAt, reader.keyLength), kv.key)
    assert.deepEqual(part(reader.valueAt, reader.valueLength), kv.value)
    const { createRevision, modRevision, version, lease } = reader
    assert.deepEqual({ ...kv, createRevision, modRevision, version, lease }, kv)
    const bare = mvccpb.KeyValue.encode({ ...kv, value: new Uint8Array(0) })
    assert.deepEqual(Buffer.from(reader.withoutValue()), Buffer.from(bare))
    reader.readKey(encoded)
    assert.deepEqual(part(reader.keyAt, reader.keyLength), kv.key)
  })
}

void test('a deletion stores the key alone, and is shown with its revision', () => {
  const key = bytes('k2')
  const stored = new Uint8Array(tombstoneSize(key.length))
  writeTombstone(stored, 0, key)
  assert.deepEqual(Buffer.from(stored), Buffer.from(mvccpb.KeyValue.encode({ key })))
  const shown = mvccpb.KeyValue.encode({ key, modRevision: 300 })
  assert.deepEqual(Buffer.from(deletedKeyValue(key, 300)), Buffer.from(shown))
})

void test('what is not a pair is refused, wherever it is cut off', () => {
  const reader = new KeyValueReader()
  const whole = encode(samples[3]!)
  const ends = new Set<number>()
  for (let at = 1; at < whole.length; at++) {
    try {
      reader.read(whole.subarray(0, at))
      ends.add(at)
    } catch (error) {
      assert.ok(error instanceof KeyValueError)
    }
  }
  assert.ok(ends.size <= 5, 'only the ends of fields are ends of pairs')
  for (const wrong of [
    '08',
    '0a',
    '0a02aa',
    '10ffffffffffffffffff01',
    '1080808080808080808001',
    '30ffffffffffffffffffff01',
    '7a00',
  ]) {
    assert.throws(() => reader.read(Buffer.from(wrong, 'hex')), KeyValueError, wrong)
  }
})
