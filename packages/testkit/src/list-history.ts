import type { HistoryCall } from './concurrent-history.ts'
import type { TxnOperation, TxnResult } from './kv-types.ts'
import type { StoreRevision } from './revision-order.ts'
import type { ListStep, ListTransaction } from './transaction-cycles.ts'

/** The transactions of `listSteps` on lists. One whose condition failed is two: an aborted one, and one that has read. */
export function listTransactions(calls: readonly HistoryCall[]): ListTransaction[] {
  const transactions: ListTransaction[] = []
  calls.forEach(({ client, call, begun, ended, outcome }, i) => {
    if (call.kind !== 'txn') return
    const name = `${client}#${i}`
    const answer = outcome.kind === 'answered' && outcome.answer.kind === 'txn' ? outcome.answer : undefined
    if (answer === undefined) {
      const status = outcome.kind === 'refused' ? 'aborted' : 'unknown'
      transactions.push({ name, steps: steps(call.success, undefined), status, begun, ended })
      return
    }
    if (!answer.succeeded) {
      const aborted = steps(call.success, undefined)
      transactions.push({ name: `${name} aborted`, steps: aborted, status: 'aborted', begun, ended })
    }
    const operations = answer.succeeded ? call.success : call.failure
    transactions.push({ name, steps: steps(operations, answer), status: 'committed', begun, ended })
  })
  return transactions
}

/** What the lists were in the end. */
export function finalLists(store: readonly StoreRevision[]): Map<string, string[]> {
  const lists = new Map<string, string[]>()
  for (const { events } of store) {
    for (const event of events) {
      if (event.kind === 'put') lists.set(event.kv.key, event.kv.value.split(' '))
    }
  }
  return lists
}

function steps(operations: readonly TxnOperation[], answer: TxnResult | undefined): ListStep[] {
  return operations.flatMap((operation, i): ListStep[] => {
    if (operation.kind === 'put') {
      return [{ kind: 'append', key: operation.key, element: operation.value?.split(' ').at(-1) ?? '' }]
    }
    if (operation.kind !== 'range') return []
    const response = answer?.responses[i]
    const value = response?.kind === 'range' ? (response.kvs[0]?.value.split(' ') ?? []) : undefined
    return [{ kind: 'read', key: operation.key, list: value }]
  })
}
