import { COMPAT_CLUSTER_VERSION, MIN_CLUSTER_VERSION, textOf } from '../config/index.ts'
import { hexId } from '../membership/ids.ts'
import type { Member } from '../membership/member.ts'
import { type VersionQuestion, versionOf } from '../membership/peer-versions.ts'
import {
  type Version,
  clusterVersionText,
  compareVersions,
  knownVersion,
  parseVersion,
} from '../membership/version.ts'

/**
 * Whether a member may join: at least one of the others knows the cluster's version, and none a version that this
 * program does not speak. Members that do not answer do not count; all are asked at once, so that those make the others
 * wait once.
 *
 * @param members of the cluster, the one that joins included
 */
export async function isCompatible(
  memberId: bigint,
  members: readonly Member[],
  question: VersionQuestion,
): Promise<boolean> {
  const { logger } = question
  const others = members.filter((member) => member.id !== memberId)
  const versions = await Promise.all(others.map((member) => versionOf(member, question)))
  const up = others.filter((_, index) => versions[index] !== undefined)
  const isDowngraded = hasQuorum(up, members) && (await isDowngrading(up, question))
  const { lowest, highest } = versionRange(isDowngraded)
  let isKnown = false
  for (const answer of versions) {
    if (answer === undefined) continue
    const fields = {
      'remote-member-id': hexId(answer.memberId),
      'remote-member-cluster-version': answer.cluster.slice(0, VERSION_LENGTH_MAX),
    }
    const version = parseVersion(answer.cluster)
    if (version === undefined) {
      logger.warn('failed to parse cluster version of remote member', fields)
      continue
    }
    if (compareVersions(version, lowest) < 0) {
      logger.warn('cluster version of remote member is not compatible; too low', {
        ...fields,
        'minimum-cluster-version-supported': clusterVersionText(lowest),
      })
      return false
    }
    if (compareVersions(version, highest) > 0) {
      logger.warn('cluster version of remote member is not compatible; too high', {
        ...fields,
        'minimum-cluster-version-supported': clusterVersionText(lowest),
      })
      return false
    }
    isKnown = true
  }
  return isKnown
}

const VERSION_LENGTH_MAX = 64
const DOWNGRADE_MS_MAX = 3_000

/** A cluster that is being downgraded is one minor version above the members that it is waiting for. */
function versionRange(isDowngraded: boolean): { lowest: Version; highest: Version } {
  const own = knownVersion(COMPAT_CLUSTER_VERSION)
  if (!isDowngraded) return { lowest: knownVersion(MIN_CLUSTER_VERSION), highest: own }
  const above = { ...own, minor: own.minor + 1 }
  return { lowest: above, highest: above }
}

/** A cluster of which too few are up, as one that waits for this very member, would keep the question and not answer. */
function hasQuorum(up: readonly Member[], members: readonly Member[]): boolean {
  const votersIn = (list: readonly Member[]): number => list.filter((member) => !member.isLearner).length
  return votersIn(up) * 2 > votersIn(members)
}

/**
 * Asks all at once, and takes the first answer, since the answer is one of the whole cluster. Members before 3.5 do not
 * know the question; when nobody tells, the answer is no.
 */
async function isDowngrading(others: readonly Member[], question: VersionQuestion): Promise<boolean> {
  const asked = others.map((member) => askWhetherDowngrading(member, question))
  return Promise.any(asked).catch(() => false)
}

/** @throws Error when the member does not tell */
async function askWhetherDowngrading(
  { id, peerUrls }: Member,
  { peerHttp, logger, requestTimeoutMs }: VersionQuestion,
): Promise<boolean> {
  for (const peerUrl of peerUrls) {
    const url = `${peerUrl}/downgrade/enabled`
    try {
      const timeoutMs = Math.min(requestTimeoutMs, DOWNGRADE_MS_MAX)
      const { status, body } = await peerHttp.request({ url, timeoutMs })
      const text = status === 200 ? body.toString('latin1').trim() : ''
      if (text === 'true' || text === 'false') return text === 'true'
      throw new Error(status === 200 ? 'neither true nor false' : `unexpected status ${status}`)
    } catch (error) {
      logger.warn('failed to get downgrade enabled status', {
        address: url,
        'remote-member-id': hexId(id),
        error: textOf(error),
      })
    }
  }
  throw new Error('the member does not tell')
}
