import { compareBy } from './kv-model.ts'
import {
  type KvAnswer,
  type KvCall,
  type RangeCall,
  type RangeResult,
  SortTarget,
  type TxnOperation,
} from './kv-types.ts'

/** Up to so many pairs etcd sorts by insertion, and so keeps the order of those that are equal. */
const SORTED_STABLY_MAX = 12

/**
 * An answer without what the protocol leaves open: when many pairs are sorted, those that are equal by the sort target may
 * come in any order, and when a limit cuts among them, any of them may be the ones left out.
 */
export function withoutOpenChoices(call: KvCall, answer: KvAnswer): KvAnswer {
  return normalize(call, answer)
}

function normalize<A extends KvAnswer>(call: KvCall | TxnOperation, answer: A): A {
  if (call.kind === 'range' && answer.kind === 'range') return { ...answer, kvs: settledPairs(call, answer) }
  if (call.kind === 'txn' && answer.kind === 'txn') {
    const operations = answer.succeeded ? call.success : call.failure
    const responses = answer.responses.map((response, i) =>
      normalize(operations[i] ?? { kind: 'empty' }, response),
    )
    return { ...answer, responses }
  }
  return answer
}

function settledPairs(call: RangeCall, { kvs, more, count }: RangeResult): RangeResult['kvs'] {
  const target = call.sortTarget ?? SortTarget.key
  if (target === SortTarget.key || count <= SORTED_STABLY_MAX) return kvs
  // With keys_only the values that decided the order are not shown: only the set of keys can be compared.
  if (target === SortTarget.value && call.keysOnly)
    return more ? [] : kvs.toSorted((a, b) => compareBy(0, a, b))
  const last = kvs.at(-1)
  const certain = more && last !== undefined ? kvs.filter((kv) => compareBy(target, kv, last) !== 0) : kvs
  const place = new Map(
    certain.map((kv) => [kv, certain.findIndex((other) => compareBy(target, kv, other) === 0)]),
  )
  return certain.toSorted(
    (a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0) || compareBy(SortTarget.key, a, b),
  )
}
