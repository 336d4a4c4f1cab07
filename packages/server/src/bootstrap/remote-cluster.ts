import { JsonNumber, type JsonValue, parseJson } from '@etcd-ts/api'
import { textOf } from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import { hexId } from '../membership/ids.ts'
import type { Member } from '../membership/member.ts'
import type { PeerHttp, PeerResponse } from '../peer/peer-http.ts'

/** A running cluster, as one of its members describes it. */
export interface RemoteCluster {
  readonly clusterId: bigint
  /** By ascending id. */
  readonly members: readonly Member[]
}

const ID_MAX = (1n << 64n) - 1n

/**
 * Asks one URL after the other for the members of its cluster, until one answers as a member does.
 *
 * @param timeoutMs for each URL
 * @param logger is told why each of the others is no use; undefined when nobody need know
 * @throws Error with etcd's text when none is
 */
export async function askForMembers(
  peerHttp: PeerHttp,
  urls: readonly string[],
  timeoutMs: number,
  logger?: Logger,
): Promise<RemoteCluster> {
  for (const url of urls) {
    const address = `${url}/members`
    const refuse = (message: string, error: unknown): void =>
      logger?.warn(message, { address, error: textOf(error) })
    let response: PeerResponse
    try {
      response = await peerHttp.request({ url: address, timeoutMs })
    } catch (error) {
      refuse('failed to get cluster response', error)
      continue
    }
    let members: readonly Member[]
    try {
      members = membersIn(response)
    } catch (error) {
      refuse('failed to unmarshal cluster response', error)
      continue
    }
    const header = response.headers['x-etcd-cluster-id'] ?? ''
    const clusterId = parseHexId(header)
    if (clusterId === undefined) {
      refuse('failed to parse cluster ID', `not an id: ${JSON.stringify(header.slice(0, 32))}`)
      continue
    }
    if (members.length > 0) return { clusterId, members }
    throw new Error('failed to get raft cluster member(s) from the given URLs')
  }
  throw new Error('could not retrieve cluster information from the given URLs')
}

/** @returns undefined for what is not a hexadecimal number of 64 bits */
export function parseHexId(text: string): bigint | undefined {
  if (!/^[0-9a-f]+$/i.test(text) || text.length > 1_000) return undefined
  const id = BigInt(`0x${text}`)
  return id > ID_MAX ? undefined : id
}

function membersIn({ status, body }: PeerResponse): readonly Member[] {
  if (status !== 200) throw new Error(`unexpected status ${status}`)
  const value = parseJson(body.toString('utf8'))
  if (value === null) return []
  if (!Array.isArray(value)) throw new Error('not a list of members')
  const members = value.map(memberOf).sort((a, b) => (a.id < b.id ? -1 : 1))
  const twice = members.find((member, index) => member.id === members[index + 1]?.id)
  if (twice !== undefined) throw new Error(`member ${hexId(twice.id)} is listed twice`)
  return members
}

/** Stricter than reading what this member wrote itself: the answer may be anybody's. */
function memberOf(value: JsonValue): Member {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof JsonNumber) {
    throw new Error('not a member')
  }
  const fields = value as Readonly<Record<string, JsonValue | undefined>>
  const { name = '', isLearner = false } = fields
  if (typeof name !== 'string' || typeof isLearner !== 'boolean') {
    throw new Error('a member with fields of other types')
  }
  return {
    id: idOf(fields['id']),
    peerUrls: textsOf(fields['peerURLs']).sort(),
    isLearner,
    name,
    clientUrls: textsOf(fields['clientURLs']),
  }
}

function idOf(value: JsonValue | undefined): bigint {
  if (!(value instanceof JsonNumber) || !/^[1-9]\d{0,19}$/.test(value.text)) {
    throw new Error('a member without an id')
  }
  const id = BigInt(value.text)
  if (id > ID_MAX) throw new Error(`a member with an id of more than 64 bits: ${value.text}`)
  return id
}

function textsOf(value: JsonValue | undefined): string[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return [...value]
  throw new Error('a member with URLs that are not texts')
}
