import { etcdserverpb } from '@etcd-ts/api'
import type { Command, Invocation } from '../../cli/command.ts'
import { callErrorText } from '../../call-error.ts'
import { ExitCode, ExitError } from '../../exit.ts'
import { display } from '../../output/display.ts'
import { fieldLine, headerFields } from '../../output/fields.ts'
import { messageJson, textJson } from '../../output/json.ts'
import { table } from '../../output/table.ts'
import { openSession } from '../../session.ts'
import { memberEndpoints } from './member-endpoints.ts'

export const hashkv: Command = {
  name: 'hashkv',
  use: 'hashkv',
  short: 'Shows a hash over the keys and their history for each endpoint',
  flags: [{ name: 'rev', type: 'int64', usage: 'highest revision to include (default: all revisions)' }],
  run,
}

interface Hash {
  readonly endpoint: string
  readonly answer: etcdserverpb.HashKVResponse
}

async function run(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation
  const session = await openSession(invocation)
  const endpoints = await memberEndpoints(session, flags)
  const client = await session.connect()
  const results: Hash[] = []
  let failure: string | undefined
  for (const endpoint of endpoints) {
    try {
      const answer = await client.maintenance.hashKv(endpoint, flags.integer('rev'), session)
      results.push({ endpoint, answer })
    } catch (error) {
      failure = callErrorText(error)
      io.err(`Failed to get the hash of endpoint ${endpoint} (${failure})\n`)
    }
  }
  display(io, session.format, {
    simple: () => results.map((result) => `${row(result).join(', ')}\n`).join(''),
    table: () => table(['endpoint', 'hash'], results.map(row)),
    json: () => `[${results.map(hashJson).join(',')}]\n`,
    fields: () => results.map(hashFields).join(''),
  })
  if (failure !== undefined) throw new ExitError(ExitCode.Error, failure)
}

function row({ endpoint, answer }: Hash): string[] {
  return [endpoint, String(answer.hash)]
}

function hashJson({ endpoint, answer }: Hash): string {
  return `{"Endpoint":${textJson(endpoint)},"HashKV":${messageJson(etcdserverpb.HashKVResponse, answer)}}`
}

function hashFields({ endpoint, answer }: Hash): string {
  return `${headerFields(answer.header)}${fieldLine('Endpoint', endpoint)}${fieldLine('Hash', answer.hash)}\n`
}
