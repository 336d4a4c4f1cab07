import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  RevisionKeyError,
  TOMBSTONE_BYTES,
  checkRevisionKey,
  isTombstoneKey,
  readMain,
  readSub,
  revisionKey,
  writeTombstoneKey,
} from './revision-key.ts'

const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex')

for (const { main, sub, text } of [
  { main: 5, sub: 0, text: '0000000000000005' + '5f' + '0000000000000000' },
  { main: 7, sub: 2, text: '0000000000000007' + '5f' + '0000000000000002' },
  { main: 2 ** 32 + 1, sub: 127, text: '0000000100000001' + '5f' + '000000000000007f' },
  { main: Number.MAX_SAFE_INTEGER, sub: 2 ** 31, text: '001fffffffffffff' + '5f' + '0000000080000000' },
]) {
  void test(`revision ${main}/${sub}`, () => {
    const key = revisionKey(main, sub)
    assert.equal(hex(key), text)
    checkRevisionKey(key)
    assert.deepEqual([readMain(key), readSub(key), isTombstoneKey(key)], [main, sub, false])
    const tombstone = new Uint8Array(TOMBSTONE_BYTES)
    writeTombstoneKey(tombstone, 0, main, sub)
    assert.equal(hex(tombstone), `${text}74`)
    checkRevisionKey(tombstone)
    assert.deepEqual([readMain(tombstone), readSub(tombstone), isTombstoneKey(tombstone)], [main, sub, true])
  })
}

void test('keys that are not revisions are refused', () => {
  for (const text of [
    '',
    '00',
    '0000000000000005',
    '0000000000000005' + '5e' + '0000000000000000',
    '0000000000000005' + '5f' + '00000000000000',
    '0000000000000005' + '5f' + '000000000000000073',
    '0000000000000005' + '5f' + '00000000000000007474',
    'ff00000000000005' + '5f' + '0000000000000000',
    '0020000000000000' + '5f' + '0000000000000000',
    '0000000000000005' + '5f' + '0000000100000000',
  ]) {
    assert.throws(() => checkRevisionKey(Buffer.from(text, 'hex')), RevisionKeyError, text)
  }
})
