import type { Command } from '../../cli/command.ts'

export const member: Command = {
  name: 'member',
  use: 'member <subcommand>',
  short: 'Commands for the members of the cluster',
  commands: [{ name: 'list', load: async () => (await import('./list.ts')).list }],
}
