import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { bucketNames } from '../buckets.ts'
import { BackendError } from '../error.ts'
import { seeded } from '../seeded.ts'
import { etcdDatabases } from './etcd-databases.ts'
import { BRANCH, LEAF, PAGE_BYTES, readMetaPage, writeMetaPage } from './format.ts'
import { BboltReader } from './reader.ts'
import { sourceOf } from './source.ts'
import { type Rows, encodeAll, faultOf, readAll, storeOf } from './file-fixture.ts'

const number = (value: number): string => {
  const bytes = Buffer.alloc(17, '_')
  bytes.writeBigUInt64BE(BigInt(value), 0)
  bytes.writeBigUInt64BE(0n, 9)
  return bytes.toString('latin1')
}

/** All ten buckets, those named with rows. */
const filled = (rows: Partial<Record<(typeof bucketNames)[number], Rows>>): Map<string, Rows> =>
  new Map(bucketNames.map((name) => [name, rows[name] ?? []]))

const many = (count: number, length: (i: number) => number): Rows =>
  Array.from({ length: count }, (_, i) => [number(i + 1), String.fromCharCode(i % 251).repeat(length(i))])

/** The kinds of all pages behind the metas, each with how many pages continue it. */
function pagesOf(file: Buffer): { kind: number; count: number; pages: number }[] {
  const found: { kind: number; count: number; pages: number }[] = []
  for (let page = 2; page * PAGE_BYTES < file.length;) {
    const at = page * PAGE_BYTES
    assert.equal(file.readUInt32LE(at), page)
    const pages = file.readUInt32LE(at + 12) + 1
    found.push({ kind: file.readUInt16LE(at + 8), count: file.readUInt16LE(at + 10), pages })
    page += pages
  }
  return found
}

void describe('bbolt files', () => {
  for (const { name, rows } of [
    { name: 'no rows', rows: filled({}) },
    { name: 'a bucket that fits into the value of its entry', rows: filled({ key: many(10, () => 60) }) },
    { name: 'one that just does not', rows: filled({ key: many(10, () => 71) }) },
    { name: 'a leaf', rows: filled({ key: many(40, () => 60), lease: many(30, () => 40) }) },
    { name: 'leaves below one branch', rows: filled({ key: many(1000, () => 300) }) },
    { name: 'three levels', rows: filled({ key: many(10_000, () => 300) }) },
    { name: 'long keys, which make many levels', rows: filled({ authUsers: longKeys(400) }) },
    { name: 'rows longer than a page', rows: filled({ key: many(300, (i) => (i * 7919) % 20_000) }) },
    { name: 'rows longer than a chunk', rows: filled({ key: many(5, (i) => 400_000 + i) }) },
    {
      name: 'rows of exactly a page',
      rows: filled({ key: many(9, (i) => 4096 - 16 - 16 - 17 - 1 + (i % 3)) }),
    },
    { name: 'empty values', rows: filled({ key: many(500, () => 0), alarm: many(3, () => 0) }) },
  ]) {
    void test(`what is written is read: ${name}`, () => {
      const file = encodeAll(storeOf(rows))
      assert.deepEqual(readAll(file), rows)
      for (const { kind, count, pages } of pagesOf(file)) {
        if (kind === BRANCH) assert.ok(count >= 2 && pages === 1)
        else assert.equal(kind, LEAF)
      }
    })
  }

  for (let seed = 1; seed <= 5; seed++) {
    void test(`what is written is read: chance, seed ${seed}`, () => {
      const below = seeded(seed)
      const rows = filled({})
      for (const name of bucketNames) {
        const bucket = new Map<string, string>()
        for (let i = below(4) === 0 ? below(3000) : below(20); i > 0; i--) {
          const key = String.fromCharCode(...Array.from({ length: 1 + below(40) }, () => below(256)))
          bucket.set(key, 'v'.repeat(below(20) === 0 ? below(9000) : below(200)))
        }
        rows.set(
          name,
          [...bucket].sort(([a], [b]) => (a < b ? -1 : 1)),
        )
      }
      assert.deepEqual(readAll(encodeAll(storeOf(rows))), rows)
    })
  }

  void test('the two metas are one transaction apart, without a free list, and cover the file', () => {
    const file = encodeAll(storeOf(filled({ key: many(1000, () => 300) })))
    const metas = [0, 1].map((page) => readMetaPage(file.subarray(page * PAGE_BYTES)))
    const [first, second] = metas
    assert.ok(typeof first === 'object' && typeof second === 'object')
    assert.deepEqual({ ...second, transaction: first.transaction }, first)
    assert.equal(first.transaction - second.transaction, 1n)
    assert.equal(first.pageCount * PAGE_BYTES, file.length)
    for (const page of [0, 1]) {
      assert.equal(file.readBigUInt64LE(page * PAGE_BYTES + 16 + 32), 0xffff_ffff_ffff_ffffn)
      assert.deepEqual(
        [file.readUInt32LE(page * PAGE_BYTES), file.readUInt16LE(page * PAGE_BYTES + 8)],
        [page, 4],
      )
    }
  })

  for (const { version, packed, rows, newest } of etcdDatabases) {
    void test(`a database of etcd ${version} is read`, () => {
      const buckets = readAll(gunzipSync(Buffer.from(packed, 'base64')))
      assert.deepEqual([...buckets.keys()], [...bucketNames])
      assert.equal(
        [...buckets.values()].reduce((sum, bucket) => sum + bucket.length, 0),
        rows,
      )
      assert.equal(buckets.get('key')!.at(-1)![0].slice(0, 8), number(newest).slice(0, 8))
      assert.deepEqual(readAll(encodeAll(storeOf(buckets))), buckets)
    })
  }
})

function longKeys(count: number): Rows {
  return Array.from({ length: count }, (_, i) => [`${'x'.repeat(1000)}${number(i)}`, 'v'.repeat(i % 50)])
}

void describe('bbolt files that are not whole', () => {
  const rows = filled({
    key: many(1500, (i) => (i % 100 === 0 ? 9000 : 250)),
    meta: [['consistent_index', '12345678']],
  })
  const whole = encodeAll(storeOf(rows))
  const changed = (change: (file: Buffer) => void): Buffer => {
    const file = Buffer.from(whole)
    change(file)
    return file
  }
  /** The place of the first page of a kind. */
  const pageAt = (kind: number): number => {
    for (let at = 2 * PAGE_BYTES; ; at += PAGE_BYTES) if (whole.readUInt16LE(at + 8) === kind) return at
  }
  const leaf = pageAt(LEAF)
  const branch = pageAt(BRANCH)
  const root = (readMetaPage(whole) as { rootPage: number }).rootPage * PAGE_BYTES

  for (const { name, file, fault } of [
    { name: 'a file of nothing', file: Buffer.alloc(0), fault: /its head is cut off/ },
    { name: 'text', file: Buffer.from('hello '.repeat(5000)), fault: /not of a bbolt file/ },
    { name: 'its first page alone', file: whole.subarray(0, 4096), fault: /4096 bytes are less than its/ },
    { name: 'its end missing', file: whole.subarray(0, whole.length - 1), fault: /are less than its/ },
    {
      name: 'another version',
      file: changed((f) => [0, 1].forEach((page) => f.writeUInt32LE(3, page * 4096 + 20))),
      fault: /of version 3/,
    },
    {
      name: 'both checksums wrong',
      file: changed((f) => [0, 1].forEach((page) => f.writeUInt8(1, page * 4096 + 72))),
      fault: /not what its checksum says/,
    },
    {
      name: 'a page under another number',
      file: changed((f) => f.writeUInt32LE(99, leaf)),
      fault: /is another one/,
    },
    {
      name: 'a page of another kind',
      file: changed((f) => f.writeUInt16LE(16, leaf + 8)),
      fault: /of kind 16/,
    },
    {
      name: 'a page that is continued beyond the end',
      file: changed((f) => f.writeUInt32LE(0xffff_ffff, leaf + 12)),
      fault: /continued beyond/,
    },
    {
      name: 'a page that is continued into the next',
      file: changed((f) => f.writeUInt32LE(f.readUInt32LE(leaf + 12) + 1, leaf + 12)),
      fault: /used twice/,
    },
    {
      name: 'more elements than the page has room for',
      file: changed((f) => f.writeUInt16LE(0xffff, leaf + 10)),
      fault: /no room for 65535/,
    },
    { name: 'a leaf emptied', file: changed((f) => f.writeUInt16LE(0, leaf + 10)), fault: /is empty/ },
    {
      name: 'a branch emptied',
      file: changed((f) => f.writeUInt16LE(0, branch + 10)),
      fault: /leads nowhere/,
    },
    {
      name: 'a key outside of its page',
      file: changed((f) => f.writeUInt32LE(0xffff_fff0, leaf + 16 + 4)),
      fault: /outside of it/,
    },
    {
      name: 'a value outside of its page',
      file: changed((f) => f.writeUInt32LE(0xffff_fff0, leaf + 16 + 12)),
      fault: /outside of it/,
    },
    {
      name: 'elements that share bytes',
      file: changed((f) => f.writeUInt32LE(f.readUInt32LE(leaf + 16 + 4) - 16, leaf + 32 + 4)),
      fault: /outside of it/,
    },
    {
      name: 'a key without bytes',
      file: changed((f) => f.writeUInt32LE(0, leaf + 16 + 8)),
      fault: /key of 0 bytes/,
    },
    {
      name: 'a bucket within a bucket',
      file: changed((f) => f.writeUInt32LE(1, leaf + 16)),
      fault: /is of kind 1/,
    },
    {
      name: 'a row among the buckets',
      file: changed((f) => f.writeUInt32LE(0, root + 16)),
      fault: /is of kind 0/,
    },
    {
      name: 'keys that do not ascend',
      file: changed((f) => f.writeUInt8(0xff, leaf + 16 + f.readUInt32LE(leaf + 16 + 4))),
      fault: /do not ascend/,
    },
    {
      name: 'a branch that leads to itself',
      file: changed((f) => f.writeUInt32LE(branch / PAGE_BYTES, branch + 16 + 8)),
      fault: /used twice/,
    },
    {
      name: 'a branch that leads to one page twice',
      file: changed((f) => f.writeUInt32LE(f.readUInt32LE(branch + 16 + 8), branch + 32 + 8)),
      fault: /used twice/,
    },
    {
      name: 'a branch that leads out of the file',
      file: changed((f) => f.writeUInt32LE(0x7fff_ffff, branch + 16 + 12)),
      fault: /there is no page Infinity/,
    },
    {
      name: 'a branch whose children are exchanged',
      file: changed((f) => {
        const [first, second] = [f.readUInt32LE(branch + 16 + 8), f.readUInt32LE(branch + 32 + 8)]
        f.writeUInt32LE(second, branch + 16 + 8)
        f.writeUInt32LE(first, branch + 32 + 8)
      }),
      fault: /not those that led to it/,
    },
  ]) {
    void test(`${name} is told`, () => assert.match(faultOf(file) ?? 'nothing', fault))
  }

  void test('one meta is enough, the newest counts, and a newer one that is damaged does not', () => {
    for (const page of [0, 1]) {
      const file = changed((f) => f.fill(0xee, page * PAGE_BYTES, (page + 1) * PAGE_BYTES))
      assert.deepEqual(readAll(file), rows)
    }
    const empty = encodeAll(storeOf(filled({})))
    const { rootPage, pageCount } = readMetaPage(empty) as { rootPage: number; pageCount: number }
    // The second meta is of a newer transaction, with a tree of its own behind the first one's.
    const shift = whole.length / PAGE_BYTES
    const meta = Buffer.alloc(PAGE_BYTES)
    const at = rootPage + shift - 2
    writeMetaPage(meta, 1, {
      pageBytes: PAGE_BYTES,
      rootPage: at,
      pageCount: pageCount + shift - 2,
      transaction: 9n,
    })
    const tail = Buffer.from(empty.subarray(2 * PAGE_BYTES))
    tail.writeUInt32LE(at, (rootPage - 2) * PAGE_BYTES)
    const both = Buffer.concat([whole.subarray(0, PAGE_BYTES), meta, whole.subarray(2 * PAGE_BYTES), tail])
    assert.deepEqual(readAll(both), filled({}))
    both.writeUInt8(0, PAGE_BYTES + 72)
    assert.deepEqual(readAll(both), rows)
  })

  void test('pages may be longer, and a file may go on behind its last one', () => {
    for (const pageBytes of [8192, 16_384, 65_536]) {
      const file = Buffer.alloc(3 * pageBytes + 32)
      for (const page of [0, 1]) {
        const meta = { pageBytes, rootPage: 2, pageCount: 3, transaction: BigInt(page) }
        writeMetaPage(file.subarray(page * pageBytes), page, meta)
      }
      file.writeUInt32LE(2, 2 * pageBytes)
      file.writeUInt16LE(LEAF, 2 * pageBytes + 8)
      assert.deepEqual(readAll(file), new Map())
      file.fill(0xff, 0, 100)
      assert.deepEqual(readAll(file), new Map())
    }
    for (const pageBytes of [0, 1, 4097, 1 << 30]) {
      const file = Buffer.alloc(4 * 4097)
      writeMetaPage(file, 0, { pageBytes, rootPage: 2, pageCount: 3, transaction: 1n })
      assert.ok(faultOf(file))
    }
  })

  void test('a root value that is too short is told', () => {
    const reader = new BboltReader(sourceOf(whole))
    for (const length of [0, 15, 16, 31]) {
      assert.throws(() => [...reader.rows({ name: 'key', value: new Uint8Array(length) })], BackendError)
    }
  })

  void test('whatever byte is changed, the reader ends, with the rows or with what is wrong', () => {
    const below = seeded(7)
    const small = encodeAll(
      storeOf(filled({ key: many(300, (i) => (i % 50 === 0 ? 5000 : 100)), meta: many(20, () => 9) })),
    )
    const used = Array.from({ length: small.length / PAGE_BYTES }, (_, page) => page * PAGE_BYTES)
    let faults = 0
    for (let round = 0; round < 6000; round++) {
      const file = Buffer.from(small)
      for (let changes = 1 + below(3); changes > 0; changes--) {
        const page = used[below(used.length)]!
        // Half of the changes hit what describes a page, where they do most harm.
        const at = page + (below(2) === 0 ? below(80) : below(PAGE_BYTES))
        const kind = below(4)
        if (kind === 0) file[at] = below(256)
        else if (kind === 1)
          file.writeUInt32LE([0, 1, 0xffff_ffff, 0x8000_0000][below(4)]!, Math.min(at, file.length - 4))
        else if (kind === 2) file.copy(file, at, used[below(used.length)]!, below(file.length))
        else file[at]! ^= 1 << below(8)
      }
      if (faultOf(below(20) === 0 ? file.subarray(0, below(file.length)) : file) !== undefined) faults++
    }
    assert.ok(faults > 1000, `${faults} faults`)
  })
})
