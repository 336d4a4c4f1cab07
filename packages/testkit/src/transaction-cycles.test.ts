import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from './seeded-random.ts'
import { type ListStep, type ListTransaction, findAnomalies } from './transaction-cycles.ts'

type Step = ListStep

const append = (key: string, element: string): Step => ({ kind: 'append', key, element })
const read = (key: string, ...list: string[]): Step => ({ kind: 'read', key, list })

/** Transactions that are all concurrent, named T1, T2, … */
const concurrent = (...transactions: Step[][]): ListTransaction[] =>
  transactions.map((steps, i) => ({ name: `T${i + 1}`, steps, status: 'committed', begun: 0, ended: 100 }))
/** Transactions one after the other. */
const serial = (...transactions: Step[][]): ListTransaction[] =>
  transactions.map((steps, i) => ({
    name: `T${i + 1}`,
    steps,
    status: 'committed',
    begun: 10 * i,
    ended: 10 * i + 5,
  }))
const withStatus = (
  transactions: ListTransaction[],
  index: number,
  status: ListTransaction['status'],
): ListTransaction[] => transactions.map((each, i) => (i === index ? { ...each, status } : each))

for (const { name, history, finalLists, found } of [
  { name: 'nothing', history: [], found: [] },
  {
    name: 'appends and reads in a serial order that is not that of the names',
    history: concurrent([read('x', 'a', 'b')], [append('x', 'b')], [append('x', 'a'), read('x', 'a')]),
    found: [],
  },
  {
    name: 'an unknown transaction that nobody has seen',
    history: withStatus(serial([append('x', 'a')], [append('x', 'b')], [read('x', 'a')]), 1, 'unknown'),
    found: [],
  },
  {
    name: 'an unknown transaction that happens later',
    history: withStatus(
      serial([append('x', 'a'), append('y', 'a')], [read('x')], [read('x', 'a')], [read('y', 'a')]),
      0,
      'unknown',
    ),
    found: [],
  },
  {
    name: 'G0: two transactions write two keys in different orders',
    history: concurrent(
      [append('x', 'a'), append('y', 'a')],
      [append('x', 'b'), append('y', 'b')],
      [read('x', 'a', 'b')],
      [read('y', 'b', 'a')],
    ),
    found: ['G0'],
  },
  {
    name: 'G1a: a read of what an aborted transaction wrote',
    history: withStatus(concurrent([append('x', 'a')], [read('x', 'a')]), 0, 'aborted'),
    found: ['G1a'],
  },
  {
    name: 'G1b: a read in the middle of a transaction',
    history: concurrent([append('x', 'a'), append('x', 'b')], [read('x', 'a')], [read('x', 'a', 'b')]),
    found: ['G1b', 'G-single'],
  },
  {
    name: 'G1c: each reads what the other wrote',
    history: concurrent([append('x', 'a'), read('y', 'b')], [append('y', 'b'), read('x', 'a')]),
    found: ['G1c'],
  },
  {
    name: 'G-single: half of another transaction is seen (read skew)',
    history: concurrent([append('x', 'a'), append('y', 'a')], [read('x', 'a'), read('y')], [read('y', 'a')]),
    found: ['G-single'],
  },
  {
    name: 'G-single: a lost update',
    history: concurrent([read('x'), append('x', 'a')], [read('x'), append('x', 'b')], [read('x', 'a', 'b')]),
    found: ['G-single'],
  },
  {
    name: 'G2: each does not see what the other wrote (write skew)',
    history: concurrent(
      [read('x'), append('y', 'a')],
      [read('y'), append('x', 'a')],
      [read('x', 'a'), read('y', 'a')],
    ),
    found: ['G2'],
  },
  {
    name: 'G2 among appends that nobody has read',
    history: concurrent([read('x'), append('y', 'a')], [read('y'), append('x', 'a')]),
    found: ['G2'],
  },
  {
    name: 'a stale read is a broken edge of time',
    history: serial([append('x', 'a')], [append('x', 'b')], [read('x', 'a')], [read('x', 'a', 'b')]),
    found: ['G-single in real time'],
  },
  {
    name: 'a read of the future is one too',
    history: serial([read('x', 'a')], [append('x', 'a')]),
    found: ['G1c in real time'],
  },
  {
    name: 'writes against time',
    history: serial([append('x', 'a')], [append('x', 'b')], [read('x', 'b', 'a')]),
    found: ['G0 in real time'],
  },
  {
    name: 'two readers see unrelated appends in different orders',
    history: concurrent(
      [append('x', 'a')],
      [append('y', 'a')],
      [read('x', 'a'), read('y')],
      [read('x'), read('y', 'a')],
    ),
    found: ['G2'],
  },
  {
    name: 'an element twice',
    history: serial([append('x', 'a')], [read('x', 'a', 'a')]),
    found: ['duplicate'],
  },
  { name: 'garbage', history: serial([read('x', 'a')]), found: ['garbage'] },
  {
    name: 'reads that cannot both be beginnings of one list',
    history: concurrent([append('x', 'a')], [append('x', 'b')], [read('x', 'a')], [read('x', 'b')]),
    found: ['incompatible-order'],
  },
  {
    name: 'a transaction that does not see its own append',
    history: concurrent([append('x', 'a')], [read('x', 'a'), append('x', 'b'), read('x', 'a')]),
    found: ['internal'],
  },
  {
    name: 'a committed append that is not there in the end',
    history: concurrent([append('x', 'a')], [append('x', 'b')]),
    finalLists: new Map([['x', ['b']]]),
    found: ['lost'],
  },
]) {
  void test(`${found.length === 0 ? 'serializable' : 'anomaly'}: ${name}`, () => {
    const anomalies = findAnomalies(history, finalLists)
    const kinds = anomalies.map(({ kind, usesTime }) => (usesTime ? `${kind} in real time` : kind))
    assert.deepEqual(kinds, found, anomalies.map(({ text }) => text).join('\n'))
  })
}

void test('a cycle is told by its edges', () => {
  const [anomaly] = findAnomalies(
    concurrent([read('x'), append('x', 'a')], [read('x'), append('x', 'b')], [read('x', 'a', 'b')]),
  )
  assert.equal(
    anomaly?.text,
    [
      'G-single:',
      '  T2 {read x [], append x b} [0, 100] did not see what was appended by T1 (key x)',
      '  T1 {read x [], append x a} [0, 100] appended before T2 (key x)',
    ].join('\n'),
  )
})

/** Transactions that take effect at one moment each, on lists that start empty. */
function serializableRun(random: SeededRandom): {
  transactions: ListTransaction[]
  lists: Map<string, string[]>
} {
  const lists = new Map<string, string[]>()
  const drafts: { at: number; begun: number; ended: number; name: string }[] = []
  for (let client = 0; client < 5; client++) {
    let time = random.fraction()
    for (let n = 0; n < 40; n++) {
      const at = time + random.fraction() * 3
      const ended = at + random.fraction() * 3
      drafts.push({ at, begun: time, ended, name: `${client}:${n}` })
      time = ended + random.fraction()
    }
  }
  const transactions = drafts
    .toSorted((a, b) => a.at - b.at)
    .map(({ begun, ended, name }): ListTransaction => {
      const fate = random.below(20)
      const steps: Step[] = []
      for (const key of ['x', 'y', 'z'].filter(() => random.chance(0.5))) {
        const list = lists.get(key) ?? []
        if (random.chance(0.5)) steps.push({ kind: 'read', key, list: [...list] })
        if (random.chance(0.5)) steps.push(append(key, name))
      }
      const status = fate === 0 ? 'aborted' : fate <= 2 ? 'unknown' : 'committed'
      if (fate > 1) {
        for (const step of steps) {
          if (step.kind === 'append') lists.set(step.key, [...(lists.get(step.key) ?? []), step.element])
        }
      }
      return { name, steps, status, begun, ended }
    })
  return { transactions, lists }
}

void test('runs that are strictly serializable have no anomaly', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const { transactions, lists } = serializableRun(new SeededRandom(seed))
    const anomalies = findAnomalies(transactions, lists)
    assert.deepEqual(
      anomalies.map(({ text }) => text),
      [],
      `seed ${seed}`,
    )
  }
})

void test('a transaction that sees an older state of some keys is found', () => {
  let broken = 0
  for (let seed = 1; seed <= 100; seed++) {
    const random = new SeededRandom(seed)
    const { transactions, lists } = serializableRun(random)
    const index = transactions.findIndex(
      ({ status, begun, steps }) =>
        status === 'committed' &&
        steps.some(
          (step) =>
            step.kind === 'read' &&
            step.list !== undefined &&
            // Its last element was there, for sure, when this transaction began.
            transactions.some(
              (other) =>
                other.status === 'committed' && other.ended < begun && other.name === step.list?.at(-1),
            ),
        ),
    )
    const old = transactions[index]
    if (old === undefined) continue
    broken += 1
    transactions[index] = {
      ...old,
      steps: old.steps.map((step) =>
        step.kind === 'read' && step.list !== undefined ? { ...step, list: step.list.slice(0, -1) } : step,
      ),
    }
    assert.notEqual(findAnomalies(transactions, lists).length, 0, `seed ${seed}`)
  }
  assert.ok(broken > 50, `${broken} runs were broken`)
})
