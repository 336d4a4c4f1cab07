import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesOf, textOf } from '../byte-text.ts'
import { quote, quoteText, unquotePrefix } from './quote.ts'

for (const { text, quoted } of [
  { text: 'plain ~', quoted: '"plain ~"' },
  { text: 'a "b" \\', quoted: '"a \\"b\\" \\\\"' },
  { text: '\t\x01x\n\r\x07\b\v\f\x00\x7f', quoted: '"\\t\\x01x\\n\\r\\a\\b\\v\\f\\x00\\x7f"' },
  { text: '键 ✓ é', quoted: '"键 ✓ é"' },
  { text: '\u00a0\u200b\ufeff\u2028\ue000', quoted: '"\\u00a0\\u200b\\ufeff\\u2028\\ue000"' },
  { text: '😀\u{e0001}', quoted: '"😀\\U000e0001"' },
  { text: '\ufffd', quoted: '"\ufffd"' },
])
  void test(`quoted: ${quoted}`, () => assert.equal(quoteText(text), quoted))

void test('bytes that are not UTF-8 are quoted one by one', () => {
  assert.equal(quote(Uint8Array.from([0x61, 0xff, 0xc3, 0x28])), '"a\\xff\\xc3("')
})

for (const { text, value, rest } of [
  { text: '"a b" c', value: 'a b', rest: ' c' },
  { text: '"\\"\\\\\\a\\n\\t"', value: '"\\\x07\n\t', rest: '' },
  { text: '"\\x41\\101\\u952e\\U0001f600")', value: 'AA键😀', rest: ')' },
  { text: '`a\\n"b`c', value: 'a\\n"b', rest: 'c' },
  { text: '""x', value: '', rest: 'x' },
]) {
  void test(`unquoted: ${text}`, () => {
    const found = unquotePrefix(text)
    assert.equal(found?.value, value)
    assert.equal(text.slice(found?.end), rest)
  })
}

void test('an escaped byte stays a byte', () => {
  const found = unquotePrefix('"\\xff\\xc3\\x28"')
  assert.deepEqual([...bytesOf(found!.value)], [0xff, 0xc3, 0x28])
  assert.equal(found!.value, textOf(Uint8Array.from([0xff, 0xc3, 0x28])))
})

for (const text of [
  '',
  'a',
  '"a',
  '"a\\"',
  '"\\q"',
  '"\\x4"',
  '"\\400"',
  '"\\ud800"',
  '"a\nb"',
  '`a',
  "'a'",
]) {
  void test(`no quoted string: ${JSON.stringify(text)}`, () => assert.equal(unquotePrefix(text), undefined))
}
