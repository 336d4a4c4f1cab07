import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import {
  GrpcKvClient,
  HttpClient,
  type KvAnswer,
  type KvCall,
  ServerProcess,
  freeAfter,
  show,
} from '@etcd-ts/testkit'

// The catalogue's D-58: a full database refuses what would grow it, and only that, until it is told otherwise.

const QUOTA = 16 * 1024 * 1024
const VALUE = 'x'.repeat(32 * 1024)
const WRITERS = 8
const noSpace: KvAnswer = { kind: 'error', code: 8, message: 'etcdserver: mvcc: database space exceeded' }

void test('at its quota the store refuses puts, lets room be made, and works again once disarmed', async (t) => {
  const server = await ServerProcess.start(t, { flags: [`--quota-backend-bytes=${QUOTA}`] })
  const kv = new GrpcKvClient(server.endpoint)
  const http = new HttpClient(server.clientUrl)
  freeAfter(t, () => {
    kv.close()
    http.close()
  })
  const { Alarm, Defragment, Status } = etcdserverpb.MaintenanceService
  const ask = async (call: KvCall): Promise<KvAnswer> => (await kv.call(call)).answer
  const alarms = async (): Promise<etcdserverpb.AlarmMember[]> => (await kv.grpc.call(Alarm, {})).alarms
  const dbSize = async (): Promise<number> => (await kv.grpc.call(Status, {})).dbSize
  const putOne = { kind: 'put', key: 'one more', value: 'v' } as const

  // Racing writers fill the store; each stops at its first refusal.
  const fill = async (writer: number): Promise<number> => {
    for (let i = 0; ; i++) {
      const answer = await ask({ kind: 'put', key: `fill ${writer} ${i}`, value: VALUE })
      if (answer.kind !== 'error') continue
      assert.deepEqual(answer, noSpace)
      return i
    }
  }
  const written = await Promise.all(Array.from({ length: WRITERS }, (_, i) => fill(i)))
  assert.ok(written.every((count) => count > 0))
  const size = await dbSize()
  // What was under way when the limit was reached may still be written.
  assert.ok(size <= QUOTA * 1.01 + 2 * WRITERS * VALUE.length, `${size} bytes of ${QUOTA}`)

  const { memberId } = (await kv.grpc.call(Status, {})).header ?? { memberId: 0n }
  const raised = [{ memberID: memberId, alarm: 1 }]
  assert.deepEqual(await alarms(), raised)

  const refuses = async (when: string): Promise<void> => {
    const read: KvCall = { kind: 'range', key: 'fill 0 0' }
    for (const call of [
      putOne,
      { kind: 'txn', compare: [], success: [putOne], failure: [] },
      // The branch that would be taken does not matter.
      { kind: 'txn', compare: [], success: [read], failure: [putOne] },
    ] as const) {
      assert.deepEqual(await ask(call), noSpace, `${when}: ${show(call)}`)
    }
    const json = await http.post('/v3/kv/put', JSON.stringify({ key: 'b25l', value: 'dg==' }))
    assert.equal(json.status, 429)
    for (const call of [
      read,
      { ...read, serializable: true },
      { kind: 'txn', compare: [], success: [read], failure: [] },
      { kind: 'deleteRange', key: 'not there' },
    ] as const) {
      assert.notEqual((await ask(call)).kind, 'error', `${when}: ${show(call)}`)
    }
    const health = await http.get('/health')
    assert.equal(health.status, 503, `${when}: ${health.body}`)
    assert.match(health.body, /"health":"false"/)
    assert.equal((await http.get('/health?exclude=NOSPACE')).status, 200, when)
    const { errors } = await kv.grpc.call(Status, {})
    assert.ok(
      errors.some((error) => error.includes('alarm:NOSPACE')),
      show(errors),
    )
  }
  await refuses('full')

  await server.kill()
  await server.start()
  await kv.grpc.connected()
  assert.deepEqual(await alarms(), raised, 'after a restart')
  await refuses('after a restart')

  // Deleting and compacting makes room inside of the file; defragmenting gives it back.
  const deleted = await ask({ kind: 'deleteRange', key: 'fill', rangeEnd: 'film' })
  assert.ok(deleted.kind === 'deleteRange')
  assert.ok(deleted.deleted >= written.reduce((sum, count) => sum + count), show(deleted))
  assert.equal(
    (await ask({ kind: 'compact', revision: BigInt(deleted.revision), physical: true })).kind,
    'compact',
  )
  await kv.grpc.call(Defragment, {})
  assert.ok((await dbSize()) < QUOTA / 4)
  assert.deepEqual(await ask(putOne), noSpace, 'still alarmed')

  const { DEACTIVATE, ACTIVATE } = etcdserverpb.AlarmAction
  const disarm = { action: DEACTIVATE, memberID: memberId, alarm: 1 } as const
  assert.deepEqual((await kv.grpc.call(Alarm, disarm)).alarms, raised)
  assert.deepEqual((await kv.grpc.call(Alarm, disarm)).alarms, [])
  assert.equal((await ask(putOne)).kind, 'put')
  assert.equal((await http.get('/health')).status, 200)

  // An alarm that an operator raises does the same.
  assert.deepEqual((await kv.grpc.call(Alarm, { ...disarm, action: ACTIVATE })).alarms, raised)
  assert.deepEqual(await ask(putOne), noSpace)
  await kv.grpc.call(Alarm, disarm)
  assert.equal((await ask(putOne)).kind, 'put')
})

void test('an alarm that is the last thing written before a crash does not keep the member from starting', async (t) => {
  const server = await ServerProcess.start(t)
  const kv = new GrpcKvClient(server.endpoint)
  freeAfter(t, () => kv.close())
  const { Alarm, Status } = etcdserverpb.MaintenanceService
  const memberID = (await kv.grpc.call(Status, {})).header?.memberId ?? 0n
  const alarm = { memberID, alarm: etcdserverpb.AlarmType.NOSPACE }
  await kv.grpc.call(Alarm, { ...alarm, action: etcdserverpb.AlarmAction.ACTIVATE })
  await server.kill()
  await server.start()
  await kv.grpc.connected()
  assert.deepEqual((await kv.grpc.call(Alarm, {})).alarms, [alarm])
})
