import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDuration, parseBool, parseDuration, parseInteger } from './numbers.ts'

for (const { text, base, signed, value } of [
  { text: '42', base: 10, signed: true, value: 42n },
  { text: '-9223372036854775808', base: 10, signed: true, value: -(1n << 63n) },
  { text: '+7', base: 10, signed: true, value: 7n },
  { text: '18446744073709551615', base: 10, signed: false, value: (1n << 64n) - 1n },
  { text: '1234abCD', base: 16, signed: true, value: 0x1234abcdn },
  { text: '0x1F', base: 0, signed: true, value: 31n },
  { text: '0b101', base: 0, signed: true, value: 5n },
  { text: '0o17', base: 0, signed: true, value: 15n },
  { text: '017', base: 0, signed: true, value: 15n },
  { text: '1_000', base: 0, signed: true, value: 1000n },
  { text: '0x_f', base: 0, signed: true, value: 15n },
  { text: '0', base: 0, signed: true, value: 0n },
] as const) {
  void test(`integer ${text} in base ${base}`, () =>
    assert.equal(parseInteger(text, { base, signed }), value))
}

for (const { text, base, signed, error } of [
  { text: 'x', base: 10, signed: true, error: 'strconv.ParseInt: parsing "x": invalid syntax' },
  { text: '', base: 16, signed: true, error: 'strconv.ParseInt: parsing "": invalid syntax' },
  { text: '0x10', base: 10, signed: true, error: 'strconv.ParseInt: parsing "0x10": invalid syntax' },
  { text: '1_0', base: 10, signed: true, error: 'strconv.ParseInt: parsing "1_0": invalid syntax' },
  { text: '1_', base: 0, signed: true, error: 'strconv.ParseInt: parsing "1_": invalid syntax' },
  { text: '08', base: 0, signed: true, error: 'strconv.ParseInt: parsing "08": invalid syntax' },
  { text: '-1', base: 16, signed: false, error: 'strconv.ParseUint: parsing "-1": invalid syntax' },
  {
    text: '9223372036854775808',
    base: 10,
    signed: true,
    error: 'strconv.ParseInt: parsing "9223372036854775808": value out of range',
  },
] as const) {
  void test(`no integer: ${text} in base ${base}`, () => {
    assert.throws(() => parseInteger(text, { base, signed }), { message: error })
  })
}

void test('truth values', () => {
  assert.deepEqual(['1', 't', 'TRUE', 'True'].map(parseBool), [true, true, true, true])
  assert.deepEqual(['0', 'F', 'false'].map(parseBool), [false, false, false])
  assert.throws(() => parseBool('maybe'), { message: 'strconv.ParseBool: parsing "maybe": invalid syntax' })
})

for (const { text, value, shown } of [
  { text: '5s', value: 5_000_000_000n, shown: '5s' },
  { text: '400ms', value: 400_000_000n, shown: '400ms' },
  { text: '1h1.5m', value: 3_690_000_000_000n, shown: '1h1m30s' },
  { text: '-2.5us', value: -2_500n, shown: '-2.5µs' },
  { text: '.5s', value: 500_000_000n, shown: '500ms' },
  { text: '0', value: 0n, shown: '0s' },
  { text: '2575729ns', value: 2_575_729n, shown: '2.575729ms' },
  { text: '100h', value: 360_000_000_000_000n, shown: '100h0m0s' },
]) {
  void test(`duration ${text}`, () => {
    assert.equal(parseDuration(text), value)
    assert.equal(formatDuration(value), shown)
  })
}

for (const { text, error } of [
  { text: 'abc', error: 'time: invalid duration "abc"' },
  { text: '', error: 'time: invalid duration ""' },
  { text: '.s', error: 'time: invalid duration ".s"' },
  { text: '-1', error: 'time: missing unit in duration "-1"' },
  { text: '1x', error: 'time: unknown unit "x" in duration "1x"' },
  { text: '1e3s', error: 'time: unknown unit "e" in duration "1e3s"' },
  { text: '9999999h', error: 'time: invalid duration "9999999h"' },
])
  void test(`no duration: ${text}`, () => assert.throws(() => parseDuration(text), { message: error }))
