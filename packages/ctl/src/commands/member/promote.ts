import { etcdserverpb } from '@etcd-ts/api'
import type { Command, Invocation } from '../../cli/command.ts'
import { openSession } from '../../session.ts'
import { displayChange, memberIdOf } from './common.ts'

export const promote: Command = {
  name: 'promote',
  use: 'promote <memberID>',
  short: 'Gives a learner its vote',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const memberId = memberIdOf(invocation.args)
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.cluster.memberPromote({ ID: memberId }, session)
  displayChange(session, invocation.io, etcdserverpb.MemberPromoteResponse, answer, {
    memberId,
    change: 'promoted in',
  })
}
