import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesOf, textOf } from './byte-text.ts'

for (const { name, bytes, text } of [
  { name: 'ASCII', bytes: [0x61, 0x0a], text: 'a\n' },
  { name: 'more than one byte', bytes: [0xe9, 0x94, 0xae, 0xf0, 0x9f, 0x98, 0x80], text: '键😀' },
  { name: 'the replacement character itself', bytes: [0xef, 0xbf, 0xbd], text: '\ufffd' },
  { name: 'bytes that begin nothing', bytes: [0x61, 0xff, 0x80, 0x62], text: 'a\udcff\udc80b' },
  { name: 'a sequence cut short', bytes: [0xe9, 0x94], text: '\udce9\udc94' },
  { name: 'a longer spelling than needed', bytes: [0xc0, 0x80], text: '\udcc0\udc80' },
  { name: 'half of a surrogate pair', bytes: [0xed, 0xa0, 0x80], text: '\udced\udca0\udc80' },
  { name: 'beyond the last code point', bytes: [0xf4, 0x90, 0x80, 0x80], text: '\udcf4\udc90\udc80\udc80' },
]) {
  void test(`${name}: text of bytes, bytes of text`, () => {
    assert.equal(textOf(Uint8Array.from(bytes)), text)
    assert.deepEqual([...bytesOf(text)], bytes)
  })
}

void test('every pair of bytes comes back', () => {
  const bytes = new Uint8Array(3 * 65536)
  for (let i = 0; i < 65536; i++) bytes.set([i >> 8, i & 0xff, 0x20], 3 * i)
  assert.deepEqual(bytesOf(textOf(bytes)), Buffer.from(bytes))
})
