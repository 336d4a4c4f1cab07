import type { Command, Invocation } from '../cli/command.ts'
import { parseInteger } from '../cli/numbers.ts'
import { badArguments } from '../exit.ts'
import { openSession } from '../session.ts'

export const compaction: Command = {
  name: 'compaction',
  use: 'compaction [options] <revision>',
  short: 'Drops the history before a revision',
  flags: [{ name: 'physical', type: 'bool', usage: 'wait until the history is gone from the database' }],
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { args, flags, io } = invocation
  const [text] = args
  if (text === undefined || args.length > 1) throw badArguments('compaction command needs 1 argument')
  const revision = parseInteger(text, { base: 10, signed: true })
  const session = await openSession(invocation)
  const client = await session.connect()
  await client.kv.compact({ revision, physical: flags.bool('physical') }, session)
  io.out(`compacted revision ${revision}\n`)
}
