import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { hexId } from '../commands/member/common.ts'
import { messageJson, textJson } from './json.ts'

const { AlarmResponse, MemberListResponse, RangeResponse, TxnResponse } = etcdserverpb

void test('zero values are left out, 64-bit numbers are whole, bytes are base64', () => {
  const answer = RangeResponse.create({
    header: { clusterId: 410003695809943450n, memberId: 15356309308807699820n, revision: 2, raftTerm: 2 },
    kvs: [{ key: Buffer.from('foo'), createRevision: 2, modRevision: 2, version: 1 }],
    count: 1,
  })
  assert.equal(
    messageJson(RangeResponse, answer),
    '{"header":{"cluster_id":410003695809943450,"member_id":15356309308807699820,"revision":2,"raft_term":2},' +
      '"kvs":[{"key":"Zm9v","create_revision":2,"mod_revision":2,"version":1}],"count":1}',
  )
})

void test('members of a oneof stand in two objects', () => {
  const answer = TxnResponse.create({
    succeeded: true,
    responses: [
      { response: { case: 'responsePut', value: { header: { revision: 9 } } } },
      { response: { case: 'responseDeleteRange', value: { header: { revision: 9 }, deleted: 1 } } },
    ],
  })
  assert.equal(
    messageJson(TxnResponse, answer),
    '{"succeeded":true,"responses":[{"Response":{"ResponsePut":{"header":{"revision":9}}}},' +
      '{"Response":{"ResponseDeleteRange":{"header":{"revision":9},"deleted":1}}}]}',
  )
})

void test('enums are numbers', () => {
  const answer = AlarmResponse.create({ alarms: [{ memberID: 1n, alarm: 1 }] })
  assert.equal(messageJson(AlarmResponse, answer), '{"alarms":[{"memberID":1,"alarm":1}]}')
})

void test('ids may be hexadecimal', () => {
  const answer = MemberListResponse.create({
    header: { clusterId: 255n },
    members: [{ ID: 16n, name: 'm1' }],
  })
  assert.equal(
    messageJson(MemberListResponse, answer, hexId),
    '{"header":{"cluster_id":"ff"},"members":[{"ID":"10","name":"m1"}]}',
  )
})

void test('text escapes what HTML would read', () => {
  assert.equal(textJson('a<b>&"\u2028é'), '"a\\u003cb\\u003e\\u0026\\"\\u2028é"')
})
