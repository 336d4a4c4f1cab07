import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeEntry, describeMessage, describeReady } from './describe.ts'
import { EntryType, LOCAL_APPLY_THREAD, MessageType, NONE, newEntry, newMessage } from './messages.ts'
import { quoteBytes } from './utf8.ts'

for (const { bytes, text } of [
  { bytes: '666f6f', text: '"foo"' },
  { bytes: '225c0a0d090708', text: '"\\"\\\\\\n\\r\\t\\a\\b"' },
  { bytes: '00017f', text: '"\\x00\\x01\\x7f"' },
  { bytes: 'c3bce282acf09f9880', text: '"ü€😀"' },
  { bytes: 'ff61c3', text: '"\\xffa\\xc3"' },
  { bytes: 'c0af', text: '"\\xc0\\xaf"' },
  { bytes: 'eda080', text: '"\\xed\\xa0\\x80"' },
  { bytes: 'f4908080', text: '"\\xf4\\x90\\x80\\x80"' },
  { bytes: 'c2a0e280a8', text: '"\\u00a0\\u2028"' },
  { bytes: 'efbfbd', text: '"\ufffd"' },
]) {
  void test(`bytes ${bytes} print as ${text}`, () =>
    assert.equal(quoteBytes(Buffer.from(bytes, 'hex')), text))
}

void test('an entry that cannot be read says so', () => {
  const entry = newEntry(EntryType.EntryConfChange, Uint8Array.of(0x0b))
  assert.equal(describeEntry(entry), '0/0 EntryConfChange membership change holds an unknown wire type')
})

void test('targets within the member have names', () => {
  const message = newMessage(MessageType.MsgStorageApply, LOCAL_APPLY_THREAD)
  assert.equal(describeMessage(message), 'None->ApplyThread MsgStorageApply Term:0 Log:0/0')
  message.from = 0xabcn
  message.to = NONE
  assert.equal(describeMessage(message), 'abc->None MsgStorageApply Term:0 Log:0/0')
})

void test('reads that may go ahead are part of a Ready', () => {
  const text = describeReady({
    softState: undefined,
    hardState: undefined,
    readStates: [
      { index: 11, requestCtx: Uint8Array.of(102, 111) },
      { index: 12, requestCtx: Uint8Array.of(1) },
    ],
    entries: [],
    snapshot: undefined,
    committedEntries: [],
    messages: [],
    mustSync: false,
  })
  assert.equal(text, 'Ready MustSync=false:\nReadStates [{11 [102 111]} {12 [1]}]\n')
})
