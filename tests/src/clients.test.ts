import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { etcdserverpb } from '@etcd-ts/api'
import { GrpcClient, ManualScope, ServerProcess, findProgram, freeAfter, skipWithout } from '@etcd-ts/testkit'
import { Etcd3 } from 'etcd3'

// Clients that people use, each doing with our server what it does with etcd.

const run = promisify(execFile)

const PYTHON_CLIENT = `
import sys, etcd3
client = etcd3.client(host='127.0.0.1', port=int(sys.argv[1]), timeout=10)
client.put('py/a', 'one'); client.put('py/b', 'two')
value, meta = client.get('py/a')
assert value == b'one' and meta.key == b'py/a' and meta.version == 1, (value, meta)
assert client.get('py/none')[0] is None
assert [v for v, _ in client.get_prefix('py/')] == [b'one', b'two']
assert [m.key for _, m in client.get_prefix('py/', sort_order='descend')] == [b'py/b', b'py/a']
assert [m.key for _, m in client.get_range('py/a', 'py/b')] == [b'py/a']
assert client.put('py/a', 'uno', prev_kv=True).prev_kv.value == b'one'
assert client.replace('py/a', 'uno', 'eins') and not client.replace('py/a', 'uno', 'zwei')
assert client.put_if_not_exists('py/c', 'three') and not client.put_if_not_exists('py/c', 'four')
done, answers = client.transaction(
    compare=[client.transactions.value('py/a') == 'eins', client.transactions.version('py/b') > 0],
    success=[client.transactions.put('py/d', 'four'), client.transactions.get('py/d'), client.transactions.delete('py/b')],
    failure=[client.transactions.delete('py/a')])
assert done and answers[1][0][0] == b'four', answers
assert client.get('py/b')[0] is None
assert client.delete('py/a') and not client.delete('py/a')
assert client.delete_prefix('py/').deleted == 2
client.compact(meta.mod_revision)
status = client.status()
assert status.version.startswith('3.'), status.version
assert [member.name for member in client.members] == ['m1']
client.defragment()
print('done', client.hash())
`

async function pythonWithEtcd3(): Promise<string | undefined> {
  for (const python of ['python3', '/usr/bin/python3']) {
    const works = await run(python, ['-c', 'import etcd3']).then(
      () => true,
      () => false,
    )
    if (works) return python
  }
  return undefined
}

const python = await pythonWithEtcd3()
const curl = findProgram('curl')
const etcdctl = findProgram('etcdctl')

function skip(present: string | undefined, what: string): string | false {
  return skipWithout(present, what) ?? false
}

void describe('clients of etcd', () => {
  const scope = new ManualScope()
  let server: ServerProcess

  after(() => scope.end())
  before(async () => {
    server = await ServerProcess.start(scope)
  })

  void test("Python's etcd3", { skip: skip(python, 'a Python with etcd3') }, async () => {
    const { stdout } = await run(python ?? '', ['-c', PYTHON_CLIENT, String(server.clientPort)])
    assert.match(stdout, /^done \d+/)
  })

  void test("npm's etcd3", async (t) => {
    const client = new Etcd3({ hosts: server.clientUrl })
    freeAfter(t, () => client.close())
    await client.put('js/a').value('one')
    await client.put('js/b').value('two')
    assert.equal(await client.get('js/a').string(), 'one')
    assert.equal(await client.get('js/none').string(), null)
    assert.deepEqual(await client.getAll().prefix('js/').strings(), { 'js/a': 'one', 'js/b': 'two' })
    assert.deepEqual(await client.getAll().prefix('js/').sort('Key', 'Descend').limit(1).keys(), ['js/b'])
    assert.equal(await client.getAll().prefix('js/').count(), 2)
    const previous = await client.put('js/a').value('uno').getPrevious()
    assert.equal(previous.value.toString(), 'one')
    const taken = await client
      .if('js/a', 'Value', '==', 'uno')
      .and('js/b', 'Create', '>', 0)
      .then(client.put('js/c').value('three'), client.get('js/c'), client.delete().key('js/b'))
      .else(client.delete().key('js/a'))
      .commit()
    assert.ok(taken.succeeded)
    assert.deepEqual(await client.getAll().prefix('js/').strings(), { 'js/a': 'uno', 'js/c': 'three' })
    const old = await client.get('js/a').revision(previous.mod_revision).string()
    assert.equal(old, 'one')
    const removed = await client.delete().prefix('js/')
    assert.equal(removed.deleted, '2')
    await assert.rejects(client.put('').value('x').exec(), /key is not provided/)
  })

  void test('@grpc/grpc-js, with metadata, deadlines and many calls at a time', async (t) => {
    const client = new GrpcClient(server.endpoint)
    freeAfter(t, () => client.close())
    const { Put, Range, Txn, DeleteRange } = etcdserverpb.KVService
    const key = (i: number): Uint8Array => Buffer.from(`grpc/${String(i).padStart(4, '0')}`)
    await Promise.all(
      Array.from({ length: 500 }, (_, i) => client.call(Put, { key: key(i), value: Buffer.from(String(i)) })),
    )
    const options = { metadata: { hasleader: 'true', 'client-api-version': '3.5.33' }, timeoutMs: 5_000 }
    const range = await client.call(
      Range,
      { key: key(0), rangeEnd: Buffer.from('grpc0'), limit: 400n },
      options,
    )
    assert.equal(range.kvs.length, 400)
    assert.equal(range.count, 500)
    assert.equal(range.more, true)
    const { succeeded, responses } = await client.call(Txn, {
      compare: [{ key: key(1), target: 3, targetUnion: { case: 'value', value: Buffer.from('1') } }],
      success: [{ request: { case: 'requestRange', value: { key: key(1) } } }],
    })
    assert.ok(succeeded)
    assert.equal(responses[0]?.response?.case, 'responseRange')
    const { deleted } = await client.call(DeleteRange, { key: key(0), rangeEnd: Buffer.from('grpc0') })
    assert.equal(deleted, 500)
    const health = await client.bytes('/grpc.health.v1.Health/Check', new Uint8Array())
    assert.deepEqual([...health], [8, 1])
  })

  void test('curl with the JSON of the gateway', { skip: skip(curl, 'curl') }, async () => {
    const call = async (path: string, body?: string): Promise<string> => {
      const data = body === undefined ? [] : ['-X', 'POST', '-d', body]
      const { stdout } = await run(curl ?? '', [
        '-sS',
        '-L',
        '-w',
        ' %{http_code}',
        ...data,
        server.clientUrl + path,
      ])
      return stdout.replaceAll(
        /"(cluster_id|member_id|raft_term|revision|create_revision|mod_revision)":"\d+"/g,
        '"$1":"N"',
      )
    }
    const header = '"header":{"cluster_id":"N","member_id":"N","revision":"N","raft_term":"N"}'
    const kv = '{"key":"Y3VybC9h","create_revision":"N","mod_revision":"N","version":"1","value":"b25l"}'
    assert.equal(await call('/v3/kv/put', '{"key":"Y3VybC9h","value":"b25l"}'), `{${header}} 200`)
    assert.equal(
      await call('/v3/kv/range', '{"key":"Y3VybC9h"}'),
      `{${header},"kvs":[${kv}],"count":"1"} 200`,
    )
    assert.equal(
      await call('/v3beta/kv/range', '{"key":"Y3VybC9h","rangeEnd":"Y3VybDA=","count_only":true}'),
      `{${header},"count":"1"} 200`,
    )
    assert.equal(
      await call(
        '/v3/kv/txn',
        '{"compare":[{"target":"CREATE","key":"Y3VybC9h","createRevision":"0"}],"failure":[{"request_delete_range":{"key":"Y3VybC9h","prev_kv":true}}]}',
      ),
      `{${header},"responses":[{"response_delete_range":{"header":{"revision":"N"},"deleted":"1","prev_kvs":[${kv}]}}]} 200`,
    )
    assert.match(await call('/v3/kv/put', '{"value":"b25l"}'), /"code":3.* 400$/)
    assert.match(
      await call('/v3/kv/put', '{"key":"not base64"}'),
      /"error":"illegal base64 data at input byte 3".* 400$/,
    )
    assert.match(
      await call('/v3/kv/put', '{bad'),
      /"error":"invalid character 'b' looking for beginning of object key string".* 400$/,
    )
    assert.equal(await call('/v3/kv/put'), 'Method Not Allowed\n 405')
    assert.equal(await call('/v3/kv/none', '{}'), 'Not Found\n 404')
    assert.equal(await call('/none'), '404 page not found\n 404')
    assert.match(await call('/version'), /^\{"etcdserver":"3\.\d+\.\d+","etcdcluster":"3\.\d+\.0"\} 200$/)
    assert.match(await call('/health'), /^\{"health":"true".*\} 200$/)
    const metrics = await call('/metrics')
    for (const name of [
      'etcd_server_has_leader 1',
      'etcd_disk_wal_fsync_duration_seconds_count',
      'etcd_mvcc_put_total',
    ]) {
      assert.ok(metrics.includes(`\n${name}`), name)
    }
  })

  void test('real etcdctl', { skip: skip(etcdctl, 'etcdctl') }, async () => {
    const ctl = async (words: string[], input?: string): Promise<string> => {
      const env = { PATH: process.env['PATH'], ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: server.endpoint }
      const running = run(etcdctl ?? '', words, { env })
      running.child.stdin?.end(input)
      return (await running).stdout
    }
    assert.equal(await ctl(['put', 'ctl/a', 'one']), 'OK\n')
    assert.equal(await ctl(['put', 'ctl/b'], 'from stdin'), 'OK\n')
    assert.equal(await ctl(['get', 'ctl/', '--prefix']), 'ctl/a\none\nctl/b\nfrom stdin\n')
    assert.equal(await ctl(['get', 'ctl/a', '--print-value-only']), 'one\n')
    assert.equal(
      await ctl(['txn'], 'mod("ctl/a") > "0"\n\nput ctl/c three\nget ctl/c\n\nget ctl/a\n\n'),
      'SUCCESS\n\nOK\n\nctl/c\nthree\n',
    )
    assert.equal(await ctl(['del', 'ctl/', '--prefix']), '3\n')
    const { Status } = JSON.parse((await ctl(['endpoint', 'status', '-w', 'json'])).trim().slice(1, -1))
    assert.match(Status.version, /^3\.\d+\.\d+$/)
    assert.equal(
      await ctl(['compaction', String(Status.header.revision)]),
      `compacted revision ${Status.header.revision}\n`,
    )
    assert.match(await ctl(['endpoint', 'hashkv']), /^127\.0\.0\.1:\d+, \d+\n$/)
    assert.match(await ctl(['member', 'list']), /^[0-9a-f]+, started, m1, http:/)
    assert.equal(await ctl(['defrag']), `Finished defragmenting etcd member[${server.endpoint}]\n`)
    assert.equal(await ctl(['alarm', 'list']), '')
    await assert.rejects(ctl(['put', '', 'x']), /etcdserver: key is not provided/)
  })
})
