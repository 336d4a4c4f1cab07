import type { Command } from '../../cli/command.ts'
import { requestDowngrade, targetVersionOf } from './common.ts'

export const validate: Command = {
  name: 'validate',
  use: 'validate <TARGET_VERSION>',
  short: 'Asks whether the cluster can be downgraded to a version (such as 3.4)',
  run: (invocation) => requestDowngrade(invocation, 'VALIDATE', targetVersionOf(invocation.args)),
}
