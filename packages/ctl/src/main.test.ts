import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { GrpcServer, type Method } from '@etcd-ts/grpc'
import { run } from './main.ts'
import { MemoryIo } from './memory-io.ts'

const { KVService } = etcdserverpb

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
