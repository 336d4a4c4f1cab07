import { etcdserverpb } from '@etcd-ts/api'
import { callErrorText } from '../call-error.ts'
import type { Command, Invocation } from '../cli/command.ts'
import { parseInteger } from '../cli/numbers.ts'
import { ExitCode, ExitError, badArguments, errorText } from '../exit.ts'
import { display, messageViews } from '../output/display.ts'
import { openSession } from '../session.ts'

const { MoveLeaderResponse } = etcdserverpb

export const moveLeader: Command = {
  name: 'move-leader',
  use: 'move-leader <transferee-member-id>',
  short: 'Hands the leadership to another member',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { args, io } = invocation
  const [text] = args
  if (text === undefined || args.length > 1) throw badArguments('move-leader command needs 1 argument')
  const targetID = memberIdOf(text)
  const session = await openSession(invocation)
  const client = await session.connect()
  // Only the leader can hand over.
  for (const endpoint of session.endpoints) {
    const status = await client.maintenance.status(endpoint, session).catch((error: unknown) => {
      throw new ExitError(ExitCode.Error, callErrorText(error), { cause: error })
    })
    const memberId = status.header?.memberId ?? 0n
    if (status.leader !== memberId) continue
    const answer = await client.maintenance.moveLeader(endpoint, targetID, session)
    display(io, session.format, {
      ...messageViews(MoveLeaderResponse, answer),
      simple: () => `Leadership transferred from ${hex(memberId)} to ${hex(targetID)}\n`,
    })
    return
  }
  throw badArguments(`no leader endpoint given at [${session.endpoints.join(' ')}]`)
}

function memberIdOf(text: string): bigint {
  try {
    return parseInteger(text, { base: 16, signed: false })
  } catch (error) {
    throw badArguments(errorText(error))
  }
}

function hex(id: bigint): string {
  return id.toString(16)
}
