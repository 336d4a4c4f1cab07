import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etcdserverpb } from '@etcd-ts/api'
import { ExitError } from './exit.ts'
import { parseCompare, splitWords } from './txn-grammar.ts'

const { CompareResult, CompareTarget } = etcdserverpb

for (const { line, target, result, key, union } of [
  {
    line: 'value("foo") = "bar"',
    target: CompareTarget.VALUE,
    result: CompareResult.EQUAL,
    key: 'foo',
    union: { case: 'value', value: Buffer.from('bar') },
  },
  {
    line: 'val( `a "key"`) !=  "\\x00\\n" and more',
    target: CompareTarget.VALUE,
    result: CompareResult.NOT_EQUAL,
    key: 'a "key"',
    union: { case: 'value', value: Buffer.from('\0\n') },
  },
  {
    line: 'mod("k") >\t"3"',
    target: CompareTarget.MOD,
    result: CompareResult.GREATER,
    key: 'k',
    union: { case: 'modRevision', value: 3n },
  },
  {
    line: 'c("k") < "-9223372036854775808"',
    target: CompareTarget.CREATE,
    result: CompareResult.LESS,
    key: 'k',
    union: { case: 'createRevision', value: -(1n << 63n) },
  },
  {
    line: 'version("k") = "0"',
    target: CompareTarget.VERSION,
    result: CompareResult.EQUAL,
    key: 'k',
    union: { case: 'version', value: 0n },
  },
]) {
  void test(`comparison ${line}`, () => {
    const compare = parseCompare(line)
    assert.deepEqual(compare, { target, result, key: Buffer.from(key), targetUnion: union })
  })
}

for (const { line, error, code } of [
  { line: 'nonsense', error: 'malformed comparison: nonsense', code: 3 },
  { line: 'value(foo = "bar"', error: 'malformed comparison: value(foo = "bar"; got value("")  ""', code: 3 },
  { line: 'value("a")="1"', error: 'malformed comparison: value("a")="1"; got value("a")  ""', code: 3 },
  {
    line: 'value("a" ) = "b"',
    error: 'malformed comparison: value("a" ) = "b"; got value("a")  ""',
    code: 3,
  },
  { line: 'value("a") = b', error: 'malformed comparison: value("a") = b; got value("a") = ""', code: 3 },
  { line: 'size("a") = "3"', error: 'malformed comparison: size("a") = "3" (unknown target size)', code: 3 },
  { line: 'version("a") = "x"', error: 'invalid txn compare request: version("a") = "x"', code: 3 },
  { line: 'value("a") >= "1"', error: 'unknown result op: >=', code: 2 },
  { line: 'lease("a") = "1"', error: 'bad compare value', code: 2 },
]) {
  void test(`no comparison: ${line}`, () => {
    assert.throws(
      () => parseCompare(line),
      (thrown) => thrown instanceof ExitError && thrown.message === error && thrown.code === code,
    )
  })
}

for (const { line, words } of [
  { line: 'put foo bar', words: ['put', 'foo', 'bar'] },
  { line: '  get \t a --limit 2 ', words: ['get', 'a', '--limit', '2'] },
  { line: 'put "a key" "a \\"quoted\\" value"', words: ['put', 'a key', 'a "quoted" value'] },
  { line: 'put a"b"c d', words: ['put', 'a"b"c', 'd'] },
  { line: 'get "" --prefix', words: ['get', '', '--prefix'] },
  // As many letters as the line has words, less two.
  { line: "put 'single' 'it is'", words: ['put', 's', 'i'] },
  {
    line: "put 'abcdef' --prev-kv --ignore-lease x",
    words: ['put', 'abc', '--prev-kv', '--ignore-lease', 'x'],
  },
])
  void test(`words of ${line}`, () => assert.deepEqual(splitWords(line), words))

void test('a quoted word with a bad escape is refused', () => {
  assert.throws(() => splitWords('get "a\\q"'), { message: 'invalid syntax', code: 3 })
})
