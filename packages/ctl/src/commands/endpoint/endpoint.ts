import type { Command } from '../../cli/command.ts'

export const endpoint: Command = {
  name: 'endpoint',
  use: 'endpoint <subcommand>',
  short: 'Commands for single endpoints',
  sharedFlags: [{ name: 'cluster', type: 'bool', usage: 'all endpoints that the member list names' }],
  commands: [
    { name: 'health', load: async () => (await import('./health.ts')).health },
    { name: 'status', load: async () => (await import('./status.ts')).status },
    { name: 'hashkv', load: async () => (await import('./hashkv.ts')).hashkv },
  ],
}
