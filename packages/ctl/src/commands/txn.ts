import { etcdserverpb } from '@etcd-ts/api'
import { find, flagsOf, type Command, type Invocation } from '../cli/command.ts'
import { ExitCode, ExitError, badArguments } from '../exit.ts'
import type { Io } from '../io.ts'
import { display, messageViews } from '../output/display.ts'
import { fieldLine, headerFields } from '../output/fields.ts'
import { pairLines } from '../output/pairs.ts'
import { openSession } from '../session.ts'
import { parseCompare, splitWords } from '../txn-grammar.ts'
import { del, deleteFields, deleteLines, deleteRequest } from './del.ts'
import { get, rangeFields, rangeRequest } from './get.ts'
import { put, putFields, putLines, putRequest } from './put.ts'

const { TxnResponse } = etcdserverpb

export const txn: Command = {
  name: 'txn',
  use: 'txn [options]',
  short: 'Compares keys and does one of two lists of operations, as one transaction',
  long: [
    'Reads three parts from standard input, each ended by an empty line: comparisons, the operations to do when',
    'all of them hold, and the operations to do when one does not.',
    '',
    '\tcomparison: TARGET("KEY") OPERATOR "VALUE"',
    '\t            TARGET: value, version, create (revision), mod (revision); OPERATOR: = != < >',
    '\toperation:  put, get or del with their flags and arguments; "double" or \'single\' quotes around blanks',
  ].join('\n'),
  flags: [{ name: 'interactive', short: 'i', type: 'bool', usage: 'print what is to be typed next' }],
  run,
}

/** The commands that a transaction may hold. */
const operations: Command = {
  name: '',
  use: '',
  short: '',
  commands: [put, get, del].map((command) => ({ name: command.name, load: () => Promise.resolve(command) })),
}

async function run(invocation: Invocation): Promise<void> {
  const { args, flags, io } = invocation
  if (args.length > 0) throw badArguments('txn command does not accept argument')
  const session = await openSession(invocation)
  const client = await session.connect()
  const prompt = (text: string): void => {
    if (flags.bool('interactive')) io.out(`${text}\n`)
  }
  prompt('compares:')
  const compare = await readLines(io, (line) => Promise.resolve(parseCompare(line)))
  prompt('success requests (get, put, del):')
  const success = await readLines(io, (line) => parseOperation(line, io))
  prompt('failure requests (get, put, del):')
  const failure = await readLines(io, (line) => parseOperation(line, io))
  // No time limit: waiting for a member to come back is what etcdctl does here.
  const answer = await client.kv.txn({ compare, success, failure })
  display(io, session.format, {
    ...messageViews(TxnResponse, answer),
    simple: () => txnLines(answer, session.hex),
    fields: () => txnFields(answer),
  })
}

/** Reads lines up to an empty one. */
async function readLines<Item>(io: Io, parse: (line: string) => Promise<Item>): Promise<Item[]> {
  const items: Item[] = []
  for (;;) {
    const line = await io.readLine()
    if (line === undefined) throw new ExitError(ExitCode.InvalidInput, 'EOF')
    const text = line.trim()
    if (text === '') return items
    items.push(await parse(text))
  }
}

async function parseOperation(line: string, io: Io): Promise<etcdserverpb.RequestOpInit> {
  const words = splitWords(line)
  if (words.length < 2) throw new ExitError(ExitCode.InvalidInput, `invalid txn compare request: ${line}`)
  const invalid = new ExitError(ExitCode.InvalidInput, `invalid txn request: ${line}`)
  const found = await find(operations, words).catch(() => {
    throw invalid
  })
  const command = found.path[1]
  if (!command) throw invalid
  const flags = flagsOf(found.path)
  let args: string[]
  try {
    args = flags.parse(found.args)
  } catch {
    const { shortUsage } = await import('../cli/help.ts')
    io.err(shortUsage(command))
    throw invalid
  }
  if (flags.bool('help')) throw invalid
  if (command === get) return { request: { case: 'requestRange', value: rangeRequest(flags, args) } }
  if (command === del) return { request: { case: 'requestDeleteRange', value: deleteRequest(flags, args) } }
  // What is left of the input belongs to the transaction, so a value cannot come from there.
  const value = await putRequest(flags, args, () => Promise.resolve(new Uint8Array()))
  return { request: { case: 'requestPut', value } }
}

function txnLines(answer: etcdserverpb.TxnResponse, hex: boolean): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from(answer.succeeded ? 'SUCCESS\n' : 'FAILURE\n')]
  for (const { response } of answer.responses) {
    parts.push(Buffer.from('\n'))
    if (response?.case === 'responseRange') parts.push(pairLines(response.value.kvs, { hex }))
    else if (response?.case === 'responsePut') parts.push(putLines(response.value, hex))
    else if (response?.case === 'responseDeleteRange') parts.push(deleteLines(response.value, hex))
    else if (response?.case === 'responseTxn') parts.push(txnLines(response.value, hex))
  }
  return Buffer.concat(parts)
}

function txnFields(answer: etcdserverpb.TxnResponse): string {
  const operations = answer.responses.map(({ response }) => {
    if (response?.case === 'responseRange') return rangeFields(response.value)
    if (response?.case === 'responsePut') return putFields(response.value)
    if (response?.case === 'responseDeleteRange') return deleteFields(response.value)
    return response?.case === 'responseTxn' ? txnFields(response.value) : ''
  })
  return headerFields(answer.header) + fieldLine('Succeeded', answer.succeeded) + operations.join('')
}
