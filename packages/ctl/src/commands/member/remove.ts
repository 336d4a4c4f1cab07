import { etcdserverpb } from '@etcd-ts/api'
import type { Command, Invocation } from '../../cli/command.ts'
import { openSession } from '../../session.ts'
import { displayChange, memberIdOf } from './common.ts'

export const remove: Command = {
  name: 'remove',
  use: 'remove <memberID>',
  short: 'Removes a member from the cluster, for good',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const memberId = memberIdOf(invocation.args)
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.cluster.memberRemove({ ID: memberId }, session)
  displayChange(session, invocation.io, etcdserverpb.MemberRemoveResponse, answer, {
    memberId,
    change: 'removed from',
  })
}
