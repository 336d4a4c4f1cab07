import type { Clock } from '@etcd-ts/platform'
import type { Logger } from '../log/index.ts'
import { hexId } from '../membership/ids.ts'
import { type MemberAttributes, attributesJson } from '../membership/member.ts'

/** Between a try that failed and the next: some fail at once. */
const RETRY_MS = 50

export interface PublicationOptions {
  readonly memberId: bigint
  readonly clusterId: bigint
  readonly attributes: MemberAttributes
  readonly requestTimeoutMs: number
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  /** Has a v2 node set through the log. */
  putV2(path: string, value: string): Promise<void>
}

/** Tells the cluster this member's name and client URLs; tries until that is applied here, or the member stops. */
export async function publish(options: PublicationOptions): Promise<void> {
  const { memberId, clusterId, attributes, requestTimeoutMs, clock, logger, signal } = options
  const path = `/0/members/${hexId(memberId)}/attributes`
  while (!signal.aborted) {
    try {
      await options.putV2(path, attributesJson(attributes))
      logger.info('published local member to cluster through raft', {
        'local-member-id': hexId(memberId),
        'local-member-attributes': attributesJson(attributes),
        'request-path': path,
        'cluster-id': hexId(clusterId),
        'publish-timeout': `${requestTimeoutMs / 1000}s`,
      })
      return
    } catch (error) {
      if (signal.aborted) return
      logger.warn('failed to publish local member to cluster through raft', {
        'local-member-id': hexId(memberId),
        error: String(error),
      })
      await clock.sleep(RETRY_MS, signal)
    }
  }
}
