import type { KvCall, TxnOperation } from '@etcd-ts/testkit'

/** Where our answers and those of the etcd that the tests compare with (3.4.23 in Debian 12) may not agree, and why. */
export interface KnownDifference {
  readonly what: string
  readonly reason: string
  /** Calls that are not sent to real etcd because of it. */
  readonly concerns?: (call: KvCall) => boolean
}

export const knownDifferences: readonly KnownDifference[] = [
  {
    what: 'sort orders and targets outside of their enums',
    reason:
      'before 3.6 an unknown order is ignored and an unknown target ends the process; ours answers "invalid sort option"',
    concerns: (call) =>
      flatten(call).some(
        (operation) =>
          operation.kind === 'range' && ((operation.sortOrder ?? 0) > 2 || (operation.sortTarget ?? 0) > 4),
      ),
  },
  {
    what: 'a txn that deletes up to the open end and puts with ignore_value or ignore_lease',
    reason:
      'its overlap check takes the end "\\0" literally; when the delete took the key away, the put ends the process. With ours the whole txn fails with "key not found"',
    concerns: (call) => {
      const operations = flatten(call)
      return (
        operations.some((operation) => operation.kind === 'deleteRange' && operation.rangeEnd === '\0') &&
        operations.some(
          (operation) => operation.kind === 'put' && (operation.ignoreValue || operation.ignoreLease),
        )
      )
    },
  },
  {
    what: 'HashKV at the compaction revision',
    reason:
      'refused before 3.4.27 and 3.5.10; from 3.5.5 on answered from the hashes that compactions keep: never asked',
  },
  {
    what: 'the members of an error body of the gateway',
    reason:
      '3.4 writes error, message, code; 3.5 error, code, message: the message and the code are compared',
  },
]

/** Whether a call can be put to real etcd at all. */
export function fitForRealEtcd(call: KvCall): boolean {
  return !knownDifferences.some((difference) => difference.concerns?.(call))
}

function flatten(operation: KvCall | TxnOperation): (KvCall | TxnOperation)[] {
  return operation.kind === 'txn'
    ? [...operation.success, ...operation.failure].flatMap(flatten)
    : [operation]
}
