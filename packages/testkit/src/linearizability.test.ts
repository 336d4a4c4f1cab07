import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Specification, type TimedOperation, checkLinearizable, partitionBy } from './linearizability.ts'
import { type RegisterInput, type RegisterOutput, registerSpecification } from './register.ts'
import { SeededRandom } from './seeded-random.ts'

type Operation = TimedOperation<RegisterInput, RegisterOutput>

const put = (begun: number, ended: number, value: string): Operation => ({
  input: { kind: 'put', value },
  output: { kind: 'put' },
  begun,
  ended,
})
const lostPut = (begun: number, value: string): Operation => ({
  input: { kind: 'put', value },
  output: undefined,
  begun,
  ended: Infinity,
})
const read = (begun: number, ended: number, value?: string): Operation => ({
  input: { kind: 'read' },
  output: { kind: 'read', value },
  begun,
  ended,
})
const remove = (begun: number, ended: number, deleted = true): Operation => ({
  input: { kind: 'delete' },
  output: { kind: 'delete', deleted },
  begun,
  ended,
})
const cas = (begun: number, ended: number, expected: string | undefined, value: string): Operation => ({
  input: { kind: 'cas', expected, value },
  output: { kind: 'cas', succeeded: true },
  begun,
  ended,
})
const failedCas = (begun: number, ended: number, expected: string, found?: string): Operation => ({
  input: { kind: 'cas', expected, value: 'never' },
  output: { kind: 'cas', succeeded: false, value: found },
  begun,
  ended,
})

const good: { name: string; history: Operation[] }[] = [
  { name: 'nothing at all', history: [] },
  {
    name: 'one after the other',
    history: [read(0, 1), put(2, 3, 'a'), read(4, 5, 'a'), remove(6, 7), read(8, 9)],
  },
  { name: 'a read beside a put may see it', history: [put(0, 9, 'a'), read(1, 2, 'a'), read(3, 4, 'a')] },
  { name: 'a read beside a put may miss it', history: [put(0, 9, 'a'), read(1, 2), read(3, 4, 'a')] },
  {
    name: 'two puts side by side, in the order of their ends reversed',
    history: [put(0, 5, 'a'), put(1, 4, 'b'), read(6, 7, 'a')],
  },
  { name: 'a put without an answer happens late', history: [lostPut(0, 'a'), read(1, 2), read(3, 4, 'a')] },
  {
    name: 'a put without an answer never happens',
    history: [lostPut(0, 'a'), put(1, 2, 'b'), read(3, 4, 'b')],
  },
  {
    name: 'a cas that succeeds only if an unanswered put happened in between',
    history: [lostPut(0, 'a'), put(1, 2, 'b'), cas(3, 4, 'a', 'c'), read(5, 6, 'c')],
  },
  {
    name: 'of two cas from the same value one fails and sees the other',
    history: [put(0, 1, 'a'), cas(2, 6, 'a', 'b'), failedCas(3, 5, 'a', 'b')],
  },
  { name: 'operations that touch are concurrent', history: [put(0, 2, 'a'), read(2, 3)] },
]

const bad: { name: string; history: Operation[]; culprit: Operation; window: number }[] = [
  {
    name: 'a stale read',
    history: [put(0, 1, 'a'), put(2, 3, 'b'), read(4, 5, 'a'), read(6, 7, 'b')],
    culprit: read(4, 5, 'a'),
    window: 1,
  },
  {
    name: 'a lost write',
    history: [put(0, 1, 'a'), read(2, 3), put(4, 5, 'b')],
    culprit: read(2, 3),
    window: 1,
  },
  {
    name: 'a write that happens twice',
    history: [put(0, 1, 'a'), put(2, 3, 'b'), read(4, 5, 'b'), read(6, 7, 'a')],
    culprit: read(6, 7, 'a'),
    window: 1,
  },
  {
    name: 'an unanswered write that happens twice',
    history: [lostPut(0, 'a'), read(1, 2, 'a'), put(3, 4, 'b'), read(5, 6, 'b'), read(7, 8, 'a')],
    // What the read of b answered does not matter: the unanswered put had happened before b was put.
    culprit: read(7, 8, 'a'),
    window: 2,
  },
  {
    name: 'two readers see two puts in different orders',
    history: [put(0, 9, 'a'), put(0, 9, 'b'), read(10, 11, 'a'), read(12, 13, 'b')],
    culprit: read(12, 13, 'b'),
    window: 2,
  },
  {
    name: 'a read of what nobody wrote (or of a refused write)',
    history: [put(0, 1, 'a'), read(2, 3, 'dirty')],
    culprit: read(2, 3, 'dirty'),
    window: 1,
  },
  {
    name: 'time goes back beside a put in progress',
    history: [put(0, 1, 'a'), put(2, 9, 'b'), read(3, 4, 'b'), read(5, 6, 'a')],
    culprit: read(5, 6, 'a'),
    window: 2,
  },
  {
    name: 'two cas from the same value succeed',
    history: [put(0, 1, 'a'), cas(2, 6, 'a', 'b'), cas(3, 7, 'a', 'c')],
    culprit: cas(3, 7, 'a', 'c'),
    window: 2,
  },
  {
    name: 'a delete that found something after nothing was there',
    history: [put(0, 1, 'a'), remove(2, 3), remove(4, 5)],
    culprit: remove(4, 5),
    window: 1,
  },
  {
    name: 'a write is seen before it was begun',
    history: [read(0, 1, 'a'), put(2, 3, 'a')],
    culprit: read(0, 1, 'a'),
    window: 1,
  },
]

for (const { name, history } of good) {
  void test(`linearizable: ${name}`, () => {
    assert.deepEqual(checkLinearizable(registerSpecification, history), { kind: 'linearizable' })
  })
}

for (const { name, history, culprit, window } of bad) {
  void test(`not linearizable: ${name}`, () => {
    const verdict = checkLinearizable(registerSpecification, history)
    assert.ok(verdict.kind === 'violation')
    assert.deepEqual(verdict.violation.culprit, culprit, verdict.violation.text)
    assert.equal(verdict.violation.window.length, window, verdict.violation.text)
  })
}

void test('a violation is explained by the shortest piece of the history', () => {
  const history: Operation[] = []
  for (let i = 0; i < 50; i++)
    history.push(put(10 * i, 10 * i + 1, `v${i}`), read(10 * i + 2, 10 * i + 3, `v${i}`))
  history.push(
    put(500, 501, 'x'),
    put(510, 540, 'y'),
    read(520, 521, 'y'),
    read(530, 531, 'x'),
    read(550, 551, 'y'),
  )
  const verdict = checkLinearizable(registerSpecification, history)
  assert.ok(verdict.kind === 'violation')
  assert.equal(
    verdict.violation.text,
    [
      'read -> x cannot be explained: until it ended the state can only have been y',
      'these cannot all be true:',
      '  [520, 521] read -> y',
      '  [530, 531] read -> x',
      'the last changes before them:',
      ...[45, 46, 47, 48, 49].map((i) => `  [${10 * i}, ${10 * i + 1}] put v${i}`),
      '  [500, 501] put x',
      'changes at the same time:',
      '  [510, 540] put y',
    ].join('\n'),
  )
})

void test('a search that takes too long proves nothing', () => {
  const history = Array.from({ length: 20 }, (_, i) => put(0, 100, `v${i}`))
  history.push(read(101, 102, 'none of them'))
  assert.deepEqual(checkLinearizable(registerSpecification, history, { stepsMax: 1000 }), {
    kind: 'untested',
  })
})

void test('objects that know nothing of each other are taken apart', () => {
  const parts = partitionBy([put(0, 1, 'a'), read(2, 3, 'b'), put(4, 5, 'c')], ({ kind }) => kind)
  assert.deepEqual(
    [...parts].map(([key, list]) => [key, list.length]),
    [
      ['put', 2],
      ['read', 1],
    ],
  )
})

/** Every order, one by one: for histories of a few operations only. */
function someOrderExplains<State, Input, Output>(
  specification: Specification<State, Input, Output>,
  operations: readonly TimedOperation<Input, Output>[],
): boolean {
  const goOn = (state: State, left: readonly TimedOperation<Input, Output>[]): boolean => {
    if (left.every(({ output }) => output === undefined)) return true
    const firstEnd = Math.min(...left.map((o) => (o.output === undefined ? Infinity : o.ended)))
    return left.some((operation) => {
      if (operation.begun > firstEnd) return false
      const next = specification.step(state, operation.input, operation.output)
      return (
        next !== undefined &&
        goOn(
          next,
          left.filter((other) => other !== operation),
        )
      )
    })
  }
  return goOn(specification.initial, operations)
}

/** A history of operations that took effect at one moment between beginning and end; some without an answer. */
function randomHistory(
  random: SeededRandom,
  shape: { clients: number; calls: number; unanswered: number; unique?: boolean },
): Operation[] {
  const drafts: { at: number; begun: number; ended: number; input: RegisterInput; isAnswered: boolean }[] = []
  const values = ['a', 'b', 'c']
  for (let client = 0; client < shape.clients; client++) {
    let time = random.between(0, 5)
    for (let call = 0; call < shape.calls; call++) {
      const begun = time
      const at = begun + random.below(8)
      const ended = at + random.below(8)
      const value = shape.unique ? `${client}:${call}` : random.pick(values)
      const expected = shape.unique ? `${random.below(shape.clients)}:${call - 1}` : random.pick(values)
      const input = random.pick<RegisterInput>([
        { kind: 'read' },
        { kind: 'read' },
        { kind: 'put', value },
        { kind: 'delete' },
        { kind: 'cas', expected: random.pick([undefined, expected]), value },
      ])
      drafts.push({ at, begun, ended, input, isAnswered: !random.chance(shape.unanswered) })
      time = ended + 1 + random.below(3)
    }
  }
  let value: string | undefined
  const history: Operation[] = []
  for (const { begun, ended, input, isAnswered } of drafts.toSorted((a, b) => a.at - b.at)) {
    const unknown = { input, output: undefined, begun, ended: Infinity }
    if (!isAnswered && random.chance(0.5)) {
      history.push(unknown)
      continue
    }
    const found = value
    let output: RegisterOutput
    switch (input.kind) {
      case 'read':
        output = { kind: 'read', value: found }
        break
      case 'put':
        output = { kind: 'put' }
        value = input.value
        break
      case 'delete':
        output = { kind: 'delete', deleted: found !== undefined }
        value = undefined
        break
      case 'cas':
        output =
          found === input.expected
            ? { kind: 'cas', succeeded: true }
            : { kind: 'cas', succeeded: false, value: found }
        if (found === input.expected) value = input.value
    }
    history.push(!isAnswered ? unknown : { input, output, begun, ended })
  }
  return history
}

/** The history with one answer made another. */
function withAnotherAnswer(random: SeededRandom, history: readonly Operation[]): Operation[] {
  const index = random.below(history.length)
  const value = random.pick([undefined, 'a', 'b', 'c'])
  return history.map((operation, i) => {
    if (i !== index || operation.output === undefined) return operation
    const { output } = operation
    switch (output.kind) {
      case 'read':
        return { ...operation, output: { kind: 'read', value } }
      case 'put':
        return { ...operation, begun: operation.begun - random.below(20) }
      case 'delete':
        return { ...operation, output: { kind: 'delete', deleted: !output.deleted } }
      case 'cas':
        return {
          ...operation,
          output: output.succeeded
            ? { kind: 'cas', succeeded: false, value }
            : { kind: 'cas', succeeded: true },
        }
    }
  })
}

void test('random histories, some with a changed answer: the search says what trying every order says', () => {
  const random = new SeededRandom(7)
  let found = 0
  for (let round = 0; round < 3000; round++) {
    let history = randomHistory(random, { clients: random.between(1, 3), calls: 2, unanswered: 0.2 })
    const isChanged = random.chance(0.6)
    if (isChanged) history = withAnotherAnswer(random, history)
    const expected = someOrderExplains(registerSpecification, history)
    const verdict = checkLinearizable(registerSpecification, history)
    assert.equal(verdict.kind, expected ? 'linearizable' : 'violation', JSON.stringify({ round, history }))
    assert.ok(expected || isChanged)
    if (expected) continue
    found += 1
    if (verdict.kind !== 'violation') continue
    // The window by itself is no less impossible, whatever was answered before.
    assert.ok(verdict.violation.window.includes(verdict.violation.culprit))
  }
  assert.ok(found > 500, `${found} violations`)
})

void test('long histories of eight clients with unanswered operations are searched', () => {
  const random = new SeededRandom(3)
  for (let round = 0; round < 5; round++) {
    const history = randomHistory(random, { clients: 8, calls: 250, unanswered: 0.03, unique: true })
    assert.deepEqual(checkLinearizable(registerSpecification, history), { kind: 'linearizable' })
  }
})
