import type { Command } from '../../cli/command.ts'

export const member: Command = {
  name: 'member',
  use: 'member <subcommand>',
  short: 'Commands for the members of the cluster',
  commands: [
    { name: 'add', load: async () => (await import('./add.ts')).add },
    { name: 'remove', load: async () => (await import('./remove.ts')).remove },
    { name: 'update', load: async () => (await import('./update.ts')).update },
    { name: 'list', load: async () => (await import('./list.ts')).list },
    { name: 'promote', load: async () => (await import('./promote.ts')).promote },
  ],
}
