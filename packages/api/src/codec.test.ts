import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  DecodeError,
  EMPTY,
  authpb,
  decodeProposal,
  etcdserverpb,
  healthpb,
  leasepb,
  membershippb,
  mvccpb,
  raftpb,
  services,
  snappb,
  walpb,
  type AnyCodec,
  type Field,
} from './index.ts'

const fromHex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const ascii = (text: string) => Uint8Array.from(Buffer.from(text))

const isCodec = (value: unknown): value is AnyCodec =>
  typeof value === 'object' && value !== null && 'encodedSize' in value && 'fields' in value

const codecs = [authpb, etcdserverpb, healthpb, leasepb, membershippb, mvccpb, raftpb, snappb, walpb]
  .flatMap((module) => Object.values(module) as unknown[])
  .filter(isCodec)

// The messages that have a JSON form.
const inServices = new Set(
  Object.values(services).flatMap((methods) =>
    Object.values(methods).flatMap((method) => [method.request, method.response]),
  ),
)

/** xorshift32: the same messages in every run. */
class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % limit
  }

  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!
  }
}

const counters = [
  0,
  1,
  127,
  128,
  2 ** 21,
  2 ** 28 - 1,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 42 + 3,
  Number.MAX_SAFE_INTEGER,
]
const unsigned = [
  0n,
  1n,
  127n,
  128n,
  2n ** 28n,
  2n ** 32n - 1n,
  2n ** 35n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n,
  2n ** 64n - 1n,
]
const signed = [0n, 1n, -1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)]
const texts = ['', 'k', 'a name of more than thirty-two characters', 'é', '日本語', '😀', '\0', '__proto__']

function randomValue(chance: Chance, field: Field, depth: number): unknown {
  switch (field.kind) {
    case 'uint64':
      return field.counter === undefined ? chance.of(unsigned) : chance.of(counters)
    case 'int64':
      if (field.counter === undefined) return chance.of(signed)
      return chance.of([...counters, -1, -(2 ** 31), Number.MIN_SAFE_INTEGER])
    case 'uint32':
      return chance.of([0, 1, 128, 2 ** 31, 2 ** 32 - 1])
    case 'bool':
      return chance.below(2) === 1
    case 'string':
      return chance.of(texts)
    case 'bytes':
      return Uint8Array.from({ length: chance.of([0, 1, 24, 25, 200]) }, () => chance.below(256))
    case 'enum':
      return chance.of([...Object.values(field.values!), 99, -1])
    case 'message':
      return randomMessage(chance, field.codec!(), depth + 1)
  }
}

function randomMessage(chance: Chance, codec: AnyCodec, depth: number): unknown {
  const message = codec.create() as Record<string, unknown>
  for (const field of codec.fields) {
    if (field.kind === 'message' && depth > 4) continue
    if (chance.below(3) === 0) continue
    if (field.label === 'repeated') {
      message[field.property] = Array.from({ length: chance.below(3) }, () =>
        randomValue(chance, field, depth),
      )
    } else if (field.label === 'map') {
      message[field.property] = new Map([[chance.of(texts), randomValue(chance, field, depth)]])
    } else if (field.oneof === undefined) {
      message[field.property] = randomValue(chance, field, depth)
    } else {
      message[field.oneof.property] = { case: field.property, value: randomValue(chance, field, depth) }
    }
  }
  return message
}

void describe('round trip', () => {
  for (const codec of codecs) {
    void test(codec.name, () => {
      const chance = new Chance(codec.name.length * 7919 + 1)
      for (let i = 0; i < 30; i++) {
        const message = randomMessage(chance, codec, 1)
        const bytes = codec.encode(message)
        assert.equal(codec.encodedSize(message), bytes.length)
        const decoded = codec.decode(bytes)
        // An empty snapshot in a raft message is read as none.
        assert.deepEqual(codec.encode(decoded), bytes)
        if (codec !== raftpb.Message) assert.deepEqual(decoded, message)
        assert.deepEqual(codec.create(message), message)

        // In the middle of a larger buffer.
        const out = new Uint8Array(bytes.length + 10).fill(0xff)
        assert.equal(codec.write(message, out, 5), 5 + bytes.length)
        assert.deepEqual(codec.decode(out, 5, 5 + bytes.length), decoded)
        assert.deepEqual([...out.subarray(0, 5), ...out.subarray(5 + bytes.length)], new Array(10).fill(0xff))

        if (inServices.has(codec)) assert.deepEqual(codec.fromJson(codec.toJson(message)), message)
      }
    })
  }

  void test('every defined field survives being left out of an init', () => {
    for (const codec of codecs) assert.deepEqual(codec.decode(codec.encode({})), codec.create(), codec.name)
  })
})

void describe('bytes that etcd wrote', () => {
  for (const { name, codec, hex, message } of [
    {
      name: 'an empty snapshot in a raft message',
      codec: raftpb.Snapshot,
      hex: '1208 0a02 2800 1000 1800',
      message: {},
    },
    {
      name: 'metadata of a snapshot',
      codec: raftpb.SnapshotMetadata,
      hex: '0a0d 08e2c6d6fbb1a9c7be9001 2800 1015 1802',
      message: { confState: { voters: [0x907d_1d4b_1f75_a362n] }, index: 21, term: 2 },
    },
    {
      name: 'the configuration change that a cluster begins with',
      codec: raftpb.ConfChange,
      hex: '0800 1000 18e2c6d6fbb1a9c7be9001 2202 7b7d',
      message: { nodeId: 10411510122038010722n, context: ascii('{}') },
    },
    {
      name: 'the entry of a new leader',
      codec: raftpb.Entry,
      hex: '0800 1002 1802',
      message: { term: 2, index: 2 },
    },
    {
      name: 'a hard state with a vote',
      codec: raftpb.HardState,
      hex: '0802 10e2c6d6fbb1a9c7be9001 1802',
      message: { term: 2, vote: 10411510122038010722n, commit: 2 },
    },
    {
      name: 'metadata of a WAL',
      codec: etcdserverpb.Metadata,
      hex: '08e2c6d6fbb1a9c7be9001 10bca3f997f39c918043',
      message: { NodeID: 10411510122038010722n, ClusterID: 0x430044e732fe51bcn },
    },
    {
      name: 'the checksum record that a WAL begins with',
      codec: walpb.Record,
      hex: '0804 1000',
      message: { type: 4 },
    },
    { name: 'the first snapshot record of a WAL', codec: walpb.Snapshot, hex: '0800 1000', message: {} },
    {
      name: 'a row of the key bucket',
      codec: mvccpb.KeyValue,
      hex: '0a026b31 1005 1805 2001 2a027631 308ab080aee5c0a8b123',
      message: {
        key: ascii('k1'),
        createRevision: 5,
        modRevision: 5,
        version: 1,
        value: ascii('v1'),
        lease: 0x2362_a206_55c0_180an,
      },
    },
    { name: 'a row of a deletion', codec: mvccpb.KeyValue, hex: '0a026b32', message: { key: ascii('k2') } },
    {
      name: 'a put in the log',
      codec: etcdserverpb.InternalRaftRequest,
      hex: '2212 0a026b31 12027631 188ab080aee5c0a8b123 a2060b 088cb080aee5c0a8b1a301',
      message: {
        put: { key: ascii('k1'), value: ascii('v1'), lease: 0x2362_a206_55c0_180an },
        header: { ID: 0xa362_a206_55c0_180cn },
      },
    },
    {
      name: 'auth enable in the log',
      codec: etcdserverpb.InternalRaftRequest,
      hex: 'c23e00',
      message: { authEnable: {} },
    },
    {
      name: 'alarm get in the log',
      codec: etcdserverpb.InternalRaftRequest,
      hex: '5200',
      message: { alarm: {} },
    },
    {
      name: 'a downgrade in the log',
      codec: etcdserverpb.InternalRaftRequest,
      hex: 'b25109 0801 1205 332e342e30',
      message: { downgradeInfoSet: { enabled: true, ver: '3.4.0' } },
    },
    {
      name: 'a v2 request in the log',
      codec: etcdserverpb.Request,
      hex: `0882b080aee5c0a8b1a301 1203505554 1a022f61 220131
            2800 3200 3800 4800 5000 5800 6000 6800 7000 7800 800100`,
      message: { ID: 0xa362_a206_55c0_1802n, Method: 'PUT', Path: '/a', Val: '1' },
    },
    {
      name: 'a user without options',
      codec: authpb.User,
      hex: '0a0161 2200',
      message: { name: ascii('a'), options: {} },
    },
  ] as readonly { name: string; codec: AnyCodec; hex: string; message: unknown }[]) {
    void test(name, () => {
      const bytes = fromHex(hex)
      assert.equal(toHex(codec.encode(message)), toHex(bytes))
      assert.deepEqual(codec.decode(bytes), codec.create(message))
    })
  }

  void test('a raft message always has a snapshot on the wire, and reads an empty one as none', () => {
    const heartbeat = raftpb.Message.encode({
      type: raftpb.MessageType.MsgHeartbeat,
      to: 1n,
      from: 2n,
      term: 3,
    })
    assert.equal(
      toHex(heartbeat),
      '0808' +
        '1001' +
        '1802' +
        '2003' +
        '2800' +
        '3000' +
        '4000' +
        '4a0a12080a02280010001800' +
        '5000' +
        '5800',
    )
    assert.equal(raftpb.Message.decode(heartbeat).snapshot, undefined)
    const snapshot = raftpb.Snapshot.create({ metadata: { index: 1 } })
    const message = raftpb.Message.decode(raftpb.Message.encode({ snapshot }))
    assert.deepEqual(message.snapshot, snapshot)
  })

  void test('bytes of raft are told apart: unset and empty', () => {
    assert.equal(raftpb.Entry.decode(raftpb.Entry.encode({ data: undefined })).data, undefined)
    assert.equal(raftpb.Entry.decode(raftpb.Entry.encode({ data: EMPTY })).data, EMPTY)
  })

  void test('flags of a v2 request are told apart: unset and false', () => {
    const request = etcdserverpb.Request.decode(etcdserverpb.Request.encode({ PrevExist: false }))
    assert.equal(request.PrevExist, false)
    assert.equal(request.Refresh, undefined)
  })

  void test('filters are written packed and read either way', () => {
    const { NODELETE, NOPUT } = etcdserverpb.FilterType
    const bytes = etcdserverpb.WatchCreateRequest.encode({ filters: [NODELETE, NOPUT] })
    assert.equal(toHex(bytes), '2a020100')
    assert.deepEqual(etcdserverpb.WatchCreateRequest.decode(bytes).filters, [NODELETE, NOPUT])
    assert.deepEqual(etcdserverpb.WatchCreateRequest.decode(fromHex('2801 2800')).filters, [NODELETE, NOPUT])
  })

  void test('voters are written one by one and read either way', () => {
    assert.equal(toHex(raftpb.ConfState.encode({ voters: [1n, 300n] })), '080108ac022800')
    assert.deepEqual(raftpb.ConfState.decode(fromHex('0a03 01 ac02 1005')).voters, [1n, 300n])
  })
})

void describe('numbers', () => {
  const term = (hex: string) => raftpb.HardState.decode(fromHex(`08${hex}`)).term
  const revision = (hex: string) => mvccpb.KeyValue.decode(fromHex(`10${hex}`)).createRevision

  void test('a counter of 2^53 - 1 is exact, one of 2^53 is refused', () => {
    assert.equal(term('ffffffffffffff0f'), Number.MAX_SAFE_INTEGER)
    assert.throws(() => term('8080808080808010'), new DecodeError('counter above 2^53 - 1: 9007199254740992'))
    assert.throws(() => term('ffffffffffffffffff01'), DecodeError)
  })

  void test('a signed counter may be negative, down to -(2^53 - 1)', () => {
    assert.equal(revision('ffffffffffffffffff01'), -1)
    assert.equal(revision('81808080808080f0ff01'), Number.MIN_SAFE_INTEGER)
    assert.throws(() => revision('80808080808080f0ff01'), DecodeError)
  })

  void test('the encoder refuses a counter that is not exact', () => {
    assert.throws(() => raftpb.HardState.encode({ term: 2 ** 53 }), RangeError)
  })

  void test('chosen numbers keep all 64 bits', () => {
    for (const limit of [2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      const bytes = etcdserverpb.RangeRequest.encode({ limit })
      assert.equal(etcdserverpb.RangeRequest.decode(bytes).limit, limit)
    }
  })

  void test('an enum keeps a number without a name, of a larger one the low 32 bits', () => {
    assert.equal(etcdserverpb.RangeRequest.decode(fromHex('2863')).sortOrder, 99)
    assert.equal(etcdserverpb.RangeRequest.decode(fromHex('28ffffffffffffffffff01')).sortOrder, -1)
    assert.equal(etcdserverpb.RangeRequest.decode(fromHex('288180808010')).sortOrder, 1)
  })

  void test('a varint may be longer than it needs to be', () => {
    assert.equal(term('80808000'), 0)
    assert.equal(term('81808080808080808000'), 1)
    assert.equal(etcdserverpb.PutRequest.decode(fromHex('388000')).ignoreLease, false)
    assert.equal(etcdserverpb.PutRequest.decode(fromHex('308001')).ignoreLease, true)
    assert.deepEqual(etcdserverpb.PutRequest.decode(fromHex('8a00 8100 6b')).key, ascii('k'))
  })
})

void describe('merging', () => {
  void test('the last of several single values counts', () => {
    assert.deepEqual(etcdserverpb.PutRequest.decode(fromHex('0a016b 0a0178')).key, ascii('x'))
  })

  void test('a message that comes twice is one message', () => {
    const { header } = etcdserverpb.PutResponse.decode(fromHex('0a04 0801 1802 0a04 1002 1800'))
    assert.deepEqual(header, { clusterId: 1n, memberId: 2n, revision: 0, raftTerm: 0 })
  })

  void test('members of a oneof replace each other, a message of the same case too', () => {
    const op = etcdserverpb.RequestOp.decode(fromHex('1203 0a016b 1203 120176'))
    assert.deepEqual(op.request, {
      case: 'requestPut',
      value: etcdserverpb.PutRequest.create({ value: ascii('v') }),
    })
    const other = etcdserverpb.RequestOp.decode(fromHex('1203 0a016b 0a00'))
    assert.equal(other.request?.case, 'requestRange')
  })

  void test('a oneof holds zero as a value', () => {
    const bytes = etcdserverpb.Compare.encode({ targetUnion: { case: 'version', value: 0n } })
    assert.equal(toHex(bytes), '2000')
    assert.deepEqual(etcdserverpb.Compare.decode(bytes).targetUnion, { case: 'version', value: 0n })
  })
})

void describe('ownership', () => {
  void test('bytes are views into what was decoded', () => {
    const bytes = etcdserverpb.PutRequest.encode({ key: ascii('key'), value: ascii('value') })
    const { key, value } = etcdserverpb.PutRequest.decode(bytes)
    assert.equal(key.buffer, bytes.buffer)
    assert.equal(value.buffer, bytes.buffer)
  })

  void test('an empty field is the shared constant', () => {
    assert.equal(etcdserverpb.PutRequest.decode(fromHex('0a00')).key, EMPTY)
    assert.equal(etcdserverpb.PutRequest.create().value, EMPTY)
  })

  void test('strings that are not UTF-8 are read with replacement characters', () => {
    assert.equal(authpbRole('ff'), '\ufffd')
    assert.equal(authpbRole('61'.repeat(40) + 'ff'), `${'a'.repeat(40)}\ufffd`)
    // A byte order mark is a character like any other.
    assert.equal(authpbRole('efbbbf61'), '\ufeffa')
  })
})

function authpbRole(hex: string): string {
  const bytes = fromHex(hex)
  return etcdserverpb.AuthRoleAddRequest.decode(Uint8Array.from([10, bytes.length, ...bytes])).name
}

void describe('malformed', () => {
  for (const { name, hex, codec = etcdserverpb.PutRequest, error } of [
    { name: 'ends in a tag', hex: '80', error: 'truncated value' },
    { name: 'ends before a value', hex: '0a', error: 'truncated value' },
    { name: 'ends in a varint', hex: '1880', error: 'truncated value' },
    { name: 'ends before a varint', hex: '20', error: 'truncated value' },
    { name: 'ends in a payload', hex: '0a036b', error: 'truncated value' },
    { name: 'ends in an unknown field of 8 bytes', hex: '4101020304', error: 'truncated value' },
    { name: 'ends in an unknown field of 4 bytes', hex: '45010203', error: 'truncated value' },
    { name: 'ends in an unknown payload', hex: '4205ff', error: 'truncated value' },
    { name: 'a length of 2^64 - 1', hex: '0affffffffffffffffff01', error: 'truncated value' },
    { name: 'a varint of 11 bytes', hex: '188080808080808080808000', error: 'varint longer than 10 bytes' },
    { name: 'field number 0', hex: '0000', error: 'etcdserverpb.PutRequest: field number 0' },
    { name: 'a field number above 2^29', hex: '80808080800100', error: 'field number out of range' },
    {
      name: 'a wrong wire type',
      hex: '0801',
      error: 'etcdserverpb.PutRequest: wrong wire type 0 for field 1',
    },
    {
      name: 'the start of a group',
      hex: '4344',
      error: 'etcdserverpb.PutRequest: illegal wire type 3 for field 8',
    },
    {
      name: 'the end of a group',
      hex: '44',
      error: 'etcdserverpb.PutRequest: illegal wire type 4 for field 8',
    },
    { name: 'wire type 6', hex: '46', error: 'etcdserverpb.PutRequest: illegal wire type 6 for field 8' },
    { name: 'wire type 7', hex: '47', error: 'etcdserverpb.PutRequest: illegal wire type 7 for field 8' },
    {
      name: 'a message that ends after its field',
      hex: '0a02 0801 ff'.slice(0, 7),
      codec: etcdserverpb.PutResponse,
      error: 'truncated value',
    },
    {
      name: 'a packed list that ends in a varint',
      hex: '0a01 80',
      codec: raftpb.ConfState,
      error: 'truncated value',
    },
    {
      name: 'an entry of a map with a field too many',
      hex: '0a03 0a0161 0a02 0801',
      codec: healthpb.HealthListResponse,
      error: 'grpc.health.v1.HealthListResponse: wrong wire type 0 for field 1',
    },
  ] as readonly { name: string; hex: string; codec?: AnyCodec; error: string }[]) {
    void test(name, () => {
      assert.throws(() => codec.decode(fromHex(hex)), new DecodeError(error))
    })
  }

  void test('a field never reaches behind the end that was given', () => {
    const bytes = fromHex('0a036b6b6b 1801')
    for (let end = 1; end < 5; end++)
      assert.throws(() => etcdserverpb.PutRequest.decode(bytes, 0, end), DecodeError)
    assert.throws(() => etcdserverpb.PutRequest.decode(bytes, 0, 6), DecodeError)
    assert.equal(etcdserverpb.PutRequest.decode(bytes, 0, 7).lease, 1n)
  })

  void test('every prefix of a message is a message or an error, never a crash', () => {
    const chance = new Chance(5)
    for (const codec of codecs) {
      const bytes = codec.encode(randomMessage(chance, codec, 1))
      for (let end = 0; end < bytes.length; end++) {
        try {
          codec.decode(bytes, 0, end)
        } catch (error) {
          assert.ok(error instanceof DecodeError, `${codec.name} ${toHex(bytes)} ${end}`)
        }
      }
    }
  })

  void test('nested 100 deep is read, 101 deep is refused', () => {
    let inner: Uint8Array = EMPTY
    // A transaction within a transaction is two messages deeper.
    for (let depth = 2; depth <= 100; depth += 2) inner = nest(inner)
    assert.throws(
      () => etcdserverpb.TxnRequest.decode(inner),
      new DecodeError('etcdserverpb.TxnRequest: messages nested deeper than 100'),
    )
    assert.ok(etcdserverpb.RequestOp.decode(nestOp(etcdserverpb.TxnRequest.encode({}))))
    let shallow: Uint8Array = EMPTY
    for (let depth = 3; depth <= 99; depth += 2) shallow = nest(shallow)
    assert.ok(etcdserverpb.TxnRequest.decode(shallow))
  })

  void test('unknown fields are skipped', () => {
    const request = etcdserverpb.PutRequest.decode(
      fromHex('40ffff03 49 0102030405060708 52 02 ffff 5d 01020304 0a016b'),
    )
    assert.deepEqual(request, etcdserverpb.PutRequest.create({ key: ascii('k') }))
  })
})

/** A transaction that holds `txn` as its only operation. */
function nest(txn: Uint8Array): Uint8Array {
  const op = nestOp(txn)
  return Uint8Array.from([0x12, ...varint(op.length), ...op])
}

function nestOp(txn: Uint8Array): Uint8Array {
  return Uint8Array.from([0x22, ...varint(txn.length), ...txn])
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]
}

void describe('the two kinds of requests in the log', () => {
  for (const Method of ['PUT', 'POST', 'DELETE', 'QGET', 'SYNC']) {
    void test(`${Method} of the v2 API`, () => {
      const request = etcdserverpb.Request.create({ ID: 7n, Method, Path: '/1/a', Val: 'b' })
      assert.deepEqual(decodeProposal(etcdserverpb.Request.encode(request)), { kind: 'v2', request })
      const wrapped = etcdserverpb.InternalRaftRequest.encode({ v2: request })
      assert.deepEqual(decodeProposal(wrapped), { kind: 'v2', request })
    })
  }

  void test('a v3 request', () => {
    const request = etcdserverpb.InternalRaftRequest.create({
      header: { ID: 7n },
      compaction: { revision: 3n },
    })
    assert.deepEqual(decodeProposal(etcdserverpb.InternalRaftRequest.encode(request)), {
      kind: 'v3',
      request,
    })
  })

  void test('neither', () => {
    assert.throws(() => decodeProposal(fromHex('ff')), DecodeError)
  })
})

void test('every method of every service has codecs for both sides', () => {
  for (const methods of Object.values(services)) {
    for (const method of Object.values(methods)) {
      assert.deepEqual(method.request.decode(method.request.encode({})), method.request.create())
      assert.deepEqual(method.response.decode(method.response.encode({})), method.response.create())
    }
  }
})
