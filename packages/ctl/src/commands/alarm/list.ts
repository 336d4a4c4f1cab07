import type { Command, Invocation } from '../../cli/command.ts'
import { badArguments } from '../../exit.ts'
import { openSession } from '../../session.ts'
import { displayAlarms } from './display.ts'

export const list: Command = {
  name: 'list',
  use: 'list',
  short: 'Lists the active alarms',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  if (invocation.args.length > 0) throw badArguments('alarm list command accepts no arguments')
  const session = await openSession(invocation)
  const client = await session.connect()
  displayAlarms(invocation.io, session.format, await client.maintenance.alarms(session))
}
