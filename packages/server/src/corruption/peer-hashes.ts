import { JsonNumber, type JsonValue, parseJson } from '@etcd-ts/api'
import { textOf } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import { hexId } from '../membership/ids.ts'
import { jsonFields } from '../membership/json-fields.ts'
import type { Member } from '../membership/member.ts'
import type { PeerHttp, PeerResponse } from '../peer/peer-http.ts'

/** Where members ask each other for hashes. */
export const HASH_KV_PATH = '/members/hashkv'

/** What another member says of its store. */
export interface PeerHash {
  /** Its newest revision. */
  readonly currentRevision: number
  readonly hash: number
  readonly compactRevision: number
}

/** Why a member gave no hash: it is not as far, it has compacted the revision, it is of another cluster, or anything else. */
export type NoHash = 'futureRevision' | 'compacted' | 'clusterIdMismatch' | 'noAnswer'

/** The answer of one member. */
export interface PeerAnswer {
  readonly member: Member
  /** Of the peer URL that answered. */
  readonly endpoint: string
  readonly result: PeerHash | NoHash
}

export interface PeerHashesPorts {
  readonly memberId: bigint
  readonly clusterId: bigint
  readonly peerHttp: PeerHttp
  readonly logger: Logger
  readonly requestTimeoutMs: number
}

/** Asks `members` for the hash of their stores at `revision`, each at its peer URLs in turn. */
export function peerHashes(
  members: readonly Member[],
  revision: number,
  ports: PeerHashesPorts,
): Promise<PeerAnswer[]> {
  return Promise.all(members.map((member) => askMember(member, revision, ports)))
}

async function askMember(member: Member, revision: number, ports: PeerHashesPorts): Promise<PeerAnswer> {
  const { memberId, clusterId, peerHttp, logger, requestTimeoutMs: timeoutMs } = ports
  let last: NoHash = 'noAnswer'
  let endpoint = ''
  for (const peerUrl of member.peerUrls) {
    endpoint = peerUrl
    let failure: unknown
    try {
      const response = await peerHttp.request({
        url: `${peerUrl}${HASH_KV_PATH}`,
        headers: { 'content-type': 'application/json', 'x-etcd-cluster-id': hexId(clusterId) },
        body: Buffer.from(revision === 0 ? '{}' : `{"revision":${revision}}`),
        timeoutMs,
      })
      if (response.status === 200) return { member, endpoint, result: readHash(response) }
      last = reasonOf(response)
      failure = response.body.toString('utf8').trim()
    } catch (error) {
      last = 'noAnswer'
      failure = error
    }
    logger.warn('failed hash kv request', {
      'local-member-id': hexId(memberId),
      'requested-revision': revision,
      'remote-peer-endpoint': peerUrl,
      error: textOf(failure),
    })
  }
  return { member, endpoint, result: last }
}

function reasonOf({ status, body }: PeerResponse): NoHash {
  const text = body.toString('utf8')
  if (status === 400 && text.includes('mvcc: required revision has been compacted')) return 'compacted'
  if (status === 400 && text.includes('mvcc: required revision is a future revision')) return 'futureRevision'
  if (status === 412 && text.includes('cluster ID mismatch')) return 'clusterIdMismatch'
  return 'noAnswer'
}

/** Members leave out what is zero. @throws Error when the answer is no hash */
function readHash({ body }: PeerResponse): PeerHash {
  const value = parseJson(body.toString('utf8'))
  const { header, hash, compact_revision: compactRevision } = jsonFields(value)
  return {
    currentRevision: numberOf(jsonFields(header)['revision']),
    hash: numberOf(hash),
    compactRevision: numberOf(compactRevision),
  }
}

function numberOf(value: JsonValue | undefined): number {
  if (value === undefined) return 0
  const number = value instanceof JsonNumber ? Number(value.text) : NaN
  if (!Number.isSafeInteger(number)) throw new Error('the answer holds no hash')
  return number
}
