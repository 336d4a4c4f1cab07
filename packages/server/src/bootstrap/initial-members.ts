import { lookup } from 'node:dns/promises'
import { ConfigError, type ServerConfig, parseInitialCluster, verifyInitialCluster } from '../config/index.ts'
import { bootstrapMemberId, clusterIdOf } from '../membership/ids.ts'
import type { Member } from '../membership/member.ts'

/** Who a new cluster begins with, and which of them this process is. */
export interface InitialMembers {
  readonly clusterId: bigint
  readonly memberId: bigint
  /** By ascending id. */
  readonly members: readonly Member[]
}

async function resolveHost(hostname: string): Promise<string | undefined> {
  try {
    return (await lookup(hostname)).address
  } catch {
    return undefined // the caller reports the host that has no address
  }
}

/**
 * Works out the ids of a new cluster from `--initial-cluster` and its token.
 *
 * @throws ConfigError when the list contradicts itself or the rest of the configuration
 */
export async function initialMembers(config: ServerConfig): Promise<InitialMembers> {
  const cluster = parseInitialCluster(config.initialCluster)
  await verifyInitialCluster(config, cluster, resolveHost)
  const members = [...cluster].map(([name, urls]): Member => {
    const peerUrls = urls.map((url) => url.text)
    return {
      id: bootstrapMemberId(peerUrls, config.initialClusterToken),
      peerUrls,
      isLearner: false,
      name,
      clientUrls: [],
    }
  })
  members.sort((a, b) => (a.id < b.id ? -1 : 1))
  const ids = members.map((member) => member.id)
  if (new Set(ids).size < ids.length)
    throw new ConfigError('two members of the initial cluster have the same id')
  const self = members.find((member) => member.name === config.name)
  if (self === undefined) throw new ConfigError(`member ${config.name} is not in the initial cluster`)
  return { clusterId: clusterIdOf(ids), memberId: self.id, members }
}
