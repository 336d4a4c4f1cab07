import { etcdserverpb } from '@etcd-ts/api'
import type { Command, Invocation } from '../../cli/command.ts'
import { openSession } from '../../session.ts'
import { displayChange, memberIdOf, peerUrlsFlag, peerUrlsOf } from './common.ts'

export const update: Command = {
  name: 'update',
  use: 'update <memberID> [options]',
  short: 'Gives a member other peer URLs',
  flags: [peerUrlsFlag('the member from now on')],
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const memberId = memberIdOf(invocation.args)
  const peerURLs = peerUrlsOf(invocation.flags)
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.cluster.memberUpdate({ ID: memberId, peerURLs }, session)
  displayChange(session, invocation.io, etcdserverpb.MemberUpdateResponse, answer, {
    memberId,
    change: 'updated in',
  })
}
