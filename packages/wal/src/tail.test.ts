import assert from 'node:assert/strict'
import test from 'node:test'
import { raftpb } from '@etcd-ts/api'
import { SeededRandom, SimDisk } from '@etcd-ts/testkit'
import { FrameReader, FrameWriter, RecordType } from './frame.ts'
import { wal34 } from './testdata/etcd-files.ts'
import { Wal } from './wal.ts'
import { WalError } from './wal-error.ts'

const DIR = '/wal'
const START = { index: 0, term: 0 }
const metadata = Uint8Array.of(8, 1, 16, 2)
const FIRST = `${DIR}/0000000000000000-0000000000000000.wal`

interface Frame {
  readonly start: number
  readonly end: number
  /** Where the padding begins. */
  readonly dataEnd: number
  readonly type: number
}

function framesOf(bytes: Uint8Array): Frame[] {
  const reader = new FrameReader(bytes, undefined)
  const frames: Frame[] = []
  while (reader.next() === undefined)
    frames.push({ start: reader.start, end: reader.end, dataEnd: reader.dataEnd, type: reader.type })
  return frames
}

/** A disk with a log of one segment, as it was after a process that wrote it had ended. */
function diskWith(content: Uint8Array): SimDisk {
  const disk = new SimDisk()
  disk.makeDirectory(DIR)
  disk.writeFile(FIRST, content)
  disk.open(FIRST, 'write').datasyncNow()
  disk.syncDirectoryNow(DIR)
  disk.syncDirectoryNow('/')
  return disk
}

/** A log of 50 entries of different lengths; a state that commits the one before follows each. */
async function makeFiftyEntries(): Promise<Uint8Array> {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  const vote = 0x8e9c_1b2a_0000_0001n
  for (let index = 1; index <= 50; index++) {
    const data = new Uint8Array((index * 37) % 300).fill(index)
    wal.append({ term: 1, vote, commit: index - 1 }, [{ type: 0, term: 1, index, data }])
    await wal.sync()
  }
  await wal.close()
  const bytes = disk.readFile(FIRST)
  return bytes.subarray(0, framesOf(bytes).at(-1)?.end)
}

const fiftyEntries = await makeFiftyEntries()

function indexesIn(entries: readonly raftpb.Entry[]): number {
  entries.forEach(({ index }, i) => assert.equal(index, i + 1))
  return entries.length
}

const refuses = (offset: number, evidence: RegExp) => (error: unknown) => {
  assert.ok(error instanceof WalError, String(error))
  assert.equal(error.reason, 'damaged')
  assert.ok(error.message.startsWith(`wal: ${FIRST}: offset ${offset}: `), error.message)
  assert.match(error.message, evidence)
  return true
}

/** Opens a log that must be refused and must not be touched by it. */
function assertRefused(disk: SimDisk, offset: number, evidence: RegExp): void {
  const before = disk.readFile(FIRST)
  assert.throws(() => Wal.open(disk, DIR, START), refuses(offset, evidence))
  assert.throws(() => Wal.snapshotsIn(disk, DIR), refuses(offset, evidence))
  assert.deepEqual(disk.list(DIR), [FIRST.slice(DIR.length + 1)])
  assert.ok(Buffer.from(before).equals(disk.readFile(FIRST)))
}

for (const { name, whole } of [
  { name: 'a log of ours', whole: fiftyEntries },
  { name: 'a log of real etcd', whole: wal34 },
]) {
  const frames = framesOf(whole)
  const isZero = (start: number, end: number): boolean =>
    whole.subarray(start, end).every((byte) => byte === 0)
  /** How many entries are whole in what ends at `end`, or goes on with zeros from there. */
  const entriesBefore = (end: number, areZerosBehind: boolean): number =>
    frames.filter(
      (frame) =>
        frame.type === RecordType.entry &&
        (frame.end <= end || (areZerosBehind && frame.start < end && isZero(end, frame.end))),
    ).length

  for (const { how, cutAt } of [
    { how: 'cut', cutAt: (end: number) => whole.slice(0, end) },
    {
      how: 'cut and followed by zeros',
      cutAt: (end: number) => {
        const bytes = new Uint8Array(whole.length + 3000)
        bytes.set(whole.subarray(0, end))
        return bytes
      },
    },
  ]) {
    void test(`D-19: ${name}, ${how} at each byte of the last two records, opens with all that is before`, () => {
      for (let end = frames.at(-2)!.start; end <= whole.length; end++) {
        const disk = diskWith(cutAt(end))
        Wal.snapshotsIn(disk, DIR)
        const opened = Wal.open(disk, DIR, START)
        const count = indexesIn(opened.entries)
        assert.equal(count, entriesBefore(end, how !== 'cut'), `cut at ${end}`)
        const repaired = disk.readFile(FIRST)
        const again = Wal.open(disk, DIR, START)
        assert.equal(again.entries.length, opened.entries.length)
        assert.ok(Buffer.from(repaired).equals(disk.readFile(FIRST)), 'a second opening changes nothing')
        again.wal.append(undefined, [{ type: 0, term: 2, index: count + 1 }])
        assert.equal(Wal.open(disk, DIR, START).entries.length, count + 1)
      }
    })
  }

  void test(`${name}: what a torn tail looked like is kept in a .broken file`, () => {
    const disk = diskWith(whole.slice(0, -5))
    Wal.open(disk, DIR, START)
    assert.ok(Buffer.from(disk.readFile(`${FIRST}.broken`)).equals(whole.subarray(0, -5)))
    assert.equal(disk.readFile(FIRST).length, frames.at(-1)!.start)
  })

  void test(`D-22: ${name} with any bit of any record but the last two flipped is refused`, () => {
    const random = new SeededRandom(22)
    for (const frame of frames.slice(0, -2)) {
      for (let n = 0; n < 12; n++) {
        const disk = diskWith(whole)
        // Every byte of the length field, then any byte of the record.
        const position = n < 8 ? frame.start + n : random.between(frame.start + 8, frame.end - 1)
        const bit = 1 << random.below(8)
        disk.damage(FIRST, position, (byte) => byte ^ bit)
        if (position >= frame.dataEnd) {
          // Padding means nothing.
          assert.equal(Wal.open(disk, DIR, START).entries.length, entriesBefore(Infinity, false))
          continue
        }
        const isFirstKnown = frame.start > 0 || framesOf(disk.readFile(FIRST)).length === 0
        // What the first record says can only be checked against the second.
        assertRefused(disk, isFirstKnown ? frame.start : frames[1]!.start, /damaged/)
      }
    }
  })

  void test(`D-23: ${name} with the length of any record but the last set to zero is refused`, () => {
    for (const frame of frames.slice(0, -1)) {
      const disk = diskWith(whole)
      for (let i = 0; i < 8; i++) disk.damage(FIRST, frame.start + i, () => 0)
      assertRefused(disk, frame.start, /a valid frame follows at offset/)
    }
  })

  void test(`D-23: ${name} with any sector but the last set to zero is refused`, () => {
    for (let sector = 0; (sector + 1) * 512 < frames.at(-2)!.start; sector++) {
      const disk = diskWith(whole)
      for (let i = 0; i < 512; i++) disk.damage(FIRST, sector * 512 + i, () => 0)
      const hit = frames.find(({ end }) => end > sector * 512)!
      assertRefused(disk, hit.start, /a valid frame follows at offset/)
    }
  })

  void test(`the last record of ${name} with its length set to zero, or too long, is refused: it was whole`, () => {
    const { start } = frames.at(-1)!
    const zeroed = diskWith(whole)
    for (let i = 0; i < 8; i++) zeroed.damage(FIRST, start + i, () => 0)
    assertRefused(zeroed, start, /the length is zero, but bytes follow up to offset/)
    const longer = diskWith(whole)
    longer.damage(FIRST, start + 2, () => 1)
    assertRefused(longer, start, /the record is intact, its length is not/)
  })

  void test(`the last record of ${name} with a bit flipped is refused`, () => {
    const { start, end } = frames.at(-1)!
    for (let position = start + 8; position < end - 7; position++) {
      const disk = diskWith(whole)
      disk.damage(FIRST, position, (byte) => byte ^ 0x10)
      assertRefused(disk, start, /crc mismatch|malformed/)
    }
  })
}

void test('a zero sector within the last record is a write that was cut off, as it is for etcd', () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  const data = new Uint8Array(3000).fill(1)
  wal.append(undefined, [{ type: 0, term: 1, index: 1 }])
  wal.append(undefined, [{ type: 0, term: 1, index: 2, data }])
  for (let i = 1024; i < 1536; i++) disk.damage(FIRST, i, () => 0)
  assert.equal(Wal.open(disk, DIR, START).entries.length, 1)
})

void test('damage in a segment that others follow is refused, a missing end as well', async () => {
  const build = async (): Promise<{ disk: SimDisk; second: string }> => {
    const disk = new SimDisk()
    const wal = Wal.create(disk, DIR, { metadata, segmentBytes: 1000 })
    for (let index = 1; index <= 20; index++)
      wal.append(undefined, [{ type: 0, term: 1, index, data: new Uint8Array(90).fill(1) }])
    await wal.close()
    return { disk, second: `${DIR}/${disk.list(DIR)[1]}` }
  }
  for (const { damage, text } of [
    { damage: (disk: SimDisk, path: string) => disk.damage(path, 500, (byte) => byte ^ 1), text: /damaged/ },
    {
      damage: (disk: SimDisk, path: string) => disk.open(path, 'write').truncate(503),
      text: /segments follow/,
    },
    {
      damage: (disk: SimDisk, path: string) => disk.writeFile(path, new Uint8Array(0)),
      text: /has no records/,
    },
    { damage: (disk: SimDisk, path: string) => disk.damage(path, 10, (byte) => byte ^ 1), text: /offset 0/ },
  ]) {
    const { disk, second } = await build()
    damage(disk, second)
    assert.throws(
      () => Wal.open(disk, DIR, START),
      (error) =>
        error instanceof WalError &&
        error.reason === 'damaged' &&
        error.message.includes(second) &&
        text.test(error.message),
    )
  }
  const { disk, second } = await build()
  const path = `${DIR}/${disk.list(DIR)[2]}`
  disk.writeFile(second, disk.readFile(path))
  assert.throws(
    () => Wal.open(disk, DIR, START),
    /offset 0: damaged/,
    'a copy of another segment does not chain',
  )
})

void test('a commit index beyond the last entry is refused: entries are missing', () => {
  const writer = new FrameWriter(0)
  writer.crcRecord()
  writer.metadata(metadata)
  writer.snapshot(START)
  writer.entry({ type: 0, term: 1, index: 1 })
  writer.state(1, 1n, 2)
  const disk = diskWith(writer.encoded)
  assert.throws(
    () => Wal.open(disk, DIR, START),
    (error) =>
      error instanceof WalError &&
      error.reason === 'damaged' &&
      /commit index 2 is out of range/.test(error.message),
  )
})

/** The log after a loss of power that left `content` where the rest was written but not all of it synced. */
function afterPowerLoss(content: Uint8Array): SimDisk {
  return diskWith(content).crash(new SeededRandom(1))
}

void test('after a loss of power a gap in what was not committed is a write that was cut off', () => {
  const disk = new SimDisk()
  const wal = Wal.create(disk, DIR, { metadata })
  wal.append({ term: 1, vote: 1n, commit: 0 }, [{ type: 0, term: 1, index: 1 }])
  const batch = Array.from(
    { length: 40 },
    (_, i) => ({ type: 0, term: 1, index: i + 2, data: new Uint8Array(90).fill(5) }) as const,
  )
  wal.append({ term: 2, vote: 1n, commit: 0 }, batch)
  const bytes = disk.readFile(FIRST)
  bytes.fill(0, 1024, 1536)
  assertRefused(diskWith(bytes), framesOf(bytes).at(-1)!.end, /a valid frame follows/)
  const opened = Wal.open(afterPowerLoss(bytes), DIR, START)
  assert.ok(opened.entries.length >= 2 && opened.entries.length < 15)
  assert.deepEqual(opened.hardState, { term: 1, vote: 1n, commit: 0 })
})

void test('after a loss of power a gap before what is known as committed is damage', () => {
  const whole = fiftyEntries
  const frames = framesOf(whole)
  for (const frame of frames.slice(3, -6)) {
    const bytes = whole.slice()
    bytes.fill(0, frame.start, frame.start + 8)
    assertRefused(afterPowerLoss(bytes), frame.start, /says that index \d+ had been committed/)
  }
})

void test('after a loss of power a last record that is garbage is a write that was cut off', () => {
  const whole = fiftyEntries
  const bytes = whole.slice()
  const { start } = framesOf(whole).at(-1)!
  new SeededRandom(5).bytes(bytes.length - start).forEach((byte, i) => (bytes[start + i] = byte))
  const opened = Wal.open(afterPowerLoss(bytes), DIR, START)
  assert.equal(indexesIn(opened.entries), 50)
  assert.equal(opened.hardState?.commit, 48)
})

/** How many mutated files to try; the environment may ask for more. */
const MUTATIONS = Number(process.env['ETCD_TS_SEEDS'] ?? 400) * 10

void test('a file changed at random is refused, or opens with nothing but what it held', () => {
  const random = new SeededRandom(15106)
  const reader = new FrameReader(wal34, undefined)
  const held: string[] = []
  while (reader.next() === undefined) {
    if (reader.type === RecordType.entry)
      held.push(Buffer.from(raftpb.Entry.encode(entryAt(reader))).toString('hex'))
  }
  for (let n = 0; n < MUTATIONS; n++) {
    let bytes = Uint8Array.from(wal34)
    for (let changes = random.between(1, 4); changes > 0; changes--) {
      const at = random.below(bytes.length)
      const fate = random.below(5)
      if (fate === 0) bytes[at]! ^= 1 << random.below(8)
      else if (fate === 1) bytes[at] = random.below(256)
      else if (fate === 2) bytes.fill(0, at, at + random.below(600))
      else if (fate === 3) bytes.copyWithin(at, random.below(bytes.length), random.below(bytes.length))
      else bytes = bytes.slice(0, Math.max(at, 1))
    }
    const disk = n % 2 === 0 ? diskWith(bytes) : afterPowerLoss(bytes)
    let entries: raftpb.Entry[]
    try {
      ;({ entries } = Wal.open(disk, DIR, START))
    } catch (error) {
      assert.ok(error instanceof WalError && error.reason !== 'failed', `mutation ${n}: ${String(error)}`)
      continue
    }
    entries.forEach((entry, i) => {
      assert.equal(
        Buffer.from(raftpb.Entry.encode(entry)).toString('hex'),
        held[i],
        `mutation ${n}, entry ${i + 1}`,
      )
    })
  }
})

function entryAt({ bytes, dataStart, dataEnd }: FrameReader): raftpb.Entry {
  return raftpb.Entry.decode(bytes, dataStart, dataEnd)
}
