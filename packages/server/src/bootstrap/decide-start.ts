import type { Clock, Disk } from '@etcd-ts/platform'
import {
  ConfigError,
  type EndpointUrl,
  type InitialCluster,
  type ServerConfig,
  formatInitialCluster,
  parseInitialCluster,
  parseUrl,
  quote,
  textOf,
} from '../config/index.ts'
import type { Logger } from '../log/index.ts'
import { bootstrapMemberId, clusterIdOf, hexId } from '../membership/ids.ts'
import type { Member } from '../membership/member.ts'
import type { PeerHttp } from '../peer/peer-http.ts'
import { DiscoveryError } from './discovery/discovery-error.ts'
import { clusterFromRecords } from './discovery/srv.ts'
import { joinByV2Token } from './discovery/v2-discovery.ts'
import { joinByV3Token } from './discovery/v3-discovery.ts'
import { isCompatible } from './cluster-compatibility.ts'
import { type RemoteCluster, askForMembers } from './remote-cluster.ts'
import { type Resolver, systemResolver } from './resolver.ts'
import { type ResolvePorts, UrlComparer } from './same-urls.ts'
import { checkDuplicates, verifyExisting, verifyNew } from './verify-cluster.ts'

/** How a member begins that has no log yet. */
export interface Start {
  /** `new`: the log begins with an entry for each member. `join`: it begins empty, the cluster's leader fills it. */
  readonly kind: 'new' | 'join'
  readonly memberId: bigint
  readonly clusterId: bigint
  /** By ascending id, this one included; of a running cluster as it describes them. */
  readonly members: readonly Member[]
}

/** What deciding takes. */
export interface StartPorts {
  readonly clock: Clock
  readonly logger: Logger
  readonly peerHttp: PeerHttp
  /** The machine's own unless told. */
  readonly resolver?: Resolver
  /** Where the certificates for a discovery service lie. */
  readonly disk: Pick<Disk, 'readFile'>
}

/** A cluster that does not answer at once does not exist yet. */
const NEW_CLUSTER_MS = 1_000
const EXISTING_CLUSTER_MS = 10_000

/**
 * Finds out who this member is, and which cluster it belongs to, from its configuration and from the other members.
 *
 * @throws ConfigError, Error with etcd's text when it may not start
 */
export async function decideStart(config: ServerConfig, ports: StartPorts): Promise<Start> {
  const { cluster, token } = await configuredCluster(config, ports)
  return config.initialClusterState === 'existing'
    ? joinExisting(config, cluster, ports)
    : beginNew(config, cluster, token, ports)
}

interface Configured {
  readonly cluster: InitialCluster
  /** Goes into the ids of the members. */
  readonly token: string
}

/** What is known before anybody but the name service is asked: with discovery by a token, this member alone. */
async function configuredCluster(config: ServerConfig, ports: StartPorts): Promise<Configured> {
  const { name, advertisePeerUrls, discovery, initialClusterToken } = config
  const alone = new Map([[name, advertisePeerUrls]])
  if (discovery.url !== '') return { cluster: alone, token: discovery.url }
  if (discovery.v3.endpoints.length > 0) return { cluster: alone, token: discovery.v3.token }
  const text =
    discovery.srvDomain === ''
      ? config.initialCluster
      : await clusterFromRecords(config, resolvePorts(ports).resolver, ports.logger)
  return { cluster: parseInitialCluster(text), token: initialClusterToken }
}

/** The members that have registered under the token, this one among them. */
async function discoverCluster(
  config: ServerConfig,
  cluster: InitialCluster,
  memberId: bigint,
  ports: StartPorts,
): Promise<InitialCluster> {
  const { clock, logger, disk } = ports
  const { url, httpProxy, v3 } = config.discovery
  const self = formatInitialCluster(cluster)
  let text: string
  try {
    text =
      url === ''
        ? await joinByV3Token({ registry: v3, memberId, self, clock, logger, disk })
        : await joinByV2Token({ url, httpProxy, memberId, self, clock, logger })
  } catch (error) {
    explainDiscovery(error, config, logger)
    throw new ConfigError(`failed to join discovery cluster (${textOf(error)})`, { cause: error })
  }
  const found = parseInitialCluster(text)
  checkDuplicates('discovery cluster', found)
  return found
}

/** What to do about it, in etcd's words. */
function explainDiscovery(error: unknown, config: ServerConfig, logger: Logger): void {
  const { url, v3 } = config.discovery
  const fields = { 'discovery-token': url === '' ? v3.token : url, error: textOf(error) }
  const reason = error instanceof DiscoveryError ? error.reason : undefined
  if (reason === 'duplicateId') {
    logger.warn('member has been registered with discovery service', { name: config.name, ...fields })
    logger.warn('but could not find valid cluster configuration', { 'data-dir': config.dataDir })
    logger.warn('check data dir if previous bootstrap succeeded')
    logger.warn('or use a new discovery token if previous bootstrap failed')
  } else if (reason === 'duplicateName') {
    logger.warn('member with duplicated name has already been registered', fields)
    logger.warn('cURL the discovery token URL for details')
    logger.warn('do not reuse discovery token; generate a new one to bootstrap a cluster')
  } else {
    logger.warn('failed to bootstrap; discovery token was already used', fields)
    logger.warn('do not reuse discovery token; generate a new one to bootstrap a cluster')
  }
}

async function beginNew(
  config: ServerConfig,
  cluster: InitialCluster,
  token: string,
  ports: StartPorts,
): Promise<Start> {
  await verifyNew(config, cluster, resolvePorts(ports))
  const members = membersOf(cluster, token)
  const self = memberNamed(config.name, members)
  const known = await askForMembers(ports.peerHttp, otherUrls(cluster, config.name), NEW_CLUSTER_MS).catch(
    () => undefined, // nobody answers: the cluster is new
  )
  if (known !== undefined) refuseBootstrapped(self.id, known)
  if (!usesToken(config)) return startOf(self, members)
  const found = await discoverCluster(config, cluster, self.id, ports)
  return startOf(self, membersOf(found, token))
}

/** Whether the members find each other through a token of a discovery service. */
function usesToken({ discovery }: ServerConfig): boolean {
  return discovery.url !== '' || discovery.v3.endpoints.length > 0
}

function resolvePorts({ clock, logger, resolver = systemResolver }: StartPorts): ResolvePorts {
  return { clock, logger, resolver }
}

function startOf(self: Member, members: readonly Member[]): Start {
  return { kind: 'new', memberId: self.id, clusterId: clusterIdOf(members.map(({ id }) => id)), members }
}

/** A member that has published its client URLs has had a log: one that begins anew could vote twice in a term. */
function refuseBootstrapped(id: bigint, { members }: RemoteCluster): void {
  const known = members.find((member) => member.id === id)
  if (known !== undefined && known.clientUrls.length > 0) {
    throw new ConfigError(`member ${hexId(id)} has already been bootstrapped`)
  }
}

async function joinExisting(
  config: ServerConfig,
  cluster: InitialCluster,
  ports: StartPorts,
): Promise<Start> {
  const { peerHttp, logger } = ports
  verifyExisting(config, cluster)
  if (usesToken(config)) {
    throw new ConfigError('discovery URL should not be set when joining existing initial cluster')
  }
  const urls = otherUrls(cluster, config.name)
  const running = await askForMembers(peerHttp, urls, EXISTING_CLUSTER_MS, logger).catch((error: unknown) => {
    throw new ConfigError(`cannot fetch cluster info from peer urls: ${textOf(error)}`, { cause: error })
  })
  const self = await findSelf(config.name, cluster, running, resolvePorts(ports))
  refuseBootstrapped(self.id, running)
  const question = { peerHttp, logger, requestTimeoutMs: EXISTING_CLUSTER_MS }
  if (!(await isCompatible(self.id, running.members, question))) {
    throw new ConfigError('incompatible with current running cluster')
  }
  return { kind: 'join', memberId: self.id, clusterId: running.clusterId, members: running.members }
}

/**
 * Pairs the members of a running cluster with the configured names, by their URLs.
 *
 * @returns the running cluster's member that goes under `name`
 * @throws ConfigError when one of them has no partner
 */
async function findSelf(
  name: string,
  cluster: InitialCluster,
  running: RemoteCluster,
  ports: ResolvePorts,
): Promise<Member> {
  const refuse = (reason: string): ConfigError =>
    new ConfigError(`error validating peerURLs ${describeCluster(running)}: ${reason}`)
  if (running.members.length !== cluster.size) throw refuse('member count is unequal')
  const names = new Map<bigint, string>()
  const left = new Map(cluster)
  const pair = (member: Member, itsName: string): void => {
    names.set(member.id, itsName)
    left.delete(itsName)
  }
  // What the texts settle needs no name service.
  for (const member of running.members) {
    const same = [...left].find(([, urls]) => isSameText(member.peerUrls, urls))
    if (same !== undefined) pair(member, same[0])
  }
  const comparer = new UrlComparer(ports)
  for (const member of running.members.filter(({ id }) => !names.has(id))) {
    let difference: string | undefined
    for (const [itsName, urls] of left) {
      difference = await differenceTo(member, urls, comparer)
      if (difference !== undefined) continue
      pair(member, itsName)
      break
    }
    if (!names.has(member.id)) {
      const shown = `${hexId(member.id)}, [${member.peerUrls.join(' ')}]`
      const last = difference ?? '<nil>'
      throw refuse(`PeerURLs: no match found for existing member (${shown}), last resolver error (${last})`)
    }
  }
  return memberNamed(
    name,
    running.members.map((member) => ({ ...member, name: names.get(member.id) ?? '' })),
  )
}

function isSameText(texts: readonly string[], urls: readonly EndpointUrl[]): boolean {
  return texts.length === urls.length && urls.every((url) => texts.includes(url.text))
}

async function differenceTo(
  member: Member,
  urls: readonly EndpointUrl[],
  comparer: UrlComparer,
): Promise<string | undefined> {
  let itsUrls: readonly EndpointUrl[]
  try {
    itsUrls = member.peerUrls.map((url) => parseUrl(url))
  } catch (error) {
    return textOf(error)
  }
  return comparer.difference(itsUrls, urls)
}

/** In the form in which etcd's log shows a cluster. */
function describeCluster({ clusterId, members }: RemoteCluster): string {
  const shown = members.map(
    ({ id, peerUrls, isLearner, name, clientUrls }) =>
      `&{ID:${hexId(id)} RaftAttributes:{PeerURLs:[${peerUrls.join(' ')}] IsLearner:${isLearner}} ` +
      `Attributes:{Name:${name} ClientURLs:[${clientUrls.join(' ')}]}}`,
  )
  return `{ClusterID:${hexId(clusterId)} Members:[${shown.join(' ')}] RemovedMemberIDs:[]}`
}

/** @throws ConfigError when two members have one id, or one has an id that raft keeps for nobody */
function membersOf(cluster: InitialCluster, token: string): readonly Member[] {
  const members = [...cluster].map(([name, urls]): Member => {
    const peerUrls = urls.map((url) => url.text)
    return { id: bootstrapMemberId(peerUrls, token), peerUrls, isLearner: false, name, clientUrls: [] }
  })
  members.sort((a, b) => (a.id < b.id ? -1 : 1))
  for (const [index, { id, name, peerUrls }] of members.entries()) {
    if (id === 0n) throw new ConfigError('cannot use 0 as member id')
    if (id === members[index + 1]?.id) {
      throw new ConfigError(`member exists with identical ID ${hexId(id)} (${name}=${peerUrls.join(',')})`)
    }
  }
  return members
}

function memberNamed(name: string, members: readonly Member[]): Member {
  const self = members.find((member) => member.name === name)
  if (self === undefined) throw new ConfigError(`couldn't find local name ${quote(name)} in the cluster`)
  return self
}

/** The URLs of all but this member, sorted. */
function otherUrls(cluster: InitialCluster, name: string): string[] {
  return [...cluster]
    .flatMap(([itsName, urls]) => (itsName === name ? [] : urls.map((url) => url.text)))
    .sort()
}
