import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '@etcd-ts/testkit'
import { KeyHasher } from './key-hash.ts'

/** HalfSipHash with `c` and `d` rounds, word by word as its paper has it. */
function halfSipHash(secret: Uint8Array, message: Uint8Array, c: number, d: number): number {
  const words = Buffer.from(secret)
  const k0 = words.readUInt32LE(0)
  const k1 = words.readUInt32LE(4)
  let [v0, v1, v2, v3] = [k0, k1, 0x6c796765 ^ k0, 0x74656462 ^ k1].map((word) => word >>> 0) as [
    number,
    number,
    number,
    number,
  ]
  const rotate = (word: number, by: number): number => ((word << by) | (word >>> (32 - by))) >>> 0
  const add = (a: number, b: number): number => (a + b) >>> 0
  const xor = (a: number, b: number): number => (a ^ b) >>> 0
  const round = (): void => {
    v0 = add(v0, v1)
    v1 = xor(rotate(v1, 5), v0)
    v0 = rotate(v0, 16)
    v2 = add(v2, v3)
    v3 = xor(rotate(v3, 8), v2)
    v0 = add(v0, v3)
    v3 = xor(rotate(v3, 7), v0)
    v2 = add(v2, v1)
    v1 = xor(rotate(v1, 13), v2)
    v2 = rotate(v2, 16)
  }
  const padded = Buffer.alloc(Math.floor(message.length / 4) * 4 + 4)
  padded.set(message)
  padded[padded.length - 1] = message.length & 0xff
  for (let at = 0; at < padded.length; at += 4) {
    const word = padded.readUInt32LE(at)
    v3 = xor(v3, word)
    for (let i = 0; i < c; i++) round()
    v0 = xor(v0, word)
  }
  v2 = xor(v2, 0xff)
  for (let i = 0; i < d; i++) round()
  return xor(v1, v3)
}

void test('the reference agrees with a published vector of HalfSipHash-2-4', () => {
  // Key 00..07, message empty, of the reference code's vectors with 4 bytes of output: a9 35 9f 5b.
  const secret = Uint8Array.from({ length: 8 }, (_, i) => i)
  assert.equal(halfSipHash(secret, new Uint8Array(0), 2, 4), Buffer.from('a9359f5b', 'hex').readUInt32LE(0))
})

void test('HalfSipHash-1-3 of every length up to 40, at every offset', () => {
  const random = new SeededRandom(1)
  const secret = random.bytes(8)
  const hasher = new KeyHasher(secret)
  const message = random.bytes(60)
  for (let length = 0; length <= 40; length++) {
    for (let start = 0; start < 5; start++) {
      const expected = halfSipHash(secret, message.subarray(start, start + length), 1, 3)
      assert.equal(hasher.hash(message, start, length), expected, `${length} bytes at ${start}`)
    }
  }
})
