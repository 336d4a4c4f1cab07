import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { GrpcServer, type Method } from '@etcd-ts/grpc'
import { run } from './main.ts'
import { MemoryIo } from './memory-io.ts'

const { ClusterService, KVService, MaintenanceService } = etcdserverpb

/** A member that answers with fixed messages; gives its endpoint and the requests it gets. */
async function startMember(
  t: TestContext,
  answers: readonly (readonly [path: string, answer: Uint8Array])[],
): Promise<{ readonly endpoint: string; readonly requests: Uint8Array[] }> {
  const requests: Uint8Array[] = []
  const methods = answers.map(([path, answer]): [string, Method] => [
    path,
    {
      kind: 'unary',
      handle(call, request) {
        requests.push(Uint8Array.from(request))
        call.respond(answer)
      },
    },
  ])
  const grpc = new GrpcServer({ services: new Map(methods) })
  const server = createServer((socket) => grpc.handle(socket))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.after(async () => {
    server.close()
    await grpc.close(0)
  })
  return { endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}

const header = { clusterId: 5n, memberId: 6n, revision: 7, raftTerm: 2 }
const rangeAnswer = KVService.Range.response.encode({
  header,
  kvs: [{ key: Buffer.from('a\n'), value: Buffer.of(0xff), createRevision: 2, modRevision: 7, version: 3 }],
  count: 1,
})

for (const { format, stdout } of [
  { format: 'simple', stdout: 'a\n\n\xff\n' },
  {
    format: 'json',
    stdout:
      '{"header":{"cluster_id":5,"member_id":6,"revision":7,"raft_term":2},' +
      '"kvs":[{"key":"YQo=","create_revision":2,"mod_revision":7,"version":3,"value":"/w=="}],"count":1}\n',
  },
  {
    format: 'fields',
    stdout:
      '"ClusterID" : 5\n"MemberID" : 6\n"Revision" : 7\n"RaftTerm" : 2\n' +
      '"Key" : "a\\n"\n"CreateRevision" : 2\n"ModRevision" : 7\n"Version" : 3\n"Value" : "\\xff"\n"Lease" : 0\n' +
      '"More" : false\n"Count" : 1\n',
  },
  { format: 'protobuf', stdout: Buffer.from(rangeAnswer).toString('latin1') },
]) {
  void test(`get shows its answer as ${format}`, async (t) => {
    const { endpoint, requests } = await startMember(t, [[KVService.Range.path, rangeAnswer]])
    const io = new MemoryIo({ ETCDCTL_ENDPOINTS: endpoint })
    const args = ['get', 'a', '--prefix', '--order=descend', '--limit', '9007199254740993', '-w', format]
    assert.equal(await run(args, io), 0)
    assert.equal(io.stdout, stdout)
    assert.equal(io.stderr, '')
    const request = KVService.Range.request.decode(requests[0]!)
    assert.deepEqual([...request.rangeEnd], [0x62])
    assert.equal(request.limit, 9007199254740993n)
    assert.equal(request.sortOrder, etcdserverpb.SortOrder.DESCEND)
  })
}

void test('a format that an answer does not have is refused after the call', async (t) => {
  const { endpoint, requests } = await startMember(t, [[KVService.Range.path, rangeAnswer]])
  const io = new MemoryIo()
  assert.equal(await run(['--endpoints', endpoint, 'get', 'a', '-w', 'table'], io), 4)
  assert.equal(io.stderr, 'Error: table not supported as output format\n')
  assert.equal(requests.length, 1)
})

void test('an unknown format is refused before the call', async (t) => {
  const { endpoint, requests } = await startMember(t, [[KVService.Range.path, rangeAnswer]])
  const io = new MemoryIo()
  assert.equal(await run(['--endpoints', endpoint, 'get', 'a', '-w', 'JSON'], io), 4)
  assert.equal(io.stderr, 'Error: unsupported output format\n')
  assert.equal(requests.length, 0)
})

void test('put takes a value from standard input whole', async (t) => {
  const answer = KVService.Put.response.encode({ header })
  const { endpoint, requests } = await startMember(t, [[KVService.Put.path, answer]])
  const io = new MemoryIo({}, 'line\n')
  assert.equal(await run(['--endpoints', endpoint, 'put', 'k', '--lease', '1f'], io), 0)
  assert.equal(io.stdout, 'OK\n')
  const request = KVService.Put.request.decode(requests[0]!)
  assert.deepEqual([Buffer.from(request.value).toString(), request.lease], ['line\n', 31n])
})

void test('a transaction is read from standard input', async (t) => {
  const answer = KVService.Txn.response.encode({
    header,
    succeeded: true,
    responses: [{ response: { case: 'responsePut', value: {} } }],
  })
  const { endpoint, requests } = await startMember(t, [[KVService.Txn.path, answer]])
  const io = new MemoryIo({}, 'value("a") = "1"\n\np b 2 --prev-kv\nget c d\n\ndel e --from-key\n\n')
  assert.equal(await run(['--endpoints', endpoint, 'txn', '-i'], io), 0)
  const prompts = 'compares:\nsuccess requests (get, put, del):\nfailure requests (get, put, del):\n'
  assert.equal(io.stdout, `${prompts}SUCCESS\n\nOK\n`)
  const { compare, success, failure } = KVService.Txn.request.decode(requests[0]!)
  assert.deepEqual(
    [
      compare.length,
      success.map(({ request }) => request?.case),
      failure.map(({ request }) => request?.case),
    ],
    [1, ['requestPut', 'requestRange'], ['requestDeleteRange']],
  )
})

const newMember = { ID: 0xabcn, peerURLs: ['http://c:1', 'http://d:1'] }
const members = [newMember, { ID: 0x8000000000000001n, name: 'm1', peerURLs: ['http://a:1'] }]

for (const { name, args, stdout } of [
  {
    name: 'member add shows the settings that the new member is started with',
    args: ['add', 'm2', '--peer-urls=http://c:1,http://d:1'],
    stdout:
      'Member              abc added to cluster                5\n\nETCD_NAME="m2"\n' +
      'ETCD_INITIAL_CLUSTER="m2=http://c:1,m2=http://d:1,m1=http://a:1"\n' +
      'ETCD_INITIAL_ADVERTISE_PEER_URLS="http://c:1,http://d:1"\nETCD_INITIAL_CLUSTER_STATE="existing"\n',
  },
  {
    name: 'ids in JSON are hexadecimal when asked for',
    args: ['add', 'm2', '--peer-urls=http://c:1', '-w', 'json', '--hex'],
    stdout:
      '{"header":{"cluster_id":"5","member_id":"6","revision":7,"raft_term":2},' +
      '"member":{"ID":"abc","peerURLs":["http://c:1","http://d:1"]},' +
      '"members":[{"ID":"abc","peerURLs":["http://c:1","http://d:1"]},' +
      '{"ID":"8000000000000001","name":"m1","peerURLs":["http://a:1"]}]}\n',
  },
  {
    name: 'member remove',
    args: ['remove', '8000000000000001'],
    stdout: 'Member 8000000000000001 removed from cluster                5\n',
  },
  {
    name: 'member update',
    args: ['update', 'ABC', '--peer-urls=http://c:1'],
    stdout: 'Member              abc updated in cluster                5\n',
  },
  {
    name: 'member promote',
    args: ['promote', 'abc', '-w', 'json'],
    stdout:
      '{"header":{"cluster_id":5,"member_id":6,"revision":7,"raft_term":2},' +
      '"members":[{"ID":2748,"peerURLs":["http://c:1","http://d:1"]},' +
      '{"ID":9223372036854775809,"name":"m1","peerURLs":["http://a:1"]}]}\n',
  },
]) {
  void test(name, async (t) => {
    const { MemberAdd, MemberPromote, MemberRemove, MemberUpdate } = ClusterService
    const { endpoint } = await startMember(t, [
      [MemberAdd.path, MemberAdd.response.encode({ header, member: newMember, members })],
      [MemberRemove.path, MemberRemove.response.encode({ header, members })],
      [MemberUpdate.path, MemberUpdate.response.encode({ header, members })],
      [MemberPromote.path, MemberPromote.response.encode({ header, members })],
    ])
    const io = new MemoryIo({ ETCDCTL_ENDPOINTS: endpoint })
    assert.equal(await run(['member', ...args], io), 0)
    assert.equal(io.stderr, '')
    assert.equal(io.stdout, stdout)
  })
}

void test('a learner is asked for, and bad URLs are not sent', async (t) => {
  const { MemberAdd } = ClusterService
  const answer = MemberAdd.response.encode({ header, member: newMember, members })
  const { endpoint, requests } = await startMember(t, [[MemberAdd.path, answer]])
  const io = new MemoryIo({ ETCDCTL_ENDPOINTS: endpoint })
  assert.equal(await run(['member', 'add', 'm2', '--learner', '--peer-urls=http://c:1'], io), 0)
  assert.deepEqual(MemberAdd.request.decode(requests[0]!), { peerURLs: ['http://c:1'], isLearner: true })
  assert.equal(await run(['member', 'add', 'm2', '--peer-urls=c'], io), 1)
  assert.equal(io.stderr, 'Error: URL scheme must be http, https, unix, or unixs: c\n')
  assert.equal(requests.length, 1)
})

for (const { args, request, stdout } of [
  {
    args: ['validate', '3.4'],
    request: { action: 0, version: '3.4' },
    stdout: 'Downgrade validate success, cluster version 3.5\n',
  },
  {
    args: ['enable', '3.4', '-w', 'fields'],
    request: { action: 1, version: '3.4' },
    stdout: '"ClusterID" : 5\n"MemberID" : 6\n"Revision" : 7\n"RaftTerm" : 2\n"Version" : "3.5"\n',
  },
  {
    args: ['cancel', '-w', 'json'],
    request: { action: 2, version: '' },
    stdout: '{"header":{"cluster_id":5,"member_id":6,"revision":7,"raft_term":2},"version":"3.5"}\n',
  },
]) {
  void test(`downgrade ${args.join(' ')}`, async (t) => {
    const { Downgrade } = MaintenanceService
    const answer = Downgrade.response.encode({ header, version: '3.5' })
    const { endpoint, requests } = await startMember(t, [[Downgrade.path, answer]])
    const io = new MemoryIo({ ETCDCTL_ENDPOINTS: endpoint })
    assert.equal(await run(['downgrade', ...args], io), 0)
    assert.equal(io.stdout, stdout)
    assert.deepEqual(Downgrade.request.decode(requests[0]!), request)
  })
}

for (const { args, stderr } of [
  { args: ['validate'], stderr: 'Error: TARGET_VERSION not provided\n' },
  { args: ['enable', '3.4', '3.5'], stderr: 'Error: too many arguments\n' },
  { args: ['enable', ''], stderr: 'Error: target version not provided\n' },
]) {
  void test(`refused: downgrade ${JSON.stringify(args)}`, async () => {
    const io = new MemoryIo()
    assert.equal(await run(['downgrade', ...args], io), 128)
    assert.equal(io.stderr, stderr)
  })
}

for (const { name, args, env, exit, stderr } of [
  {
    name: 'a flag that is in the environment, too',
    args: ['get', 'a', '-w', 'json'],
    env: { ETCDCTL_WRITE_OUT: 'json' },
    exit: 1,
    stderr: /"level":"fatal".*conflicting environment variable \\"ETCDCTL_WRITE_OUT\\" is shadowed/,
  },
  {
    name: 'a variable that is no flag is shown, and the command runs',
    args: ['get', 'a', '--endpoints='],
    env: { ETCDCTL_NOSUCH: '1' },
    exit: 2,
    stderr:
      /"level":"warn".*unrecognized environment variable ETCDCTL_NOSUCH=1"}\nError: etcdclient: no available/,
  },
  {
    name: 'a variable with a value that cannot be read is ignored',
    args: ['get', 'a', '--endpoints='],
    env: { ETCDCTL_COMMAND_TIMEOUT: 'soon' },
    exit: 2,
    stderr: /^Error: etcdclient: no available endpoints\n$/,
  },
  {
    name: 'an unknown API version',
    args: ['get', 'a'],
    env: { ETCDCTL_API: '4' },
    exit: 1,
    stderr: /^unsupported API version 4\n$/,
  },
  {
    name: 'an unknown command',
    args: ['gte', 'a'],
    env: {},
    exit: 1,
    stderr:
      /^(Error: unknown command "gte" for "etcdctl"\n\nDid you mean this\?\n\tget\n\n)Run 'etcdctl --help' for usage.\n\1$/,
  },
  {
    name: 'a bad flag of an operation in a transaction',
    args: ['txn'],
    env: { ETCDCTL_ENDPOINTS: '127.0.0.1:1' },
    exit: 3,
    stderr:
      /^Usage:\n {3}get \[options\] <key> \[range_end\] \[flags\]\n\nFlags:\n[^]*\nError: invalid txn request: get a --nope\n$/,
  },
]) {
  void test(`refused: ${name}`, async () => {
    const io = new MemoryIo(env, '\nget a --nope\n')
    assert.equal(await run(args, io), exit)
    assert.match(io.stderr, stderr)
  })
}

void test('a bad flag shows the flags that etcdctl 3.4 knows, help shows all', async () => {
  const [afterError, help] = [new MemoryIo(), new MemoryIo()]
  assert.equal(await run(['get', '--nope'], afterError), 1)
  assert.equal(afterError.stderr, 'Error: unknown flag: --nope\n\nError: unknown flag: --nope\n')
  assert.equal(await run(['get', '--help'], help), 0)
  assert.match(afterError.stdout, /--keys-only\[=false\]/)
  assert.doesNotMatch(afterError.stdout, /--count-only/)
  assert.match(help.stdout, /--count-only\[=false\]/)
})

for (const shell of ['bash', 'zsh', 'fish', 'powershell']) {
  void test(`the completion script for ${shell} names commands and flags`, async () => {
    const io = new MemoryIo()
    assert.equal(await run(['completion', shell], io), 0)
    assert.match(io.stdout, /\bhashkv\b/)
    assert.match(io.stdout, /\bkeys-only\b/)
  })
}
