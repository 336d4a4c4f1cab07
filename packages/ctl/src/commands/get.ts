import { etcdserverpb } from '@etcd-ts/api'
import { prefixEnd } from '@etcd-ts/client'
import { bytesOf } from '../byte-text.ts'
import type { Command, Invocation } from '../cli/command.ts'
import type { FlagSet } from '../cli/flags.ts'
import { quoteText } from '../cli/quote.ts'
import { ExitCode, ExitError, badArguments } from '../exit.ts'
import { display, messageViews } from '../output/display.ts'
import { fieldLine, headerFields, keyValueFields } from '../output/fields.ts'
import { pairLines } from '../output/pairs.ts'
import { openSession } from '../session.ts'

const { RangeResponse, SortOrder, SortTarget } = etcdserverpb

/** The end of "every key from here on". */
export const NO_END: Uint8Array = Buffer.of(0)

const TARGETS: Readonly<Record<string, etcdserverpb.SortTarget>> = {
  '': SortTarget.KEY,
  CREATE: SortTarget.CREATE,
  KEY: SortTarget.KEY,
  MODIFY: SortTarget.MOD,
  VALUE: SortTarget.VALUE,
  VERSION: SortTarget.VERSION,
}

const ORDERS: Readonly<Record<string, etcdserverpb.SortOrder>> = {
  '': SortOrder.NONE,
  ASCEND: SortOrder.ASCEND,
  DESCEND: SortOrder.DESCEND,
}

export const get: Command = {
  name: 'get',
  use: 'get [options] <key> [range_end]',
  short: 'Reads a key or a range of keys',
  flags: [
    {
      name: 'consistency',
      type: 'string',
      default: 'l',
      usage: 'l for a linearizable, s for a serializable read',
    },
    { name: 'order', type: 'string', usage: 'order of the results: ASCEND or DESCEND' },
    { name: 'sort-by', type: 'string', usage: 'what to sort by: CREATE, KEY, MODIFY, VALUE or VERSION' },
    { name: 'limit', type: 'int64', usage: 'most results to give; 0: all' },
    { name: 'prefix', type: 'bool', usage: 'keys that begin with <key>' },
    { name: 'from-key', type: 'bool', usage: 'keys that are equal to <key> or come after it' },
    { name: 'rev', type: 'int64', usage: 'revision to read at; 0: the newest' },
    { name: 'keys-only', type: 'bool', usage: 'without the values' },
    {
      name: 'count-only',
      type: 'bool',
      newer: true,
      usage: 'the number of keys alone; for --write-out=fields',
    },
    { name: 'print-value-only', type: 'bool', usage: 'values without their keys; for --write-out=simple' },
    { name: 'min-create-rev', type: 'int64', newer: true, usage: 'lowest create revision' },
    { name: 'max-create-rev', type: 'int64', newer: true, usage: 'highest create revision; 0: no limit' },
    { name: 'min-mod-rev', type: 'int64', newer: true, usage: 'lowest modification revision' },
    { name: 'max-mod-rev', type: 'int64', newer: true, usage: 'highest modification revision; 0: no limit' },
  ],
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, args, io } = invocation
  const request = rangeRequest(flags, args)
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.kv.range(request, session)
  if (flags.bool('count-only') && session.format !== 'fields') {
    throw badArguments('--count-only is only for `--write-out=fields`')
  }
  const valuesOnly = flags.bool('print-value-only')
  if (valuesOnly && session.format !== 'simple') {
    throw badArguments('print-value-only is only for `--write-out=simple`')
  }
  display(io, session.format, {
    ...messageViews(RangeResponse, answer),
    simple: () => pairLines(answer.kvs, { hex: session.hex, valuesOnly }),
    fields: () => rangeFields(answer),
  })
}

/** The request that the flags and arguments of `get` ask for. @throws ExitError */
export function rangeRequest(flags: FlagSet, args: readonly string[]): etcdserverpb.RangeRequestInit {
  const [key, end] = args
  if (key === undefined) {
    throw badArguments('get command needs one argument as key and an optional argument as range_end')
  }
  checkRangeFlags(flags)
  if (flags.bool('keys-only') && flags.bool('count-only')) {
    throw badArguments('`--keys-only` and `--count-only` cannot be set at the same time, choose one')
  }
  const consistency = flags.text('consistency')
  if (consistency !== 's' && consistency !== 'l') {
    throw new ExitError(ExitCode.BadFeature, `unknown consistency flag ${quoteText(consistency)}`)
  }
  const range = keyRange(flags, key, end)
  const revision = flags.integer('rev')
  return {
    ...range,
    serializable: consistency === 's',
    limit: flags.integer('limit'),
    revision: revision > 0n ? revision : 0n,
    ...sortOf(flags),
    keysOnly: flags.bool('keys-only'),
    countOnly: flags.bool('count-only'),
    ...revisionBounds(flags),
  }
}

function sortOf(flags: FlagSet): Pick<etcdserverpb.RangeRequestInit, 'sortOrder' | 'sortTarget'> {
  const order = ORDERS[flags.text('order').toUpperCase()]
  if (order === undefined) throw new ExitError(ExitCode.BadFeature, `bad sort order ${flags.text('order')}`)
  const target = TARGETS[flags.text('sort-by').toUpperCase()]
  if (target === undefined)
    throw new ExitError(ExitCode.BadFeature, `bad sort target ${flags.text('sort-by')}`)
  // Keys come in ascending order by themselves.
  const isNatural = target === SortTarget.KEY && order === SortOrder.ASCEND
  return { sortOrder: isNatural ? SortOrder.NONE : order, sortTarget: target }
}

function revisionBounds(flags: FlagSet): etcdserverpb.RangeRequestInit {
  const minCreate = flags.integer('min-create-rev')
  const maxCreate = flags.integer('max-create-rev')
  const minMod = flags.integer('min-mod-rev')
  const maxMod = flags.integer('max-mod-rev')
  if (maxCreate > 0n && minCreate > maxCreate) {
    throw new ExitError(
      ExitCode.BadFeature,
      `getMinCreateRev(=${minCreate}) > getMaxCreateRev(=${maxCreate})`,
    )
  }
  if (maxMod > 0n && minMod > maxMod) {
    throw new ExitError(ExitCode.BadFeature, `getMinModRev(=${minMod}) > getMaxModRev(=${maxMod})`)
  }
  return {
    minCreateRevision: minCreate,
    maxCreateRevision: maxCreate,
    minModRevision: minMod,
    maxModRevision: maxMod,
  }
}

/** Refuses `--prefix` together with `--from-key`. */
export function checkRangeFlags(flags: FlagSet): void {
  if (flags.bool('prefix') && flags.bool('from-key')) {
    throw badArguments('`--prefix` and `--from-key` cannot be set at the same time, choose one')
  }
}

/** The keys that KEY, RANGE_END, `--prefix` and `--from-key` mean. @throws ExitError */
export function keyRange(
  flags: FlagSet,
  key: string,
  end: string | undefined,
): { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array } {
  const prefix = flags.bool('prefix')
  const fromKey = flags.bool('from-key')
  if (end !== undefined && (prefix || fromKey)) {
    throw badArguments('too many arguments, only accept one argument when `--prefix` or `--from-key` is set')
  }
  const bytes = bytesOf(key)
  if (prefix || fromKey) {
    if (bytes.length === 0) return { key: NO_END, rangeEnd: NO_END }
    return { key: bytes, rangeEnd: prefix ? prefixEnd(bytes) : NO_END }
  }
  return end === undefined ? { key: bytes } : { key: bytes, rangeEnd: bytesOf(end) }
}

/** The `fields` format of a range. */
export function rangeFields(answer: etcdserverpb.RangeResponse): string {
  const pairs = answer.kvs.map((kv) => keyValueFields(kv)).join('')
  return (
    headerFields(answer.header) + pairs + fieldLine('More', answer.more) + fieldLine('Count', answer.count)
  )
}
