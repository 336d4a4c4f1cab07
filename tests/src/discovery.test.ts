import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import {
  GrpcClient,
  HttpClient,
  type Scope,
  ServerProcess,
  type ServerProgram,
  eventually,
  freeAfter,
} from '@etcd-ts/testkit'
import { ours, real, skipWithoutReal } from './mixed-programs.ts'

// Members that are told of a discovery service instead of each other.

const { Put } = etcdserverpb.KVService
const { MemberList } = etcdserverpb.ClusterService

/** Takes back the list that every server is given, which discovery flags exclude. */
const NO_LIST = '--initial-cluster='
const WAIT_MS = 30_000

interface Service {
  /** Says how many members a token is for. */
  setSize(token: string, size: string): Promise<void>
  flags(token: string): string[]
}

async function v2Service(scope: Scope): Promise<Service> {
  const server = await ServerProcess.start(scope, { program: real, flags: ['--enable-v2'] })
  const http = new HttpClient(server.clientUrl)
  freeAfter(scope, () => http.close())
  return {
    async setSize(token, size) {
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
      const { status } = await http.send('PUT', `/v2/keys/${token}/_config/size`, `value=${size}`, headers)
      assert.equal(status, 201)
    },
    flags: (token) => [NO_LIST, `--discovery=${server.clientUrl}/v2/keys/${token}`],
  }
}

async function v3Service(scope: Scope, program: ServerProgram): Promise<Service> {
  const server = await ServerProcess.start(scope, { program })
  const grpc = new GrpcClient(server.endpoint)
  freeAfter(scope, () => grpc.close())
  return {
    async setSize(token, size) {
      await grpc.call(Put, {
        key: Buffer.from(`/_etcd/registry/${token}/_config/size`),
        value: Buffer.from(size),
      })
    },
    flags: (token) => [NO_LIST, `--discovery-token=${token}`, `--discovery-endpoints=${server.clientUrl}`],
  }
}

function createMember(
  scope: Scope,
  name: string,
  program: ServerProgram,
  flags: readonly string[],
): Promise<ServerProcess> {
  return ServerProcess.create(scope, { name, program, flags: [...flags, '--discovery-fallback=exit'] })
}

/** Starts a member for each program, and asserts that they are one cluster. */
async function assertCluster(
  scope: Scope,
  programs: readonly ServerProgram[],
  flags: readonly string[],
): Promise<readonly ServerProcess[]> {
  const servers: ServerProcess[] = []
  for (const program of programs)
    servers.push(await createMember(scope, `d${servers.length + 1}`, program, flags))
  await Promise.all(servers.map((server) => server.start()))
  for (const server of servers) {
    const grpc = new GrpcClient(server.endpoint)
    freeAfter(scope, () => grpc.close())
    await eventually('all members have said who they are', WAIT_MS, async () => {
      const { members } = await grpc.call(MemberList, {})
      const known = members.map(({ name, peerURLs }) => `${name} ${peerURLs.join()}`).sort()
      const expected = servers.map(({ name, peerUrl }) => `${name} ${peerUrl}`)
      return known.join('\n') === expected.join('\n') ? true : undefined
    })
    await grpc.call(Put, { key: Buffer.from(server.name), value: Buffer.from('written') })
  }
  return servers
}

/** Starts a member that must end, and returns why it ended. */
async function startInVain(server: ServerProcess): Promise<{ code: number | null; output: string }> {
  server.spawn()
  const { code } = await server.exit()
  return { code, output: server.linesOfThisRun().join('\n') }
}

void describe('members that find each other through a v2 service', { skip: skipWithoutReal }, () => {
  void test('three of ours; one that comes later finds the cluster full, one that lost its data a duplicate', async (t) => {
    const service = await v2Service(t)
    await service.setSize('three', '3')
    const [first] = await assertCluster(t, [ours, ours, ours], service.flags('three'))
    assert.ok(first !== undefined)
    // The log knows the members, and the service is not asked any more.
    first.flags = [NO_LIST, '--discovery=http://127.0.0.1:1/three']
    await first.restart()
    await first.kill()

    for (const program of [ours, real]) {
      const late = await createMember(t, 'late', program, service.flags('three'))
      const { code, output } = await startInVain(late)
      assert.equal(code, 1, program.title)
      assert.match(output, /failed to join discovery cluster \(discovery: cluster is full\)/, program.title)
      const wiped = await ServerProcess.create(t, {
        name: 'd1',
        program,
        flags: [...service.flags('three'), '--discovery-fallback=exit'],
        ports: { client: first.clientPort, peer: first.peerPort },
      })
      const refused = await startInVain(wiped)
      assert.equal(refused.code, 1, program.title)
      assert.match(refused.output, /discovery: found duplicate id/, program.title)
      assert.match(refused.output, /or use a new discovery token if previous bootstrap failed/, program.title)
    }
  })

  void test('real etcd and ours together', async (t) => {
    const service = await v2Service(t)
    await service.setSize('mixed', '3')
    await assertCluster(t, [real, ours, real], service.flags('mixed'))
  })

  void test('a token that is none ends ours with the words of real etcd', async (t) => {
    const service = await v2Service(t)
    await service.setSize('bad', 'many')
    for (const { token, reason } of [
      { token: 'bad', reason: /failed to join discovery cluster \(discovery: size key is bad\)/ },
      { token: 'none', reason: /failed to join discovery cluster \(100: Key not found \(\/none\) \[\d+\]\)/ },
    ]) {
      for (const program of [ours, real]) {
        const server = await createMember(t, 'd1', program, service.flags(token))
        const { code, output } = await startInVain(server)
        assert.equal(code, 1, program.title)
        assert.match(output, reason, program.title)
        assert.match(output, /do not reuse discovery token; generate a new one to bootstrap a cluster/)
      }
    }
  })
})

for (const program of [ours, real]) {
  const skip = program === real ? skipWithoutReal : false
  void describe(`members that find each other through a v3 service of ${program.title}`, { skip }, () => {
    void test('three of ours; one that comes later finds the cluster full', async (t) => {
      const service = await v3Service(t, program)
      await service.setSize('three', '3')
      await assertCluster(t, [ours, ours, ours], service.flags('three'))
      const late = await createMember(t, 'late', ours, service.flags('three'))
      const { code, output } = await startInVain(late)
      assert.equal(code, 1)
      assert.match(output, /failed to join discovery cluster \(discovery: cluster is full\)/)
    })

    void test('a token that is none', async (t) => {
      const service = await v3Service(t, program)
      const server = await createMember(t, 'd1', ours, service.flags('none'))
      const { code, output } = await startInVain(server)
      assert.equal(code, 1)
      assert.match(output, /failed to join discovery cluster \(discovery: size key not found\)/)
    })
  })
}
