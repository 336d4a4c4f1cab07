// Bbolt files that this program makes, as etcd's own tools and server take them, and the other way round.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { etcdserverpb, mvccpb } from '@etcd-ts/api'
import { type Backend, bucketNames, importBbolt, openLmdbBackend } from '@etcd-ts/backend'
import { MvccStore } from '@etcd-ts/mvcc'
import { crc32c, systemClock, systemRandom } from '@etcd-ts/platform'
import {
  GrpcKvClient,
  type Scope,
  SeededRandom,
  ServerProcess,
  findProgram,
  freeAfter,
  makeTempDir,
  realServer,
  skipWithout,
} from '@etcd-ts/testkit'

const etcdctl = findProgram('etcdctl')
const server = realServer()
const skip = skipWithout(etcdctl !== undefined && server !== undefined, 'etcd')
const run = promisify(execFile)

/** Everything that a text file of JSON says, with the numbers that the tools print. */
interface Printed {
  readonly hash: number
  readonly revision: number
  readonly totalKey: number
  readonly totalSize: number
}

async function tool(...args: string[]): Promise<string> {
  const { stdout } = await run(etcdctl ?? '', args, { env: { ...process.env, ETCDCTL_API: '3' } })
  return stdout
}

function openBackend(scope: Scope, path: string): Backend {
  const backend = openLmdbBackend({
    path,
    clock: systemClock,
    onWriteFailed: (error) => {
      throw error
    },
  })
  freeAfter(scope, () => backend.close())
  return backend
}

function openStore(scope: Scope, backend: Backend): Promise<MvccStore> {
  return MvccStore.open({
    backend,
    clock: systemClock,
    random: systemRandom,
    compactionPauseMs: 0,
    onFailed: (error) => {
      throw error
    },
  }).then((store) => {
    freeAfter(scope, () => store.close())
    return store
  })
}

/** What `snapshot status` prints for the rows of a backend: a sum over all of them. */
function expectedStatus(backend: Backend, sizeBytes: number): Printed {
  let hash = 0
  let totalKey = 0
  let revision = 0
  for (const bucket of bucketNames) {
    hash = crc32c(Buffer.from(bucket), 0, bucket.length, hash)
    backend.scan(bucket, new Uint8Array(0), undefined, (key, value) => {
      hash = crc32c(value, 0, value.length, crc32c(key, 0, key.length, hash))
      totalKey++
      if (bucket === 'key') revision = Number(Buffer.from(key).readBigUInt64BE())
      return true
    })
  }
  return { hash, revision, totalKey, totalSize: sizeBytes }
}

async function allPairs(store: MvccStore, endpoint: string): Promise<[ours: string[], theirs: string[]]> {
  const all = { key: Buffer.alloc(1), rangeEnd: Buffer.alloc(1) }
  const ours = store.range(etcdserverpb.RangeRequest.create(all)).kvs
  const client = new GrpcKvClient(endpoint)
  const answer = etcdserverpb.RangeResponse.decode(
    await client.grpc.bytes('/etcdserverpb.KV/Range', etcdserverpb.RangeRequest.encode(all)),
  )
  client.close()
  const theirs = answer.kvs.map((kv) => Buffer.from(mvccpb.KeyValue.encode(kv)).toString('hex'))
  return [ours.map((kv) => Buffer.from(kv).toString('hex')), theirs]
}

async function theirHashKv(endpoint: string): Promise<number> {
  const client = new GrpcKvClient(endpoint)
  const answer = etcdserverpb.HashKVResponse.decode(
    await client.grpc.bytes(
      '/etcdserverpb.Maintenance/HashKV',
      etcdserverpb.HashKVRequest.encode({ revision: 0n }),
    ),
  )
  client.close()
  return answer.hash
}

void test(
  'an export is what etcdctl inspects and restores, and what etcd then serves',
  { skip },
  async (context) => {
    const folder = makeTempDir(context, 'bbolt')
    const backend = openBackend(context, join(folder, 'db'))
    const store = await openStore(context, backend)
    const random = new SeededRandom(1)
    for (let i = 0; i < 6000; i++) {
      const key = Buffer.from(`key ${random.below(2000)}`)
      if (random.below(5) === 0) {
        store.deleteRange(etcdserverpb.DeleteRangeRequest.create({ key }))
        continue
      }
      const length = random.below(100) === 0 ? random.below(60_000) : random.below(400)
      store.put(etcdserverpb.PutRequest.create({ key, value: random.bytes(length) }))
    }
    await store.compact(BigInt(store.revision - 3000))
    store.put(etcdserverpb.PutRequest.create({ key: Buffer.from('last'), value: Buffer.alloc(1_200_000, 7) }))

    const file = await backend.exportBbolt()
    const path = join(folder, 'snapshot.db')
    await pipeline(file.chunks(), createWriteStream(path))
    const printed: unknown = JSON.parse(await tool('snapshot', 'status', path, '-w', 'json'))
    assert.deepEqual(printed, expectedStatus(backend, file.sizeBytes))

    const dataDir = join(folder, 'restored')
    const etcd = await ServerProcess.create(context, { program: server!, dataDir })
    const peers = ['--initial-cluster', `m1=${etcd.peerUrl}`, '--initial-advertise-peer-urls', etcd.peerUrl]
    await tool(
      'snapshot',
      'restore',
      path,
      '--skip-hash-check',
      '--data-dir',
      dataDir,
      '--name',
      'm1',
      ...peers,
    )
    await etcd.start()
    const [ours, theirs] = await allPairs(store, etcd.endpoint)
    assert.ok(ours.length > 1000)
    assert.deepEqual(theirs, ours)
    assert.equal(await theirHashKv(etcd.endpoint), (await store.hashKv(0n)).hash)
  },
)

void test('a snapshot that etcd saved is imported as it is', { skip }, async (context) => {
  const folder = makeTempDir(context, 'bbolt')
  const etcd = await ServerProcess.start(context, { program: server! })
  const client = new GrpcKvClient(etcd.endpoint)
  const random = new SeededRandom(2)
  for (let i = 0; i < 1500; i++) {
    const key = Buffer.from(`key ${random.below(700)}`)
    const value = random.bytes(random.below(80) === 0 ? random.below(50_000) : random.below(500))
    const request = etcdserverpb.PutRequest.encode({ key, value })
    await client.grpc.bytes('/etcdserverpb.KV/Put', request)
  }
  client.close()
  await tool('--endpoints', etcd.endpoint, 'compact', '700')
  const source = join(folder, 'saved.db')
  await tool('--endpoints', etcd.endpoint, 'snapshot', 'save', source)
  const status = JSON.parse(await tool('snapshot', 'status', source, '-w', 'json')) as Printed

  const target = join(folder, 'db')
  const imported = await importBbolt({ source, target })
  assert.equal(imported.rows, status.totalKey)
  assert.equal(imported.unknownBuckets, 0)
  assert.ok(imported.consistentIndex > 1500)
  const backend = openBackend(context, target)
  assert.deepEqual(expectedStatus(backend, status.totalSize), status)
  const store = await openStore(context, backend)
  assert.equal(store.revision, status.revision)
  const [ours, theirs] = await allPairs(store, etcd.endpoint)
  assert.deepEqual(ours, theirs)
  assert.equal((await store.hashKv(0n)).hash, await theirHashKv(etcd.endpoint))
})
