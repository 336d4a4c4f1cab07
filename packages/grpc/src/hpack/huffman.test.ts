import assert from 'node:assert/strict'
import test from 'node:test'
import { huffmanDecode, huffmanEncode, huffmanLength } from './huffman.ts'

function encode(text: string): Buffer {
  const out = Buffer.alloc(huffmanLength(text))
  assert.equal(huffmanEncode(text, out, 0), out.length)
  return out
}

function decode(bytes: Uint8Array): string | undefined {
  const out = Buffer.alloc(bytes.length * 2)
  const length = huffmanDecode(bytes, 0, bytes.length, out)
  return length < 0 ? undefined : out.toString('latin1', 0, length)
}

// Codes at the borders of each length (RFC 7541, appendix B), with their bits.
for (const [symbol, bits] of [
  ['0', '00000'],
  ['t', '01001'],
  [' ', '010100'],
  ['u', '101101'],
  [':', '1011100'],
  ['z', '1111011'],
  ['&', '11111000'],
  ['Z', '11111101'],
  ['!', '1111111000'],
  ['?', '1111111100'],
  ["'", '11111111010'],
  ['|', '11111111100'],
  ['#', '111111111010'],
  ['>', '111111111011'],
  ['\0', '1111111111000'],
  ['~', '1111111111101'],
  ['^', '11111111111100'],
  ['<', '111111111111100'],
  ['{', '111111111111110'],
  ['\\', '1111111111111110000'],
  ['\xd0', '1111111111111110010'],
  ['\x80', '11111111111111100110'],
  ['\x01', '11111111111111111011000'],
  ['\t', '111111111111111111101010'],
  ['\xf9', '1111111111111111111111111110'],
  ['\n', '111111111111111111111111111100'],
  ['\x16', '111111111111111111111111111110'],
] as const)
  void test(`the code of ${JSON.stringify(symbol)} is the one of RFC 7541`, () => {
    const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1')
    const expected = padded.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2))
    assert.deepEqual([...encode(symbol)], expected)
    assert.equal(decode(Buffer.from(expected)), symbol)
  })

void test('every pair of symbols survives', () => {
  for (let first = 0; first < 256; first++)
    for (let second = 0; second < 256; second++) {
      const text = String.fromCharCode(first, second)
      assert.equal(decode(encode(text)), text)
    }
})

for (const { name, bytes } of [
  { name: 'padding of eight bits', bytes: [0x1f, 0xff] },
  { name: 'padding that is not all ones', bytes: [0x18] },
  { name: 'EOS', bytes: [0xff, 0xff, 0xff, 0xff] },
  { name: 'EOS after a symbol', bytes: [0x07, 0xff, 0xff, 0xff, 0xff] },
  { name: 'an unfinished long code', bytes: [0xff, 0xff, 0xff] },
])
  void test(`${name} is refused`, () => assert.equal(decode(Buffer.from(bytes)), undefined))

void test('no text is no bytes', () => {
  assert.equal(encode('').length, 0)
  assert.equal(decode(Buffer.alloc(0)), '')
})
