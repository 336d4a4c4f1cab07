import { callErrorText } from '../call-error.ts'
import type { Command, Invocation } from '../cli/command.ts'
import { ExitCode, ExitError, errorText } from '../exit.ts'
import { openSession } from '../session.ts'
import { memberEndpoints } from './endpoint/member-endpoints.ts'

export const defrag: Command = {
  name: 'defrag',
  use: 'defrag',
  short: "Gives unused space of the members' databases back to the file system",
  flags: [
    { name: 'cluster', type: 'bool', usage: 'all members, as the member list names them' },
    { name: 'data-dir', type: 'string', usage: 'data directory of a member that is stopped' },
  ],
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation
  const directory = flags.text('data-dir')
  if (directory !== '') return refuseDirectory(directory)
  const session = await openSession(invocation)
  const endpoints = await memberEndpoints(session, flags)
  const client = await session.connect()
  let failures = 0
  for (const endpoint of endpoints) {
    try {
      await client.maintenance.defragment(endpoint, session)
      io.out(`Finished defragmenting etcd member[${endpoint}]\n`)
    } catch (error) {
      io.err(`Failed to defragment etcd member[${endpoint}] (${callErrorText(error)})\n`)
      failures++
    }
  }
  if (failures > 0) throw new ExitError(ExitCode.Error, '')
}

/** Databases without a server belong to etcdutl. */
async function refuseDirectory(directory: string): Promise<never> {
  const { access } = await import('node:fs/promises')
  const path = `${directory.replace(/(.)\/+$/, '$1')}/member/snap/db`
  try {
    await access(path)
  } catch (error) {
    const text = `cannot open database at ${path} (${errorText(error)})`
    throw new ExitError(ExitCode.BadConnection, text, { cause: error })
  }
  throw new ExitError(ExitCode.Error, 'the data directory of a stopped member is defragmented by etcdutl')
}
