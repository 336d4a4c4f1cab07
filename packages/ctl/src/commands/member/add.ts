import { etcdserverpb } from '@etcd-ts/api'
import type { Command, Invocation } from '../../cli/command.ts'
import { quoteText } from '../../cli/quote.ts'
import { badArguments } from '../../exit.ts'
import { openSession } from '../../session.ts'
import { displayChange, peerUrlsFlag, peerUrlsOf } from './common.ts'

const { MemberAddResponse } = etcdserverpb

export const add: Command = {
  name: 'add',
  use: 'add <memberName> [options]',
  short: 'Adds a member to the cluster and prints the settings to start it with',
  flags: [
    peerUrlsFlag('the new member'),
    { name: 'learner', type: 'bool', usage: 'add it as a learner, without a vote' },
  ],
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { args, flags, io } = invocation
  const [name] = args
  if (name === undefined) throw badArguments('member name not provided')
  if (args.length > 1) throw badArguments(`too many arguments${guesses(args)}`)
  const peerURLs = peerUrlsOf(flags)
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.cluster.memberAdd({ peerURLs, isLearner: flags.bool('learner') }, session)
  const memberId = answer.member?.ID ?? 0n
  displayChange(session, io, MemberAddResponse, answer, {
    memberId,
    change: 'added to',
    more: [
      '',
      `ETCD_NAME=${quoteText(name)}`,
      `ETCD_INITIAL_CLUSTER=${quoteText(initialCluster(answer, memberId, name))}`,
      `ETCD_INITIAL_ADVERTISE_PEER_URLS=${quoteText(flags.text('peer-urls'))}`,
      'ETCD_INITIAL_CLUSTER_STATE="existing"\n',
    ].join('\n'),
  })
}

function guesses(args: readonly string[]): string {
  const urls = args.filter((arg) => arg.toLowerCase().startsWith('http'))
  return urls.map((url) => `, did you mean --peer-urls=${url}`).join('')
}

/** Every member's URLs; the new one does not have its name before it starts. */
function initialCluster(
  { members }: etcdserverpb.MemberAddResponse,
  memberId: bigint,
  newName: string,
): string {
  return members
    .flatMap(({ ID, name, peerURLs }) => {
      return peerURLs.map((url) => `${ID === memberId ? newName : name}=${url}`)
    })
    .join(',')
}
