import type { Clock } from '@etcd-ts/platform'
import type { Message } from '@etcd-ts/raft'
import type { Logger } from '../log/index.ts'
import type { PeerMetrics } from '../metrics/index.ts'
import type { LocalIdentity } from './compatibility.ts'
import type { DialLimits } from './peer-address.ts'
import type { PeerHttp } from './peer-http.ts'
import type { PeerTls } from './peer-tls.ts'

/** What the ways to all other members have in common. */
export interface PeerContext {
  readonly local: LocalIdentity
  readonly tls: PeerTls | undefined
  readonly limits: DialLimits
  readonly http: PeerHttp
  readonly clock: Clock
  readonly logger: Logger
  metricsOf(id: bigint): PeerMetrics
  /**
   * Takes in a message that came on a connection with `remoteId`.
   *
   * @throws ProtocolError when it is not one for this member, or of a sender that this member does not know
   */
  receive(message: Message, remoteId: bigint): void
  /** May be called within a turn of raft: it is told later. */
  reportUnreachable(id: bigint): void
  /** @param byId the member that says so */
  removedFromCluster(byId: bigint): void
}
