// Databases that etcd itself wrote, as a test of what this package makes of their rows: the index, and the hashes that etcd
// gives of them.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { importBbolt } from '@etcd-ts/backend'
import { etcdDatabases } from '@etcd-ts/backend/suite'
import { makeTempDir } from '@etcd-ts/testkit'
import { TestStore, allKeys } from './store-fixture.ts'

/** What etcd said of each. 3.4 leaves fewer rows of the bucket meta out of the hash of everything than this release. */
const answers = new Map([
  ['3.4.23', { revision: 19, compacted: 4, hashKv: 3_740_464_584, hash: undefined }],
  ['3.5.9', { revision: 4, compacted: 3, hashKv: 172_925_378, hash: 1_988_770_468 }],
])

for (const { version, packed, rows } of etcdDatabases) {
  void test(`the database of an etcd ${version}`, async (context) => {
    const { revision, compacted, hashKv, hash } = answers.get(version)!
    const folder = makeTempDir(context, 'mvcc')
    const source = join(folder, 'etcd.db')
    writeFileSync(source, gunzipSync(Buffer.from(packed, 'base64')))
    const target = join(folder, 'db')
    const imported = await importBbolt({ source, target })
    assert.deepEqual([imported.rows, imported.unknownBuckets], [rows, 0])
    const { store, backend } = await TestStore.openAt(context, target)
    assert.deepEqual([store.revision, store.compactedRevision], [revision, compacted])
    const expected = { hash: hashKv, revision, compactRevision: compacted }
    assert.deepEqual(await store.hashKv(0n), expected)
    assert.deepEqual(await store.hashKv(BigInt(revision)), expected)
    if (hash !== undefined) assert.equal(await store.hash(), hash)
    const stored = backend.range('key').map(([, value]) => Buffer.from(value))
    for (const row of store.range(allKeys).kvs) assert.ok(stored.some((value) => value.equals(row)))
  })
}
