import assert from 'node:assert/strict'
import test from 'node:test'
import { HpackDecoder, HpackError } from './decoder.ts'
import { HpackEncoder, writeInteger, writeSecretField } from './encoder.ts'

type Pair = readonly [name: string, value: string]

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')
}

function decode(decoder: HpackDecoder, hex: string): Pair[] {
  const block = bytes(hex)
  decoder.decode(block, 0, block.length)
  return decoder.fields.slice(0, decoder.count).map(({ name, value }) => [name, value] as const)
}

function tableOf({ table }: { table: HpackDecoder['table'] }): Pair[] {
  return Array.from({ length: table.count }, (_, i) => {
    const { name, value } = table.get(i + 1)!
    return [name, value] as const
  })
}

// ---- RFC 7541, appendix C

for (const { name, prefixBits, value, hex } of [
  { name: 'C.1.1: 10 in five bits', prefixBits: 5, value: 10, hex: '0a' },
  { name: 'C.1.2: 1337 in five bits', prefixBits: 5, value: 1337, hex: '1f9a0a' },
  { name: 'C.1.3: 42 in eight bits', prefixBits: 8, value: 42, hex: '2a' },
])
  void test(name, () => {
    const out = Buffer.alloc(8)
    assert.equal(out.toString('hex', 0, writeInteger(out, 0, 0, prefixBits, value)), hex)
  })

for (const { name, hex, field, indexed } of [
  {
    name: 'C.2.1: a literal with indexing',
    hex: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
    field: ['custom-key', 'custom-header'],
    indexed: true,
  },
  {
    name: 'C.2.2: a literal without indexing',
    hex: '040c 2f73 616d 706c 652f 7061 7468',
    field: [':path', '/sample/path'],
    indexed: false,
  },
  {
    name: 'C.2.3: a literal that is never indexed',
    hex: '1008 7061 7373 776f 7264 0673 6563 7265 74',
    field: ['password', 'secret'],
    indexed: false,
  },
  { name: 'C.2.4: an indexed field', hex: '82', field: [':method', 'GET'], indexed: false },
] as const)
  void test(name, () => {
    const decoder = new HpackDecoder(1000)
    assert.deepEqual(decode(decoder, hex), [field])
    assert.equal(decoder.table.count, indexed ? 1 : 0)
  })

const requests: { fields: Pair[]; plain: string; huffman: string; table: Pair[]; size: number }[] = [
  {
    fields: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
    ],
    plain: '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    huffman: '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    table: [[':authority', 'www.example.com']],
    size: 57,
  },
  {
    fields: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
      ['cache-control', 'no-cache'],
    ],
    plain: '8286 84be 5808 6e6f 2d63 6163 6865',
    huffman: '8286 84be 5886 a8eb 1064 9cbf',
    table: [
      ['cache-control', 'no-cache'],
      [':authority', 'www.example.com'],
    ],
    size: 110,
  },
  {
    fields: [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/index.html'],
      [':authority', 'www.example.com'],
      ['custom-key', 'custom-value'],
    ],
    plain: '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    huffman: '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    table: [
      ['custom-key', 'custom-value'],
      ['cache-control', 'no-cache'],
      [':authority', 'www.example.com'],
    ],
    size: 164,
  },
]

const date = 'Mon, 21 Oct 2013 20:13:21 GMT'
const laterDate = 'Mon, 21 Oct 2013 20:13:22 GMT'
const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
const responses: typeof requests = [
  {
    fields: [
      [':status', '302'],
      ['cache-control', 'private'],
      ['date', date],
      ['location', 'https://www.example.com'],
    ],
    plain: `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
      2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
    huffman: `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
      2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
    table: [
      ['location', 'https://www.example.com'],
      ['date', date],
      ['cache-control', 'private'],
      [':status', '302'],
    ],
    size: 222,
  },
  {
    fields: [
      [':status', '307'],
      ['cache-control', 'private'],
      ['date', date],
      ['location', 'https://www.example.com'],
    ],
    plain: '4803 3330 37c1 c0bf',
    huffman: '4883 640e ffc1 c0bf',
    table: [
      [':status', '307'],
      ['location', 'https://www.example.com'],
      ['date', date],
      ['cache-control', 'private'],
    ],
    size: 222,
  },
  {
    fields: [
      [':status', '200'],
      ['cache-control', 'private'],
      ['date', laterDate],
      ['location', 'https://www.example.com'],
      ['content-encoding', 'gzip'],
      ['set-cookie', cookie],
    ],
    plain: `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
      54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
      5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
    huffman: `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
      77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
      9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    table: [
      ['set-cookie', cookie],
      ['content-encoding', 'gzip'],
      ['date', laterDate],
    ],
    size: 215,
  },
]

for (const { name, form, rows, tableBytes } of [
  { name: 'C.3: requests without Huffman coding', form: 'plain', rows: requests, tableBytes: 4096 },
  { name: 'C.4: requests with Huffman coding', form: 'huffman', rows: requests, tableBytes: 4096 },
  { name: 'C.5: responses without Huffman coding', form: 'plain', rows: responses, tableBytes: 256 },
  { name: 'C.6: responses with Huffman coding', form: 'huffman', rows: responses, tableBytes: 256 },
] as const)
  void test(name, () => {
    const decoder = new HpackDecoder(10_000, tableBytes)
    for (const row of rows) {
      assert.deepEqual(decode(decoder, row[form]), row.fields)
      assert.deepEqual(tableOf(decoder), row.table)
      assert.equal(decoder.table.size, row.size)
    }
  })

for (const { name, rows, tableBytes } of [
  { name: 'the encoder writes the requests of C.4', rows: requests, tableBytes: 4096 },
  { name: 'the encoder writes the responses of C.6', rows: responses, tableBytes: 256 },
])
  void test(name, () => {
    const encoder = new HpackEncoder(tableBytes)
    for (const row of rows) {
      const out = Buffer.alloc(1000)
      let at = encoder.begin(out, 0)
      for (const [field, value] of row.fields) at = encoder.write(out, at, field, value)
      // The RFC's encoder writes `307` coded although that saves nothing; ours leaves it plain.
      const expected = bytes(row.huffman.replace('4883 640e ff', '4803 3330 37'))
      assert.equal(out.toString('hex', 0, at), expected.toString('hex'))
      assert.deepEqual(tableOf(encoder), row.table)
    }
  })

// ---- what the RFC forbids

for (const { name, hex } of [
  { name: 'index 0', hex: '80' },
  { name: 'an index behind the tables', hex: 'be' },
  { name: 'a name index behind the tables', hex: '7e00' },
  { name: 'a block that ends in an index', hex: 'ff' },
  { name: 'a block that ends before a value', hex: '44' },
  { name: 'a string longer than the block', hex: '4403 2f' },
  { name: 'a block that ends in a length', hex: '447f' },
  { name: 'an endless integer', hex: 'ff80 8080 8080 8080 8001' },
  { name: 'an integer beyond 28 bits', hex: 'ffff ffff ff7f' },
  { name: 'malformed Huffman text', hex: '4481 00' },
  { name: 'a table larger than allowed', hex: '3fe2 1f' },
  { name: 'a size update behind a field', hex: '8220' },
  { name: 'three size updates', hex: '2020 2082' },
])
  void test(`${name} is refused`, () => {
    assert.throws(() => decode(new HpackDecoder(1000), hex), HpackError)
  })

void test('size updates empty and restore the table', () => {
  const decoder = new HpackDecoder(1000)
  decode(decoder, '400161 0162')
  assert.equal(decoder.table.count, 1)
  assert.deepEqual(decode(decoder, '20 3fe11f 400163 0164'), [['c', 'd']])
  assert.deepEqual(tableOf(decoder), [['c', 'd']])
})

void test('an entry larger than the table empties it', () => {
  const decoder = new HpackDecoder(1000, 40)
  decode(decoder, '400161 0162')
  assert.equal(decoder.table.count, 1)
  decode(decoder, `400161 7f${(150 - 127).toString(16)}${'62'.repeat(150)}`)
  assert.equal(decoder.table.count, 0)
  assert.equal(decoder.table.size, 0)
})

void test('a list beyond its limit is decoded for the table and not kept', () => {
  const decoder = new HpackDecoder(100)
  const large = Buffer.alloc(64, 'v').toString('hex')
  decode(decoder, `400161 40${large}`)
  assert.equal(decoder.overflowed, false)
  assert.deepEqual(decode(decoder, 'be be be'), [['a', 'v'.repeat(64)]])
  assert.equal(decoder.listBytes, 3 * 97)
  assert.equal(decoder.overflowed, true)
  assert.deepEqual(decode(decoder, '82'), [[':method', 'GET']])
  assert.equal(decoder.overflowed, false)
})

void test('a table of many small entries keeps their order as it grows and turns over', () => {
  const decoder = new HpackDecoder(100_000)
  for (let i = 0; i < 1000; i++) {
    const name = Buffer.from(String(i).padStart(3, '0')).toString('hex')
    decode(decoder, `4003${name} 00`)
    for (let back = 0; back < Math.min(i + 1, decoder.table.count); back += 7)
      assert.equal(decoder.table.get(back + 1)!.name, String(i - back).padStart(3, '0'))
  }
  assert.equal(decoder.table.count, Math.floor(4096 / 35))
})

// ---- encoder and decoder together

void test('random lists survive, through tables that change size', () => {
  let state = 7
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % below
  }
  const encoder = new HpackEncoder()
  const decoder = new HpackDecoder(1 << 20)
  const out = Buffer.alloc(1 << 16)
  for (let round = 0; round < 500; round++) {
    if (random(10) === 0) encoder.limitTable(random(4097))
    if (random(10) === 0) encoder.limitTable(random(4097))
    const fields: Pair[] = Array.from({ length: random(12) }, () => [
      [':path', 'te', 'grpc-timeout', 'x-long-name', `n${random(40)}`][random(5)]!,
      String.fromCharCode(...Array.from({ length: random(60) }, () => random(256))).slice(random(40)),
    ])
    let at = encoder.begin(out, 0)
    for (const [name, value] of fields)
      at = random(9) === 0 ? writeSecretField(out, at, name, value) : encoder.write(out, at, name, value)
    decoder.decode(out, 0, at)
    assert.deepEqual(
      decoder.fields.slice(0, decoder.count).map(({ name, value }) => [name, value]),
      fields,
    )
    assert.deepEqual(tableOf(decoder), tableOf(encoder))
  }
})
