/**
 * What the store asks and tells the lessor. A key has at most one lease; the store remembers which, and the lessor
 * which keys a lease has.
 */
export interface LeaseIndex {
  has(leaseId: bigint): boolean
  /** `key` now hangs on the lease, which exists. The bytes are valid during the call only. */
  attach(leaseId: bigint, key: Uint8Array): void
  /** `key` no longer hangs on the lease. The bytes are valid during the call only. */
  detach(leaseId: bigint, key: Uint8Array): void
}

/** There are no leases. */
export const noLeases: LeaseIndex = {
  has: () => false,
  attach: () => undefined,
  detach: () => undefined,
}
