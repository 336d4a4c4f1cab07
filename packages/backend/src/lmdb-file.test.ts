import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '@etcd-ts/platform'
import type { Backend } from './backend.ts'
import { BackendError } from './error.ts'
import { openLmdbBackend } from './lmdb-backend.ts'

const isReason =
  (reason: string) =>
  (error: unknown): boolean =>
    error instanceof BackendError && error.reason === reason

void describe('opening a data file', () => {
  let folder: string
  let path: string
  let whole: Buffer
  const openIt = (): Backend =>
    openLmdbBackend({
      path,
      clock: systemClock,
      onWriteFailed: (error) => {
        throw error
      },
    })

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'etcd-ts-backend-'))
    path = join(folder, 'db')
    const backend = openIt()
    for (let i = 0; i < 2000; i++) backend.put('key', Buffer.from(`key ${i}`), Buffer.alloc(300, i))
    await backend.close()
    whole = readFileSync(path)
  })
  after(() => rmSync(folder, { recursive: true }))

  const replace = (content: Uint8Array): void => {
    rmSync(`${path}-lock`, { force: true })
    writeFileSync(path, content)
  }

  void test('an etcd database is named as such and left alone', () => {
    const bbolt = Buffer.alloc(32_768)
    for (const page of [0, 1]) {
      bbolt.writeUInt32LE(0xed0cdaed, page * 4096 + 16)
      bbolt.writeUInt32LE(2, page * 4096 + 20)
    }
    replace(bbolt)
    assert.throws(openIt, isReason('bboltFile'))
    assert.deepEqual(readFileSync(path), bbolt)
  })

  for (const { name, content, reason } of [
    { name: 'text', content: () => Buffer.from('hello '.repeat(5000)), reason: 'foreignFile' },
    { name: 'zeros', content: () => Buffer.alloc(40_960), reason: 'foreignFile' },
    { name: 'a few bytes', content: () => Buffer.from('abc'), reason: 'foreignFile' },
    {
      name: 'a file cut off in its first page',
      content: () => whole.subarray(0, 1000),
      reason: 'damagedFile',
    },
    {
      name: 'a file cut off behind its heads',
      content: () => whole.subarray(0, 8192),
      reason: 'damagedFile',
    },
    {
      name: 'a file cut off in the middle',
      content: () => whole.subarray(0, 200_000),
      reason: 'damagedFile',
    },
    {
      name: 'a file whose second head is overwritten',
      content: () => {
        const content = Buffer.from(whole)
        content.fill(0xee, 4096, 8192)
        return content
      },
      reason: 'damagedFile',
    },
  ]) {
    void test(`${name} is refused: ${reason}`, () => {
      replace(content())
      assert.throws(openIt, isReason(reason))
    })
  }

  void test('what cannot be opened at all is refused with the reason of the system', () => {
    const opened = path
    for (const [wrong, code] of [
      [join(folder, 'no folder', 'db'), 'ENOENT'],
      [folder, 'EISDIR'],
      [join(opened, 'db'), 'ENOTDIR'],
    ] as const) {
      path = wrong
      assert.throws(openIt, (error: BackendError) => {
        assert.equal(error.reason, 'openFailed')
        assert.equal((error.cause as NodeJS.ErrnoException).code, code)
        return true
      })
    }
    path = opened
  })

  void test('an empty file and no file are a new database', async () => {
    for (const create of [() => replace(Buffer.alloc(0)), () => rmSync(path)]) {
      create()
      const backend = openIt()
      assert.deepEqual(backend.range('key'), [])
      assert.equal(statSync(path).mode & 0o777, 0o600)
      await backend.close()
    }
  })

  void test('what a defragmentation left is removed at start, and nothing else', async () => {
    replace(whole)
    const leftovers = ['db.tmp.defragment', 'db.tmp.defragment-lock', 'db.tmp.123']
    for (const name of leftovers) writeFileSync(join(folder, name), 'x')
    const others = ['0000000000000001-0000000000000001.snap', 'dbtmp', 'mydb.tmp.1']
    for (const name of others) writeFileSync(join(folder, name), 'x')
    mkdirSync(join(folder, 'sub'))
    const backend = openIt()
    assert.equal(backend.range('key').length, 2000)
    await backend.close()
    assert.deepEqual(readdirSync(folder).sort(), [...others, 'db', 'db-lock', 'sub'].sort())
    for (const name of leftovers) assert.ok(!existsSync(join(folder, name)))
  })

  void test('the map reaches beyond the file without taking space on the disk', async () => {
    rmSync(path)
    const backend = openIt()
    backend.put('key', Buffer.from('a'), Buffer.from('b'))
    await backend.commit()
    const { size, blocks } = statSync(path)
    assert.ok(size < 1024 * 1024 && blocks * 512 < 1024 * 1024)
    assert.equal(backend.size() % 4096, 0)
    assert.ok(backend.size() <= size)
    await backend.close()
  })
})
