/** What the tests of clusters with faults have in common. */
import { etcdserverpb } from '@etcd-ts/api'
import {
  type CallOptions,
  type ClusterMember,
  type ClusterOptions,
  ClusterProcess,
  GrpcError,
  type Scope,
  type ServerProgram,
  type UnaryMethod,
  eventually,
  ourServer,
} from '@etcd-ts/testkit'

/** Whether the server under test is ours, or another program that the tests themselves are tried on. */
export const isOurs = ourServer().title === 'etcd-ts'

const UNAVAILABLE = 14

/** How long anything may take that must happen within two or three elections, on a busy machine. */
export const SOON_MS = 30_000
/** How long a member may take that has much to catch up with. */
export const CATCH_UP_MS = 30_000

/**
 * Flags of every member: the log is cut often, so that a member that comes back needs a snapshot; nobody that a majority
 * does not miss can disturb the leader; and changes of the membership need not wait until members have been connected for
 * five seconds.
 */
export function faultFlags(program: ServerProgram): string[] {
  const flags = ['--snapshot-count=100', '--pre-vote=true', '--strict-reconfig-check=false']
  return program.title === 'etcd-ts' ? [...flags, '--snapshot-catchup-entries=50'] : flags
}

/** A cluster of the server under test, with all members up. */
export function startCluster(scope: Scope, options: ClusterOptions = {}): Promise<ClusterProcess> {
  return ClusterProcess.start(scope, { flags: faultFlags, ...options })
}

/** What a call is refused with; fails when it is answered. */
export async function refusal<Request, RequestInit, Response, ResponseInit>(
  member: ClusterMember,
  method: UnaryMethod<Request, RequestInit, Response, ResponseInit>,
  request: RequestInit,
  options: CallOptions = {},
): Promise<GrpcError> {
  try {
    await member.grpc.call(method, request, options)
  } catch (error) {
    if (error instanceof GrpcError) return error
    throw error
  }
  throw new Error(`${member.name} answered ${method.path}`)
}

/** What the leader refuses a call with that it has understood: one that got lost in an election is made again. */
export function refusalOfLeader<Request, RequestInit, Response, ResponseInit>(
  cluster: ClusterProcess,
  method: UnaryMethod<Request, RequestInit, Response, ResponseInit>,
  request: RequestInit,
): Promise<GrpcError> {
  return eventually(`a refusal of ${method.path}`, SOON_MS, async () => {
    const error = await refusal(await cluster.leader(), method, request)
    return error.code === UNAVAILABLE || error.text === 'etcdserver: not leader' ? undefined : error
  })
}

/** The members as one of them knows them. */
export async function memberListOf(member: ClusterMember): Promise<etcdserverpb.Member[]> {
  const { members } = await member.grpc.call(etcdserverpb.ClusterService.MemberList, {})
  return members
}

/** All of `members` but some. */
export function others(
  members: readonly ClusterMember[],
  ...some: readonly ClusterMember[]
): ClusterMember[] {
  return members.filter((member) => !some.includes(member))
}

/**
 * Looks into the log of a member for which it has voted; ours tells with `--log-level=debug`.
 * @throws when it gave its vote to two candidates in one term
 */
export function assertVotesOnce(member: ClusterMember): void {
  const votes = new Map<string, string>()
  for (const line of member.server.log.lines) {
    const [, candidate, term] = /cast MsgVote for ([0-9a-f]+) .*at term (\d+)/.exec(line) ?? []
    if (candidate === undefined || term === undefined) continue
    const other = votes.get(term) ?? candidate
    if (other !== candidate)
      throw new Error(`${member.name} voted for ${other} and ${candidate} in term ${term}`)
    votes.set(term, candidate)
  }
}
