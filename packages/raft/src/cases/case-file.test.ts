import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaseFormatError, parseCases } from './case-file.ts'

void test('cases have a command, arguments, input and what they print', () => {
  const [first, second, ...others] = parseCases(
    [
      '# remark',
      '',
      'add-nodes 3 voters=(1, 2,3) prevote=true content=foo drop=()',
      '----',
      'ok',
      '',
      '# remark',
      'propose-conf-change 1 \\',
      '  transition=auto',
      'v1 v2',
      'l3',
      '----',
    ].join('\n'),
  )
  assert.deepEqual(first, {
    command: 'add-nodes',
    args: [
      { key: '3', values: [] },
      { key: 'voters', values: ['1', '2', '3'] },
      { key: 'prevote', values: ['true'] },
      { key: 'content', values: ['foo'] },
      { key: 'drop', values: [] },
    ],
    input: '',
    expected: 'ok\n',
    line: 3,
  })
  assert.deepEqual(second, {
    command: 'propose-conf-change',
    args: [
      { key: '1', values: [] },
      { key: 'transition', values: ['auto'] },
    ],
    input: 'v1 v2\nl3',
    expected: '',
    line: 8,
  })
  assert.deepEqual(others, [])
})

void test('output with empty lines stands between doubled separators', () => {
  const cases = parseCases('one\n----\n----\na\n\n----\nb\n----\n----\n\ntwo\n----\nc\n')
  assert.deepEqual(
    cases.map(({ command, expected }) => [command, expected]),
    [
      ['one', 'a\n\n----\nb\n'],
      ['two', 'c\n'],
    ],
  )
})

for (const { name, text } of [
  { name: 'a command without output', text: 'campaign 1\n' },
  { name: 'output without an end', text: 'a\n----\n----\nb\n' },
  { name: 'arguments that cannot be read', text: 'a b=(1,2\n----\n' },
]) {
  void test(`${name} is not a case`, () => assert.throws(() => parseCases(text), CaseFormatError))
}
