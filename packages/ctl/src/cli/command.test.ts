import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editDistance, find, pathOf, type Command } from './command.ts'

function leaf(name: string): Command {
  return { name, use: name, short: '', run: () => Promise.resolve() }
}

function entry(command: Command): { name: string; load: () => Promise<Command> } {
  return { name: command.name, load: () => Promise.resolve(command) }
}

const member: Command = {
  name: 'member',
  use: 'member',
  short: '',
  sharedFlags: [{ name: 'cluster', type: 'bool', usage: '' }],
  commands: [entry(leaf('list')), entry(leaf('add'))],
}

const root: Command = {
  name: 'ctl',
  use: 'ctl',
  short: '',
  sharedFlags: [
    { name: 'user', type: 'string', usage: '' },
    { name: 'out', short: 'w', type: 'string', usage: '' },
    { name: 'hex', type: 'bool', usage: '' },
  ],
  commands: [entry(leaf('get')), entry(leaf('put')), entry(member), entry(leaf('migrate'))],
}

for (const { args, path, rest } of [
  { args: [], path: 'ctl', rest: [] },
  { args: ['get', 'a'], path: 'ctl get', rest: ['a'] },
  { args: ['g', 'get'], path: 'ctl get', rest: ['get'] },
  {
    args: ['--user', 'get', '-w', 'json', 'get', 'get'],
    path: 'ctl get',
    rest: ['--user', 'get', '-w', 'json', 'get'],
  },
  { args: ['--hex', '--user=x', 'get', 'a'], path: 'ctl get', rest: ['--hex', '--user=x', 'a'] },
  { args: ['', 'get', 'a'], path: 'ctl get', rest: ['', 'a'] },
  { args: ['mem', '--cluster', 'li', 'x'], path: 'ctl member list', rest: ['--cluster', 'x'] },
  { args: ['member', 'nope'], path: 'ctl member', rest: ['nope'] },
  { args: ['--', 'get'], path: 'ctl', rest: ['--', 'get'] },
]) {
  void test(`found: ${JSON.stringify(args)}`, async () => {
    const found = await find(root, args)
    assert.equal(pathOf(found.path), path)
    assert.deepEqual(found.args, rest)
  })
}

for (const { args, error } of [
  { args: ['gte'], error: 'unknown command "gte" for "ctl"\n\nDid you mean this?\n\tget\n' },
  { args: ['m'], error: 'unknown command "m" for "ctl"\n\nDid you mean this?\n\tmember\n\tmigrate\n' },
  { args: ['nothing'], error: 'unknown command "nothing" for "ctl"' },
  // An unknown flag is taken to have a value.
  { args: ['--nope', 'get', 'foobar'], error: 'unknown command "foobar" for "ctl"' },
])
  void test(`not found: ${args.join(' ')}`, () => assert.rejects(find(root, args), { message: error }))

void test('edit distance', () => {
  assert.deepEqual(
    [
      editDistance('', 'abc'),
      editDistance('get', 'get'),
      editDistance('gte', 'get'),
      editDistance('put', 'auth'),
    ],
    [3, 0, 2, 2],
  )
})
