import type { Command } from '../../cli/command.ts'

export const downgrade: Command = {
  name: 'downgrade',
  use: 'downgrade <subcommand>',
  short: 'Commands for going back to the minor version before',
  commands: [
    { name: 'validate', load: async () => (await import('./validate.ts')).validate },
    { name: 'enable', load: async () => (await import('./enable.ts')).enable },
    { name: 'cancel', load: async () => (await import('./cancel.ts')).cancel },
  ],
}
