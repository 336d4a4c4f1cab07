import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDuration, parseBool, parseDuration, parseInteger, quote } from './go-values.ts'

const uint64 = { signed: false, bits: 64 }
const int64 = { signed: true, bits: 64 }

for (const { text, type, value } of [
  { text: '0', type: uint64, value: 0n },
  { text: '18446744073709551615', type: uint64, value: 2n ** 64n - 1n },
  { text: '18446744073709551616', type: uint64, value: 'range' },
  { text: '0x10', type: uint64, value: 16n },
  { text: '0b101', type: uint64, value: 5n },
  { text: '0o17', type: uint64, value: 15n },
  { text: '010', type: uint64, value: 8n },
  { text: '08', type: uint64, value: 'syntax' },
  { text: '1_000', type: uint64, value: 1000n },
  { text: '_1', type: uint64, value: 'syntax' },
  { text: '1__0', type: uint64, value: 'syntax' },
  { text: '', type: uint64, value: 'syntax' },
  { text: ' 1', type: uint64, value: 'syntax' },
  { text: '+1', type: uint64, value: 'syntax' },
  { text: '-1', type: uint64, value: 'syntax' },
  { text: '+5', type: int64, value: 5n },
  { text: '-9223372036854775808', type: int64, value: -(2n ** 63n) },
  { text: '9223372036854775808', type: int64, value: 'range' },
  { text: '4294967296', type: { signed: false, bits: 32 }, value: 'range' },
  { text: '1e3', type: int64, value: 'syntax' },
] as const) {
  void test(`integer ${JSON.stringify(text)} of ${type.bits} bits, ${type.signed ? '' : 'un'}signed: ${value}`, () =>
    assert.equal(parseInteger(text, type), value))
}

for (const { text, ns } of [
  { text: '0', ns: 0n },
  { text: '5s', ns: 5_000_000_000n },
  { text: '1h1h', ns: 7_200_000_000_000n },
  { text: '-1.5h', ns: -5_400_000_000_000n },
  { text: '+100ms', ns: 100_000_000n },
  { text: '1µs', ns: 1_000n },
  { text: '1μs2us', ns: 3_000n },
  { text: '.5s', ns: 500_000_000n },
  { text: '1.s', ns: 1_000_000_000n },
  { text: '1h15m30.918s', ns: 4_530_918_000_000n },
]) {
  void test(`duration ${text}`, () => assert.equal(parseDuration(text), ns))
}

for (const { text, error } of [
  { text: '', error: 'time: invalid duration ""' },
  { text: 'x', error: 'time: invalid duration "x"' },
  { text: '.s', error: 'time: invalid duration ".s"' },
  { text: '-', error: 'time: invalid duration "-"' },
  { text: '-5', error: 'time: missing unit in duration "-5"' },
  { text: '1x', error: 'time: unknown unit "x" in duration "1x"' },
  { text: '1constructor', error: 'time: unknown unit "constructor" in duration "1constructor"' },
  { text: '9999999h', error: 'time: invalid duration "9999999h"' },
]) {
  void test(`duration ${JSON.stringify(text)} is refused`, () =>
    assert.throws(() => parseDuration(text), { name: 'ConfigError', message: error }))
}

for (const { ms, text } of [
  { ms: 0, text: '0s' },
  { ms: 100, text: '100ms' },
  { ms: 1000, text: '1s' },
  { ms: 1500, text: '1.5s' },
  { ms: 60_000, text: '1m0s' },
  { ms: 7_200_000, text: '2h0m0s' },
  { ms: 0.589035, text: '589.035µs' },
  { ms: 0.000001, text: '1ns' },
  { ms: -1500, text: '-1.5s' },
]) {
  void test(`${ms} ms is shown as ${text}`, () => assert.equal(formatDuration(ms), text))
}

void test('twelve words are truth values, and no others', () => {
  assert.deepEqual(['1', 't', 'T', 'true', 'TRUE', 'True'].map(parseBool), Array(6).fill(true))
  assert.deepEqual(['0', 'f', 'F', 'false', 'FALSE', 'False'].map(parseBool), Array(6).fill(false))
  assert.deepEqual(['', 'yes', 'tRUE', ' true'].map(parseBool), Array(4).fill(undefined))
})

void test('quotes are Go quotes', () => {
  assert.equal(quote('a"b\\c\n\x01\x7f\u00a0é\u2028'), '"a\\"b\\\\c\\n\\x01\\x7f\\u00a0é\\u2028"')
})
