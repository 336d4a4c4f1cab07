import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import test, { type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { raftpb } from '@etcd-ts/api'
import { type Message, MessageType, newMessage } from '@etcd-ts/raft'
import { ServerProcess, findProgram, realServer, reservePort, skipWithout } from '@etcd-ts/testkit'
import { bootstrapMemberId, clusterIdOf, hexId } from '../membership/ids.ts'
import { systemPeerHttp } from './system-peer-http.ts'
import { TestMember, messageFrom } from './test-member.ts'

const TOKEN = 'etcd-ts-test'
const program = realServer()
const skip = skipWithout(program, 'etcd')
const etcdctl = findProgram('etcdctl')
const http = systemPeerHttp(undefined)

/** A member of ours with nothing behind the transport, in one cluster with a real one. */
async function startMixed(
  context: TestContext,
): Promise<{ ours: TestMember; real: ServerProcess; realId: bigint; oursId: bigint }> {
  const port = await reservePort(context)
  const ports = { client: await reservePort(context), peer: await reservePort(context) }
  const urls = { real: `http://127.0.0.1:${ports.peer}`, ours: `http://127.0.0.1:${port}` }
  const realId = bootstrapMemberId([urls.real], TOKEN)
  const oursId = bootstrapMemberId([urls.ours], TOKEN)
  const clusterId = clusterIdOf([realId, oursId])
  const ours = await TestMember.start(context, oursId, { clusterId }, port)
  assert.ok(program !== undefined)
  const real = await ServerProcess.create(context, {
    program,
    ports,
    flags: ['--heartbeat-interval=50', '--election-timeout=300'],
    cluster: { initialCluster: `m1=${urls.real},ours=${urls.ours}`, token: TOKEN },
  })
  ours.transport.addPeer(realId, [urls.real])
  return { ours, real, realId, oursId }
}

/** What a follower says that stores everything at once. */
function answerOf(message: Message): Message | undefined {
  const { from, to, term, index, entries } = message
  const answer = (type: MessageType): Message => ({ ...newMessage(type, from), from: to, term })
  switch (message.type) {
    case MessageType.MsgVote:
      return answer(MessageType.MsgVoteResp)
    case MessageType.MsgApp:
      return { ...answer(MessageType.MsgAppResp), index: index + entries.length }
    case MessageType.MsgHeartbeat:
      return { ...answer(MessageType.MsgHeartbeatResp), context: message.context }
    case undefined:
    default:
      return undefined
  }
}

void test(
  'a real member is elected, replicates and commits over our transport',
  { skip },
  async (context) => {
    const { ours, real, realId, oursId } = await startMixed(context)
    let answered = 0
    const answering = (async () => {
      for (;;) {
        await ours.changed.until(() => ours.received.length > answered)
        const answers = ours.received.slice(answered).flatMap((message) => answerOf(message) ?? [])
        answered = ours.received.length
        ours.transport.send(answers)
      }
    })()
    context.after(() => void answering)
    await real.start()
    const put = await http.request({
      url: `${real.clientUrl}/v3/kv/put`,
      method: 'POST',
      body: Buffer.from('{"key":"YQ==","value":"Yg=="}'),
      timeoutMs: 10_000,
    })
    assert.equal(put.status, 200, put.body.toString())

    const appends = ours.received.filter((message) => message.type === MessageType.MsgApp)
    const entries = new Map(
      appends.flatMap((message) => message.entries.map((entry) => [entry.index, entry])),
    )
    assert.deepEqual(
      [...entries.keys()].sort((a, b) => a - b),
      Array.from(entries.keys(), (_, i) => i + 3),
    )
    assert.ok(
      [...entries.values()].some(
        ({ data }) => data !== undefined && Buffer.from(data).includes('\n\x01a\x12\x01b'),
      ),
    )
    for (const message of ours.received) {
      assert.equal(message.from, realId)
      assert.equal(message.to, oursId)
    }
    await ours.changed.until(() => ours.received.some((message) => message.type === MessageType.MsgHeartbeat))
    assert.ok(ours.transport.activeSinceMs(realId) !== undefined)
    assert.equal(ours.removed, 0)
    assert.ok(real.log.lines.some((line) => line.includes('established TCP streaming connection')))

    // A proposal that is forwarded goes the other way.
    const before = ours.received.length
    const proposal = { ...newMessage(MessageType.MsgProp, realId), from: oursId }
    proposal.entries = [{ type: 0, term: 0, index: 0, data: raftpb.Entry.encode({ index: 1 }) }]
    ours.transport.send([proposal])
    const wanted = Buffer.from(proposal.entries[0]?.data ?? '')
    await ours.changed.until(() =>
      ours.received
        .slice(before)
        .some(({ entries: [entry] }) => wanted.equals(entry?.data ?? Buffer.alloc(0))),
    )
  },
)

void test(
  'a real member takes a restart of our side, and posts while there is no stream',
  { skip },
  async (context) => {
    const { ours, real, realId } = await startMixed(context)
    real.spawn()
    await ours.changed.until(
      () => ours.received.filter((message) => message.type === MessageType.MsgVote).length > 1,
    )
    await ours.untilLogged('established TCP streaming connection', 4)
    ours.transport.removePeer(realId)
    // An unknown peer gets no stream, so that its votes come by post.
    const before = ours.received.length
    await ours.changed.until(() => ours.received.length > before)
    assert.equal(ours.received[before]?.type, MessageType.MsgVote)
    assert.ok(ours.logged.some((line) => line.includes('added new remote peer')))
    ours.transport.addPeer(realId, [real.peerUrl])
    await ours.untilLogged('established TCP streaming connection', 8)
    await real.kill()
  },
)

const run = promisify(execFile)

void test(
  'our answers are those of a real member, to the header',
  { skip: skip ?? skipWithout(etcdctl, 'etcdctl') },
  async (context) => {
    assert.ok(program !== undefined && etcdctl !== undefined)
    const real = await ServerProcess.start(context, { program })
    const ctl = async (...words: string[]): Promise<string> =>
      (
        await run(etcdctl, ['--endpoints', real.endpoint, ...words], {
          env: { ...process.env, ETCDCTL_API: '3' },
        })
      ).stdout
    const added = await ctl('member', 'add', 'gone', '--learner', '--peer-urls=http://127.0.0.1:1')
    const goneId = BigInt(`0x${/Member\s+([0-9a-f]+) added/.exec(added)?.[1] ?? ''}`)
    await ctl('member', 'remove', hexId(goneId))
    const memberId = bootstrapMemberId([real.peerUrl], TOKEN)
    const clusterId = clusterIdOf([memberId])
    const ours = await TestMember.start(context, memberId, { clusterId, serverVersion: '3.4.23' })
    ours.removedIds.add(goneId)

    const headers = {
      'X-Server-From': '99',
      'X-Server-Version': '3.5.33',
      'X-Min-Cluster-Version': '3.0.0',
      'X-Etcd-Cluster-ID': hexId(clusterId),
      'X-Raft-To': hexId(memberId),
    }
    const without = (...names: string[]): Record<string, string> =>
      Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)))
    const message = (part: Partial<Message>): Uint8Array =>
      raftpb.Message.encode({ ...messageFrom(0x99n, memberId, MessageType.MsgHeartbeatResp), ...part })
    const snapshot = (part: Partial<Message>): Uint8Array => {
      const body = message({ type: MessageType.MsgSnap, ...part })
      const size = Buffer.alloc(8)
      size.writeUInt32BE(body.length, 4)
      return Buffer.concat([size, body])
    }
    const cases: { path: string; method?: string; headers?: Record<string, string>; body?: Uint8Array }[] = [
      ...['/raft', '/raft/snapshot'].flatMap((path) => [
        { path },
        { path, method: 'PUT' },
        { path, method: 'POST', headers: {} },
        { path, method: 'POST', headers: without('X-Server-Version') },
        { path, method: 'POST', headers: { ...headers, 'X-Server-Version': '2.3.0' } },
        { path, method: 'POST', headers: { ...headers, 'X-Min-Cluster-Version': '3.9.0' } },
        { path, method: 'POST', headers: without('X-Etcd-Cluster-ID') },
        { path, method: 'POST', headers: { ...headers, 'X-Etcd-Cluster-ID': `0${hexId(clusterId)}` } },
      ]),
      { path: '/raft', method: 'POST', body: Buffer.from('nonsense') },
      // 403 to what a removed member posts, and to what is meant for another member, came after 3.4.
      { path: '/raft', method: 'POST', body: message({}) },
      { path: '/raft/snapshot', method: 'POST', body: snapshot({ type: MessageType.MsgHeartbeat }) },
      ...['msgapp', 'message', 'other'].flatMap((type) => [
        { path: `/raft/stream/${type}/99`, method: 'POST' },
        { path: `/raft/stream/${type}/99`, headers: {} },
        { path: `/raft/stream/${type}/99`, headers: without('X-Etcd-Cluster-ID') },
        { path: `/raft/stream/${type}/99` },
        { path: `/raft/stream/${type}/0099` },
        { path: `/raft/stream/${type}/zz` },
        { path: `/raft/stream/${type}/1ffffffffffffffff` },
        { path: `/raft/stream/${type}/${hexId(goneId)}` },
        { path: `/raft/stream/${type}/${hexId(goneId)}`, headers: without('X-Raft-To') },
      ]),
      { path: '/raft/stream/msgapp/99/1' },
      { path: '/raft/unknown' },
    ]
    for (const { path, method = 'GET', headers: sent = headers, body } of cases) {
      const [expected, got] = await Promise.all(
        [real.peerUrl, ours.url].map(async (url) => {
          const request = { url: url + path, method, headers: sent, timeoutMs: 5000 }
          const answer = await http.request(body === undefined ? request : { ...request, body })
          const shown = Object.entries(answer.headers).filter(
            ([name]) => !['date', 'connection', 'keep-alive'].includes(name),
          )
          return { status: answer.status, body: answer.body.toString(), headers: Object.fromEntries(shown) }
        }),
      )
      assert.deepEqual(got, expected, `${method} ${path} ${JSON.stringify(sent)}`)
    }
  },
)
