import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AnyConfChange, ConfChangeTransition, ConfChangeType } from './conf-change.ts'
import {
  ConfChangeDecodeError,
  confChangeOf,
  decodeConfChange,
  decodeConfChangeV2,
  encodeConfChange,
} from './conf-change-codec.ts'
import { describeConfChangeRecord } from './describe-record.ts'
import { EntryType, newEntry } from './messages.ts'

const utf8 = new TextEncoder()
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

void test("a founding member's entry has etcd's bytes", () => {
  const context = utf8.encode(
    '{"id":10411510122038010722,"peerURLs":["http://127.0.0.1:21102"],"name":"default"}',
  )
  const change = {
    id: 0n,
    type: ConfChangeType.ConfChangeAddNode,
    nodeId: 10411510122038010722n,
    context,
  }
  const bytes = encodeConfChange(change)
  assert.equal(hex(bytes), `0800100018e2c6d6fbb1a9c7be90012252${hex(context)}`)
  assert.deepEqual(decodeConfChange(bytes), change)
})

void test('changes of several members come back as they were', () => {
  const change = {
    transition: ConfChangeTransition.ConfChangeTransitionJointExplicit,
    changes: [
      { type: ConfChangeType.ConfChangeAddNode, nodeId: 0xffff_ffff_ffff_ffffn },
      { type: ConfChangeType.ConfChangeAddLearnerNode, nodeId: 1n },
      { type: ConfChangeType.ConfChangeRemoveNode, nodeId: 300n },
    ],
    context: Uint8Array.of(1, 2),
  }
  const bytes = encodeConfChange(change)
  assert.equal(
    hex(bytes),
    ['0802', '120d080010ffffffffffffffffff01', '120408031001', '1205080110ac02', '1a020102'].join(''),
  )
  assert.deepEqual(decodeConfChangeV2(bytes), change)
})

void test('no data is the change that leaves a joint configuration', () => {
  assert.deepEqual(decodeConfChangeV2(undefined), { transition: 0, changes: [], context: undefined })
})

void test('only the entries of changes carry one', () => {
  assert.equal(confChangeOf(newEntry(EntryType.EntryNormal, Uint8Array.of(255))), undefined)
  const change: AnyConfChange = { id: 7n, type: 1, nodeId: 2n, context: undefined }
  assert.deepEqual(confChangeOf(newEntry(EntryType.EntryConfChange, encodeConfChange(change))), change)
})

void test('fields that are not known are skipped, in any order', () => {
  // 15: varint, 14: eight bytes, 13: bytes, 12: four bytes, then node_id and id.
  const bytes = Buffer.from('78017101020304050607086a0199650102030418050809', 'hex')
  assert.deepEqual(decodeConfChange(bytes), { id: 9n, type: 0, nodeId: 5n, context: undefined })
})

for (const { name, bytes } of [
  { name: 'a number that is cut short', bytes: '0880' },
  { name: 'a number of more than ten bytes', bytes: '08ffffffffffffffffffffff01' },
  { name: 'bytes that are cut short', bytes: '220501' },
  { name: 'a group', bytes: '0b' },
  { name: 'bytes where a number should be', bytes: '0a0101' },
  { name: 'a number where bytes should be', bytes: '2001' },
  { name: 'a type of change that does not exist', bytes: '1009' },
]) {
  void test(`${name} is not a change`, () => {
    assert.throws(() => decodeConfChange(Buffer.from(bytes, 'hex')), ConfChangeDecodeError)
  })
}

void test('log lines name a change field by field', () => {
  const first = encodeConfChange({ id: 9n, type: 1, nodeId: 3n, context: utf8.encode('a"b\n') })
  assert.equal(
    describeConfChangeRecord(newEntry(EntryType.EntryConfChange, first)),
    'type:ConfChangeRemoveNode node_id:3 context:"a\\"b\\n" id:9',
  )
  assert.equal(describeConfChangeRecord(newEntry(EntryType.EntryConfChangeV2, undefined)), '')
})
