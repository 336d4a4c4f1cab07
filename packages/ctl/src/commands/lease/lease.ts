import type { Command } from '../../cli/command.ts'

export const lease: Command = {
  name: 'lease',
  use: 'lease <subcommand>',
  short: 'Commands for leases',
  commands: [{ name: 'grant', load: async () => (await import('./grant.ts')).grant }],
}
