/** What the commands for downgrades share. */
import { etcdserverpb } from '@etcd-ts/api'
import type { Invocation } from '../../cli/command.ts'
import { badArguments } from '../../exit.ts'
import { display, messageViews } from '../../output/display.ts'
import { fieldLine, headerFields } from '../../output/fields.ts'
import { openSession } from '../../session.ts'

const { DowngradeAction, DowngradeResponse } = etcdserverpb

/** The only argument as a version. @throws ExitError */
export function targetVersionOf(args: readonly string[]): string {
  const [version] = args
  if (version === undefined) throw badArguments('TARGET_VERSION not provided')
  if (args.length > 1) throw badArguments('too many arguments')
  if (version === '') throw badArguments('target version not provided')
  return version
}

/** Asks for one step of a downgrade and shows the answer. */
export async function requestDowngrade(
  invocation: Invocation,
  action: keyof typeof DowngradeAction,
  version: string,
): Promise<void> {
  const session = await openSession(invocation)
  const client = await session.connect()
  const request = { action: DowngradeAction[action], version }
  const answer = await client.maintenance.downgrade(request, session)
  display(invocation.io, session.format, {
    ...messageViews(DowngradeResponse, answer),
    simple: () => `Downgrade ${action.toLowerCase()} success, cluster version ${answer.version}\n`,
    fields: () => headerFields(answer.header) + fieldLine('Version', answer.version),
  })
}
