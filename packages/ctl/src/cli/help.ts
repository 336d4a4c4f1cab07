/**
 * The help texts: a command's usage, its commands and its flags, in the layout of etcdctl 3.4.
 *
 * After an error the flags of 3.4 are listed, since tools compare that output; asked for with `help` or
 * `--help`, all flags are.
 */
import { pathOf, type Command } from './command.ts'
import { shownDefault, type FlagSpec } from './flags.ts'
import { API_VERSION, ETCD_VERSION } from '../version.ts'

export interface HelpOptions {
  /** Also the flags that etcdctl 3.4 does not have. */
  readonly newer: boolean
}

/** The help of the last command of `path`. */
export async function usageOf(path: readonly Command[], { newer }: HelpOptions): Promise<string> {
  const command = path.at(-1)!
  const isRoot = path.length === 1
  const name = isRoot ? command.name : pathOf(path.slice(1))
  const sections = [`NAME:\n\t${name} - ${command.short}\n`, `USAGE:\n\t${useLine(path)}\n`]
  if (isRoot) sections.push(`VERSION:\n\t${ETCD_VERSION}\n`)
  if (command.commands) {
    sections.push(`API VERSION:\n\t${API_VERSION}\n\n`)
    sections.push(`COMMANDS:\n${columns(await commandRows(command, isRoot, ''), '\t')}`)
  }
  if (command.long !== undefined) {
    sections.push(`DESCRIPTION:\n${command.long.replace(/^/gm, '\t')}\n`)
  }
  const shown = (specs: readonly FlagSpec[]): string =>
    columns(flagRows(specs.filter((spec) => newer || spec.newer !== true)), '')
  sections.push(`OPTIONS:\n${shown(ownFlags(path))}`)
  if (!isRoot) sections.push(`GLOBAL OPTIONS:\n${shown(inheritedFlags(path))}`)
  return sections.map((section) => `${section}\n`).join('')
}

function useLine(path: readonly Command[]): string {
  const parents = pathOf(path.slice(0, -1))
  const { use, noArguments } = path.at(-1)!
  return `${parents}${parents === '' ? '' : ' '}${use}${noArguments === true ? '' : ' [flags]'}`
}

/** The flags listed as a command's own: with those it shares with its commands, and `--help`. */
function ownFlags(path: readonly Command[]): FlagSpec[] {
  const command = path.at(-1)!
  const help: FlagSpec = { name: 'help', short: 'h', type: 'bool', usage: `help for ${command.name}` }
  return [help, ...(command.flags ?? []), ...(command.sharedFlags ?? [])]
}

function inheritedFlags(path: readonly Command[]): FlagSpec[] {
  return path.slice(0, -1).flatMap((command) => command.sharedFlags ?? [])
}

type Row = readonly [left: string, right: string]

/** Commands with their descriptions, in order; for the root the commands of its groups in their place. */
async function commandRows(command: Command, deep: boolean, prefix: string): Promise<Row[]> {
  const entries = (command.commands ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const rows = entries.map(async (entry): Promise<Row[]> => {
    const child = await entry.load()
    const name = `${prefix}${child.name}`
    return deep && child.commands ? commandRows(child, deep, `${name} `) : [[name, child.short]]
  })
  return (await Promise.all(rows)).flat()
}

function flagRows(specs: readonly FlagSpec[]): Row[] {
  return specs
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((spec) => {
      const value = shownDefault(spec)
      const shown =
        spec.type === 'bool' ? `[=${value}]` : spec.type === 'string' ? `="${value}"` : `=${value}`
      return [`  ${spec.short === undefined ? '    ' : `-${spec.short}, `}--${spec.name}${shown}`, spec.usage]
    })
}

/** Rows whose second column is lined up with tabs of 8. */
function columns(rows: readonly Row[], indent: string): string {
  const width = Math.ceil((Math.max(...rows.map(([left]) => left.length)) + 1) / 8) * 8
  return rows
    .map(([left, right]) => `${indent}${left}${'\t'.repeat(Math.ceil((width - left.length) / 8))}${right}\n`)
    .join('')
}

/** The usage that a command of a transaction shows after a bad flag. */
export function shortUsage(command: Command): string {
  const specs = ownFlags([command])
    .filter((spec) => spec.newer !== true)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const left = specs.map((spec) => {
    const type = spec.type === 'bool' ? '' : ` ${spec.type.replace('int64', 'int')}`
    return `  ${spec.short === undefined ? '    ' : `-${spec.short}, `}--${spec.name}${type}`
  })
  const width = Math.max(...left.map((text) => text.length)) + 3
  const lines = specs.map((spec, i) => {
    const isEmpty = spec.default === undefined || spec.default === ''
    return `${left[i]!.padEnd(width)}${spec.usage}${isEmpty ? '' : ` (default "${spec.default}")`}\n`
  })
  return `Usage:\n   ${command.use} [flags]\n\nFlags:\n${lines.join('')}\n`
}
