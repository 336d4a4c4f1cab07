import { flagTable } from './flag-table.ts'
import type { FlagRow, HelpGroup } from './flag-types.ts'

/** Goes to stderr, before the list of flags and after every flag that could not be read. */
export const usageText = `Usage:

  etcd [flags]
    Run a member.

  etcd --version
    Print the version.

  etcd -h | --help
    Print this and the list of flags.

  etcd --config-file
    Take the whole configuration from a YAML file; other flags and all variables then count for nothing.

  etcd gateway
    Run a proxy that forwards TCP connections to members.

  etcd grpc-proxy
    Run a proxy that speaks the v3 API on both sides.

`

/** Goes to stdout for `--help`. */
export function flagListText(): string {
  const groups = new Map<HelpGroup, string>()
  for (const row of flagTable) groups.set(row.group, (groups.get(row.group) ?? '') + describe(row))
  return `${[...groups].map(([group, flags]) => `${group}:\n${flags}`).join('\n')}\n`
}

function describe(row: FlagRow): string {
  const byDefault = row.name === 'data-dir' ? 'NAME.etcd' : row.default
  return `  --${row.name} '${byDefault}'\n    ${row.help}\n`
}
