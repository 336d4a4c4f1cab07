import type { Client } from '@etcd-ts/client'
import { prefixEnd } from '@etcd-ts/client'
import { bytesOf } from '../../byte-text.ts'
import type { FlagSet, FlagSpec } from '../../cli/flags.ts'
import { quoteText } from '../../cli/quote.ts'
import { ExitCode, ExitError } from '../../exit.ts'
import type { Io } from '../../io.ts'
import type { Session } from '../../session.ts'

/** Other names of the loads. */
const ALIASES: Readonly<Record<string, string>> = { small: 's', medium: 'm', large: 'l', xLarge: 'xl' }

export function checkFlags(prefix: string, loadUsage: string): readonly FlagSpec[] {
  return [
    {
      name: 'load',
      type: 'string',
      default: 's',
      usage: `s(mall), m(edium), l(arge) or xl(arge); ${loadUsage}`,
    },
    { name: 'prefix', type: 'string', default: prefix, usage: 'what the written keys begin with' },
    { name: 'auto-compact', type: 'bool', usage: 'compact afterwards' },
    { name: 'auto-defrag', type: 'bool', usage: 'defragment afterwards' },
  ]
}

/** The load that `--load` names. @throws ExitError */
export function loadOf<Load>(loads: Readonly<Record<string, Load>>, flags: FlagSet): Load {
  const name = flags.text('load')
  const load = loads[ALIASES[name] ?? name]
  if (!load) throw new ExitError(ExitCode.BadFeature, `unknown load option ${name}`)
  return load
}

/** Clients with a connection each. */
export function connectMany(session: Session, count: number): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => session.connect()))
}

/** Keys that are there already would be deleted with the written ones. @throws ExitError */
export async function refuseUsedPrefix(client: Client, prefix: string): Promise<void> {
  const { kvs } = await client.kv.range({ ...rangeOf(prefix), limit: 1n })
  if (kvs.length === 0) return
  throw new ExitError(
    ExitCode.InvalidInput,
    `prefix ${quoteText(prefix)} has keys. Delete with etcdctl del --prefix ${prefix} first`,
  )
}

/** Deletes the written keys and, if asked to, drops their history and gives the space back. */
export async function tidy(client: Client, prefix: string, flags: FlagSet, io: Io): Promise<void> {
  const { header } = await client.kv.deleteRange(rangeOf(prefix))
  const revision = header?.revision ?? 0
  if (flags.bool('auto-compact')) {
    io.out(`Compacting with revision ${revision}\n`)
    await client.kv.compact({ revision: BigInt(revision), physical: true })
    io.out(`Compacted with revision ${revision}\n`)
  }
  if (!flags.bool('auto-defrag')) return
  for (const endpoint of client.endpoints) {
    io.out(`Defragmenting ${quoteText(endpoint)}\n`)
    await client.maintenance.defragment(endpoint)
    io.out(`Defragmented ${quoteText(endpoint)}\n`)
  }
}

function rangeOf(prefix: string): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  const key = bytesOf(prefix)
  return { key, rangeEnd: prefixEnd(key) }
}
