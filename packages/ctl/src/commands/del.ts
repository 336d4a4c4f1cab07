import { etcdserverpb } from '@etcd-ts/api'
import type { Command, Invocation } from '../cli/command.ts'
import type { FlagSet } from '../cli/flags.ts'
import { badArguments } from '../exit.ts'
import { display, messageViews } from '../output/display.ts'
import { fieldLine, headerFields, keyValueFields } from '../output/fields.ts'
import { pairLines } from '../output/pairs.ts'
import { openSession } from '../session.ts'
import { checkRangeFlags, keyRange } from './get.ts'

const { DeleteRangeResponse } = etcdserverpb

export const del: Command = {
  name: 'del',
  use: 'del [options] <key> [range_end]',
  short: 'Deletes a key or a range of keys',
  flags: [
    { name: 'prefix', type: 'bool', usage: 'keys that begin with <key>' },
    { name: 'prev-kv', type: 'bool', usage: 'show the keys and values that were deleted' },
    { name: 'from-key', type: 'bool', usage: 'keys that are equal to <key> or come after it' },
    { name: 'range', type: 'bool', newer: true, usage: 'says that [range_end] is meant; changes nothing' },
  ],
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, args, io } = invocation
  const request = deleteRequest(flags, args)
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.kv.deleteRange(request, session)
  display(io, session.format, {
    ...messageViews(DeleteRangeResponse, answer),
    simple: () => deleteLines(answer, session.hex),
    fields: () => deleteFields(answer),
  })
}

/** The request that the flags and arguments of `del` ask for. @throws ExitError */
export function deleteRequest(flags: FlagSet, args: readonly string[]): etcdserverpb.DeleteRangeRequestInit {
  const [key, end] = args
  if (key === undefined || args.length > 2) {
    throw badArguments('del command needs one argument as key and an optional argument as range_end')
  }
  checkRangeFlags(flags)
  return { ...keyRange(flags, key, end), prevKv: flags.bool('prev-kv') }
}

/** The `simple` format of a deletion. */
export function deleteLines(answer: etcdserverpb.DeleteRangeResponse, hex: boolean): Uint8Array {
  return Buffer.concat([Buffer.from(`${answer.deleted}\n`), pairLines(answer.prevKvs, { hex })])
}

/** The `fields` format of a deletion. */
export function deleteFields(answer: etcdserverpb.DeleteRangeResponse): string {
  const before = answer.prevKvs.map((kv) => keyValueFields(kv, 'Prev')).join('')
  return headerFields(answer.header) + fieldLine('Deleted', answer.deleted) + before
}
