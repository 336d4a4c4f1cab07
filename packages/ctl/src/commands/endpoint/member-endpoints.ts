import type { FlagSet } from '../../cli/flags.ts'
import { callErrorText } from '../../call-error.ts'
import { ExitCode, ExitError } from '../../exit.ts'
import type { Session } from '../../session.ts'

/** The endpoints of the flags or, with `--cluster`, the client URLs of all members. @throws ExitError */
export async function memberEndpoints(session: Session, flags: FlagSet): Promise<readonly string[]> {
  if (!flags.bool('cluster')) return session.endpoints
  // The member list needs no permission, so no password is asked for in its name.
  const client = await session.connect(session.endpoints, { anonymous: true })
  try {
    const { members } = await client.cluster.memberList({}, session)
    return members.flatMap((member) => member.clientURLs)
  } catch (error) {
    const text = `failed to fetch endpoints from etcd cluster member list: ${callErrorText(error)}`
    throw new ExitError(ExitCode.Error, text, { cause: error })
  }
}
