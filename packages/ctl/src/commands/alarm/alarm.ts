import type { Command } from '../../cli/command.ts'

export const alarm: Command = {
  name: 'alarm',
  use: 'alarm <subcommand>',
  short: 'Commands for alarms',
  commands: [
    { name: 'disarm', load: async () => (await import('./disarm.ts')).disarm },
    { name: 'list', load: async () => (await import('./list.ts')).list },
  ],
}
