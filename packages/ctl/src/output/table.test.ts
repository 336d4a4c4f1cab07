import assert from 'node:assert/strict'
import { test } from 'node:test'
import { humanSize } from './size.ts'
import { table } from './table.ts'

void test('headings are centred, cells stand to the right', () => {
  const lines = table(
    ['ID', 'status', 'name'],
    [
      ['d51c91f48481dd6c', 'started', 'm1'],
      ['533947037a79cf4c', 'unstarted', ''],
    ],
  ).split('\n')
  assert.deepEqual(lines, [
    '+------------------+-----------+------+',
    '|        ID        |  STATUS   | NAME |',
    '+------------------+-----------+------+',
    '| d51c91f48481dd6c |   started |   m1 |',
    '| 533947037a79cf4c | unstarted |      |',
    '+------------------+-----------+------+',
    '',
  ])
})

void test('long cells are broken at blanks, evenly', () => {
  const lines = table(['error'], [['memberID:15356309308807699820 alarm:NOSPACE ']]).split('\n')
  assert.deepEqual(lines.slice(3, -2), [
    '| memberID:15356309308807699820 |',
    '|                alarm:NOSPACE  |',
  ])
})

for (const { bytes, text } of [
  { bytes: 0, text: '0 B' },
  { bytes: 9, text: '9 B' },
  { bytes: 999, text: '999 B' },
  { bytes: 1000, text: '1.0 kB' },
  { bytes: 20480, text: '20 kB' }, // halves go to the even number
  { bytes: 21504, text: '22 kB' },
  { bytes: 1_600_000, text: '1.6 MB' },
  { bytes: 999_999, text: '1000 kB' },
  { bytes: 8_589_934_592, text: '8.6 GB' },
])
  void test(`${bytes} bytes are ${text}`, () => assert.equal(humanSize(bytes), text))
