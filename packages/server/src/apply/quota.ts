import type { etcdserverpb } from '@etcd-ts/api'

/** `--quota-backend-bytes` when it is 0. */
export const QUOTA_DEFAULT_BYTES = 2 * 1024 * 1024 * 1024
const KEY_VALUE_OVERHEAD_BYTES = 256

export function putCost(put: etcdserverpb.PutRequest): number {
  return KEY_VALUE_OVERHEAD_BYTES + put.key.length + put.value.length
}

/** The larger of the costs of the two branches: only one of them runs. */
export function txnCost(txn: etcdserverpb.TxnRequest): number {
  return Math.max(branchCost(txn.success), branchCost(txn.failure))
}

function branchCost(operations: etcdserverpb.TxnRequest['success']): number {
  let cost = 0
  for (const { request } of operations) {
    if (request?.case === 'requestPut') cost += putCost(request.value)
    else if (request?.case === 'requestTxn') cost += txnCost(request.value)
  }
  return cost
}

/**
 * How much the backend file may grow (v3 semantics, "quota").
 *
 * The size is this member's own, so a decision made here never enters the state: the member raises the
 * NOSPACE alarm, and only that, which goes through the log, stops writes everywhere alike.
 */
export class Quota {
  readonly #limitBytes: number
  readonly #size: () => number

  /** @param configuredBytes 0: the default; negative: no limit */
  constructor(configuredBytes: number, size: () => number) {
    this.#limitBytes =
      configuredBytes === 0 ? QUOTA_DEFAULT_BYTES : configuredBytes < 0 ? Infinity : configuredBytes
    this.#size = size
  }

  /** The limit in bytes; infinite when there is none. */
  get limitBytes(): number {
    return this.#limitBytes
  }

  /** Whether a write of `cost` fits; one that costs nothing always does. */
  allows(cost: number): boolean {
    return cost <= 0 || this.#size() + cost < this.#limitBytes
  }
}
