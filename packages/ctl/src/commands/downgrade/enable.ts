import type { Command } from '../../cli/command.ts'
import { requestDowngrade, targetVersionOf } from './common.ts'

export const enable: Command = {
  name: 'enable',
  use: 'enable <TARGET_VERSION>',
  short: 'Lets members of a version (such as 3.4) take the place of the present ones',
  run: (invocation) => requestDowngrade(invocation, 'ENABLE', targetVersionOf(invocation.args)),
}
