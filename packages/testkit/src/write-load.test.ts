import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GrpcKvClient } from './kv-clients.ts'
import { realServer, skipWithout } from './programs.ts'
import { freeAfter } from './scope.ts'
import { ServerProcess } from './server-process.ts'
import { WriteLoad } from './write-load.ts'

const program = realServer()
const skip = skipWithout(program, 'real etcd') ?? false

void test(
  'a load outlives its server, and notices a write that is gone or was made twice',
  { skip },
  async (t) => {
    const server = await ServerProcess.start(t, { ...(program && { program }) })
    const load = WriteLoad.start(t, { endpoints: () => [server.endpoint], writers: 4 })
    await load.progress(100)
    await server.kill()
    await server.start()
    await load.progress(100)
    await load.stop()
    await load.check(server.endpoint)

    const client = new GrpcKvClient(server.endpoint)
    freeAfter(t, () => client.close())
    const { answer } = await client.call({ kind: 'range', key: '\0', rangeEnd: '\0', limit: 2n })
    assert.ok(answer.kind === 'range')
    const [first, second] = answer.kvs
    assert.ok(first !== undefined && second !== undefined)
    await client.call({ kind: 'deleteRange', key: first.key })
    await assert.rejects(load.check(server.endpoint), /is missing/)
    await client.call({ kind: 'put', key: first.key, value: first.value })
    await assert.rejects(load.check(server.endpoint), /has revision/)
    await client.call({ kind: 'put', key: second.key, value: second.value })
    await assert.rejects(load.check(server.endpoint), /was put 2 times|has revision/)
  },
)
