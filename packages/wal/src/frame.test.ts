import assert from 'node:assert/strict'
import test from 'node:test'
import { raftpb, walpb } from '@etcd-ts/api'
import { crc32c } from '@etcd-ts/platform'
import { FrameReader, FrameWriter, RecordType } from './frame.ts'
import { wal34, wal35 } from './testdata/etcd-files.ts'

/** Reads all frames, writes each again, and returns what was read in words. */
function readAndWrite(bytes: Uint8Array): { records: string[]; written: Uint8Array; crc: number } {
  const reader = new FrameReader(bytes, undefined)
  const writer = new FrameWriter(0)
  const records: string[] = []
  while (reader.next() === undefined) {
    const { type, dataStart, dataEnd } = reader
    const data = bytes.subarray(dataStart, dataEnd)
    switch (type) {
      case RecordType.crc:
        writer.crcRecord()
        records.push(`crc ${reader.crc}`)
        break
      case RecordType.metadata:
        writer.metadata(data)
        records.push(`metadata ${Buffer.from(data).toString('hex')}`)
        break
      case RecordType.snapshot: {
        const snapshot = walpb.Snapshot.decode(data)
        writer.snapshot(snapshot)
        records.push(`snapshot ${snapshot.index} ${snapshot.term}`)
        break
      }
      case RecordType.entry: {
        const entry = raftpb.Entry.decode(data)
        writer.entry(entry)
        records.push(`entry ${entry.type} ${entry.term} ${entry.index} ${entry.data?.length ?? '-'}`)
        break
      }
      default: {
        const { term, vote, commit } = raftpb.HardState.decode(data)
        writer.state(term, vote, commit)
        records.push(`state ${term} ${vote} ${commit}`)
      }
    }
  }
  assert.equal(reader.end, bytes.length, 'every byte was read')
  return { records, written: writer.encoded, crc: reader.crc ?? 0 }
}

void test('a segment of a 3.4.23 member: the 37 records that it holds, written again byte for byte', () => {
  const { records, written, crc } = readAndWrite(wal34)
  const self = 10411510122038010722n
  assert.equal(records.length, 37)
  assert.deepEqual(records.slice(0, 7), [
    'crc 0',
    'metadata 08e2c6d6fbb1a9c7be900110bca3f997f39c918043',
    'snapshot 0 0',
    'entry 1 1 1 99',
    'state 1 0 1',
    'entry 0 2 2 -',
    `state 2 ${self} 2`,
  ])
  for (let index = 3; index <= 17; index++) {
    assert.match(records[1 + 2 * index]!, new RegExp(`^entry 0 2 ${index} \\d+$`))
    assert.equal(records[2 + 2 * index], `state 2 ${self} ${index}`)
  }
  assert.equal(crc, 0x78a125b2)
  assert.deepEqual(written, wal34)
})

void test('a segment of a 3.5.9 member: entries 1 to 29, written again byte for byte', () => {
  const { records, written, crc } = readAndWrite(wal35)
  const indexes = records
    .filter((record) => record.startsWith('entry'))
    .map((record) => Number(record.split(' ')[3]))
  assert.deepEqual(
    indexes,
    Array.from({ length: 29 }, (_, i) => i + 1),
  )
  assert.equal(crc, 0x5352dcb5)
  assert.deepEqual(written, wal35)
})

void test('a record is what the codec makes of it, for every length of data, padding and CRC', () => {
  const writer = new FrameWriter(0)
  let crc = 0
  const crcSizes = new Set<number>()
  for (let length = 0; length < 3000; length++) {
    const entry = {
      type: raftpb.EntryType.EntryNormal,
      term: length * length * length,
      index: 2 ** 53 - 1 - length,
      data: length === 0 ? undefined : new Uint8Array(length - 1).fill(length),
    }
    writer.clear()
    writer.entry(entry)
    const data = raftpb.Entry.encode(entry)
    crc = crc32c(data, 0, data.length, crc)
    const record = walpb.Record.encode({ type: RecordType.entry, crc, data })
    crcSizes.add(record.length)
    const padding = -record.length & 7
    const expected = Buffer.alloc(8 + record.length + padding)
    expected.writeUInt32LE(record.length, 0)
    expected[7] = padding === 0 ? 0 : 0x80 | padding
    expected.set(record, 8)
    assert.ok(expected.equals(writer.encoded), `entry with ${length - 1} bytes`)
    assert.equal(writer.crc, crc)
  }
})

for (const vote of [
  0n,
  1n,
  127n,
  128n,
  0x7fff_ffffn,
  0xffff_ffffn,
  10411510122038010722n,
  0xffff_ffff_ffff_ffffn,
]) {
  void test(`a vote for ${vote} reads back`, () => {
    const writer = new FrameWriter(7)
    writer.state(2 ** 40, vote, 3)
    const reader = new FrameReader(writer.encoded, 7)
    assert.equal(reader.next(), undefined)
    const state = raftpb.HardState.decode(writer.encoded, reader.dataStart, reader.dataEnd)
    assert.deepEqual(state, { term: 2 ** 40, vote, commit: 3 })
  })
}

void test('a batch larger than the buffer is whole, and the buffer shrinks again', () => {
  const writer = new FrameWriter(0)
  const entries = Array.from({ length: 20 }, (_, i) => ({
    type: raftpb.EntryType.EntryNormal,
    term: 1,
    index: i + 1,
    data: new Uint8Array(500_000).fill(i),
  }))
  for (const entry of entries) writer.entry(entry)
  const reader = new FrameReader(writer.encoded, 0)
  for (const entry of entries) {
    assert.equal(reader.next(), undefined)
    assert.deepEqual(raftpb.Entry.decode(reader.bytes, reader.dataStart, reader.dataEnd), entry)
  }
  writer.clear()
  assert.ok(writer.encoded.buffer.byteLength < 1 << 20)
})

for (const { name, change, problem } of [
  { name: 'a length of zero', change: (frame: Buffer) => frame.fill(0, 0, 8), problem: 'zero length' },
  { name: 'the wrong padding', change: (frame: Buffer) => (frame[7]! ^= 1), problem: 'malformed' },
  { name: 'no padding marked', change: (frame: Buffer) => (frame[7] = 0), problem: 'malformed' },
  { name: 'a longer length', change: (frame: Buffer) => (frame[0]! += 8), problem: 'incomplete' },
  { name: 'a huge length', change: (frame: Buffer) => (frame[5] = 1), problem: 'incomplete' },
  { name: 'a shorter length', change: (frame: Buffer) => (frame[0]! -= 8), problem: 'malformed' },
  { name: 'an unknown type', change: (frame: Buffer) => (frame[9] = 6), problem: 'malformed' },
  { name: 'another CRC', change: (frame: Buffer) => (frame[11]! ^= 1), problem: 'wrong crc' },
  { name: 'other data', change: (frame: Buffer) => (frame[30]! ^= 1), problem: 'wrong crc' },
] as const) {
  void test(`a frame with ${name} is not valid, and reading stays where it was`, () => {
    const writer = new FrameWriter(0)
    writer.entry({ type: 0, term: 1, index: 1, data: new Uint8Array(21).fill(9) })
    const frame = Buffer.from(writer.encoded)
    change(frame)
    const reader = new FrameReader(frame, 0)
    assert.equal(reader.next(), problem)
    assert.equal(reader.end, 0)
    assert.equal(reader.crc, 0)
  })
}

void test('a frame that is cut off anywhere is incomplete', () => {
  for (let end = 1; end < 40; end++) {
    assert.equal(new FrameReader(wal34.subarray(0, end), 0).next(), end < 16 ? 'incomplete' : undefined)
  }
  assert.equal(new FrameReader(new Uint8Array(0), 0).next(), 'zero length')
})
