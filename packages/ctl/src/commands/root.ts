import type { Command } from '../cli/command.ts'
import { globalFlags } from './global-flags.ts'

/** `etcdctl` itself: every command is one line here and one file, which is loaded when it is needed. */
export const root: Command = {
  name: 'etcdctl',
  use: 'etcdctl',
  short: 'Reads, writes and looks after an etcd cluster.',
  sharedFlags: globalFlags,
  // In the order in which suggestions name them.
  commands: [
    { name: 'get', load: async () => (await import('./get.ts')).get },
    { name: 'put', load: async () => (await import('./put.ts')).put },
    { name: 'del', load: async () => (await import('./del.ts')).del },
    { name: 'txn', load: async () => (await import('./txn.ts')).txn },
    { name: 'compaction', load: async () => (await import('./compaction.ts')).compaction },
    { name: 'alarm', load: async () => (await import('./alarm/alarm.ts')).alarm },
    { name: 'defrag', load: async () => (await import('./defrag.ts')).defrag },
    { name: 'endpoint', load: async () => (await import('./endpoint/endpoint.ts')).endpoint },
    { name: 'move-leader', load: async () => (await import('./move-leader.ts')).moveLeader },
    { name: 'version', load: async () => (await import('./version.ts')).version },
    { name: 'lease', load: async () => (await import('./lease/lease.ts')).lease },
    { name: 'downgrade', load: async () => (await import('./downgrade/downgrade.ts')).downgrade },
    { name: 'member', load: async () => (await import('./member/member.ts')).member },
    { name: 'check', load: async () => (await import('./check/check.ts')).check },
    { name: 'help', load: async () => (await import('./help.ts')).help },
    { name: 'completion', load: async () => (await import('./completion/completion.ts')).completion },
  ],
}
