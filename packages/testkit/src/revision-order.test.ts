import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type HistoryCall,
  changesStore,
  compareAndSet,
  isRefusal,
  registerOperations,
} from './concurrent-history.ts'
import { KvModel } from './kv-model.ts'
import type { KvCall, KvResult } from './kv-types.ts'
import { checkLinearizable } from './linearizability.ts'
import { registerSpecification } from './register.ts'
import { type StoreRevision, checkRevisions } from './revision-order.ts'
import { SeededRandom } from './seeded-random.ts'
import { HistoryError } from './sim-member-history.ts'

type Draft = { -readonly [Name in keyof HistoryCall]: HistoryCall[Name] }

interface Run {
  calls: Draft[]
  store: StoreRevision[]
}

/** A correct store, and clients whose calls take effect at one moment between their beginning and end. */
function correctRun(random: SeededRandom, { clients = 5, calls = 12, keys = 3 } = {}): Run {
  const run: Run = { calls: [], store: [] }
  const model = new KvModel()
  const drafts: { draft: Draft; at: number; fate: 'answered' | 'lost' | 'done' | 'refused' }[] = []
  for (let c = 0; c < clients; c++) {
    let time = random.fraction()
    for (let n = 0; n < calls; n++) {
      const begun = time
      const at = begun + random.fraction() * 4
      const ended = at + random.fraction() * 4
      const key = `k${random.below(keys)}`
      const value = `${c}:${n}`
      const call = random.weighted<() => KvCall>([
        [4, () => ({ kind: 'range', key })],
        [1, () => ({ kind: 'range', key, serializable: true })],
        [3, () => ({ kind: 'put', key, value })],
        [1, () => ({ kind: 'deleteRange', key })],
        [2, () => compareAndSet(key, `${random.below(clients)}:${n - 1}`, value)],
        [1, () => compareAndSet(key, undefined, value)],
      ])()
      const fate = random.weighted<'answered' | 'lost' | 'done' | 'refused'>([
        [20, 'answered'],
        [1, 'lost'],
        [1, 'done'],
        [1, 'refused'],
      ])
      const draft: Draft = {
        client: `c${c}`,
        connection: `c${c}`,
        call,
        begun,
        ended: fate === 'lost' || fate === 'done' ? Infinity : ended,
        begunMs: begun,
        endedMs: ended,
        outcome: { kind: 'unknown', error: undefined },
      }
      drafts.push({ draft, at: fate === 'done' ? at + random.fraction() * 20 : at, fate })
      run.calls.push(draft)
      time = ended + random.fraction()
    }
  }
  for (const { draft, fate } of drafts.toSorted((a, b) => a.at - b.at)) {
    if (fate === 'refused') {
      draft.outcome = { kind: 'refused', error: { kind: 'error', code: 8, message: 'full' } }
      continue
    }
    if (fate === 'lost') continue
    const before = new Map(model.dump().map((kv) => [kv.key, kv]))
    const answer = model.call(draft.call)
    assert.ok(answer.kind !== 'error')
    if (changesStore(answer)) run.store.push({ revision: model.revision, events: eventsSince(before, model) })
    if (fate === 'answered') draft.outcome = { kind: 'answered', answer }
  }
  return run
}

function eventsSince(before: ReadonlyMap<string, unknown>, model: KvModel): StoreRevision['events'] {
  const after = model.dump()
  const left = new Set(after.map((kv) => kv.key))
  return [
    ...after.filter((kv) => kv.modRevision === model.revision).map((kv) => ({ kind: 'put', kv }) as const),
    ...[...before.keys()].filter((key) => !left.has(key)).map((key) => ({ kind: 'delete', key }) as const),
  ]
}

function answerOf(call: HistoryCall): KvResult | undefined {
  return call.outcome.kind === 'answered' ? call.outcome.answer : undefined
}

function isLinearizable({ calls }: Run): boolean {
  return [...registerOperations(calls).values()].every(
    (list) => checkLinearizable(registerSpecification, list).kind === 'linearizable',
  )
}

/** Breaks a run in place; false when it offers no chance to. */
type Mutation = (run: Run, random: SeededRandom) => boolean

const isRead = (call: HistoryCall): boolean => call.call.kind === 'range' && !call.call.serializable
const isWrite = (call: HistoryCall): boolean => {
  const answer = answerOf(call)
  return answer !== undefined && changesStore(answer)
}

function pickWhere(random: SeededRandom, run: Run, fits: (call: Draft) => boolean): Draft | undefined {
  const found = run.calls.filter(fits)
  return found.length === 0 ? undefined : random.pick(found)
}

const mutations: Record<string, { visible: boolean; mutate: Mutation }> = {
  'a stale read': {
    visible: true,
    mutate(run, random) {
      // A read is answered as one had been before a write that ended before it began.
      const pairs = run.calls.flatMap((read) => {
        if (!isRead(read) || read.outcome.kind !== 'answered') return []
        return run.calls.flatMap((older) => {
          if (!isRead(older) || older.call.kind !== 'range' || read.call.kind !== 'range') return []
          const answer = answerOf(older)
          if (older.call.key !== read.call.key || answer?.kind !== 'range') return []
          const write = run.calls.find(
            (each) =>
              each.call.kind === 'put' &&
              older.call.kind === 'range' &&
              each.call.key === older.call.key &&
              isWrite(each) &&
              each.ended < read.begun &&
              (answerOf(each)?.revision ?? 0) > answer.revision,
          )
          return write === undefined ? [] : [{ read, answer }]
        })
      })
      if (pairs.length === 0) return false
      const { read, answer } = random.pick(pairs)
      read.outcome = { kind: 'answered', answer }
      return true
    },
  },
  'a lost write': {
    visible: false,
    mutate(run) {
      const last = run.store.at(-1)
      const isAcked = run.calls.some((call) => isWrite(call) && answerOf(call)?.revision === last?.revision)
      if (!isAcked) return false
      run.store.pop()
      return true
    },
  },
  'a write that happens twice': {
    visible: false,
    mutate(run, random) {
      const put = random.pick(
        run.store.flatMap(({ events }) => events.filter((event) => event.kind === 'put')),
      )
      const revision = run.store.length + 2
      run.store.push({ revision, events: [{ kind: 'put', kv: { ...put.kv, modRevision: revision } }] })
      return true
    },
  },
  'two writes in the wrong order': {
    visible: false,
    mutate(run, random) {
      const first = pickWhere(random, run, (call) => isWrite(call) && call.call.kind === 'put')
      const second = pickWhere(random, run, (call) => isWrite(call) && call.call.kind === 'put')
      const [a, b] = [first && answerOf(first), second && answerOf(second)]
      if (!first || !second || a?.kind !== 'put' || b?.kind !== 'put') return false
      if (first.ended >= second.begun) return false
      first.outcome = { kind: 'answered', answer: { ...a, revision: b.revision } }
      second.outcome = { kind: 'answered', answer: { ...b, revision: a.revision } }
      return true
    },
  },
  'one revision for two writes': {
    visible: false,
    mutate(run, random) {
      const first = pickWhere(random, run, isWrite)
      const second = pickWhere(random, run, (call) => isWrite(call) && call !== first)
      const answer = first && answerOf(first)
      const other = second && answerOf(second)
      if (answer === undefined || other === undefined) return false
      second!.outcome = { kind: 'answered', answer: { ...other, revision: answer.revision } }
      return true
    },
  },
  'a refused write that happens': {
    visible: false,
    mutate(run, random) {
      const call = pickWhere(random, run, (each) => isWrite(each) && each.call.kind !== 'deleteRange')
      if (call === undefined) return false
      call.outcome = { kind: 'refused', error: { kind: 'error', code: 3, message: 'no' } }
      return true
    },
  },
  'a read of what nobody wrote': {
    visible: true,
    mutate(run, random) {
      const read = pickWhere(random, run, (call) => {
        const answer = answerOf(call)
        return isRead(call) && answer?.kind === 'range' && answer.count > 0
      })
      const answer = read && answerOf(read)
      if (answer?.kind !== 'range') return false
      const kvs = answer.kvs.map((kv) => ({ ...kv, value: 'dirty' }))
      read!.outcome = { kind: 'answered', answer: { ...answer, kvs } }
      return true
    },
  },
  'a write that happens before it was asked for': {
    visible: false,
    mutate(run, random) {
      const call = pickWhere(random, run, isWrite)
      const answer = call && answerOf(call)
      const later = run.calls.find(
        (each) => isWrite(each) && (answerOf(each)?.revision ?? 0) > (answer?.revision ?? Infinity),
      )
      if (call === undefined || later === undefined) return false
      call.begun = later.ended + 0.001
      call.outcome = { kind: 'unknown', error: undefined }
      call.ended = Infinity
      return call.call.kind !== 'deleteRange'
    },
  },
}

void test('correct runs pass both checks', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const run = correctRun(new SeededRandom(seed))
    const report = checkRevisions(run.calls, run.store)
    assert.equal(report.revision, run.store.length + 1)
    assert.ok(isLinearizable(run), `seed ${seed}`)
  }
})

for (const [name, { visible, mutate }] of Object.entries(mutations)) {
  void test(`found by the revisions${visible ? ', and by the search without them' : ''}: ${name}`, () => {
    let broken = 0
    let found = 0
    for (let seed = 1; seed <= 200; seed++) {
      const random = new SeededRandom(seed)
      const run = correctRun(random)
      if (!mutate(run, random)) continue
      broken += 1
      assert.throws(() => checkRevisions(run.calls, run.store), HistoryError, `${name}, seed ${seed}`)
      if (visible && !isLinearizable(run)) found += 1
    }
    assert.ok(broken > 50, `${broken} runs were broken`)
    // Without revisions, an old answer may be explained by a write whose outcome is unknown.
    if (visible) assert.ok(found > 0.8 * broken, `${found} of ${broken} were found by the search`)
  })
}

void test('what the search finds in a changed history, the revisions find too', () => {
  let found = 0
  for (let seed = 1; seed <= 500; seed++) {
    const random = new SeededRandom(seed)
    const run = correctRun(random)
    // Two answers of the same kind change places.
    const first = pickWhere(random, run, (call) => answerOf(call) !== undefined)!
    const second = pickWhere(
      random,
      run,
      (call) =>
        call.call.kind === first.call.kind &&
        isWrite(call) === isWrite(first) &&
        answerOf(call) !== undefined,
    )!
    ;[first.outcome, second.outcome] = [second.outcome, first.outcome]
    if (isLinearizable(run)) continue
    found += 1
    assert.throws(() => checkRevisions(run.calls, run.store), HistoryError, `seed ${seed}`)
  }
  assert.ok(found > 50, `${found} runs were found`)
})

void test('a member that goes back in time on one connection', () => {
  const run = correctRun(new SeededRandom(1), { clients: 1, calls: 40 })
  checkRevisions(run.calls, run.store)
  const read = (revision: number, begun: number): Draft => ({
    client: 'r',
    connection: 'r to m1',
    call: { kind: 'range', key: 'nothing', serializable: true },
    begun,
    ended: begun + 0.1,
    begunMs: begun,
    endedMs: begun,
    outcome: { kind: 'answered', answer: { kind: 'range', revision, kvs: [], more: false, count: 0 } },
  })
  // A serializable read may be old.
  run.calls.push(read(2, 1e6))
  checkRevisions(run.calls, run.store)
  run.calls.push(read(3, 1e6 + 1))
  checkRevisions(run.calls, run.store)
  run.calls.push(read(2, 1e6 + 2))
  assert.throws(() => checkRevisions(run.calls, run.store), /went back in time/)
})

void test('an error is a refusal only if it says that nothing has happened', () => {
  const error = (code: number, message = ''): boolean => isRefusal({ kind: 'error', code, message })
  assert.ok(error(3) && error(8) && error(11) && error(14, 'No connection established. Last error: …'))
  assert.ok(!error(4) && !error(1) && !error(2) && !error(14, 'etcdserver: request timed out'))
})
