import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlagSet } from './flags.ts'

function flags(): FlagSet {
  const set = new FlagSet()
  set.add([
    { name: 'prefix', type: 'bool', usage: '' },
    { name: 'all', short: 'a', type: 'bool', usage: '' },
    { name: 'hex', type: 'bool', default: 'true', usage: '' },
    { name: 'limit', type: 'int64', usage: '' },
    { name: 'timeout', type: 'duration', default: '5s', usage: '' },
    { name: 'write-out', short: 'w', type: 'string', default: 'simple', usage: '' },
    { name: 'endpoints', type: 'strings', default: '127.0.0.1:2379', usage: '' },
  ])
  return set
}

void test('values come from the next argument, from behind = or from behind the letter', () => {
  const set = flags()
  assert.deepEqual(set.parse(['--limit', '3', 'a', '-wjson', '--timeout=1s', 'b']), ['a', 'b'])
  assert.equal(set.integer('limit'), 3n)
  assert.equal(set.text('write-out'), 'json')
  assert.equal(set.integer('timeout'), 1_000_000_000n)
  flags().parse(['-w=json', '-w', 'json'])
})

void test('truth values take none from the next argument', () => {
  const set = flags()
  assert.deepEqual(set.parse(['--prefix', 'true', '--hex=false', '-aw', 'json']), ['true'])
  assert.deepEqual([set.bool('prefix'), set.bool('hex'), set.bool('all')], [true, false, true])
  assert.equal(set.text('write-out'), 'json')
})

void test('-- ends the flags, and - is no flag', () => {
  assert.deepEqual(flags().parse(['-', '--', '--prefix', '-x']), ['-', '--prefix', '-x'])
})

void test('a list replaces the default and is added to afterwards', () => {
  const set = flags()
  assert.deepEqual(set.texts('endpoints'), ['127.0.0.1:2379'])
  assert.equal(set.changed('endpoints'), false)
  set.parse(['--endpoints', 'a,"b,""c"', '--endpoints=d'])
  assert.deepEqual(set.texts('endpoints'), ['a', 'b,"c', 'd'])
  assert.equal(set.changed('endpoints'), true)
})

void test('an empty list is one without endpoints', () => {
  const set = flags()
  set.parse(['--endpoints='])
  assert.deepEqual(set.texts('endpoints'), [])
})

for (const { args, error } of [
  { args: ['--nope'], error: 'unknown flag: --nope' },
  { args: ['--nope=1'], error: 'unknown flag: --nope' },
  { args: ['--=x'], error: 'bad flag syntax: --=x' },
  { args: ['---x'], error: 'bad flag syntax: ---x' },
  { args: ['-z'], error: "unknown shorthand flag: 'z' in -z" },
  { args: ['-azb'], error: "unknown shorthand flag: 'z' in -zb" },
  { args: ['-w'], error: "flag needs an argument: 'w' in -w" },
  { args: ['--limit'], error: 'flag needs an argument: --limit' },
  {
    args: ['--limit', 'x'],
    error: 'invalid argument "x" for "--limit" flag: strconv.ParseInt: parsing "x": invalid syntax',
  },
  {
    args: ['-a=2'],
    error: 'invalid argument "2" for "-a, --all" flag: strconv.ParseBool: parsing "2": invalid syntax',
  },
  {
    args: ['--endpoints', 'a"b'],
    error:
      'invalid argument "a\\"b" for "--endpoints" flag: parse error on line 1, column 2: bare " in non-quoted-field',
  },
  {
    args: ['--endpoints', '"a"b'],
    error:
      'invalid argument "\\"a\\"b" for "--endpoints" flag: parse error on line 1, column 3: extraneous or missing " in quoted-field',
  },
])
  void test(`refused: ${args.join(' ')}`, () => assert.throws(() => flags().parse(args), { message: error }))
