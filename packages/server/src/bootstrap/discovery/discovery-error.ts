/** Why a discovery service did not bring a cluster together, in etcd's words. */
export const discoveryReasons = {
  badEndpoint: 'discovery: bad discovery endpoint',
  badSizeKey: 'discovery: size key is bad',
  sizeNotFound: 'discovery: size key not found',
  duplicateId: 'discovery: found duplicate id',
  duplicateName: 'discovery: found duplicate name',
  fullCluster: 'discovery: cluster is full',
  invalidUrl: 'discovery: invalid URL',
  invalidPeerUrl: 'discovery: invalid peer URL',
} as const
export type DiscoveryReason = keyof typeof discoveryReasons

/** The service has answered, and the answer is final: asking again would not help. */
export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError'
  readonly reason: DiscoveryReason

  constructor(reason: DiscoveryReason, options?: ErrorOptions) {
    super(discoveryReasons[reason], options)
    this.reason = reason
  }
}
