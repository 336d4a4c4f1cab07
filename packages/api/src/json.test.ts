import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  JsonError,
  JsonNumber,
  JsonReader,
  etcdserverpb,
  formatJson,
  healthpb,
  parseJson,
  v3electionpb,
  type JsonValue,
} from './index.ts'

const ascii = (text: string) => Uint8Array.from(Buffer.from(text))
const { PutRequest, RangeRequest, RangeResponse, TxnRequest, TxnResponse } = etcdserverpb

void describe('output', () => {
  for (const { name, json, text } of [
    {
      name: 'names are the declared ones, 64-bit numbers are strings',
      json: etcdserverpb.PutResponse.toJson(
        etcdserverpb.PutResponse.create({
          header: { clusterId: 14841639068965178418n, memberId: 1n, revision: 2 ** 53 - 1, raftTerm: 3 },
        }),
      ),
      text: '{"header":{"cluster_id":"14841639068965178418","member_id":"1","revision":"9007199254740991","raft_term":"3"}}',
    },
    {
      name: '32-bit numbers are numbers',
      json: etcdserverpb.HashResponse.toJson(etcdserverpb.HashResponse.create({ hash: 2 ** 32 - 1 })),
      text: '{"hash":4294967295}',
    },
    {
      name: 'bytes are base64 with padding',
      json: RangeResponse.toJson(
        RangeResponse.create({
          kvs: [{ key: ascii('foo'), value: Uint8Array.of(0xff, 0xfe), version: 1 }],
          count: 1,
        }),
      ),
      text: '{"kvs":[{"key":"Zm9v","version":"1","value":"//4="}],"count":"1"}',
    },
    {
      name: 'zero values are left out, a message that is set is not',
      json: TxnResponse.toJson(
        TxnResponse.create({ responses: [{ response: { case: 'responseTxn', value: { header: {} } } }, {}] }),
      ),
      text: '{"responses":[{"response_txn":{"header":{}}},{}]}',
    },
    {
      name: 'a member of a oneof is written even when it is zero',
      json: etcdserverpb.Compare.toJson(
        etcdserverpb.Compare.create({ targetUnion: { case: 'lease', value: 0n } }),
      ),
      text: '{"lease":"0"}',
    },
    {
      name: 'enums are names, and numbers where there is no name',
      json: RangeRequest.toJson(
        RangeRequest.create({
          sortOrder: etcdserverpb.SortOrder.DESCEND,
          sortTarget: 9 as etcdserverpb.SortTarget,
        }),
      ),
      text: '{"sort_order":"DESCEND","sort_target":9}',
    },
    {
      name: 'names that are not in snake case stay as they are',
      json: etcdserverpb.LeaseTimeToLiveResponse.toJson(
        etcdserverpb.LeaseTimeToLiveResponse.create({ ID: -1n, TTL: 5n, grantedTTL: 6n, keys: [ascii('a')] }),
      ),
      text: '{"ID":"-1","TTL":"5","grantedTTL":"6","keys":["YQ=="]}',
    },
    {
      name: 'a map is an object',
      json: healthpb.HealthListResponse.toJson(
        healthpb.HealthListResponse.create({ statuses: new Map([['__proto__', { status: 1 }]]) }),
      ),
      text: '{"statuses":{"__proto__":{"status":"SERVING"}}}',
    },
    {
      name: 'what would matter inside of HTML is escaped',
      json: { error: '<a href="?x&y">\u2028\n' },
      text: String.raw`{"error":"\u003ca href=\"?x\u0026y\"\u003e\u2028\n"}`,
    },
  ] as readonly { name: string; json: JsonValue; text: string }[]) {
    void test(name, () => assert.equal(formatJson(json), text))
  }
})

void describe('input', () => {
  const put = (text: string) => PutRequest.fromJson(parseJson(text))
  const range = (text: string) => RangeRequest.fromJson(parseJson(text))

  void test('either name of a field', () => {
    assert.deepEqual(
      range('{"range_end":"YQ==","keys_only":true}'),
      range('{"rangeEnd":"YQ==","keysOnly":true}'),
    )
    assert.deepEqual(range('{"range_end":"YQ==","rangeEnd":"Yg=="}').rangeEnd, ascii('b'))
  })

  void test('names in another case and unknown names are ignored', () => {
    assert.deepEqual(
      put('{"KEY":"YQ==","value_":1,"toString":[],"__proto__":{"key":"YQ=="}}'),
      PutRequest.create(),
    )
  })

  void test('a polluted prototype is not input', () => {
    const hostile: JsonValue = Object.create({ key: 'YQ==' }) as { key: string }
    assert.deepEqual(PutRequest.fromJson(hostile), PutRequest.create())
  })

  void test('numbers as strings and as literals, all 64 bits of them', () => {
    for (const lease of [2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 0n]) {
      assert.equal(put(`{"lease":${lease}}`).lease, lease)
      assert.equal(put(`{"lease":"${lease}"}`).lease, lease)
      assert.equal(put(`{"lease":" ${lease} "}`).lease, lease)
    }
    assert.equal(
      etcdserverpb.MemberRemoveRequest.fromJson(parseJson('{"ID":18446744073709551615}')).ID,
      2n ** 64n - 1n,
    )
  })

  void test('null means unset, as a value, a message and in a list', () => {
    assert.deepEqual(PutRequest.fromJson(null), PutRequest.create())
    assert.deepEqual(put('{"key":null,"lease":null,"prev_kv":null}'), PutRequest.create())
    assert.deepEqual(TxnRequest.fromJson(parseJson('{"success":[null],"compare":null}')).success, [
      { request: undefined },
    ])
  })

  void test('enums by name and by number', () => {
    assert.equal(range('{"sort_order":"DESCEND"}').sortOrder, 2)
    assert.equal(range('{"sort_order":2}').sortOrder, 2)
    assert.equal(range('{"sort_order":77}').sortOrder, 77)
  })

  void test('of two members of a oneof the later one counts', () => {
    const { success } = TxnRequest.fromJson(
      parseJson('{"success":[{"request_put":{"key":"YQ=="},"requestRange":{"key":"Yg=="}}]}'),
    )
    assert.equal(success[0]?.request?.case, 'requestPut')
  })

  void test('bytes as a list of numbers', () => {
    assert.deepEqual(put('{"key":[107, 0, null, 255]}').key, Uint8Array.of(107, 0, 0, 255))
    assert.deepEqual(put('{"key":[]}').key, Uint8Array.of())
  })

  void test('base64 may hold line ends', () => {
    assert.deepEqual(put(String.raw`{"key":"Y\r\nWI\n="}`).key, ascii('ab'))
  })

  void test('plain objects and numbers of the program', () => {
    assert.equal(PutRequest.fromJson({ lease: 5 }).lease, 5n)
    assert.throws(() => PutRequest.fromJson({ lease: 2 ** 53 }), JsonError)
  })

  void test('a counter that is not exact is refused', () => {
    assert.throws(() => etcdserverpb.ResponseHeader.fromJson({ revision: '9007199254740992' }), JsonError)
    assert.equal(etcdserverpb.ResponseHeader.fromJson({ revision: '9007199254740991' }).revision, 2 ** 53 - 1)
  })

  for (const { text, error, codec = PutRequest } of [
    { text: '[]', error: 'json: cannot unmarshal array into Go value of type map[string]json.RawMessage' },
    { text: '"a"', error: 'json: cannot unmarshal string into Go value of type map[string]json.RawMessage' },
    { text: '1', error: 'json: cannot unmarshal number into Go value of type map[string]json.RawMessage' },
    { text: '{"key":1}', error: 'json: cannot unmarshal number into Go value of type []uint8' },
    { text: '{"key":[256]}', error: 'json: cannot unmarshal number 256 into Go value of type uint8' },
    { text: '{"key":["1"]}', error: 'json: cannot unmarshal string into Go value of type uint8' },
    { text: '{"key":"a"}', error: 'illegal base64 data at input byte 0' },
    { text: '{"key":"YW=x"}', error: 'illegal base64 data at input byte 2' },
    { text: '{"key":"_-=="}', error: 'illegal base64 data at input byte 0' },
    { text: '{"key":"YQ"}', error: 'illegal base64 data at input byte 0' },
    { text: '{"key":"YQ="}', error: 'illegal base64 data at input byte 3' },
    { text: '{"key":"YQ==YQ=="}', error: 'illegal base64 data at input byte 4' },
    { text: '{"lease":1.5}', error: 'json: cannot unmarshal number 1.5 into Go value of type int64' },
    { text: '{"lease":1e3}', error: 'json: cannot unmarshal number 1e3 into Go value of type int64' },
    {
      text: '{"lease":9223372036854775808}',
      error: 'json: cannot unmarshal number 9223372036854775808 into Go value of type int64',
    },
    { text: '{"lease":true}', error: 'json: cannot unmarshal bool into Go value of type int64' },
    { text: '{"lease":"abc"}', error: "invalid character 'a' looking for beginning of value" },
    { text: '{"lease":""}', error: 'unexpected end of JSON input' },
    { text: '{"lease":"1 2"}', error: "invalid character '2' after top-level value" },
    { text: '{"prev_kv":"true"}', error: 'json: cannot unmarshal string into Go value of type bool' },
    {
      text: '{"kv":[]}',
      codec: v3electionpb.LeaderResponse,
      error: 'json: cannot unmarshal array into Go value of type map[string]json.RawMessage',
    },
    {
      text: '{"sort_order":"UP"}',
      codec: RangeRequest,
      error: String.raw`unknown value "\"UP\"" for enum etcdserverpb.RangeRequest.SortOrder`,
    },
    {
      text: '{"ID":-1}',
      codec: etcdserverpb.MemberRemoveRequest,
      error: 'json: cannot unmarshal number -1 into Go value of type uint64',
    },
    {
      text: '{"peerURLs":"a"}',
      codec: etcdserverpb.MemberAddRequest,
      error: 'json: cannot unmarshal string into Go value of type []json.RawMessage',
    },
  ] as readonly { text: string; error: string; codec?: { fromJson(value: JsonValue): unknown } }[]) {
    void test(`${text} is refused`, () => {
      assert.throws(() => codec.fromJson(parseJson(text)), new JsonError(error))
    })
  }
})

void describe('reader', () => {
  void test('numbers keep their literals', () => {
    assert.deepEqual(parseJson('[1, -0.50e+7, 123456789012345678901234567890]'), [
      new JsonNumber('1'),
      new JsonNumber('-0.50e+7'),
      new JsonNumber('123456789012345678901234567890'),
    ])
  })

  void test('strings with every escape', () => {
    assert.equal(parseJson(String.raw`"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é"`), '"\\/\b\f\n\r\té😀é')
  })

  void test('the last of equal names counts', () => {
    assert.deepEqual(parseJson('{"a":true,"a":false}'), Object.assign(Object.create(null), { a: false }))
  })

  void test('values one after another', () => {
    const reader = new JsonReader('{} [] "a""b"\n1 2true ')
    const values = []
    for (let value = reader.next(); value !== undefined; value = reader.next()) values.push(value)
    assert.deepEqual(values.length, 7)
    assert.equal(reader.next(), undefined)
  })

  void test('a value before garbage', () => {
    const reader = new JsonReader('{}}')
    assert.deepEqual(reader.next(), Object.create(null))
    assert.throws(() => reader.next(), new JsonError("invalid character '}' looking for beginning of value"))
  })

  void test('deep nesting is refused', () => {
    assert.throws(() => parseJson('['.repeat(100_000)), new JsonError('exceeded max depth'))
    assert.ok(parseJson('['.repeat(1000) + ']'.repeat(1000)))
  })

  for (const [text, error] of [
    ['{a:1}', "invalid character 'a' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 2}', "invalid character '2' after object key:value pair"],
    ['[1 2]', "invalid character '2' after array element"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['[1,]', "invalid character ']' looking for beginning of value"],
    ['trux', "invalid character 'x' in literal true (expecting 'e')"],
    ['-x', "invalid character 'x' in numeric literal"],
    ['1.x', "invalid character 'x' after decimal point in numeric literal"],
    ['1ex', "invalid character 'x' in exponent of numeric literal"],
    ['"\n"', String.raw`invalid character '\n' in string literal`],
    [String.raw`"\x"`, "invalid character 'x' in string escape code"],
    [String.raw`"\u12g4"`, String.raw`invalid character 'g' in \u hexadecimal character escape`],
    ["'a'", String.raw`invalid character '\'' looking for beginning of value`],
    ['\u0001', String.raw`invalid character '\x01' looking for beginning of value`],
    ['é', "invalid character 'Ã' looking for beginning of value"],
    ['😀', "invalid character 'ð' looking for beginning of value"],
    ['{"a"', 'unexpected EOF'],
    ['"abc', 'unexpected EOF'],
    ['nul', 'unexpected EOF'],
  ] as const) {
    void test(`${JSON.stringify(text)} is not JSON`, () => {
      assert.throws(() => new JsonReader(text).next(), new JsonError(error))
    })
  }
})
