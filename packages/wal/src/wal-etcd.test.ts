/** Logs that go between real etcd, where it is installed, and this one. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { raftpb, walpb } from '@etcd-ts/api'
import { systemDisk } from '@etcd-ts/platform'
import { HttpClient, ServerProcess, realServer, skipWithout } from '@etcd-ts/testkit'
import { FrameReader, FrameWriter, RecordType } from './frame.ts'
import { SnapshotStore } from './snap/snapshot-store.ts'
import { Wal } from './wal.ts'

const etcd = realServer()
const options = { skip: skipWithout(etcd, 'etcd') ?? false }

class RealEtcd {
  readonly #server: ServerProcess
  readonly #http: HttpClient

  private constructor(server: ServerProcess) {
    this.#server = server
    this.#http = new HttpClient(server.clientUrl)
  }

  static async start(context: TestContext, flags: readonly string[] = []): Promise<RealEtcd> {
    assert.ok(etcd !== undefined)
    return new RealEtcd(await ServerProcess.start(context, { program: etcd, flags }))
  }

  get walDir(): string {
    return join(this.#server.dataDir, 'member', 'wal')
  }

  get snapDir(): string {
    return join(this.#server.dataDir, 'member', 'snap')
  }

  async call(path: string, body: object): Promise<Record<string, unknown>> {
    const { status, body: answer } = await this.#http.post(path, JSON.stringify(body))
    assert.equal(status, 200, answer)
    const parsed: Record<string, unknown> = JSON.parse(answer)
    return parsed
  }

  async put(key: string, value: string): Promise<void> {
    await this.call('/v3/kv/put', { key: btoa(key), value: btoa(value) })
  }

  /** Of a key: its version, that is, how often it was put. */
  async version(key: string): Promise<number> {
    const { kvs } = (await this.call('/v3/kv/range', { key: btoa(key) })) as { kvs?: { version: string }[] }
    return Number(kvs?.[0]?.version ?? 0)
  }

  async stop(): Promise<void> {
    this.#http.close()
    await this.#server.stop()
  }

  async kill(): Promise<void> {
    this.#http.close()
    await this.#server.kill()
  }

  async startAgain(): Promise<void> {
    await this.#server.start()
  }
}

/** Decodes all records of a segment and encodes them again. */
function writeAgain(bytes: Uint8Array): Uint8Array {
  const reader = new FrameReader(bytes, undefined)
  const writer = new FrameWriter(0)
  while (reader.next() === undefined) {
    const data = bytes.subarray(reader.dataStart, reader.dataEnd)
    if (reader.type === RecordType.crc) {
      writer.crc = reader.crc ?? 0
      writer.crcRecord()
    } else if (reader.type === RecordType.entry) writer.entry(raftpb.Entry.decode(data))
    else if (reader.type === RecordType.metadata) writer.metadata(data)
    else if (reader.type === RecordType.snapshot) writer.snapshot(walpb.Snapshot.decode(data))
    else {
      const { term, vote, commit } = raftpb.HardState.decode(data)
      writer.state(term, vote, commit)
    }
  }
  return writer.encoded
}

for (const how of ['stop', 'kill'] as const) {
  void test(
    `a log that etcd left (${how}) opens, and its records are written as etcd wrote them`,
    options,
    async (context) => {
      const member = await RealEtcd.start(context, ['--snapshot-count=20'])
      for (let i = 0; i < 50; i++) await member.put(`key${i % 7}`, 'x'.repeat(i * 40))
      await member[how]()
      const [name = ''] = systemDisk.list(member.walDir)
      const bytes = systemDisk.readFile(join(member.walDir, name))
      const written = writeAgain(bytes)
      assert.ok(Buffer.from(bytes.subarray(0, written.length)).equals(written))
      assert.ok(bytes.subarray(written.length).every((byte) => byte === 0))

      const valid = Wal.snapshotsIn(systemDisk, member.walDir)
      const snapshot = new SnapshotStore(systemDisk, member.snapDir).loadNewest((point) =>
        valid.some(({ index, term }) => index === point.index && term === point.term),
      )
      assert.ok(snapshot !== undefined, 'there were enough entries for a snapshot')
      assert.ok(snapshot.metadata.index > 20)
      const { wal, entries, hardState } = Wal.open(systemDisk, member.walDir, snapshot.metadata)
      assert.equal(entries[0]?.index, snapshot.metadata.index + 1)
      assert.ok(entries.length + snapshot.metadata.index >= 53)
      assert.ok(hardState !== undefined && hardState.commit >= snapshot.metadata.index)
      await wal.close()
      await member.startAgain()
      assert.equal(await member.version('key0'), 8)
      await member.stop()
    },
  )
}

void test(
  'what this log appends to a log of etcd, in new segments too, etcd applies',
  options,
  async (context) => {
    const member = await RealEtcd.start(context)
    await member.put('a', '1')
    await member.stop()
    const { wal, entries, hardState } = Wal.open(
      systemDisk,
      member.walDir,
      { index: 0, term: 0 },
      { segmentBytes: 100 },
    )
    const put = entries.at(-1)
    assert.ok(put !== undefined && hardState !== undefined)
    for (let i = 1; i <= 5; i++) {
      wal.append({ ...hardState, commit: put.index + i - 1 }, [
        { ...put, term: hardState.term, index: put.index + i },
      ])
      await wal.sync()
    }
    await wal.close()
    assert.equal(systemDisk.list(member.walDir).filter((name) => name.endsWith('.wal')).length, 6)
    await member.startAgain()
    assert.equal(await member.version('a'), 6)
    await member.stop()
  },
)

void test('a log that this one has made from nothing etcd starts from', options, async (context) => {
  const member = await RealEtcd.start(context)
  for (const value of ['1', '2', '3']) await member.put('a', value)
  await member.stop()
  const found = Wal.open(systemDisk, member.walDir, { index: 0, term: 0 })
  await found.wal.close()
  systemDisk.rename(member.walDir, `${member.walDir}-of-etcd`)

  const wal = Wal.create(systemDisk, member.walDir, { metadata: found.metadata, segmentBytes: 1000 })
  for (const entry of found.entries) {
    wal.append(found.hardState, [entry])
    await wal.sync()
  }
  await wal.close()
  assert.deepEqual(Wal.open(systemDisk, member.walDir, { index: 0, term: 0 }).entries, found.entries)
  await member.startAgain()
  assert.equal(await member.version('a'), 3)
  await member.put('a', '4')
  await member.kill()
  const after = Wal.open(systemDisk, member.walDir, { index: 0, term: 0 })
  assert.ok(after.entries.length > found.entries.length)
  await after.wal.close()
})
