import assert from 'node:assert/strict'
import test from 'node:test'
import { crc32c, crc32cOfView } from './crc32c.ts'

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text)
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

for (const { name, bytes, crc } of [
  { name: 'nothing', bytes: new Uint8Array(0), crc: 0 },
  { name: 'the check value "123456789"', bytes: ascii('123456789'), crc: 0xe3069283 },
  // RFC 3720, appendix B.4.
  { name: '32 bytes of zeros', bytes: new Uint8Array(32), crc: 0x8a9136aa },
  { name: '32 bytes of ones', bytes: new Uint8Array(32).fill(0xff), crc: 0x62a8ab43 },
  { name: '32 rising bytes', bytes: Uint8Array.from({ length: 32 }, (_, i) => i), crc: 0x46dd794e },
  { name: '32 falling bytes', bytes: Uint8Array.from({ length: 32 }, (_, i) => 31 - i), crc: 0x113fdb5c },
]) {
  void test(`CRC-32C of ${name}`, () => {
    assert.equal(crc32c(bytes), crc)
    assert.equal(crc32cOfView(viewOf(bytes), 0, bytes.length, 0), crc)
  })
}

void test('the CRC of a whole is the CRC of its pieces in turn, at every offset and length', () => {
  const whole = Uint8Array.from({ length: 3000 }, (_, i) => (i * i) ^ (i >>> 3))
  const view = viewOf(whole)
  const expected = crc32c(whole)
  for (let cut = 0; cut <= whole.length; cut += cut < 700 ? 1 : 97) {
    const head = crc32c(whole, 0, cut)
    assert.equal(crc32c(whole, cut, whole.length, head), expected, `cut at ${cut}`)
    assert.equal(
      crc32cOfView(view, cut, whole.length, crc32cOfView(view, 0, cut, 0)),
      expected,
      `cut at ${cut}`,
    )
  }
})

void test('a view into a larger buffer counts from its own start', () => {
  const buffer = new Uint8Array(2000).fill(7)
  buffer.set(ascii('123456789'), 1000)
  assert.equal(crc32c(buffer.subarray(1000, 1900), 0, 9), 0xe3069283)
  assert.equal(crc32c(buffer, 1000, 1009), 0xe3069283)
})
