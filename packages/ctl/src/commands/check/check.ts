import type { Command } from '../../cli/command.ts'

export const check: Command = {
  name: 'check',
  use: 'check <subcommand>',
  short: 'Commands that check properties of the cluster',
  commands: [
    { name: 'datascale', load: async () => (await import('./datascale.ts')).datascale },
    { name: 'perf', load: async () => (await import('./perf.ts')).perf },
  ],
}
