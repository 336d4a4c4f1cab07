import { parseJson } from '@etcd-ts/api'
import { COMPAT_CLUSTER_VERSION, MIN_CLUSTER_VERSION, textOf } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import { hexId } from '../membership/ids.ts'
import type { Member } from '../membership/member.ts'
import type { PeerHttp, PeerResponse } from '../peer/peer-http.ts'

interface Question {
  readonly peerHttp: PeerHttp
  readonly logger: Logger
  /** For each URL. */
  readonly timeoutMs: number
}

/**
 * Whether this member may join: at least one of the others knows the cluster's version, and none a version that this
 * program does not speak. Members that do not answer do not count.
 */
export async function isCompatible(others: readonly Member[], question: Question): Promise<boolean> {
  const { logger } = question
  const [versions, isClusterDowngrading] = await Promise.all([
    versionsOf(others, question),
    isDowngrading(others, question),
  ])
  const { lowest, highest } = versionRange(isClusterDowngrading)
  let isKnown = false
  for (const { member, version } of versions) {
    const fields = { 'remote-member-id': hexId(member.id), 'remote-member-cluster-version': version }
    const parsed = parseVersion(version)
    if (parsed === undefined) {
      logger.warn('failed to parse cluster version of remote member', fields)
      continue
    }
    if (compare(parsed, lowest) < 0) {
      logger.warn('cluster version of remote member is not compatible; too low', {
        ...fields,
        'minimum-cluster-version-supported': lowest.join('.'),
      })
      return false
    }
    if (compare(parsed, highest) > 0) {
      logger.warn('cluster version of remote member is not compatible; too high', {
        ...fields,
        'maximum-cluster-version-supported': highest.join('.'),
      })
      return false
    }
    isKnown = true
  }
  return isKnown
}

const VERSION_LENGTH_MAX = 64
const DOWNGRADE_MS_MAX = 3_000

type Version = readonly [major: number, minor: number, patch: number]

/** A cluster that is being downgraded is one minor version above the members that it is waiting for. */
function versionRange(isDowngraded: boolean): { lowest: Version; highest: Version } {
  const own = parseVersion(COMPAT_CLUSTER_VERSION) ?? [0, 0, 0]
  if (!isDowngraded) return { lowest: parseVersion(MIN_CLUSTER_VERSION) ?? own, highest: own }
  const above: Version = [own[0], own[1] + 1, 0]
  return { lowest: above, highest: above }
}

function parseVersion(text: string): Version | undefined {
  const match = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+].*)?$/.exec(text)
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])]
}

function compare(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
}

/**
 * Asks all at once, and takes the first answer, since the answer is one of the whole cluster. Members before 3.5 do not
 * know the question, and a cluster without a quorum, as one that waits for this very member, cannot tell: then the
 * answer is no.
 */
async function isDowngrading(others: readonly Member[], question: Question): Promise<boolean> {
  const limited = { ...question, timeoutMs: Math.min(question.timeoutMs, DOWNGRADE_MS_MAX) }
  const asked = others.map(async (member) => {
    const answer = await askMember(member, '/downgrade/enabled', booleanIn, limited)
    if (answer === undefined) throw new Error('no answer')
    return answer
  })
  return Promise.any(asked).catch(() => false)
}

/** All are asked at once: those that do not answer make the others wait once, not one after the other. */
async function versionsOf(
  others: readonly Member[],
  question: Question,
): Promise<{ member: Member; version: string }[]> {
  const answers = await Promise.all(
    others.map(async (member) => {
      const version = await askMember(member, '/version', clusterVersionIn, question)
      if (version !== undefined) return [{ member, version }]
      question.logger.warn('failed to get version', { 'remote-member-id': hexId(member.id) })
      return []
    }),
  )
  return answers.flat()
}

function booleanIn(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new Error('neither true nor false')
  return text === 'true'
}

function clusterVersionIn(text: string): string {
  const value = parseJson(text)
  const version =
    typeof value === 'object' && value !== null && 'etcdcluster' in value ? value.etcdcluster : undefined
  if (typeof version !== 'string') throw new Error('no etcdcluster in it')
  return version.slice(0, VERSION_LENGTH_MAX)
}

/** Tries each of its URLs until one gives an answer that can be read. */
async function askMember<T>(
  member: Member,
  path: string,
  read: (text: string) => T,
  { peerHttp, logger, timeoutMs }: Question,
): Promise<T | undefined> {
  for (const url of member.peerUrls) {
    const address = url + path
    const refuse = (message: string, error: unknown): void =>
      logger.warn(message, { address, 'remote-member-id': hexId(member.id), error: textOf(error) })
    let response: PeerResponse
    try {
      response = await peerHttp.request({ url: address, timeoutMs })
    } catch (error) {
      refuse('failed to reach the peer URL', error)
      continue
    }
    try {
      if (response.status !== 200) throw new Error(`unexpected status ${response.status}`)
      return read(response.body.toString('utf8'))
    } catch (error) {
      refuse('failed to unmarshal response', error)
    }
  }
  return undefined
}
