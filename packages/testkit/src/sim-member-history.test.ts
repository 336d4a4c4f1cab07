import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KvModel } from './kv-model.ts'
import type { KeyValue, KvCall, TxnCall } from './kv-types.ts'
import { HistoryError, KvHistory, type KvObservation } from './sim-member-history.ts'

const put = (key: string, value: string): KvCall => ({ kind: 'put', key, value })
const compact = (revision: number): KvCall => ({ kind: 'compact', revision: BigInt(revision) })
const twoPuts: TxnCall = {
  kind: 'txn',
  compare: [],
  success: [
    { kind: 'put', key: 'x', value: '1' },
    { kind: 'put', key: 'y', value: '1' },
  ],
  failure: [],
}
const noSpace = { kind: 'error', code: 8, message: 'etcdserver: mvcc: database space exceeded' } as const

/** A store that does what it should, and what it would show at rest. */
class Store {
  readonly model = new KvModel()
  readonly pairsAt = new Map<number, readonly KeyValue[]>([[1, []]])

  do(call: KvCall): ReturnType<KvModel['call']> {
    const answer = this.model.call(call)
    this.pairsAt.set(this.model.revision, this.model.dump())
    return answer
  }

  observed(changes: Partial<KvObservation> = {}): KvObservation {
    const { compactRevision, revision } = this.model
    const { hash } = this.model.hashKv() as { hash: number }
    return { revision, compactRevision, hash, pairsAt: this.pairsAt, isAlarmed: false, ...changes }
  }
}

function answered(history: KvHistory, store: Store, call: KvCall): void {
  const recorded = history.begin(call)
  history.answered(recorded, store.do(call))
}

void test('calls without an answer may have happened, in any order, or not', () => {
  const calls = [put('a', '1'), put('b', '1'), put('a', '2'), twoPuts, compact(2)]
  for (const happened of [[], [0], [2, 1], [3, 0, 2], [1, 0, 4, 3], [0, 2, 1, 3, 4]]) {
    const history = new KvHistory()
    const store = new Store()
    answered(history, store, put('a', '0'))
    for (const call of calls) history.begin(call)
    for (const i of happened) store.do(calls[i]!)
    history.settle(store.observed())
    assert.equal(history.happenedUnanswered, happened.filter((i) => i !== 4).length)
    // What was settled once stays so.
    answered(history, store, put('c', '1'))
    history.settle(store.observed())
  }
})

void test('a call whose connection was lost is one without an answer', () => {
  const history = new KvHistory()
  history.answered(history.begin(put('a', '1')), { kind: 'error', code: 14, message: 'gone' })
  const store = new Store()
  store.do(put('a', '1'))
  history.settle(store.observed())
})

for (const wrong of [
  {
    name: 'an acknowledged write that is lost',
    run(history: KvHistory, store: Store) {
      answered(history, new Store(), put('a', '1'))
      return store.observed()
    },
    fault: /is lost/,
  },
  {
    name: 'half of a txn',
    run(history: KvHistory, store: Store) {
      history.begin(twoPuts)
      store.do(put('x', '1'))
      return store.observed()
    },
    fault: /at revision 2 the store lacks .*"y"/,
  },
  {
    name: 'a write that happened twice',
    run(history: KvHistory, store: Store) {
      answered(history, store, put('a', '1'))
      store.do(put('a', '1'))
      return store.observed()
    },
    fault: /no call explains revision 3/,
  },
  {
    name: 'a revision that was given twice',
    run(history: KvHistory, store: Store) {
      answered(history, store, put('a', '1'))
      answered(history, new Store(), put('b', '1'))
      return store.observed()
    },
    fault: /revision 2 was given to/,
  },
  {
    name: 'a wrong answer',
    run(history: KvHistory, store: Store) {
      answered(history, store, put('a', '1'))
      const read = history.begin({ kind: 'range', key: 'a' })
      history.answered(read, { kind: 'range', revision: 2, kvs: [], more: false, count: 0 })
      return store.observed()
    },
    fault: /was answered/,
  },
  {
    name: 'an answer from before what was known',
    run(history: KvHistory, store: Store) {
      answered(history, store, put('a', '1'))
      const read = history.begin({ kind: 'range', key: 'b' })
      history.answered(read, { kind: 'range', revision: 1, kvs: [], more: false, count: 0 })
      return store.observed()
    },
    fault: /after 2 was known/,
  },
  {
    name: 'a call that happened before it was made',
    run(history: KvHistory, store: Store) {
      const stray = put('b', '1')
      store.do(stray)
      answered(history, store, put('a', '1'))
      history.begin(stray)
      return store.observed()
    },
    fault: /no call explains revision 2/,
  },
  {
    name: 'a refusal that the request does not deserve',
    run(history: KvHistory, store: Store) {
      const message = 'etcdserver: mvcc: required revision has been compacted'
      history.answered(history.begin({ kind: 'range', key: 'a', revision: 1n }), {
        kind: 'error',
        code: 11,
        message,
      })
      return store.observed()
    },
    fault: /was refused/,
  },
  {
    name: 'a compaction that is lost',
    run(history: KvHistory, store: Store) {
      answered(history, store, put('a', '1'))
      history.answered(history.begin(compact(2)), { kind: 'compact', revision: 2 })
      return store.observed()
    },
    fault: /the compaction at 2 is lost/,
  },
  {
    name: 'a compaction that nobody asked for',
    run(history: KvHistory, store: Store) {
      answered(history, store, put('a', '1'))
      store.do(compact(2))
      return store.observed()
    },
    fault: /nobody asked/,
  },
  {
    name: 'a wrong hash',
    run: (_: KvHistory, store: Store) => store.observed({ hash: 1 }),
    fault: /HashKV/,
  },
  {
    name: 'a past that changed',
    run(history: KvHistory, store: Store) {
      answered(history, store, put('a', '1'))
      answered(history, store, put('a', '2'))
      history.settle(store.observed())
      return store.observed({ pairsAt: new Map([...store.pairsAt, [2, []]]) })
    },
    fault: /the past has changed/,
  },
  {
    name: 'a write that was refused for want of space without an alarm',
    run(history: KvHistory, store: Store) {
      history.alarmBegins()
      history.alarmEnded(true)
      history.answered(history.begin(put('a', '1')), noSpace)
      history.alarmBegins()
      history.alarmEnded(false)
      history.answered(history.begin(put('a', '1')), noSpace)
      return store.observed()
    },
    fault: /while the alarm was off/,
  },
  {
    name: 'a write that was accepted in spite of an alarm',
    run(history: KvHistory, store: Store) {
      history.alarmBegins()
      history.alarmEnded(true)
      answered(history, store, put('a', '1'))
      return store.observed({ isAlarmed: true })
    },
    fault: /while the alarm was on/,
  },
  {
    name: 'an alarm that is lost',
    run(history: KvHistory, store: Store) {
      history.alarmBegins()
      history.alarmEnded(true)
      return store.observed()
    },
    fault: /the alarm is not raised/,
  },
] satisfies {
  name: string
  run(history: KvHistory, store: Store): KvObservation
  fault: RegExp
}[]) {
  void test(`found: ${wrong.name}`, () => {
    const history = new KvHistory()
    const observed = wrong.run(history, new Store())
    assert.throws(
      () => history.settle(observed),
      (error) => error instanceof HistoryError && wrong.fault.test(error.message),
    )
  })
}
