import { etcdserverpb } from '@etcd-ts/api'
import { bytesOf } from '../byte-text.ts'
import type { Command, Invocation } from '../cli/command.ts'
import type { FlagSet } from '../cli/flags.ts'
import { parseInteger } from '../cli/numbers.ts'
import { badArguments, errorText } from '../exit.ts'
import { display, messageViews } from '../output/display.ts'
import { headerFields, keyValueFields } from '../output/fields.ts'
import { pairLines } from '../output/pairs.ts'
import { openSession } from '../session.ts'

const { PutResponse } = etcdserverpb

export const put: Command = {
  name: 'put',
  use: 'put [options] <key> <value> (<value> can also be given from stdin)',
  short: 'Writes a key',
  long: [
    'Writes <value> to <key>. Without <value> on the command line, it is read from standard input, whole and',
    'with its newline:',
    '',
    '\t$ etcdctl put <key> < file',
    '',
    'A key or value that begins with - looks like a flag; -- ends the flags:',
    '',
    '\t$ etcdctl put <key> -- <value>',
    '\t$ etcdctl put -- <key> <value>',
  ].join('\n'),
  flags: [
    { name: 'lease', type: 'string', default: '0', usage: 'ID of the lease to attach, in hexadecimal' },
    { name: 'prev-kv', type: 'bool', usage: 'show the key and value before' },
    { name: 'ignore-value', type: 'bool', usage: 'keep the value that the key has' },
    { name: 'ignore-lease', type: 'bool', usage: 'keep the lease that the key has' },
  ],
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, args, io } = invocation
  const request = await putRequest(flags, args, () => io.readAll())
  const session = await openSession(invocation)
  const client = await session.connect()
  const answer = await client.kv.put(request, session)
  display(io, session.format, {
    ...messageViews(PutResponse, answer),
    simple: () => putLines(answer, session.hex),
    fields: () => putFields(answer),
  })
}

/** The request that the flags and arguments of `put` ask for. @throws ExitError */
export async function putRequest(
  flags: FlagSet,
  args: readonly string[],
  readInput: () => Promise<Uint8Array>,
): Promise<etcdserverpb.PutRequestInit> {
  const [key, value] = args
  const missing = 'put command needs 1 argument and input from stdin or 2 arguments'
  if (key === undefined) throw badArguments(missing)
  const ignoreValue = flags.bool('ignore-value')
  if (ignoreValue && value !== undefined) {
    throw badArguments("put command needs only 1 argument when 'ignore-value' is set")
  }
  let bytes: Uint8Array = Buffer.alloc(0)
  if (value !== undefined) {
    bytes = bytesOf(value)
  } else if (!ignoreValue) {
    bytes = await readInput()
    if (bytes.length === 0) throw badArguments(missing)
  }
  return {
    key: bytesOf(key),
    value: bytes,
    lease: leaseId(flags.text('lease')),
    prevKv: flags.bool('prev-kv'),
    ignoreValue,
    ignoreLease: flags.bool('ignore-lease'),
  }
}

function leaseId(text: string): bigint {
  try {
    return parseInteger(text, { base: 16, signed: true })
  } catch (error) {
    throw badArguments(`bad lease ID (${errorText(error)}), expecting ID in Hex`)
  }
}

/** The `simple` format of a put. */
export function putLines(answer: etcdserverpb.PutResponse, hex: boolean): Uint8Array {
  const pairs = answer.prevKv ? [answer.prevKv] : []
  return Buffer.concat([Buffer.from('OK\n'), pairLines(pairs, { hex })])
}

/** The `fields` format of a put. */
export function putFields(answer: etcdserverpb.PutResponse): string {
  return headerFields(answer.header) + (answer.prevKv ? keyValueFields(answer.prevKv, 'Prev') : '')
}
