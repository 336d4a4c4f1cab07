import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { systemClock } from '@etcd-ts/platform'
import { type Bucket, bucketNames } from '../buckets.ts'
import { BackendError } from '../error.ts'
import { openLmdbBackend } from '../lmdb-backend.ts'
import { type Rows, encodeAll, storeOf } from './file-fixture.ts'
import { PageEncoder } from './page-writer.ts'
import { PageTree } from './page-tree.ts'
import { BUCKET, PAGE_BYTES, writeMetaPage } from './format.ts'
import type { ImportProgress, Imported } from './import.ts'
import { importBbolt } from './import-thread.ts'

const isReason =
  (reason: string) =>
  (error: unknown): boolean =>
    error instanceof BackendError && error.reason === reason

const rowsOf = (count: number): Rows =>
  Array.from({ length: count }, (_, i) => [`key ${String(i).padStart(8, '0')}`, 'v'.repeat(i % 700)])

/** A bbolt file of any buckets, which is more than what a member exports. */
function fileOf(buckets: Readonly<Record<string, Rows>>): Buffer {
  const pages = new PageEncoder()
  const root = new PageTree(pages)
  for (const name of Object.keys(buckets).sort()) {
    const tree = new PageTree(pages)
    for (const [key, value] of buckets[name]!) tree.add(0, Buffer.from(key), Buffer.from(value))
    root.add(BUCKET, Buffer.from(name), tree.finishBucket())
  }
  const rootPage = root.finish()
  pages.end()
  const metas = [0, 1].map((page) => {
    const meta = Buffer.alloc(PAGE_BYTES)
    const pageCount = pages.nextPage
    writeMetaPage(meta, page, { pageBytes: PAGE_BYTES, rootPage, pageCount, transaction: BigInt(page + 5) })
    return meta
  })
  return Buffer.concat([...metas, ...pages.full])
}

void describe('importing a bbolt file', () => {
  let folder: string
  let source: string
  let target: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'etcd-ts-import-'))
    source = join(folder, 'received')
    target = join(folder, 'db')
  })
  afterEach(() => {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
  })
  after(() => rmSync(folder, { recursive: true }))

  const importFile = (content: Uint8Array): Promise<Imported> => {
    writeFileSync(source, content)
    return importBbolt({ source, target })
  }
  const found = async (bucket: Bucket): Promise<Rows> => {
    const options = { path: target, clock: systemClock, onWriteFailed: assert.fail }
    const backend = openLmdbBackend(options)
    const rows = backend
      .range(bucket)
      .map(([key, value]): [string, string] => [
        Buffer.from(key).toString('latin1'),
        Buffer.from(value).toString('latin1'),
      ])
    await backend.close()
    return rows
  }

  void test('all rows arrive, the entry that they contain is told, and progress on the way', async () => {
    const counter = (value: number): string => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64BE(BigInt(value))
      return bytes.toString('latin1')
    }
    const key = rowsOf(50_000)
    const meta: Rows = [
      ['consistent_index', counter(123_456)],
      ['term', counter(7)],
    ]
    const rows = new Map<string, Rows>([
      ['key', key],
      ['meta', meta],
    ])
    writeFileSync(source, encodeAll(storeOf(rows)))
    const progress: ImportProgress[] = []
    const imported = await importBbolt({ source, target, onProgress: (each) => void progress.push(each) })
    const bytes = [...key, ...meta].reduce((sum, [k, v]) => sum + k.length + v.length, 0)
    assert.deepEqual(imported, { rows: 50_002, bytes, unknownBuckets: 0, consistentIndex: 123_456, term: 7 })
    assert.ok(progress.length > 2)
    assert.equal(progress.at(-1)!.rows, 50_002)
    assert.equal(progress.at(-1)!.sourceBytes, statSync(source).size)
    assert.deepEqual(readdirSync(folder).sort(), ['db', 'received'])
    assert.equal(statSync(target).mode & 0o777, 0o600)
    assert.deepEqual(await found('key'), key)
    assert.deepEqual(await found('meta'), meta)
  })

  void test('buckets that a member does not have are left out and counted; those that are missing are empty', async () => {
    const file = fileOf({ aaa: rowsOf(3), key: [['k', 'v']], test: rowsOf(5000), zzz: [] })
    const { rows, unknownBuckets, consistentIndex } = await importFile(file)
    assert.deepEqual([rows, unknownBuckets, consistentIndex], [1, 3, 0])
    assert.deepEqual(await found('key'), [['k', 'v']])
    for (const name of bucketNames) if (name !== 'key') assert.deepEqual(await found(name), [])
  })

  void test('a file that stands at the target is replaced, unless the import fails', async () => {
    await importFile(fileOf({ key: [['k', 'first']] }))
    await assert.rejects(importFile(Buffer.alloc(100_000)), isReason('foreignFile'))
    assert.deepEqual(await found('key'), [['k', 'first']])
    await importFile(fileOf({ key: [['k', 'second']] }))
    assert.deepEqual(await found('key'), [['k', 'second']])
  })

  void test('values of many pages', async () => {
    const rows: Rows = [10, 4000, 100_000, 3_000_000, 18_000_000].map((length, i) => [
      `k${i}`,
      'x'.repeat(length),
    ])
    await importFile(fileOf({ lease: rows }))
    assert.deepEqual(await found('lease'), rows)
  })

  for (const { name, content, reason } of [
    { name: 'a file of something else', content: () => Buffer.alloc(50_000, 1), reason: 'foreignFile' },
    {
      name: 'a file that is cut off',
      content: () => fileOf({ key: rowsOf(9000) }).subarray(0, 1_000_000),
      reason: 'damagedFile',
    },
    {
      name: 'a file with damage near its end',
      content: () => {
        const file = fileOf({ key: rowsOf(30_000) })
        file.fill(0xff, file.length - 20 * PAGE_BYTES, file.length - 19 * PAGE_BYTES)
        return file
      },
      reason: 'damagedFile',
    },
    {
      name: 'a key that is too long',
      content: () => fileOf({ authUsers: [['u'.repeat(1025), '']] }),
      reason: 'keyTooLong',
    },
  ]) {
    void test(`${name} is refused, and nothing is left: ${reason}`, async () => {
      await assert.rejects(importFile(content()), isReason(reason))
      assert.deepEqual(readdirSync(folder), ['received'])
    })
  }

  void test('a file that is not there, or a folder', async () => {
    await assert.rejects(importBbolt({ source, target }), (error: BackendError) => {
      assert.equal(error.reason, 'transferFailed')
      assert.match(String(error.cause), /ENOENT/)
      return true
    })
    mkdirSync(source)
    await assert.rejects(importBbolt({ source, target }), isReason('transferFailed'))
  })

  void test('an import that is given up leaves nothing', async () => {
    writeFileSync(source, fileOf({ key: rowsOf(200_000) }))
    await assert.rejects(importBbolt({ source, target, signal: AbortSignal.abort() }), isReason('closed'))
    const stop = new AbortController()
    const options = { source, target, signal: stop.signal, onProgress: () => stop.abort() }
    await assert.rejects(importBbolt(options), isReason('closed'))
    assert.deepEqual(readdirSync(folder), ['received'])
    assert.equal(readFileSync(source).length % PAGE_BYTES, 0)
  })
})
