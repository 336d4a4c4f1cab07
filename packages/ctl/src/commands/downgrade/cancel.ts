import type { Command } from '../../cli/command.ts'
import { requestDowngrade } from './common.ts'

export const cancel: Command = {
  name: 'cancel',
  use: 'cancel',
  short: 'Ends a downgrade that has begun',
  run: (invocation) => requestDowngrade(invocation, 'CANCEL', ''),
}
