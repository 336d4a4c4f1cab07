import assert from 'node:assert/strict'
import { GrpcKvClient, type Scope, ServerProcess, freeAfter, ourServer, show } from '@etcd-ts/testkit'

/**
 * The `skip` option of tests that look at how our server ends and into its files; another program named by ETCD_TS_SERVER
 * ends in its own way.
 */
export const skipUnlessOurs = ourServer().title === 'etcd-ts' ? false : `${ourServer().title} is not ours`

/** A client of the server, closed at the end of `scope`. */
export async function clientOf(scope: Scope, server: ServerProcess): Promise<GrpcKvClient> {
  const kv = new GrpcKvClient(server.endpoint)
  freeAfter(scope, () => kv.close())
  return kv
}

/** A server that has acknowledged `count` writes, and is down. */
export async function writtenServer(scope: Scope, writes: number): Promise<ServerProcess> {
  const server = await ServerProcess.start(scope)
  await putMany(await clientOf(scope, server), writes)
  await server.kill()
  return server
}

/** Writes that `checkMany` looks for. */
export async function putMany(kv: GrpcKvClient, writes: number): Promise<void> {
  for (let i = 0; i < writes; i++) {
    const { answer } = await kv.call({ kind: 'put', key: `key ${i}`, value: `value ${i} ${'x'.repeat(100)}` })
    assert.equal(answer.kind, 'put', show(answer))
  }
}

/** Asserts that every write of `putMany` is there. */
export async function checkMany(kv: GrpcKvClient, writes: number): Promise<void> {
  await kv.grpc.connected()
  for (let i = 0; i < writes; i++) {
    const { answer } = await kv.call({ kind: 'range', key: `key ${i}` })
    assert.ok(
      answer.kind === 'range' && answer.kvs[0]?.value.startsWith(`value ${i} `),
      `key ${i}: ${show(answer)}`,
    )
  }
}
