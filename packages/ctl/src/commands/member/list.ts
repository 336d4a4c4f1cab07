import { etcdserverpb } from '@etcd-ts/api'
import type { Command, Invocation } from '../../cli/command.ts'
import { quoteText } from '../../cli/quote.ts'
import { ExitCode, ExitError } from '../../exit.ts'
import { display } from '../../output/display.ts'
import { fieldLine, headerFields } from '../../output/fields.ts'
import { table } from '../../output/table.ts'
import { openSession } from '../../session.ts'
import { memberViews } from './common.ts'

const { MemberListResponse } = etcdserverpb

export const list: Command = {
  name: 'list',
  use: 'list',
  short: 'Lists the members of the cluster',
  long: [
    'For each member: its ID, whether it has started, its name, its peer URLs, its client URLs and whether it is',
    'a learner.',
  ].join('\n'),
  flags: [
    {
      name: 'consistency',
      type: 'string',
      default: 'l',
      newer: true,
      usage: 'l for the list that the cluster agrees on, s for the one that the endpoint knows',
    },
  ],
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation
  const consistency = flags.text('consistency')
  if (consistency !== 'l' && consistency !== 's') {
    throw new ExitError(ExitCode.BadFeature, `unknown consistency flag ${quoteText(consistency)}`)
  }
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.cluster.memberList({ linearizable: consistency === 'l' }, session)
  const rows = answer.members.map(row)
  display(io, session.format, {
    ...memberViews(MemberListResponse, answer, session.hex),
    simple: () => rows.map((cells) => `${cells.join(', ')}\n`).join(''),
    table: () => table(['ID', 'status', 'name', 'peer addrs', 'client addrs', 'is learner'], rows),
    fields: () => memberFields(answer),
  })
}

function row({ ID, name, peerURLs, clientURLs, isLearner }: etcdserverpb.Member): string[] {
  const state = name === '' ? 'unstarted' : 'started'
  return [ID.toString(16), state, name, peerURLs.join(','), clientURLs.join(','), String(isLearner)]
}

function memberFields(answer: etcdserverpb.MemberListResponse): string {
  const members = answer.members.map((member) => {
    return [
      fieldLine('ID', member.ID),
      fieldLine('Name', member.name),
      ...member.peerURLs.map((url) => fieldLine('PeerURL', url)),
      ...member.clientURLs.map((url) => fieldLine('ClientURL', url)),
      fieldLine('IsLearner', member.isLearner),
      '\n',
    ].join('')
  })
  return headerFields(answer.header) + members.join('')
}
