import { parseJson } from '@etcd-ts/api'
import { textOf } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import type { PeerHttp } from '../peer/peer-http.ts'
import type { Cluster } from './cluster.ts'
import { hexId } from './ids.ts'
import { jsonFields } from './json-fields.ts'
import type { Member } from './member.ts'

/** What a member says of itself at `/version`. */
export interface PeerVersion {
  readonly memberId: bigint
  /** Its own release. */
  readonly server: string
  /** The cluster version that it knows of; `not_decided` before there is one. */
  readonly cluster: string
}

export interface VersionQuestion {
  readonly peerHttp: PeerHttp
  readonly logger: Logger
  /** How long one request may take. */
  readonly requestTimeoutMs: number
}

export interface PeerVersionsPorts extends VersionQuestion {
  readonly memberId: bigint
  readonly serverVersion: string
  readonly cluster: Cluster
}

/** Asks all members for their versions, at each of their peer URLs in turn. @returns undefined for those that do not answer */
export function peerVersions(ports: PeerVersionsPorts): Promise<(PeerVersion | undefined)[]> {
  const { memberId, serverVersion: server, cluster } = ports
  return Promise.all(
    cluster.members().map(async (member) => {
      if (member.id === memberId) return { memberId, server, cluster: cluster.version ?? 'not_decided' }
      return versionOf(member, ports)
    }),
  )
}

/** Asks one member, at each of its peer URLs in turn. @returns undefined when it does not answer */
export async function versionOf(
  { id, peerUrls }: Member,
  { peerHttp, logger, requestTimeoutMs: timeoutMs }: VersionQuestion,
): Promise<PeerVersion | undefined> {
  for (const peerUrl of peerUrls) {
    try {
      const { status, body } = await peerHttp.request({ url: `${peerUrl}/version`, timeoutMs })
      if (status !== 200) throw new Error(`unexpected status ${status}`)
      const { etcdserver, etcdcluster } = jsonFields(parseJson(body.toString('utf8')))
      if (typeof etcdserver !== 'string' || typeof etcdcluster !== 'string')
        throw new Error('the answer holds no versions')
      return { memberId: id, server: etcdserver, cluster: etcdcluster }
    } catch (error) {
      logger.warn('failed to reach the peer URL', {
        address: `${peerUrl}/version`,
        'remote-member-id': hexId(id),
        error: textOf(error),
      })
    }
  }
  logger.warn('failed to get version', { 'remote-member-id': hexId(id) })
  return undefined
}
